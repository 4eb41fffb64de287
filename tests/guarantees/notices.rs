//! Reminders and warnings: when they come, and that none comes after what it is about is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::join_all;
use jiff::{Timestamp, tz::TimeZone};
use local::{Function, names};
use serde_json::{Value, json};
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, DeliveredEvent, ReadResult, SqsMessage, World, broken, healthy};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Runs the sweep every hour. Returns the events that were published meanwhile, with the times.
async fn sweep_hourly(world: &World, hours: u64) -> Vec<(Timestamp, DeliveredEvent)> {
    let mut published = Vec::new();
    for _ in 0..hours {
        let before = world.published().len();
        world.advance(HOUR);
        world.sweep().await;
        published.extend(world.published().into_iter().skip(before).map(|event| (world.clock_now(), event)));
    }
    published
}

fn of_kind<'a>(events: &'a [(Timestamp, DeliveredEvent)], kind: &str) -> Vec<&'a (Timestamp, DeliveredEvent)> {
    events.iter().filter(|(_, event)| event.kind == kind).collect()
}

#[tokio::test]
async fn reminders_follow_the_schedule_by_day_each_with_a_link_and_end_with_the_episode() {
    let world = World::builder().start().await;
    let contact = json!({"email": "ann@example.org", "timeZone": "America/New_York"});
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"), &body).await;
    // It is 04:00 in New York.
    world.lose_authorization(BANK).await;
    let published = sweep_hourly(&world, 10 * 24).await;
    let reminders = of_kind(&published, "account.reauthorization_required");
    let numbers: Vec<_> = reminders.iter().map(|(_, event)| event.reminder).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    let new_york = TimeZone::fixed(jiff::tz::offset(-5));
    let local: Vec<_> = reminders.iter().map(|(at, _)| new_york.to_datetime(*at)).collect();
    let times: Vec<_> = local.iter().map(|at| (at.day(), at.hour())).collect();
    assert!(
        times.iter().zip([24, 26, 30]).all(|((day, hour), expected)| *day == expected && (8..10).contains(hour)),
        "{times:?}"
    );
    let links: BTreeSet<_> = reminders.iter().map(|(_, event)| event.reconnect_url().to_owned()).collect();
    assert_eq!(links.len(), 3);
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["reconnectUrl"], json!(reminders[2].1.reconnect_url), "the newest link is shown");
    world.follow(&world.path(reminders[0].1.reconnect_url())).await;

    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    let published = sweep_hourly(&world, 10 * 24).await;
    assert!(of_kind(&published, "account.reauthorization_required").is_empty(), "{published:?}");
}

/// Does something once, at the point of a number: directly before or after the effect of a request of the sweep or of
/// `notify-reauth`.
struct Interruption {
    passed: Arc<Mutex<Vec<String>>>,
    at: usize,
}

impl Interruption {
    fn arm(world: &World, at: usize, function: Function, event: Value) -> Self {
        let passed = Arc::new(Mutex::new(Vec::new()));
        let (seen, count) = (Arc::clone(&passed), Arc::new(AtomicUsize::new(0)));
        let invoked = Arc::clone(world.system.functions.get(function));
        world.system.aws.observe(Some(Arc::new(move |moment, name| {
            let is_of_notices = ["sweep-accounts ", "notify-reauth "].iter().any(|function| name.starts_with(function));
            // Between two requests that list what is due, there is nothing to interrupt.
            if !is_of_notices || name.ends_with(":Query") || name.ends_with(":GetSecretValue") {
                return Box::pin(async {});
            }
            let point = count.fetch_add(1, Ordering::SeqCst);
            if point <= at {
                seen.lock().unwrap().push(format!("{moment:?} {name}"));
            }
            let (invoked, event) = (Arc::clone(&invoked), event.to_string());
            Box::pin(async move {
                if point == at {
                    invoked.invoke(event.into()).await.unwrap();
                }
            })
        })));
        Self { passed, at }
    }

    /// The points up to that of the interruption. `None` if there were fewer.
    fn end(self, world: &World) -> Option<Vec<String>> {
        world.system.aws.observe(None);
        let passed = self.passed.lock().unwrap().clone();
        (passed.len() > self.at).then_some(passed)
    }
}

