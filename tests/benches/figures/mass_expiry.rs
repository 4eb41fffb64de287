//! The connections of 100,000 users to one service expire on one day: each user is told once, and no minute brings more
//! notifications than the rate allows. The functions run in this process, under a clock that is moved.

use std::{collections::BTreeMap, ops::Range};

use jiff::{SignedDuration, Timestamp};
use local::names;
use serde_json::{Value, json};
use tests::World;

use crate::{process::now, table::Table};

const USERS: usize = 100_000;
/// Notifications in a minute, as the template has it by default.
const RATE: usize = 600;
const PART: usize = 20_000;

pub(crate) async fn run(table: &mut Table) {
    let begun = now();
    let minutes = tell_all(USERS).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{USERS} users were told in {minutes} minutes of the moved clock, {seconds:.0} s of this machine");
    let least = USERS.div_ceil(RATE) as f64;
    let how = " = 1.1 times as long as the rate requires";
    table.at_most("mass expiry: 100,000 users are told", minutes as f64, least * 1.1, "min", how);
}

/// Returns how many minutes it takes until each user is told once.
async fn tell_all(users: usize) -> usize {
    let world = World::builder().expect_leftovers().setting("NOTICE_RATE", &RATE.to_string()).start().await;
    // The applications' own hours do not matter here, but the users' do: it is nine in the morning.
    let expires_at = world.clock_now() + SignedDuration::from_hours(13 * 24);
    for first in (0..users).step_by(PART) {
        import(&world, first..(first + PART).min(users), expires_at);
    }
    let mut minutes = 0;
    let mut warned = 0;
    while warned < users {
        world.advance(60);
        let summary = world.sweep().await;
        let told = summary["warned"].as_u64().expect("a summary") as usize;
        assert!(told <= RATE, "{told} in a minute");
        (minutes, warned) = (minutes + 1, warned + told);
        assert!(minutes < 3 * users / RATE + 60, "{warned} of {users} after {minutes} minutes");
    }
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for event in world.published().into_iter().filter(|event| event.kind == "account.authorization_expiring") {
        *told.entry(event.user_id).or_default() += 1;
    }
    assert_eq!((told.len(), told.values().max()), (users, Some(&1)), "each user is told once");
    minutes
}

/// Accounts whose warning is due, of as many users, without the functions and without records in the table's stream.
fn import(world: &World, numbers: Range<usize>, expires_at: Timestamp) {
    let due_at = world.clock_now();
    let items: Vec<Value> = numbers.map(|number| account(number, expires_at, due_at)).collect();
    let items = serde_json::from_value(Value::Array(items)).expect("items");
    world.system.database.import_items(names::TABLE, items, Default::default()).expect("the table takes them");
}

fn account(number: usize, expires_at: Timestamp, due_at: Timestamp) -> Value {
    let user = format!("user-{number}");
    json!({
        "PK": {"S": format!("USER#{user}")},
        "SK": {"S": "ACCOUNT#1_account"},
        "version": {"N": "1"},
        "userId": {"S": user},
        "accountId": {"S": "1_account"},
        "serviceName": {"S": "Meadow Bank"},
        "status": {"S": "active"},
        "authorizationExpiresAt": {"S": expires_at.strftime("%FT%T.000Z").to_string()},
        "sequence": {"N": "0"},
        "dueShard": {"S": format!("due-notice#{:02}", number % 16)},
        "dueAt": {"S": due_at.strftime("%FT%T.000Z").to_string()},
    })
}
