//! Random reads under several contracts, callbacks, reloaded ones too, and forgettings, several at once and with conflicts
//! in DynamoDB, against a simple model of an account: what comes of those that run at once must be what comes of them in some order.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use digime_simulator::{Account, ErrorShape};
use futures::future::join_all;
use http::{Method, StatusCode};
use jiff::Timestamp;
use local::{
    aws::Fault,
    names::{self, Queue},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any},
    prop_oneof,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};
use serde_json::{Value, json};
use tests::{Decision, World};

use super::{DEMO_CONTRACT, broken, healthy};

const CASES: u32 = 48;

/// Something that happens to the one account of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A read result of a read session started in that minute, before everything else, under one of three contracts or
    /// none. Redriven from a dead-letter queue, it has a new time of sending; one that was handed in before the user was
    /// last forgotten may come then.
    Read { minute: u8, error: bool, contract: u8, before_forgetting: bool },
    /// The callback of the reauthorization of that number comes, for the first time or again.
    Callback { number: usize, success: bool },
    /// Every notification so far comes again, as after a redrive.
    RedriveEvents,
    /// The user is forgotten. He authorizes the application anew when the moment is over.
    Forget,
}

/// What happens at once, and whether the source lets digi.me in at that time.
#[derive(Debug, Clone)]
struct Moment {
    steps: Vec<Step>,
    authorized: bool,
    conflicts: u8,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let step = prop_oneof![
        6 => (0..12_u8, any::<bool>(), 0..4_u8, proptest::bool::weighted(0.2)).prop_map(
            |(minute, error, contract, before_forgetting)| Step::Read { minute, error, contract, before_forgetting }),
        4 => (0..3_usize, any::<bool>()).prop_map(|(number, success)| Step::Callback { number, success }),
        1 => Just(Step::RedriveEvents),
        1 => Just(Step::Forget),
    ];
    let moment = (vec(step, 1..=3), any::<bool>(), 0..3_u8);
    let moment = moment.prop_map(|(steps, authorized, conflicts)| Moment { steps, authorized, conflicts });
    vec(moment, 1..10)
}

/// Why a reauthorization of the model failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Failure {
    Cancelled,
    NotAuthorized,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Pending,
    Succeeded,
    Failed(Failure),
}

/// What the model says of a reauthorization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Attempt {
    progress: Progress,
    told: BTreeSet<Failure>,
    /// How often digi.me was asked about it.
    asked: u8,
}

/// What the model says an account and its reauthorizations are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    needs_user: bool,
    history: Vec<&'static str>,
    /// The last read that was taken in.
    read: Option<(u8, bool)>,
    /// The minute of the last reauthorization; callbacks come after all reads.
    reauthorized: Option<u8>,
    attempts: [Option<Attempt>; 3],
    forgotten: bool,
}

const AFTER_ALL_READS: u8 = u8::MAX;
/// digi.me is asked about one reauthorization this often within ten minutes, and no moment lasts longer.
const MAX_ASKED: u8 = 5;

impl Model {
    fn new() -> Self {
        let attempt = || Some(Attempt { progress: Progress::Pending, told: BTreeSet::new(), asked: 0 });
        let attempts = std::array::from_fn(|_| attempt());
        Self { needs_user: false, history: Vec::new(), read: None, reauthorized: None, attempts, forgotten: false }
    }

    fn take(mut self, step: Step, authorized: bool) -> Self {
        match step {
            Step::Read { before_forgetting: true, .. } if self.forgotten => {}
            Step::Read { minute, error, .. } => self.read(minute, error),
            Step::Callback { number, success } => self.callback(number, success, authorized),
            Step::RedriveEvents => {}
            Step::Forget => return Self::forgotten(),
        }
        self
    }

    fn read(&mut self, minute: u8, error: bool) {
        let known = self.read.is_some_and(|read| (minute, error) <= read);
        let outdated = self.reauthorized.is_some_and(|at| minute < at);
        if known || outdated {
            return;
        }
        self.read = Some((minute, error));
        match (self.needs_user, error) {
            (false, true) => self.history.push("account.reauthorization_required"),
            (true, false) => {
                self.history.push("account.reauthorized");
                self.reauthorized = Some(minute);
            }
            _ => {}
        }
        self.needs_user = error;
    }

