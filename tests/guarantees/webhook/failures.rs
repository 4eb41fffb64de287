//! DynamoDB, SQS or Secrets Manager fails while events are posted.

use std::sync::Arc;

use digime_simulator::Moment;
use local::{Depth, InvokeError, aws::Fault, names::Queue};
use tests::{Answer, SqsMessage};
use tokio::sync::watch;

use super::*;

/// More failures than a function sends calls.
const ALL: u32 = 100;
/// In seconds: when a message comes again that its function has not hidden.
const VISIBILITY_TIMEOUT: u64 = 180;

/// Nothing is posted while this call fails. The message comes again after the queue's visibility timeout.
async fn is_not_posted_while(action: &str) {
    let sender = Sender::start().await;
    sender.send(1);
    sender.world.system.aws.fail(Fault::refuse(action, ALL));
    sender.after(0).await;
    assert_eq!((sender.posts(), sender.depth().hidden), (0, 1), "{action}");
    sender.world.system.aws.clear_faults();
    sender.after(VISIBILITY_TIMEOUT - 1).await;
    assert_eq!(sender.posts(), 0, "{action}");
    sender.after(1).await;
    assert_eq!((sender.posts(), sender.attempts(1).await.len()), (1, 1), "{action}");
    assert_eq!(sender.depth(), Depth::default(), "{action}");
}

#[tokio::test]
async fn nothing_is_posted_while_the_health_of_the_endpoint_cannot_be_read() {
    is_not_posted_while("dynamodb:GetItem").await;
}

/// Lambda counts the error, and an alarm is raised.
#[tokio::test]
async fn an_invocation_that_cannot_read_the_health_of_the_endpoint_fails() {
    let sender = Sender::start().await;
    let batch = SqsMessage::new(event(1), sender.world.clock_now()).queue(Queue::Webhooks).alone().to_string();
    sender.world.system.aws.fail(Fault::refuse("dynamodb:GetItem", ALL));
    let reply = sender.world.system.functions.get(Function::PostWebhook).invoke(batch.into()).await;
    assert!(matches!(reply, Err(InvokeError::Failed { .. })), "{reply:?}");
}

#[tokio::test]
async fn nothing_is_posted_and_no_attempt_counts_while_the_secret_cannot_be_read() {
    is_not_posted_while("secretsmanager:GetSecretValue").await;
}

#[tokio::test]
async fn nothing_is_posted_again_while_the_earlier_posts_cannot_be_counted() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    sender.world.system.aws.fail(Fault::refuse("dynamodb:Query", ALL));
    sender.after(10).await;
    assert_eq!((sender.posts(), sender.depth().hidden), (1, 1));
    sender.world.system.aws.clear_faults();
    sender.after(VISIBILITY_TIMEOUT).await;
    assert_eq!((sender.posts(), sender.attempts(1).await.len()), (2, 2));
}

#[tokio::test]
async fn a_post_that_cannot_be_recorded_is_followed_by_the_next_one_in_its_time() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.world.system.aws.fail(Fault::refuse("dynamodb:PutItem", ALL));
    sender.after(0).await;
    sender.world.system.aws.clear_faults();
    assert_eq!((sender.posts(), sender.attempts(1).await.len(), sender.depth().hidden), (1, 0, 1));
    sender.after(7).await;
    assert_eq!((sender.posts(), sender.attempts(1).await.len()), (2, 1), "not after the visibility timeout");
    sender.answer(204);
    sender.world.system.aws.fail(Fault::refuse("dynamodb:PutItem", ALL));
    sender.after(HOUR).await;
    assert_eq!((sender.posts(), sender.depth()), (3, Depth::default()), "an accepted event is not posted again");
}

#[tokio::test]
async fn a_message_that_sqs_did_not_hide_is_not_posted_before_its_time() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    sender.world.system.aws.fail(Fault::refuse("sqs:ChangeMessageVisibility", 3));
    sender.after(7).await;
    assert_eq!(sender.posts(), 2);
    let next = sender.attempts(1).await[1].next_attempt_at.unwrap();
    let pause = u64::try_from(next.duration_since(sender.world.clock_now()).as_secs()).unwrap();
    sender.after(VISIBILITY_TIMEOUT).await;
    assert_eq!(sender.posts(), 2, "the message comes too early");
    sender.after(pause - VISIBILITY_TIMEOUT - 1).await;
    assert_eq!(sender.posts(), 2);
    sender.after(2).await;
    assert_eq!(sender.posts(), 3);
}

