//! Bad messages fail alone and end in the dead-letter queue; the rest of their batch goes through.

use local::{Function, names::Queue};
use serde_json::json;
use tests::World;

use super::broken;

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_fail_alone_and_become_dead_letters() {
    let mut world = World::with_binaries().await;
    world.expect_leftovers();
    let bad =
        ["not json: a-private-word", "[]", r#"{"userId":"u"}"#, r#"{"userId":"u","readResult":{"private":"word"}}"#];
    let good = |user: &str| json!({"userId": user, "readResult": broken("1_a")}).to_string();
    world.enqueue(&good("first"));
    for body in bad {
        world.enqueue(body);
    }
    world.enqueue(&good("last"));
    world.run_until_idle().await;

    assert_eq!(world.published().len(), 2);
    for user in ["first", "last"] {
        assert_eq!(world.account(user, "1_a").await["status"], "reauth_required");
    }
    let dead = world.system.queues.dead_letters(Queue::ReadResults, 10).unwrap();
    assert_eq!(dead.len(), bad.len());
    assert!(dead.iter().all(|message| message.receive_count == 5));

    let log = world.log(Function::RecordReadResult);
    assert_eq!(
        log.matches("record-read-result: a message holds no read result").count(),
        bad.len(),
        "logged once each: {log}"
    );
    assert_eq!(log.matches(r#""field":"readResult""#).count(), 2, "with the field: {log}");
    assert!(!log.contains("private"), "without their content: {log}");
}

#[tokio::test]
async fn what_is_no_read_result_becomes_a_dead_letter() {
    let mut world = World::new().await;
    world.expect_leftovers();
    let many: serde_json::Map<_, _> = (0..2_001).map(|n| (format!("{n}_a"), json!({"state": "running"}))).collect();
    let entry = broken("1_a")["1_a"].clone();
    let bad = [
        json!([{"id": "1_a", "accessTokenStatus": {"authorized": true}}]),
        json!({"accessToken": {"value": "a", "expiry": 1}, "refreshToken": {"value": "r", "expiry": 1}}),
        json!({"error": {"code": "InternalError", "message": "m"}}),
        entry.clone(),
        json!({"accountId": "1_a", "error": entry["error"]}),
        json!({"status": {}}),
        json!({"1_a": entry, "2_b": "completed"}),
        json!(many),
    ];
    for read_result in &bad {
        world.enqueue(&json!({"userId": "u", "readResult": read_result}).to_string());
    }
    world.enqueue(&json!({"userId": "u", "readResult": {}, "submittedAt": "yesterday"}).to_string());
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 0);
    let dead = world.system.queues.dead_letters(Queue::ReadResults, 20).unwrap();
    assert_eq!(dead.len(), bad.len() + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_not_accounts_are_named_and_the_others_taken() {
    let world = World::with_binaries().await;
    let mut details = broken("1_a");
    for n in 0..30 {
        details[format!("no id {n:02}")] = json!({"state": "completed"});
    }
    details["2_b"] = json!("completed");
    details["3_c"] = json!({});
    details["x".repeat(5_000)] = json!({});
    let body = json!({"readResult": {"status": {"details": details}}});
    let reply = world.post("/users/u/read-results", &body).await.json();
    let ignored = reply["ignored"].as_array().unwrap();
    assert_eq!((&reply["accounts"], ignored.len()), (&json!(2), 20));
    assert_eq!(ignored[0]["accountId"], "2_b");
    assert!(ignored.iter().all(|entry| entry["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    let queued = world.system.queues.messages(Queue::ReadResults, 10).unwrap();
    let message: serde_json::Value = serde_json::from_str(&queued[0].body).unwrap();
    assert!(message["submittedAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{message}");
    world.run_until_idle().await;
    assert_eq!(world.account("u", "1_a").await["status"], "reauth_required");
    let warning = "read-results: ignored entries that are not accounts";
    let log = world.log(Function::Accounts);
    assert!(log.lines().any(|line| line.contains(warning) && line.contains("\"ignored\":32")), "{log}");

    let reply = world.post("/users/u/read-results", &json!({"readResult": {"state": "pending"}})).await;
    assert_eq!(reply.json(), json!({"accounts": 0, "ignored": []}));
}

#[tokio::test]
async fn a_notification_that_holds_no_event_becomes_a_dead_letter() {
    let mut world = World::new().await;
    world.expect_leftovers();
    for body in ["x", "{}", r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"PK":{"S":"USER#u"}}}}"#] {
        world.system.queues.send(Queue::Notifications, body).unwrap();
    }
    world.hand_in("u", None, &broken("1_a")).await;
    assert_eq!(world.published().len(), 1);
    assert_eq!(world.system.queues.dead_letters(Queue::Notifications, 10).unwrap().len(), 3);
}

/// A batch with one message, as Lambda gives it to the function.
fn received(count: u32, body: &str) -> String {
    let attributes = json!({"ApproximateReceiveCount": count.to_string(), "SentTimestamp": "1795424400000"});
    json!({"Records": [{"messageId": "m", "body": body, "attributes": attributes}]}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_message_that_holds_no_event_fails_alone_and_is_logged_once() {
    let (mut world, receiver) = World::with_talkative_binaries().await;
    world.expect_leftovers();
    let bad = r#"{"type":"private","timestamp":"2026-11-23T09:00:00Z","data":{"eventId":"word"}}"#;
    world.system.queues.send(Queue::Webhooks, bad).unwrap();
    world.hand_in("u", None, &broken("1_a")).await;
    assert_eq!(receiver.deliveries().len(), 1, "the event beside it is posted, and it is not");
    assert_eq!(world.system.queues.depth(Queue::Webhooks).unwrap().hidden, 1, "it comes again");

    let function = world.system.functions.get(Function::PostWebhook);
    let reply = function.invoke(received(2, bad).into()).await.unwrap();
    let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["batchItemFailures"], json!([{"itemIdentifier": "m"}]));
    let log = world.log(Function::PostWebhook);
    assert_eq!(log.matches("a message holds no event").count(), 1, "{log}");
    assert!(!log.contains("private"), "without its content: {log}");
}