    fn callback(&mut self, number: usize, success: bool, authorized: bool) {
        let Some(attempt) = &mut self.attempts[number] else { return };
        let failure = match (attempt.progress, success) {
            (Progress::Succeeded, _) | (Progress::Failed(_), false) => return,
            (Progress::Pending, false) => Failure::Cancelled,
            (_, true) if attempt.asked == MAX_ASKED => return,
            (_, true) => {
                attempt.asked += 1;
                if authorized {
                    attempt.progress = Progress::Succeeded;
                    self.history.push("account.reauthorized");
                    (self.needs_user, self.reauthorized) = (false, Some(AFTER_ALL_READS));
                    return;
                }
                Failure::NotAuthorized
            }
        };
        attempt.progress = Progress::Failed(failure);
        if attempt.told.insert(failure) {
            self.history.push("account.reauthorization_failed");
        }
    }

    /// What a user is who was forgotten, and authorized the application anew.
    fn forgotten() -> Self {
        Self { attempts: [None, None, None], forgotten: true, ..Self::new() }
    }
}

/// All that can come of steps that run at once.
fn outcomes(models: &BTreeSet<Model>, steps: &[Step], authorized: bool) -> BTreeSet<Model> {
    // Nothing is left of what was triggered at the moment of a forgetting, whichever came first.
    if steps.contains(&Step::Forget) {
        return BTreeSet::from([Model::forgotten()]);
    }
    if steps.is_empty() {
        return models.clone();
    }
    let mut outcomes_of_all = BTreeSet::new();
    for index in 0..steps.len() {
        let mut rest = steps.to_vec();
        let first = rest.remove(index);
        let after: BTreeSet<_> = models.iter().map(|model| model.clone().take(first, authorized)).collect();
        outcomes_of_all.extend(outcomes(&after, &rest, authorized));
    }
    outcomes_of_all
}

/// The system as one user sees it.
struct Case<'a> {
    world: &'a World,
    user: String,
    account: String,
    callbacks: Vec<[String; 2]>,
    /// The notifications of this user so far, as they stood on the queue.
    notifications: Vec<String>,
    /// When the hour of reads begins, before the user was forgotten and since.
    hours: [Timestamp; 2],
}

impl<'a> Case<'a> {
    async fn begin(world: &'a World, number: usize) -> Self {
        let now = world.clock_now();
        let (user, account) = (format!("user-{number}"), format!("{number}_bank"));
        let mut case =
            Self { world, user, account, callbacks: Vec::new(), notifications: Vec::new(), hours: [now, now] };
        world.advance(20 * 60);
        let control = world.system.simulator.control();
        control.add_user(&case.user);
        control.add_account(&case.user, Account::new(case.account.clone(), "Meadow Bank", Some("alex.morgan")));
        case.authorize().await;
        for _ in 0..3 {
            let (_, url) = world.make_reauthorization(&case.user, &case.account).await;
            let cancelled = world.decide(&url, Decision::Error("USER_CANCEL")).await;
            let forged = cancelled.replace("success=false&errorCode=USER_CANCEL", "success=true");
            assert_ne!(forged, cancelled);
            case.callbacks.push([cancelled, forged]);
        }
        case
    }

    async fn authorize(&self) {
        let tokens = self.world.system.simulator.control().issue_tokens(&self.user, DEMO_CONTRACT);
        let path = format!("/users/{}/grants/{DEMO_CONTRACT}?replace=true", self.user);
        let reply = self.world.put(&path, &serde_json::to_value(tokens).unwrap()).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    }

    async fn run(&self, step: Step) {
        match step {
            Step::Read { minute, error, contract, before_forgetting } => {
                let entries = if error { broken(&self.account) } else { healthy(&self.account) };
                let hour = self.hours[usize::from(!before_forgetting)];
                let observed_at = hour + Duration::from_secs(60 * u64::from(minute));
                let mut body = json!({"userId": self.user, "observedAt": observed_at, "readResult": entries});
                if let Some(contract) = [DEMO_CONTRACT, "second", "third"].get(usize::from(contract)) {
                    body["contractId"] = json!(contract);
                }
                let sent_at = self.world.clock_now().as_millisecond().to_string();
                let record = json!({"messageId": "m", "receiptHandle": "r", "body": body.to_string(),
                    "attributes": {"SentTimestamp": sent_at}, "messageAttributes": {}, "eventSource": "aws:sqs"});
                let event = Bytes::from(json!({"Records": [record]}).to_string());
                let reply = self.world.system.functions.record_read_result.invoke(event).await.unwrap();
                let reply: Value = serde_json::from_slice(&reply).unwrap();
                assert_eq!(reply["batchItemFailures"], json!([]));
            }
            Step::Callback { number, success } => {
                let reply = self.world.get(&self.callbacks[number][usize::from(success)]).await;
                assert!([StatusCode::SEE_OTHER, StatusCode::BAD_REQUEST].contains(&reply.status), "{}", reply.body);
            }
            Step::RedriveEvents => {
                for body in &self.notifications {
                    self.world.system.queues.send(Queue::Notifications, body).unwrap();
                }
            }
            Step::Forget => {
                let reply = self.world.call(Method::DELETE, &format!("/users/{}", self.user), "").await;
                assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
            }
        }
    }

