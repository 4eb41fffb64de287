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
    world.settle().await;

    assert_eq!(world.published().len(), 2);
    for user in ["first", "last"] {
        assert_eq!(world.account(user, "1_a").await["status"], "reauth_required");
    }
    let dead = world.system.queues.dead_letters(Queue::ReadResults, 10).unwrap();
    assert_eq!(dead.len(), bad.len());
    assert!(dead.iter().all(|message| message.receive_count == 5));

    let log = world.log(Function::RecordReadResult);
    assert_eq!(log.matches("A message holds no read result").count(), bad.len(), "logged once each: {log}");
    assert!(!log.contains("private"), "without their content: {log}");
}

#[tokio::test]
async fn a_notification_that_holds_no_event_becomes_a_dead_letter() {
    let mut world = World::new().await;
    world.expect_leftovers();
    for body in ["x", "{}", r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"PK":{"S":"USER#u"}}}}"#] {
        let message = local::NewMessage { body: body.to_owned(), ..local::NewMessage::default() };
        world.system.queues.send(Queue::Notifications, &message).unwrap();
    }
    world.hand_in("u", None, &broken("1_a")).await;
    assert_eq!(world.published().len(), 1);
    assert_eq!(world.system.queues.dead_letters(Queue::Notifications, 10).unwrap().len(), 3);
}
