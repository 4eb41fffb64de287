//! How the sweep works through many due items: with an index that lags, beside other kinds of items, and past what fails.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use local::{
    aws::{Fault, Operation},
    names,
};
use serde_json::{Value, json};
use tests::{BANK, World, WorldBuilder};

/// More than the sweep reads from a shard at a time.
const MANY: usize = 120;

/// A world in which nothing is due.
async fn world(builder: WorldBuilder) -> World {
    let world = builder.start().await;
    world.sweep().await;
    world
}

fn text(text: impl Into<String>) -> Value {
    json!({"S": text.into()})
}

fn time(world: &World, from_now: SignedDuration) -> Value {
    text((world.clock_now() + from_now).strftime("%FT%T.000Z").to_string())
}

/// An account of `user-<number>` that is due since `number` milliseconds before an hour ago, with these fields.
fn due_account(world: &World, number: usize, shard: &str, fields: Value) -> Value {
    let user = format!("user-{number}");
    let due_at = world.clock_now() - SignedDuration::from_hours(1) - SignedDuration::from_millis(number as i64);
    let mut item = json!({
        "PK": text(format!("USER#{user}")), "SK": text(format!("ACCOUNT#{BANK}")), "version": {"N": "1"},
        "userId": text(user), "accountId": text(BANK), "sequence": {"N": "1"}, "listed": {"BOOL": true},
        "dueShard": text(shard), "dueAt": text(format!("{due_at:.3}")),
    });
    let (item_fields, fields) = (item.as_object_mut().unwrap(), fields.as_object().unwrap().clone());
    item_fields.extend(fields);
    item
}

/// An account of which nothing is planned yet.
fn unplanned(world: &World, number: usize, shard: usize) -> Value {
    let fields = json!({
        "status": text("active"), "authorizationExpiresAt": time(world, SignedDuration::from_hours(90 * 24)),
    });
    due_account(world, number, &format!("due-notice#{shard:02}"), fields)
}

/// An account whose first reminder is due.
fn to_remind(world: &World, number: usize, shard: usize) -> Value {
    let told_at = time(world, SignedDuration::from_hours(-25));
    let episode = json!({"M": {
        "episodeId": text(format!("ep_{number:032x}")), "since": told_at, "toldAt": told_at, "error": {"M": {}},
    }});
    let fields = json!({"status": text("reauth_required"), "episode": episode});
    due_account(world, number, &format!("due-notice#{shard:02}"), fields)
}

/// An account that waits for digi.me's confirmation, of a user without a grant: digi.me cannot be asked.
fn verifying(world: &World, number: usize) -> Value {
    let fields = json!({"status": text("verifying"), "verifyingSince": time(world, SignedDuration::from_hours(-2))});
    due_account(world, number, "due-account#03", fields)
}

fn import(world: &World, items: impl IntoIterator<Item = Value>) {
    let items = serde_json::from_value(items.into_iter().collect()).unwrap();
    world.system.database.import_items(names::TABLE, items, Default::default()).unwrap();
}

/// How many of the imported accounts are not due any more.
fn processed(world: &World) -> usize {
    let now = format!("{:.3}", world.clock_now());
    let is_processed = |item: &Value| {
        item["SK"]["S"].as_str() == Some(&format!("ACCOUNT#{BANK}"))
            && item["PK"]["S"].as_str().unwrap().starts_with("USER#user-")
            && item["dueAt"]["S"].as_str().is_none_or(|due_at| due_at > now.as_str())
    };
    world.items().iter().filter(|item| is_processed(item)).count()
}

/// How many items the sweeps have tried to claim or plan.
fn updates(world: &World) -> u64 {
    let of_sweep =
        |operation: &Operation| operation.caller == "sweep-accounts" && operation.action == "dynamodb:UpdateItem";
    world.system.aws.operations().iter().filter(|(operation, _)| of_sweep(operation)).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn one_sweep_works_through_a_shard_though_the_index_lags_and_another_does_nothing_twice() {
    let world = world(World::builder()).await;
    import(&world, (0..MANY).map(|number| unplanned(&world, number, 3)));
    world.system.aws.begin_index_lag().unwrap();
    let summary = world.sweep().await;
    assert_eq!((&summary["planned"], processed(&world)), (&json!(MANY), MANY), "{summary}");

    let before = updates(&world);
    let summary = world.sweep().await;
    assert_eq!((&summary["planned"], &summary["failed"]), (&json!(0), &json!(0)));
    let tried = updates(&world) - before;
    assert!(tried <= 9, "three of each slice: {tried}");
}

#[tokio::test]
async fn accounts_that_digime_says_nothing_about_do_not_hold_up_the_others() {
    let world = world(World::builder()).await;
    import(&world, (0..MANY).map(|number| verifying(&world, number)));
    let summary = world.sweep().await;
    assert_eq!((processed(&world), &summary["left"]), (MANY, &json!(0)), "{summary}");
}

#[tokio::test]
async fn one_kind_of_due_items_does_not_wait_for_another() {
    let world = world(World::builder()).await;
    import(&world, (0..400).map(|number| unplanned(&world, number, number % 16)).chain([verifying(&world, 400)]));
    // A sweep has time for about 200 writes.
    let clock = world.clock.clone();
    world.system.aws.observe(Some(Arc::new(move |moment, name| {
        if moment == digime_simulator::Moment::Before && name == "sweep-accounts dynamodb:UpdateItem" {
            clock.advance(Duration::from_millis(100));
        }
        Box::pin(async {})
    })));
    let summary = world.system.sweep().await.unwrap();
    assert!(summary["left"].as_u64() > Some(0), "{summary}");
    let waits =
        |item: &Value| item["status"]["S"] == "verifying" && item["dueAt"]["S"].as_str() < Some("2026-11-23T09");
    assert!(!world.items().iter().any(waits), "{summary}");
}

#[tokio::test]
async fn a_list_that_fails_holds_up_its_own_items_only() {
    let world = world(World::builder()).await;
    import(&world, (0..32).map(|number| unplanned(&world, number, number % 16)));
    // The SDK does not retry it. One of the lists fails, no matter which.
    world.system.aws.fail(Fault::error("dynamodb:Query", 400, "ValidationException", 1));
    let _ = world.system.sweep().await;
    assert!(processed(&world) >= 30, "{}", processed(&world));
    world.sweep().await;
    assert_eq!(processed(&world), 32);
}

#[tokio::test]
async fn the_rate_of_notices_bounds_reminders_and_no_plans() {
    let world = world(World::builder().setting("NOTICE_RATE", "2")).await;
    let of = |number: usize| match number % 4 {
        0 => to_remind(&world, number, 3),
        _ => unplanned(&world, number, 3),
    };
    import(&world, (0..MANY).map(of));
    let summary = world.sweep().await;
    let counts = ["reminded", "planned", "held"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [2, 90, 28]);
    for minute in 1..15 {
        world.advance(60);
        assert_eq!(world.sweep().await["reminded"], 2, "minute {minute}");
    }
    world.advance(60);
    let summary = world.sweep().await;
    assert_eq!((&summary["reminded"], &summary["held"]), (&json!(0), &json!(0)));
}
