//! The process is killed before and after every request that a function sends, at one point in each run. The caller tries
//! again, and the result is the same as without the kill.

use std::collections::BTreeMap;

use digime_simulator::{AccessTokenStatus, Account, ErrorShape, Failure};
use http::{Method, StatusCode};
use local::aws::Fault;
use serde_json::{Value, json};
use tests::{DEMO_CONTRACT, Decision, DeliveredEvent, Reply, World, broken};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";
/// More points than any walk has.
const MAX_POINTS: usize = 1_000;

/// One run, with a user of its own.
struct Walk<'a> {
    world: &'a World,
    user: String,
    account: String,
}

impl<'a> Walk<'a> {
    /// A user with one account, who authorizes the application.
    async fn begin(world: &'a World, number: usize) -> Self {
        let walk = Self { world, user: format!("user-{number}"), account: format!("{number}_bank") };
        let control = world.system.simulator.control();
        control.add_user(&walk.user);
        control.add_account(&walk.user, Account::new(walk.account.clone(), "Meadow Bank", Some("alex.morgan")));
        walk.authorize().await;
        walk
    }

    /// Calls until the process survives. The caller tries again after a minute.
    async fn until(&self, expected: StatusCode, call: impl AsyncFn() -> Reply) -> Reply {
        let reply = self.answered(call).await;
        assert_eq!(reply.status, expected, "{}", reply.body);
        reply
    }

    async fn answered(&self, call: impl AsyncFn() -> Reply) -> Reply {
        for _ in 0..3 {
            let reply = call().await;
            if !reply.status.is_server_error() {
                return reply;
            }
            self.world.advance(60);
        }
        panic!("it never answers");
    }

    /// The application stores a new grant.
    async fn authorize(&self) {
        let tokens = self.world.system.simulator.control().issue_tokens(&self.user, DEMO_CONTRACT);
        let tokens = serde_json::to_value(tokens).unwrap();
        let path = format!("/users/{}/grants/{DEMO_CONTRACT}?replace=true", self.user);
        self.until(StatusCode::NO_CONTENT, async || self.world.put(&path, &tokens).await).await;
    }

    /// The account's source withdraws its authorization, and a read says so.
    async fn lose(&self) {
        self.world.system.simulator.control().break_account(&self.account, ErrorShape::Documented);
        let body = json!({"contractId": DEMO_CONTRACT, "readResult": broken(&self.account)});
        let path = format!("/users/{}/read-results", self.user);
        self.until(StatusCode::ACCEPTED, async || self.world.post(&path, &body).await).await;
        self.world.run_until_idle().await;
    }

    /// The published events of this user, oldest first.
    fn published(&self) -> Vec<DeliveredEvent> {
        self.world.published().into_iter().filter(|event| event.user_id == self.user).collect()
    }

    /// The user follows the link of his account's newest event, and decides.
    async fn reconnect(&self, decision: Decision) -> Reply {
        self.come_back(&self.press().await, decision).await
    }

    /// The user follows the link of his account's newest event. Returns the URL of digi.me's page.
    async fn press(&self) -> String {
        let of_account = |event: &DeliveredEvent| event.account_id == self.account;
        let link = self.published().into_iter().filter(of_account).rev().find_map(|event| event.reconnect_url);
        let link = self.world.path(&link.unwrap());
        self.until(StatusCode::OK, async || self.world.get(&link).await).await;
        let press = async || {
            let reply = self.world.call(Method::POST, &link, "").await;
            if reply.status.is_server_error() {
                // In the same browser, the next press would first wait for the answer of this one.
                self.world.change_browser();
            }
            reply
        };
        self.until(StatusCode::SEE_OTHER, press).await.header("location").to_owned()
    }

    async fn come_back(&self, url: &str, decision: Decision) -> Reply {
        let callback = self.world.decide(url, decision).await;
        let reply = self.until(StatusCode::SEE_OTHER, async || self.world.get(&callback).await).await;
        self.world.run_until_idle().await;
        reply
    }

    async fn sweep(&self) {
        // If a sweep is killed, the next one continues.
        let _ = self.world.system.sweep().await;
        self.world.run_until_idle().await;
    }

    /// Whether the process may have been killed between digi.me's answer to a refresh and its write. Only the user can
    /// repair that.
    fn may_have_lost_a_pair(&self) -> bool {
        let asked = "Before POST /v1.7/oauth/token";
        self.world.crashes.trace().is_some_and(|trace| trace.iter().any(|point| point == asked))
    }

    /// The account has that status and history, each event was published, and nothing is due.
    async fn is_as_if_nothing_had_happened(&self, status: &str, history: &[&str]) {
        self.world.crashes.disarm();
        self.world.advance(3_600);
        self.sweep().await;
        let account = self.world.account(&self.user, &self.account).await;
        assert_eq!(account["status"], status, "{account}");
        let events = self.world.events(&self.user, &self.account).await;
        assert_eq!(events.iter().map(|event| &*event.kind).collect::<Vec<_>>(), history);
        let mut published: BTreeMap<String, Vec<DeliveredEvent>> = BTreeMap::new();
        for event in self.published().into_iter().filter(|event| event.account_id == self.account) {
            published.entry(event.event_id.clone()).or_default().push(event);
        }
        assert_eq!(published.len(), events.len(), "each event is published, and no other");
        for event in events {
            self.assert_copies(&published[&event.event_id]);
        }
        assert_eq!(self.due(), [] as [Value; 0], "nothing waits for anything");
    }