/// Interrupts the sweep and the publication at each point by a healing. `prepare` leaves a world in which a notice is due.
/// Returns how many of the interruptions let the notice through.
async fn heal_at_every_point(
    kind: &str,
    prepare: impl AsyncFn() -> World,
    heal: impl AsyncFn(&World) -> (Function, Value),
) {
    let (mut withheld, mut unwritten, mut published) = (0, 0, 0);
    for at in 0.. {
        let world = prepare().await;
        let (function, event) = heal(&world).await;
        let before = world.published().len();
        let interruption = Interruption::arm(&world, at, function, event);
        world.sweep().await;
        let Some(points) = interruption.end(&world) else { break };
        world.run_until_idle().await;
        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!(account["status"], "active", "{points:?}");
        let of_notice = |event: &DeliveredEvent| event.kind == kind && event.reminder != Some(0);
        let history = world.events(DEMO_USER, BANK).await;
        let written = history.iter().position(of_notice);
        let healed = history.iter().rposition(|event| event.kind == "account.reauthorized");
        let told = world.published().iter().skip(before).filter(|event| of_notice(event)).count();
        // A notice that was written is older than the healing.
        assert!(written.is_none_or(|written| Some(written) < healed), "{points:?}: {history:?}");
        let reads = points.iter().filter(|point| point.starts_with("After notify-reauth dynamodb:GetItem")).count();
        match (written.is_some(), told) {
            (false, 0) => unwritten += 1,
            (true, 0) => withheld += 1,
            // `notify-reauth` had read the event, and the account, when it healed: the publication was under way.
            (true, 1) => {
                assert!(reads >= 2, "the account was healed before it was read: {points:?}");
                published += 1;
            }
            other => panic!("{other:?} at {points:?}"),
        }
        // Nothing comes later.
        world.advance(HOUR);
        world.sweep().await;
        let later = world.published().iter().skip(before).filter(|event| of_notice(event)).count();
        assert_eq!(later, told, "{points:?}");
    }
    assert!(unwritten > 2 && withheld > 1 && published > 1, "{unwritten}, {withheld}, {published}");
}

#[tokio::test]
async fn healed_at_any_point_of_a_reminder_nobody_is_reminded_after_it() {
    let prepare = async || {
        let (world, _) = World::in_need().await;
        world.sweep().await;
        world.advance(DAY);
        world
    };
    let heal = async |world: &World| {
        let read = ReadResult::new(DEMO_USER, &healthy(BANK)).observed_at("2026-11-24T08:59:00Z");
        (Function::RecordReadResult, SqsMessage::new(read, world.clock_now()).alone())
    };
    heal_at_every_point("account.reauthorization_required", prepare, heal).await;
}

/// The event of a request of the callback.
fn callback_event(callback: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../infra/events/reauth-callback.json")).unwrap();
    event["rawQueryString"] = json!(callback.split_once('?').expect("a query").1);
    event.as_object_mut().unwrap().remove("queryStringParameters");
    event
}

/// A world whose bank account expires in 20 days, as digi.me says, and is planned.
async fn expiring() -> World {
    let world = World::builder().start().await;
    let expires_at = world.clock_now().as_second() + 20 * DAY as i64;
    assert!(world.system.simulator.control().set_account_expires_at(BANK, Some(expires_at)));
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await.status.as_u16(), 200);
    world.sweep().await;
    world
}

#[tokio::test]
async fn renewed_at_any_point_of_a_warning_nobody_is_warned_after_it() {
    let prepare = async || {
        let world = expiring().await;
        world.advance(6 * DAY + 11 * HOUR);
        // The application renews its grant daily: this test is about the account.
        world.store_grant(DEMO_USER).await;
        world
    };
    let heal = async |world: &World| {
        let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
        let callback = world.decide(&url, Decision::Success).await;
        let later = world.clock_now().as_second() + 90 * DAY as i64;
        world.system.simulator.control().set_account_expires_at(BANK, Some(later));
        (Function::ReauthCallback, callback_event(&callback))
    };
    heal_at_every_point("account.authorization_expiring", prepare, heal).await;
}

