//! One user of the system, and the steps that happen to this user's account.

use std::time::Duration;

use digime_simulator::{Account, ErrorShape};
use futures::future::join_all;
use http::StatusCode;
use jiff::Timestamp;
use local::{aws::Fault, names::Queue};
use serde_json::Value;
use tests::{DEMO_CONTRACT, Decision, ReadResult, World, broken, healthy};

use super::{Moment, Step};

/// One user of the system, with one account.
pub(super) struct Case<'a> {
    world: &'a World,
    user: String,
    account: String,
    callbacks: Vec<[String; 2]>,
    /// The bodies of this user's messages on the queue of notifications so far.
    notifications: Vec<String>,
    /// The starts of the hours of reads: of the one before the user was last erased, and of the one since.
    hours: [Timestamp; 2],
}

impl<'a> Case<'a> {
    pub(super) async fn begin(world: &'a World, number: usize) -> Self {
        let now = world.clock_now();
        let (user, account) = (format!("user-{number}"), format!("{number}_bank"));
        let mut case =
            Self { world, user, account, callbacks: Vec::new(), notifications: Vec::new(), hours: [now, now] };
        world.advance(20 * 60);
        let control = world.system.simulator.control();
        control.add_user(&case.user);
        control.add_account(&case.user, Account::new(case.account.clone(), "Meadow Bank", Some("alex.morgan")));
        world.store_grant(&case.user).await;
        for _ in 0..3 {
            let (_, url) = world.create_reauthorization(&case.user, &case.account).await;
            let cancelled = world.decide(&url, Decision::Error("USER_CANCEL")).await;
            let forged = cancelled.replace("success=false&errorCode=USER_CANCEL", "success=true");
            assert_ne!(forged, cancelled);
            case.callbacks.push([cancelled, forged]);
        }
        case
    }

    async fn run(&self, step: Step) {
        match step {
            Step::Read { minute, error, contract, before_erasure } => {
                self.read(minute, error, contract, before_erasure).await;
            }
            Step::Callback { number, success } => {
                let reply = self.world.get(&self.callbacks[number][usize::from(success)]).await;
                assert!([StatusCode::SEE_OTHER, StatusCode::BAD_REQUEST].contains(&reply.status), "{}", reply.body);
            }
            Step::RedriveEvents => {
                for body in &self.notifications {
                    self.world.enqueue(Queue::Notifications, body);
                }
            }
            Step::Erase => self.world.erase(&self.user).await,
        }
    }

    async fn read(&self, minute: u8, error: bool, contract: u8, before_erasure: bool) {
        let accounts = if error { broken(&self.account) } else { healthy(&self.account) };
        let hour = self.hours[usize::from(!before_erasure)];
        let observed_at = hour + Duration::from_secs(60 * u64::from(minute));
        let result = ReadResult::new(&self.user, &accounts).observed_at(observed_at);
        let contract = [DEMO_CONTRACT, "second", "third"].get(usize::from(contract));
        let result = match contract {
            Some(contract) => result.contract(contract),
            None => result,
        };
        self.world.take_in(result).await;
    }

    pub(super) async fn happens(&mut self, moment: &Moment) {
        let control = self.world.system.simulator.control();
        if moment.authorized {
            control.mend_account(&self.account);
        } else {
            control.break_account(&self.account, ErrorShape::Documented);
        }
        if moment.conflicts > 0 {
            for action in ["dynamodb:TransactWriteItems", "dynamodb:PutItem", "dynamodb:UpdateItem"] {
                self.world.system.aws.fail(Fault::conflict(action, u32::from(moment.conflicts)));
            }
        }
        join_all(moment.steps.iter().map(|step| self.run(*step))).await;
        self.world.system.aws.clear_faults();
        self.world.system.run_pipe().await.unwrap();
        let queued = self.world.system.queues.messages(Queue::Notifications, 100).unwrap();
        self.notifications.extend(queued.into_iter().map(|message| message.body));
        self.notifications.dedup();
        self.world.run_until_idle().await;
        if moment.steps.contains(&Step::Erase) {
            assert_eq!(self.items(), Vec::<Value>::new(), "something is left of an erased user");
            // The next hour of reads starts when the user has a grant again.
            self.world.advance(60);
            self.hours[1] = self.world.clock_now();
            self.world.advance(20 * 60);
            self.world.store_grant(&self.user).await;
        }
    }

    /// The items of this user in the table.
    fn items(&self) -> Vec<Value> {
        let ours = |item: &Value| item.to_string().contains(&format!("{}\"", self.user));
        self.world.items().into_iter().filter(ours).collect()
    }

    /// Whether the account needs its user, and the types of its events.
    pub(super) async fn seen(&self) -> (bool, Vec<String>) {
        let account = self.world.account(&self.user, &self.account).await;
        let events = self.world.events(&self.user, &self.account).await;
        assert!(events.is_sorted_by(|before, after| before.sequence < after.sequence), "{events:?}");
        let needs_user = match account["status"].as_str().unwrap() {
            "active" => false,
            "reauth_required" => true,
            other => panic!("digi.me always answers: {other}"),
        };
        (needs_user, events.into_iter().map(|event| event.kind).collect())
    }

    /// Every event of the history was published, each under one id with one link.
    pub(super) async fn assert_everything_was_published(&self) {
        let published = self.world.published();
        for event in self.world.events(&self.user, &self.account).await {
            let copies: Vec<_> = published.iter().filter(|copy| copy.event_id == event.event_id).collect();
            assert!(!copies.is_empty() && copies.iter().all(|copy| *copy == copies[0]), "{event:?}: {copies:?}");
        }
    }
}