    /// Copies of one event are equal, and there is more than one only if a process died between publication and receipt.
    fn assert_copies(&self, copies: &[DeliveredEvent]) {
        assert!(copies.iter().all(|copy| *copy == copies[0]), "the same id has the same link: {copies:?}");
        if copies.len() > 1 {
            let trace = self.world.crashes.trace().unwrap();
            let last: Vec<_> = trace.iter().rev().take(2).collect();
            let between = last.iter().any(|point| *point == "After notify-reauth sns:Publish");
            let receipt = last[0].ends_with("notify-reauth dynamodb:UpdateItem");
            assert!(between || receipt, "published twice, though it died at {last:?}");
        }
    }

    fn items(&self) -> Vec<Value> {
        let ours = |item: &Value| item.to_string().contains(&format!("{}\"", self.user));
        self.world.items().into_iter().filter(ours).collect()
    }

    fn due(&self) -> Vec<Value> {
        self.items().into_iter().filter(|item| self.world.due().contains(item)).collect()
    }

    async fn sweep_until_nothing_is_due(&self, interval: u64) {
        for _ in 0..4 {
            if self.due().is_empty() {
                return;
            }
            self.world.advance(interval);
            self.sweep().await;
        }
        assert_eq!(self.due(), [] as [Value; 0], "it stays due");
    }
}