#[tokio::test]
async fn a_message_that_the_dead_letter_queue_did_not_take_is_moved_later_and_not_posted_again() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    for pause in &PAUSES[..10] {
        sender.after(pause * 6 / 5 + 1).await;
    }
    sender.world.system.aws.fail(Fault::refuse("sqs:SendMessage", ALL));
    sender.after(15 * HOUR).await;
    assert_eq!((sender.posts(), sender.depth()), (12, Depth { visible: 0, hidden: 1, dead: 0 }));
    sender.world.system.aws.clear_faults();
    sender.after(VISIBILITY_TIMEOUT).await;
    assert_eq!((sender.posts(), sender.depth()), (12, Depth { visible: 0, hidden: 0, dead: 1 }));
}

/// A post and what follows it take up to 21 seconds. Reading the health, or fetching the keys, has taken 15 of the invocation's
/// 29.
#[tokio::test]
async fn no_post_is_begun_with_too_little_time_left() {
    for slow in ["post-webhook dynamodb:GetItem", "post-webhook secretsmanager:GetSecretValue"] {
        let sender = Sender::start().await;
        sender.after(HOUR).await; // The keys that were fetched at the start are too old.
        sender.send(1);
        let clock = sender.world.clock.clone();
        sender.world.system.aws.observe(Some(Arc::new(move |moment, name: &str| {
            if moment == Moment::After && name == slow {
                clock.advance(Duration::from_secs(15));
            }
            Box::pin(async {})
        })));
        sender.after(0).await;
        assert_eq!((sender.posts(), sender.depth().hidden), (0, 1), "{slow}");
        sender.world.system.aws.observe(None);
        sender.after(VISIBILITY_TIMEOUT).await;
        assert_eq!((sender.posts(), sender.depth()), (1, Depth::default()), "{slow}");
    }
}

/// DynamoDB answers only after SQS has hidden the message.
#[tokio::test]
async fn a_table_that_is_slow_does_not_keep_a_message_from_being_hidden() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    let is_hidden = watch::Sender::new(false);
    sender.world.system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        if moment == Moment::After && name == "post-webhook sqs:ChangeMessageVisibility" {
            is_hidden.send_replace(true);
        }
        let mut hidden = is_hidden.subscribe();
        let waits = name == "post-webhook dynamodb:PutItem";
        Box::pin(async move {
            if waits {
                let _ = hidden.wait_for(|hidden| *hidden).await;
            }
        })
    })));
    tokio::time::timeout(Duration::from_secs(20), sender.after(0)).await.expect("the message is hidden");
    assert_eq!((sender.attempts(1).await.len(), sender.depth().hidden), (1, 1));
    sender.after(7).await;
    assert_eq!(sender.posts(), 2);
}

/// The answer comes when one of the invocation's seconds is left.
#[tokio::test]
async fn an_attempt_that_cannot_be_recorded_in_time_is_given_up_and_the_message_is_done() {
    let sender = Sender::start().await;
    sender.receiver().answer(Answer::NotYet);
    sender.send(1);
    sender.world.system.aws.observe(Some(Arc::new(|moment, name: &str| {
        let hangs = moment == Moment::Before && name == "post-webhook dynamodb:PutItem";
        Box::pin(async move {
            if hangs {
                std::future::pending().await
            }
        })
    })));
    let meanwhile = async {
        sender.receiver().has_seen(1).await;
        sender.world.clock.advance(Duration::from_secs(28));
        sender.answer(204);
    };
    let done = async { futures::join!(sender.world.run_until_idle(), meanwhile) };
    tokio::time::timeout(Duration::from_secs(3), done).await.expect("it does not wait for DynamoDB's answer");
    assert_eq!((sender.posts(), sender.depth()), (1, Depth::default()));
}

#[tokio::test]
async fn a_message_without_an_event_is_moved_when_the_dead_letter_queue_takes_it() {
    let sender = Sender::start().await;
    sender.world.enqueue(Queue::Webhooks, "no event");
    sender.world.system.aws.fail(Fault::refuse("sqs:SendMessage", ALL));
    sender.after(0).await;
    assert_eq!(sender.depth().hidden, 1);
    sender.world.system.aws.clear_faults();
    sender.after(VISIBILITY_TIMEOUT).await;
    assert_eq!((sender.posts(), sender.depth().dead), (0, 1));
}
