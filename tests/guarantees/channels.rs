//! The topic and the webhook behind it receive each event independently. Posts are signed as Standard Webhooks says.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use local::{
    Function,
    aws::Fault,
    names::{self, Queue},
};
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_USER, Delivery, ReadResult, SqsMessage, World, broken};

use crate::failures::sent;

/// The delivery has one valid signature with each of the keys.
fn assert_signed(delivery: &Delivery, keys: &[&[u8]]) {
    let message =
        format!("{}.{}.{}", delivery.header("webhook-id"), delivery.header("webhook-timestamp"), delivery.body);
    let signature = |key: &&[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, message.as_bytes())))
    };
    let expected: Vec<_> = keys.iter().map(signature).collect();
    assert_eq!(delivery.header("webhook-signature"), expected.join(" "));
}

/// Puts more copies of each waiting event on the queue of notifications.
async fn copy_notifications(world: &World, copies: usize) {
    world.system.run_pipe().await.unwrap();
    for message in world.system.queues.messages(Queue::Notifications, 10).unwrap() {
        for _ in 0..copies {
            world.enqueue(Queue::Notifications, &message.body);
        }
    }
}

/// Whether anything in the table waits for the sweep.
fn is_due(world: &World) -> bool {
    !world.due().is_empty()
}

#[tokio::test]
async fn each_channel_is_sent_an_event_with_the_same_id_and_link() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let (published, posted) = (world.published_json(), receiver.deliveries());
    assert_eq!((published.len(), posted.len()), (1, 1));
    assert_eq!(serde_json::from_str::<Value>(&posted[0].body).unwrap(), published[0]);
    assert_eq!(posted[0].event().event_id, posted[0].header("webhook-id"));
    assert_eq!(posted[0].header("webhook-timestamp"), world.clock_now().as_second().to_string());
    assert_eq!(posted[0].header("content-type"), "application/json");
    assert_signed(&posted[0], &[&[b'a'; 32]]);
    assert!(!is_due(&world));
}

#[tokio::test]
async fn while_the_signing_secret_is_rotated_both_versions_sign() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    let new = format!("whsec_{}", STANDARD.encode([b'b'; 24]));
    world.system.secrets.put(names::WEBHOOK_SECRET, &new);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_signed(&receiver.deliveries()[0], &[&[b'b'; 24], &[b'a'; 32]]);
}

#[tokio::test]
async fn a_webhook_that_fails_gets_the_event_again_and_the_topic_does_not() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    receiver.answer(Answer::Status(500));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert!(!is_due(&world), "the topic has the event");
    for minutes in [1, 7] {
        world.advance(minutes * 60);
        world.sweep().await;
    }
    receiver.answer(Answer::Status(200));
    for _ in 0..2 {
        world.advance(3_600);
        world.sweep().await;
    }
    let posted = receiver.deliveries();
    assert_eq!(posted.len(), 4, "a webhook that took the event is not sent it again");
    let same =
        |one: &Delivery| one.body == posted[0].body && one.header("webhook-id") == posted[0].header("webhook-id");
    assert!(posted.iter().all(same));
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn a_topic_that_fails_gets_the_event_from_the_sweep_and_the_webhook_gets_it_once() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    let receiver = world.webhook();
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!((world.published().len(), receiver.deliveries().len()), (0, 0));
    assert!(is_due(&world));
    world.system.aws.clear_faults();
    world.advance(3_600);
    world.sweep().await;
    assert_eq!((world.published().len(), receiver.deliveries().len()), (1, 1));
    assert!(!is_due(&world));
}

#[tokio::test]
async fn a_webhook_that_is_down_for_days_adds_no_message() {
    let builder = World::builder().webhook().expect_leftovers().setting("REMINDER_SCHEDULE", "none");
    let world = builder.start().await;
    world.webhook().answer(Answer::Status(503));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let before = sent(&world, Function::SweepAccounts, "sqs:SendMessage");
    for _ in 0..4 * 24 {
        world.advance(3_600);
        assert_eq!(world.sweep().await["requeued"], 0, "the sweep brings an event again that the topic has");
        let depth = world.system.queues.depth(Queue::Webhooks).unwrap();
        assert_eq!(depth.visible + depth.hidden + depth.dead, 1, "{depth:?}");
    }
    assert_eq!(sent(&world, Function::SweepAccounts, "sqs:SendMessage") - before, 0);
    assert_eq!(sent(&world, Function::NotifyReauth, "sns:Publish"), 1);
    assert_eq!((world.published().len(), world.webhook().deliveries().len()), (1, 12));
}

#[tokio::test]
async fn a_webhook_that_hangs_holds_up_no_notification() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    receiver.answer(Answer::NotYet);
    world.take_in(ReadResult::new(DEMO_USER, &broken(BANK))).await;
    world.system.run_pipe().await.unwrap();
    let message = world.system.queues.receive(Queue::Notifications, 10).unwrap().remove(0);
    let batch = SqsMessage::new(&message.body, world.clock_now()).queue(Queue::Notifications).alone();
    let reply = world.invoke(Function::NotifyReauth, &batch).await;
    assert_eq!(reply["batchItemFailures"], json!([]));
    world.system.queues.delete(&message).unwrap();
    assert_eq!((world.published().len(), receiver.deliveries().len()), (1, 0), "nobody waits for the webhook");
    assert!(!is_due(&world));
    let posted = async {
        receiver.has_seen(1).await;
        receiver.answer(Answer::Status(204));
    };
    tokio::join!(world.run_until_idle(), posted);
}

#[tokio::test]
async fn the_posts_of_one_batch_go_out_side_by_side() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    receiver.answer(Answer::NotYet);
    for account in [BANK, "2_demo-hospital", "3_demo-instagram"] {
        world.enqueue(Queue::ReadResults, &ReadResult::new(DEMO_USER, &broken(account)));
    }
    let answered = async {
        receiver.has_seen(3).await;
        receiver.answer(Answer::Status(204));
    };
    tokio::join!(world.run_until_idle(), answered);
    assert_eq!(receiver.deliveries().len(), 3);
}

#[tokio::test]
async fn copies_of_one_event_in_one_batch_are_published_once() {
    let world = World::builder().webhook().start().await;
    let receiver = world.webhook();
    world.take_in(ReadResult::new(DEMO_USER, &broken(BANK))).await;
    copy_notifications(&world, 4).await;
    world.run_until_idle().await;
    assert_eq!(sent(&world, Function::NotifyReauth, "sns:Publish"), 1);
    assert_eq!((world.published().len(), receiver.deliveries().len()), (1, 1));
}

#[tokio::test]
async fn copies_of_an_event_that_the_topic_refuses_fail_together() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.system.aws.fail(Fault::error("sns:Publish", 400, "InvalidParameter", 1_000));
    world.take_in(ReadResult::new(DEMO_USER, &broken(BANK))).await;
    copy_notifications(&world, 4).await;
    world.run_until_idle().await;
    assert_eq!(world.system.queues.dead_letters(Queue::Notifications, 10).unwrap().len(), 5);
    assert_eq!(sent(&world, Function::NotifyReauth, "sns:Publish"), 5, "once for each time that the batch came");
}