/// Runs the walk once for each point.
async fn at_every_point(walk: impl AsyncFn(Walk<'_>)) {
    // Events that the topic refuses end as dead letters.
    let world = World::builder().crashes().expect_leftovers().start().await;
    at_every_point_of(world, walk).await;
}

async fn at_every_point_of(world: World, walk: impl AsyncFn(Walk<'_>)) {
    for point in 0..MAX_POINTS {
        // Let all caches expire, so that each run starts with empty ones.
        world.advance(3_600);
        world.crashes.arm(point);
        walk(Walk::begin(&world, point).await).await;
        match world.crashes.trace() {
            Some(trace) => println!("{point}: {}", trace.last().unwrap()),
            None => {
                assert!(point > 20, "there are as many points as requests");
                return;
            }
        }
    }
    panic!("there are always more points");
}

/// The main flow: the account loses its authorization, its user cancels once, and then reauthorizes it.
async fn main_flow(walk: Walk<'_>) {
    walk.lose().await;
    let reply = walk.reconnect(Decision::Error("USER_CANCEL")).await;
    assert!(reply.header("location").contains("status=failed"), "{}", reply.header("location"));
    let reply = walk.reconnect(Decision::Success).await;
    assert!(reply.header("location").contains("status=succeeded"), "{}", reply.header("location"));
    let history = ["account.reauthorization_required", "account.reauthorization_failed", "account.reauthorized"];
    walk.is_as_if_nothing_had_happened("active", &history).await;
}

#[tokio::test]
async fn killed_anywhere_the_main_flow_ends_as_undisturbed() {
    at_every_point(main_flow).await;
}

/// Here the operating system kills the processes of the functions' binaries. The other walks need a clock that the test
/// moves. There, to kill a process is to drop a future and its memory.
#[tokio::test(flavor = "multi_thread")]
async fn real_processes_killed_anywhere_leave_the_main_flow_as_undisturbed() {
    let world = World::builder().binaries().crashes().expect_leftovers().start().await;
    at_every_point_of(world, main_flow).await;
}

#[tokio::test]
async fn a_kill_during_a_refresh_requires_at_most_a_new_authorization() {
    at_every_point(async |walk| {
        let control = walk.world.system.simulator.control();
        walk.lose().await;
        control.expire_access_tokens(&walk.user);
        let path = format!("/users/{}/accounts/{}/reauthorizations", walk.user, walk.account);
        let ask = async || walk.world.post(&path, &json!({})).await;
        let mut reply = walk.answered(ask).await;
        // At the simulated digi.me, a refresh ends both tokens of the old pair, so that it does not know the user any more.
        if reply.status == StatusCode::CONFLICT {
            assert_eq!(reply.json()["code"], "user_authorization_required");
            assert!(walk.may_have_lost_a_pair());
            walk.authorize().await;
            reply = walk.until(StatusCode::CREATED, ask).await;
        }
        assert_eq!((reply.status, &reply.json()["kind"]), (StatusCode::CREATED, &json!("account")), "{}", reply.body);
        control.expire_access_tokens(&walk.user);
        let reply = walk.come_back(reply.json()["url"].as_str().unwrap(), Decision::Success).await;
        if reply.header("location").contains("status=verifying") {
            assert!(walk.may_have_lost_a_pair());
            walk.authorize().await;
            walk.world.advance(60);
            walk.sweep().await;
        }
        let history = ["account.reauthorization_required", "account.reauthorized"];
        walk.is_as_if_nothing_had_happened("active", &history).await;
    })
    .await;
}

/// The refresh token and an account are dead. The user goes through digi.me's user page and the account's page.
#[tokio::test]
async fn killed_anywhere_a_user_reauthorization_can_be_started_again() {
    at_every_point(async |walk| {
        let control = walk.world.system.simulator.control();
        walk.lose().await;
        control.expire_access_tokens(&walk.user);
        control.kill_refresh_tokens(&walk.user);
        // Events are delivered after each step, so that each batch of notifications has one event.
        let mut url = walk.press().await;
        walk.world.run_until_idle().await;
        if url.contains("/user-reauth?") {
            let callback = walk.world.decide(&url, Decision::Success).await;
            let reply = walk.answered(async || walk.world.get(&callback).await).await;
            walk.world.run_until_idle().await;
            url = reply.header("location").to_owned();
            if !url.contains("/reauthorize?") {
                assert!(url.contains("errorCode=SERVER_ERROR"), "{url}");
                assert!(walk.may_have_lost_a_pair());
                url = walk.press().await;
                let again = walk.world.decide(&url, Decision::Success).await;
                let reply = walk.until(StatusCode::SEE_OTHER, async || walk.world.get(&again).await).await;
                walk.world.run_until_idle().await;
                url = reply.header("location").to_owned();
            }
        }
        let end = walk.come_back(&url, Decision::Success).await;
        assert!(end.header("location").contains("status=succeeded"), "{}", end.header("location"));
        walk.is_as_if_nothing_had_happened("active", &["account.reauthorization_required", "account.reauthorized"])
            .await;
        let mut of_user = walk.published();
        of_user.retain(|event| event.kind.starts_with("user.") && event.kind != "user.reauthorization_failed");
        of_user.sort_by_key(|event| event.sequence);
        of_user.dedup_by_key(|event| event.event_id.clone());
        let kinds: Vec<_> = of_user.iter().map(|event| &*event.kind).collect();
        assert_eq!(kinds, ["user.reauthorization_required", "user.reauthorized"]);
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_a_verifying_account_is_settled() {
    at_every_point(async |walk| {
        let control = walk.world.system.simulator.control();
        walk.lose().await;
        control.set_access_token_status(AccessTokenStatus::Absent);
        control.read_delay_polls(0);
        let reply = walk.reconnect(Decision::Success).await;
        assert!(reply.header("location").contains("status=verifying"), "{}", reply.header("location"));
        // The sweep reads the account. If it is killed, the next one continues.
        walk.sweep_until_nothing_is_due(120).await;
        control.set_access_token_status(AccessTokenStatus::default());
        let history = ["account.reauthorization_required", "account.reauthorized"];
        walk.is_as_if_nothing_had_happened("active", &history).await;
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_the_sweep_brings_what_no_channel_took() {
    at_every_point(async |walk| {
        walk.world.system.aws.fail(Fault::error("sns:Publish", 400, "InvalidParameter", 1_000));
        walk.lose().await;
        walk.world.system.aws.clear_faults();
        // The event is due after 5 minutes, and again 15 minutes after a sweep that was killed.
        walk.sweep_until_nothing_is_due(1_000).await;
        walk.is_as_if_nothing_had_happened("reauth_required", &["account.reauthorization_required"]).await;
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_a_redelivered_event_is_published_again() {
    at_every_point(async |walk| {
        walk.lose().await;
        walk.sweep_until_nothing_is_due(1_000).await;
        let before = walk.published();
        let path = format!("/events/{}/redeliver", before[0].event_id);
        walk.until(StatusCode::ACCEPTED, async || walk.world.post(&path, &Value::Null).await).await;
        walk.sweep_until_nothing_is_due(1_000).await;
        let published = walk.published();
        assert!(published.len() > before.len(), "it is published again");
        assert!(published.iter().all(|copy| *copy == before[0]), "the same id has the same link: {published:?}");
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_an_erased_user_is_gone() {
    at_every_point(async |walk| {
        walk.lose().await;
        let accounts = format!("/users/{}/accounts?refresh=true", walk.user);
        walk.until(StatusCode::OK, async || walk.world.get(&accounts).await).await;
        walk.world.system.simulator.control().fail(ACCOUNTS, Failure::status(500, 3));
        walk.reconnect(Decision::Success).await;
        walk.world.system.simulator.control().clear_failures();
        let published = walk.published();
        walk.world.advance(1);
        let path = format!("/users/{}", walk.user);
        walk.until(StatusCode::NO_CONTENT, async || walk.world.call(Method::DELETE, &path, "").await).await;
        walk.world.crashes.disarm();
        walk.world.advance(3_600);
        walk.sweep().await;
        assert_eq!(walk.published(), published);
        let left = walk.items();
        assert!(left.is_empty(), "{left:?}");
    })
    .await;
}