#[tokio::test]
async fn an_expiry_is_told_14_7_and_1_days_before_and_an_early_renewal_that_fails_changes_nothing() {
    let world = expiring().await;
    let before = world.account(DEMO_USER, BANK).await;
    let published = sweep_hourly(&world, 7 * 24).await;
    let warnings = of_kind(&published, "account.authorization_expiring");
    assert_eq!(warnings.len(), 1, "{published:?}");
    let (at, warning) = warnings[0];
    assert_eq!((warning.days_left, warning.basis.as_deref()), (Some(14), Some("source")));
    assert_eq!(json!(warning.expires_at), before["authorizationExpiresAt"]);
    assert!((8..22).contains(&TimeZone::UTC.to_datetime(*at).hour()), "{at}");

    // It is cancelled, digi.me says that it is not authorized, or nobody can tell.
    let same = |account: &Value| ["status", "authorizationExpiresAt", "verified"].map(|name| account[name].clone());
    let control = world.system.simulator.control();
    for failure in 0..3 {
        let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
        let decision = if failure == 0 { Decision::Error("USER_CANCEL") } else { Decision::Success };
        let callback = world.decide(&url, decision).await;
        if failure == 1 {
            control.break_account(BANK, digime_simulator::ErrorShape::Documented);
        } else if failure == 2 {
            control.fail("/v1.7/permission-access/accounts", digime_simulator::Failure::status(500, 3));
        }
        world.get(&callback).await;
        if failure == 2 {
            assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
            control.break_account(BANK, digime_simulator::ErrorShape::Documented);
            world.advance(60);
            world.sweep().await;
        }
        assert_eq!(same(&world.account(DEMO_USER, BANK).await), same(&before), "failure {failure}");
    }
    world.run_until_idle().await;
    let published = sweep_hourly(&world, 14 * 24).await;
    let days = of_kind(&published, "account.authorization_expiring")
        .iter()
        .map(|(_, event)| event.days_left)
        .collect::<Vec<_>>();
    assert_eq!(days, [Some(7), Some(1)], "the failed renewals forgot no expiry");
}

