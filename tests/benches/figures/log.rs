//! The log of events.

use std::time::Duration;

use digime::ambient::Ambient;
use http::Method;
use local::{Function, names};
use serde_json::{Value, json};

use crate::{
    process::{cpu, milliseconds},
    stage::Stage,
    table::Table,
};

const EVENTS: u64 = 100_000;
const PAGE: usize = 100;
const PAGES: u32 = 100;
/// The events are of the last hours, and readers see all of them.
const AGE: Duration = Duration::from_secs(60 * 60);

pub(crate) async fn run(table: &mut Table) {
    let stage = Stage::new(None).await;
    stage.near();
    write_events(&stage);
    let process = stage.process(Function::Events).await;
    let mut cursor = String::new();
    for _ in 0..20 {
        cursor = page(&stage, &cursor).await;
    }
    let before = cpu(process);
    for _ in 0..PAGES {
        cursor = page(&stage, &cursor).await;
    }
    let ours = milliseconds((cpu(process) - before) / PAGES);
    table.in_units("CPU of a page of the log: 100 events among 100,000", ours, 6.0);
}

async fn page(stage: &Stage, cursor: &str) -> String {
    let reply = stage.call(Method::GET, &format!("/events?limit={PAGE}&after={cursor}"), "").await.json();
    assert_eq!(reply["events"].as_array().expect("a list").len(), PAGE);
    reply["cursor"].as_str().expect("a cursor").to_owned()
}

/// Writes published events of as many users into the table, without the functions, and without records in its stream.
fn write_events(stage: &Stage) {
    let now = Ambient::system().now();
    let first = now.as_millisecond() as u64 - AGE.as_millis() as u64;
    let items: Vec<Value> = (0..EVENTS).map(|number| event(first + number * 20, number)).collect();
    let items = serde_json::from_value(Value::Array(items)).expect("items");
    stage.system.database.import_items(names::TABLE, items, Default::default()).expect("the table takes them");
}

fn event(sequence: u64, number: u64) -> Value {
    let id = format!("evt_{sequence:016x}{number:016x}");
    let user = format!("user-{number}");
    let payload = json!({"type": "account.reauthorized", "timestamp": "2026-11-23T09:00:00.000Z", "data": {
        "eventId": id, "userId": user, "accountId": "1_account", "sequence": sequence, "contractId": "contract",
        "serviceName": "Meadow Bank", "episodeId": format!("ep_{number:032x}"), "via": "read_result", "verified": true}});
    json!({
        "PK": {"S": format!("USER#{user}")},
        "SK": {"S": format!("EVENT#1_account#{sequence:020}")},
        "eventId": {"S": id},
        "payload": {"S": payload.to_string()},
        "linkKeyId": {"S": "key"},
        "publishedAt": {"S": "2026-11-23T09:00:00.000Z"},
        "logShard": {"S": format!("log#{:02}", number % 16)},
    })
}
