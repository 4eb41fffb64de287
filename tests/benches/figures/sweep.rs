//! The sweep costs by what is due, not by what exists: 10,000 accounts whose next notice is to be planned, among 10,000 and
//! among 210,000.

use digime::ambient::Ambient;
use jiff::{SignedDuration, Timestamp};
use local::{Function, names};
use serde_json::{Value, json};

use crate::{process::now, stage::Stage, table::Table};

const DUE: usize = 10_000;
/// Accounts that are not due. A million takes minutes to load, and tells no more.
const OTHERS: usize = 200_000;
const PART: usize = 20_000;

pub(crate) async fn run(table: &mut Table) {
    let alone = seconds(0).await;
    let among = seconds(OTHERS).await;
    table.at_most("sweep: 10,000 due accounts among 10,000", alone, 60.0, "s", "");
    let how = " = 1.5 times as long as among 10,000";
    table.at_most("sweep: 10,000 due accounts among 210,000", among, alone * 1.5, "s", how);
}

/// How long sweeps take to plan what is due.
async fn seconds(others: usize) -> f64 {
    let stage = Stage::new(None).await;
    stage.near();
    let now_at = Ambient::system().now();
    let (past, future) = (now_at - SignedDuration::from_hours(1), now_at + SignedDuration::from_hours(24 * 30));
    import(&stage, 0..DUE, past);
    for first in (DUE..DUE + others).step_by(PART) {
        import(&stage, first..first + PART, future);
    }
    stage.process(Function::SweepAccounts).await;
    let (begun, mut planned) = (now(), 0);
    for _ in 0..60 {
        let summary = stage.invoke(Function::SweepAccounts, &json!({})).await;
        planned += summary["planned"].as_u64().expect("a summary");
        if planned >= DUE as u64 {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(planned, DUE as u64);
    seconds
}

/// Writes active accounts of as many users into the table, without the functions, and without records in its stream.
fn import(stage: &Stage, numbers: std::ops::Range<usize>, due_at: Timestamp) {
    let items: Vec<Value> = numbers.map(|number| account(number, due_at)).collect();
    let items = serde_json::from_value(Value::Array(items)).expect("items");
    stage.system.database.import_items(names::TABLE, items, Default::default()).expect("the table takes them");
}

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
        "authorizationExpiresAt": {"S": (due_at + SignedDuration::from_hours(24 * 90)).strftime("%FT%T.000Z").to_string()},
        "sequence": {"N": "0"},
        "dueShard": {"S": format!("due-notice#{:02}", number % 16)},
        "dueAt": {"S": due_at.strftime("%FT%T.000Z").to_string()},
    })
}
