//! A bad message fails alone and ends in the dead-letter queue. The rest of its batch is processed.

use local::{Function, names::Queue};
use serde_json::json;
use tests::{ReadResult, SqsMessage, World, broken};

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_fail_alone_and_become_dead_letters() {
    let world = World::builder().binaries().expect_leftovers().start().await;
    let bad =
        ["not json: a-private-word", "[]", r#"{"userId":"u"}"#, r#"{"userId":"u","readResult":{"private":"word"}}"#];
    world.enqueue(Queue::ReadResults, &ReadResult::new("first", &broken("1_a")));
    for body in bad {
        world.enqueue(Queue::ReadResults, body);
    }
    world.enqueue(Queue::ReadResults, &ReadResult::new("last", &broken("1_a")));
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
    let world = World::builder().expect_leftovers().start().await;
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
        world.enqueue(Queue::ReadResults, &ReadResult::new("u", read_result));
    }
    world.enqueue(Queue::ReadResults, &json!({"userId": "u", "readResult": {}, "submittedAt": "yesterday"}));
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 0);
    let dead = world.system.queues.dead_letters(Queue::ReadResults, 20).unwrap();
    assert_eq!(dead.len(), bad.len() + 1);
}

#[tokio::test]
async fn a_notification_that_holds_no_event_becomes_a_dead_letter() {
    let world = World::builder().expect_leftovers().start().await;
    for body in ["x", "{}", r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"PK":{"S":"USER#u"}}}}"#] {
        world.enqueue(Queue::Notifications, body);
    }
    world.hand_in("u", None, &broken("1_a")).await;
    assert_eq!(world.published().len(), 1);
    assert_eq!(world.system.queues.dead_letters(Queue::Notifications, 10).unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_message_that_holds_no_event_becomes_a_dead_letter_alone_and_is_logged_once() {
    let world = World::builder().webhook().binaries().trace_logs().expect_leftovers().start().await;
    let receiver = world.webhook();
    let bad = r#"{"type":"private","timestamp":"2026-11-23T09:00:00Z","data":{"eventId":"word"}}"#;
    world.enqueue(Queue::Webhooks, bad);
    world.hand_in("u", None, &broken("1_a")).await;
    assert_eq!(receiver.deliveries().len(), 1, "the event beside it is posted, and it is not");
    let dead = world.system.queues.dead_letters(Queue::Webhooks, 10).unwrap();
    assert_eq!(dead.iter().map(|message| &*message.body).collect::<Vec<_>>(), [bad]);

    let again = SqsMessage::new(bad, world.clock_now()).queue(Queue::Webhooks).receive_count(2).alone();
    let reply = world.invoke(Function::PostWebhook, &again).await;
    assert_eq!(reply["batchItemFailures"], json!([]));
    let log = world.log(Function::PostWebhook);
    assert_eq!(log.matches("a message holds no event").count(), 1, "{log}");
    assert!(!log.contains("private"), "without its content: {log}");
}
