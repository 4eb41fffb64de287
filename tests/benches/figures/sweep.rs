//! The sweep costs by what is due, not by what exists: 10,000 accounts whose next notice is to be planned, alone and among a
//! million. And mails that are due.

use digime::ambient::Ambient;
use jiff::{SignedDuration, Timestamp};
use local::{DEMO_SENDER, Function, names};
use serde_json::{Value, json};

use crate::{
    process::{milliseconds, now},
    stage::Stage,
    table::Table,
};

const DUE: usize = 10_000;
/// All accounts of the second measure.
const ALL: usize = 1_000_000;
const MAILS: usize = 1_000;
/// The accounts of the demo user are due too.
const DEMO_ACCOUNTS: u64 = 3;
/// Items that are written into the table at a time.
const PART: usize = 20_000;
/// More sweeps than are needed.
const MAX_SWEEPS: usize = 60;

pub(crate) async fn run(table: &mut Table) {
    let alone = planning(DUE).await;
    let of_each = alone / DUE as f64;
    table.in_units(format!("sweep: planning one of {DUE} accounts that are due"), of_each, 4.0);
    let among = planning(ALL).await;
    let how = " = 1.5 times as long as alone";
    table.at_most(format!("sweep: planning {DUE} accounts that are due among {ALL}"), among, alone * 1.5, "ms", how);
    let of_each = mailing().await / MAILS as f64;
    table.in_units(format!("sweep: starting one of {MAILS} mails that are due"), of_each, 4.0);
}

/// How long sweeps take to plan what is due, in milliseconds. There are so many accounts in all.
async fn planning(accounts: usize) -> f64 {
    let stage = stage().await;
    let now = Ambient::system().now();
    let (past, future) = (now - SignedDuration::from_hours(1), now + SignedDuration::from_hours(24 * 30));
    import(&stage, (0..DUE).map(|number| account(number, past)).collect());
    for first in (DUE..accounts).step_by(PART) {
        let last = accounts.min(first + PART);
        import(&stage, (first..last).map(|number| account(number, future)).collect());
    }
    sweep(&stage, "planned", DUE).await
}

/// How long sweeps take to put the mails that are due on their queue, in milliseconds.
async fn mailing() -> f64 {
    let stage = stage().await;
    let past = Ambient::system().now() - SignedDuration::from_hours(1);
    import(&stage, (0..MAILS).map(|number| contact(number, past)).collect());
    sweep(&stage, "mailed", MAILS).await
}

async fn stage() -> Stage {
    let stage = Stage::with(&[("EMAIL_FROM", DEMO_SENDER), ("NOTICE_RATE", "1000000")]).await;
    stage.near();
    stage
}

/// Sweeps until so many items are counted under a name.
async fn sweep(stage: &Stage, name: &str, items: usize) -> f64 {
    let (begun, mut done) = (now(), 0);
    for _ in 0..MAX_SWEEPS {
        let summary = stage.invoke(Function::SweepAccounts, &json!({})).await;
        done += summary[name].as_u64().expect("a summary");
        if done >= items as u64 {
            break;
        }
    }
    let time = milliseconds(begun.elapsed());
    let most = items as u64 + DEMO_ACCOUNTS;
    assert!((items as u64..=most).contains(&done), "{done}");
    time
}

/// Writes items into the table, without the functions, and without records in its stream.
fn import(stage: &Stage, items: Vec<Value>) {
    let items = serde_json::from_value(Value::Array(items)).expect("items");
    stage.system.database.import_items(names::TABLE, items, Default::default()).expect("the table takes them");
}

fn time(at: Timestamp) -> Value {
    json!({"S": format!("{at:.3}")})
}

/// An active account of a user of its own.
fn account(number: usize, due_at: Timestamp) -> Value {
    let user = format!("user-{number}");
    json!({
        "PK": {"S": format!("USER#{user}")},
        "SK": {"S": "ACCOUNT#1_account"},
        "version": {"N": "1"},
        "userId": {"S": user},
        "accountId": {"S": "1_account"},
        "serviceName": {"S": "Meadow Bank"},
        "status": {"S": "active"},
        "authorizationExpiresAt": time(due_at + SignedDuration::from_hours(24 * 90)),
        "sequence": {"N": "0"},
        "dueShard": {"S": format!("due-notice#{:02}", number % 16)},
        "dueAt": time(due_at),
    })
}

/// As much of a contact as the sweep needs.
fn contact(number: usize, due_at: Timestamp) -> Value {
    json!({
        "PK": {"S": format!("USER#user-{number}")},
        "SK": {"S": "CONTACT"},
        "version": {"N": "1"},
        "dueShard": {"S": format!("due-mail#{:02}", number % 16)},
        "dueAt": time(due_at),
    })
}