#[tokio::test]
async fn an_account_that_a_read_heals_is_warned_of_its_expiry_again() {
    let world = expiring().await;
    let expires_at = world.account(DEMO_USER, BANK).await["authorizationExpiresAt"].clone();
    assert!(expires_at.is_string());
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.advance(HOUR);
    let at = world.clock_now().to_string();
    world.hand_in(DEMO_USER, Some(&at), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["authorizationExpiresAt"]), (&json!("active"), &expires_at));
    let published = sweep_hourly(&world, 7 * 24).await;
    assert_eq!(of_kind(&published, "account.authorization_expiring").len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_nobody_refreshes_is_told_before_it_expires() {
    let world = World::builder().start().await;
    let published = sweep_hourly(&world, 31 * 24).await;
    let of_user: Vec<_> = published.iter().filter(|(_, event)| event.kind.starts_with("user.")).collect();
    let told: Vec<_> = of_user.iter().map(|(_, event)| (event.kind.as_str(), event.days_left)).collect();
    let expiring = "user.authorization_expiring";
    assert_eq!(
        told,
        [(expiring, Some(14)), (expiring, Some(7)), (expiring, Some(1)), ("user.reauthorization_required", None)]
    );
    world.follow(&world.path(of_user[2].1.reconnect_url())).await;
}

#[tokio::test]
async fn an_idle_lifetime_begins_anew_with_each_read() {
    let world = World::builder().setting("SERVICE_LIFETIMES", "Meadow Bank=idle 20d").start().await;
    let mut published = Vec::new();
    for day in 0..40 {
        if day < 15 {
            world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
        }
        published.extend(sweep_hourly(&world, 24).await);
        world.store_grant(DEMO_USER).await;
    }
    let warnings = of_kind(&published, "account.authorization_expiring");
    let days: Vec<_> = warnings.iter().map(|(_, event)| event.days_left).collect();
    assert_eq!(days, [Some(14), Some(7), Some(1)]);
    assert!(warnings.iter().all(|(_, event)| event.basis.as_deref() == Some("service")));
    // The last read was on 7 December.
    assert_eq!(warnings[0].0.strftime("%F").to_string(), "2026-12-13");
}

/// Makes the bank account one of a version of this service that planned nothing.
fn remove_plan(world: &World) {
    let is_account = |item: &Value| item["SK"]["S"] == format!("ACCOUNT#{BANK}");
    let mut account = world.items().into_iter().find(is_account).expect("the account");
    account.as_object_mut().unwrap().retain(|name, _| !["dueShard", "dueAt", "warned"].contains(&name.as_str()));
    let items = serde_json::from_value(json!([account])).unwrap();
    world.system.database.import_items(names::TABLE, items, Default::default()).unwrap();
}

#[tokio::test]
async fn an_account_of_an_earlier_version_is_warned_after_the_next_list() {
    let world = World::builder().setting("SERVICE_LIFETIMES", "meadow BANK=idle 20d").start().await;
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    remove_plan(&world);
    assert!(of_kind(&sweep_hourly(&world, 24).await, "account.authorization_expiring").is_empty());
    let list = format!("/users/{DEMO_USER}/accounts?refresh=true");
    assert_eq!(world.get(&list).await.status.as_u16(), 200);
    let published = sweep_hourly(&world, 20 * 24).await;
    let days: Vec<_> =
        of_kind(&published, "account.authorization_expiring").iter().map(|(_, event)| event.days_left).collect();
    assert_eq!(days, [Some(14), Some(7), Some(1)]);
}

/// Puts accounts that need their user into the table, without the functions: of `user-<number>`, told a day and an hour ago.
fn import_due(world: &World, count: usize) {
    let text = |text: String| json!({"S": text});
    let ago = |hours: u64| {
        (world.clock_now() - jiff::SignedDuration::from_hours(hours as i64)).strftime("%FT%T.000Z").to_string()
    };
    let item = |number: usize| {
        let user = format!("user-{number}");
        json!({
            "PK": text(format!("USER#{user}")), "SK": text(format!("ACCOUNT#{BANK}")), "version": {"N": "1"},
            "userId": text(user), "accountId": text(BANK.to_owned()), "status": text("reauth_required".to_owned()),
            "sequence": {"N": "1"}, "listed": {"BOOL": true},
            "episode": {"M": {"episodeId": text(format!("ep_{number:032x}")), "since": text(ago(25)), "toldAt": text(ago(25)), "error": {"M": {}}}},
            "dueShard": text(format!("due-notice#{:02}", number % 16)), "dueAt": text(ago(1)),
        })
    };
    let items = serde_json::from_value((0..count).map(item).collect()).unwrap();
    world.system.database.import_items(names::TABLE, items, Default::default()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sweeps_at_once_remind_each_of_thousands_of_users_once() {
    const USERS: usize = 2_000;
    let builder = World::builder().expect_leftovers().setting("NOTICE_RATE", "1000000");
    let world = builder.start().await;
    import_due(&world, USERS);
    let claims = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&claims);
    world.system.aws.observe(Some(Arc::new(move |moment, name| {
        if moment == digime_simulator::Moment::Before && name == "sweep-accounts dynamodb:UpdateItem" {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async {})
    })));
    let mut reminded = 0;
    // A sweep that meets another one leaves the shard to it.
    for _ in 0..3 {
        let event = json!({});
        let sweeps = join_all((0..4).map(|_| world.invoke(Function::SweepAccounts, &event))).await;
        reminded += sweeps.iter().map(|summary| summary["reminded"].as_u64().unwrap()).sum::<u64>();
    }
    world.system.aws.observe(None);
    assert_eq!(reminded, USERS as u64);
    let mut events: BTreeMap<String, usize> = BTreeMap::new();
    for item in world.items() {
        if item["SK"]["S"].as_str().unwrap().starts_with("EVENT#")
            && item["PK"]["S"].as_str().unwrap().starts_with("USER#user-")
        {
            *events.entry(item["PK"]["S"].to_string()).or_default() += 1;
        }
    }
    assert_eq!((events.len(), events.values().max()), (USERS, Some(&1)));
    // Sweeps that did not leave a shard to each other made more than 5,000. How often they meet depends on the machine.
    let claims = claims.load(Ordering::Relaxed);
    assert!(claims < 2 * USERS, "{claims} writes for {USERS} claims");
}
