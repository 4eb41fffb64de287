//! The authorizations of 100,000 users at one service have expired, and the reminders of all are due in the same minute: each
//! user is reminded once, and no minute brings more reminders than the rate allows. The functions run in this process, under a clock
//! that is moved.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

use jiff::{SignedDuration, Timestamp};
use local::names;
use serde_json::{Value, json};
use tests::World;

use crate::{process::now, table::Table};

const USERS: usize = 100_000;
/// Reminders in a minute, as the template has it by default.
const RATE: usize = 600;
const PART: usize = 20_000;

pub(crate) async fn run(table: &mut Table) {
    let begun = now();
    let minutes = tell_all(USERS).await;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{USERS} users were reminded in {minutes} minutes of the moved clock, {seconds:.0} s of this machine");
    let least = USERS.div_ceil(RATE) as f64;
    let how = " = 1.1 times as long as the rate requires";
    table.at_most("mass expiry: 100,000 users are reminded", minutes as f64, least * 1.1, "min", how);
}

/// Returns how many minutes it takes until each user is reminded once.
async fn tell_all(users: usize) -> usize {
    let world = World::builder().expect_leftovers().setting("NOTICE_RATE", &RATE.to_string()).start().await;
    for first in (0..users).step_by(PART) {
        import(&world, first..(first + PART).min(users));
    }
    let (mut minutes, mut reminded) = (0, 0);
    // The topic remembers the last 1,000 notifications: more than a minute's.
    let (mut seen, mut told) = (HashSet::new(), BTreeMap::<String, usize>::new());
    while reminded < users {
        world.advance(60);
        let summary = world.sweep().await;
        let of_minute = summary["reminded"].as_u64().expect("a summary") as usize;
        assert!(of_minute <= RATE, "{of_minute} in a minute");
        (minutes, reminded) = (minutes + 1, reminded + of_minute);
        assert!(minutes < 3 * users / RATE + 60, "{reminded} of {users} after {minutes} minutes");
        for event in world.published().into_iter().filter(|event| event.reminder == Some(1)) {
            if seen.insert(event.event_id) {
                *told.entry(event.user_id).or_default() += 1;
            }
        }
    }
    assert_eq!((told.len(), told.values().max()), (users, Some(&1)), "each user is reminded once");
    minutes
}

/// Accounts of as many users that lost their authorization a day and an hour ago, without the functions and without records in
/// the table's stream.
fn import(world: &World, numbers: Range<usize>) {
    let ago = |hours| time(world.clock_now() - SignedDuration::from_hours(hours));
    let items: Vec<Value> = numbers.map(|number| account(number, &ago(25), &ago(1))).collect();
    let items = serde_json::from_value(Value::Array(items)).expect("items");
    world.system.database.import_items(names::TABLE, items, Default::default()).expect("the table takes them");
}

fn time(at: Timestamp) -> String {
    at.strftime("%FT%T.000Z").to_string()
}

fn account(number: usize, since: &str, due_at: &str) -> Value {
    let user = format!("user-{number}");
    let episode = json!({"episodeId": {"S": format!("ep_{number:032x}")}, "since": {"S": since}, "toldAt": {"S": since},
        "error": {"M": {}}});
    json!({
        "PK": {"S": format!("USER#{user}")},
        "SK": {"S": "ACCOUNT#1_account"},
        "version": {"N": "1"},
        "userId": {"S": user},
        "accountId": {"S": "1_account"},
        "serviceName": {"S": "Meadow Bank"},
        "status": {"S": "reauth_required"},
        "listed": {"BOOL": true},
        "sequence": {"N": "1"},
        "episode": {"M": episode},
        "dueShard": {"S": format!("due-notice#{:02}", number % 16)},
        "dueAt": {"S": due_at},
    })
}