    async fn happens(&mut self, moment: &Moment) {
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
        self.world.system.aws.heal();
        self.world.system.run_pipe().await.unwrap();
        let queued = self.world.system.queues.messages(Queue::Notifications, 100).unwrap();
        self.notifications.extend(queued.into_iter().map(|message| message.body));
        self.notifications.dedup();
        self.world.run_until_idle().await;
        if moment.steps.contains(&Step::Forget) {
            assert_eq!(self.items(), Vec::<Value>::new(), "something is left of a forgotten user");
            // The next hour of reads begins when the user is back.
            self.world.advance(60);
            self.hours[1] = self.world.clock_now();
            self.world.advance(20 * 60);
            self.authorize().await;
        }
    }

    /// What the table holds of this user.
    fn items(&self) -> Vec<Value> {
        let scan = serde_json::from_value(json!({"TableName": local::names::TABLE})).unwrap();
        let items = serde_json::to_value(self.world.system.database.scan(scan).unwrap()).unwrap();
        let ours = |item: &&Value| item.to_string().contains(&format!("{}\"", self.user));
        items["Items"].as_array().unwrap().iter().filter(ours).cloned().collect()
    }

    /// Whether the account needs its user, and the types of its events.
    async fn seen(&self) -> (bool, Vec<String>) {
        let account = self.world.account(&self.user, &self.account).await;
        let events = account["events"].as_array().unwrap();
        let sequences: Vec<_> = events.iter().map(|event| event["data"]["sequence"].as_u64().unwrap()).collect();
        assert!(sequences.is_sorted_by(|before, after| before < after), "{account}");
        let types = events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        let needs_user = match account["status"].as_str().unwrap() {
            "active" => false,
            "reauth_required" => true,
            other => panic!("digi.me always answers: {other}"),
        };
        (needs_user, types)
    }

    /// Every event of the history was told, each under one id with one link.
    async fn everything_was_told(&self) {
        let account = self.world.account(&self.user, &self.account).await;
        let published = self.world.published();
        for event in account["events"].as_array().unwrap() {
            let id = &event["data"]["eventId"];
            let copies: Vec<_> = published.iter().filter(|copy| copy["data"]["eventId"] == *id).collect();
            assert!(!copies.is_empty() && copies.iter().all(|copy| *copy == copies[0]), "{event}: {copies:?}");
        }
    }
}

#[test]
fn whatever_happens_in_whatever_order_an_account_is_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    // Both versions of the service secret are the same, and transactions on one item at the same moment are refused.
    let secret = world.system.secrets.get(names::SERVICE_SECRET).unwrap();
    world.system.secrets.put(names::SERVICE_SECRET, &secret);
    world.system.aws.hold_transactions(Duration::from_millis(1));
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let number = std::cell::Cell::new(0);
    let result = runner.run(&moments(), |moments| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let mut case = Case::begin(&world, number.get()).await;
            let mut models = BTreeSet::from([Model::new()]);
            for moment in &moments {
                case.happens(moment).await;
                let (needs_user, history) = case.seen().await;
                let possible = outcomes(&models, &moment.steps, moment.authorized);
                let fits = |model: &Model| model.needs_user == needs_user && model.history == history;
                models = possible.iter().filter(|model| fits(model)).cloned().collect();
                if models.is_empty() {
                    let reason = format!("{moment:?} ended in {needs_user} {history:?}, possible is {possible:#?}");
                    return Err(TestCaseError::fail(reason));
                }
            }
            case.everything_was_told().await;
            Ok(())
        })
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}
