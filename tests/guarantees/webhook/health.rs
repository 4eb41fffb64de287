//! The health of the endpoint: when it is disabled, and what the operator is told.

use jiff::SignedDuration;
use local::{Depth, aws::Fault};
use reauth_domain::webhook::{DisabledReason, EndpointSignal, WebhookState};
use tests::{Answer, BANK, DEMO_USER, broken};

use super::*;

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_and_events_wait_until_it_is_enabled() {
    let sender = Sender::start().await;
    sender.answer(410);
    sender.send(1);
    sender.after(0).await;
    let health = sender.health().await;
    assert_eq!((sender.posts(), health.state.reason()), (1, Some(DisabledReason::Gone)));

    sender.answer(204);
    sender.world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(sender.world.published().len(), 1, "the topic has the event at once");
    for step in steps(2 * DAY, 15 * MINUTE) {
        sender.after(step).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (1, Depth { visible: 0, hidden: 2, dead: 0 }));
    assert_eq!(sender.attempts(1).await.len(), 1, "no attempt is made");

    sender.enable().await;
    for step in steps(25 * MINUTE, MINUTE) {
        sender.after(step).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (3, Depth::default()));
    assert_eq!(sender.state().await, WebhookStateName::Active);
}

/// The process that posted it the second time was killed before its reply.
#[tokio::test]
async fn a_message_whose_event_was_accepted_does_not_wait_until_the_endpoint_is_enabled() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    let message_id = sender.world.system.queues.messages(Queue::Webhooks, 1).unwrap().remove(0).message_id;
    let now = sender.world.clock_now();
    let accepted =
        StoredAttempt { attempted_at: now, status_code: Some(204), error: None, response: None, next_attempt_at: None };
    sender.store.record_attempt(&event_id(1).parse().unwrap(), &message_id, 2, &accepted).await.unwrap();
    sender.change_health(|health| health.after_post(EndpointSignal::Gone, now, now)).await;
    sender.after(MINUTE).await;
    assert_eq!((sender.posts(), sender.depth()), (1, Depth::default()));
}

/// The post begins before the endpoint is enabled, and ends after it.
#[tokio::test]
async fn the_answer_to_a_post_that_began_before_the_endpoint_was_enabled_disables_nothing() {
    let sender = Sender::start().await;
    sender.receiver().answer(Answer::NotYet);
    sender.send(1);
    let meanwhile = async {
        sender.receiver().has_seen(1).await;
        let now = sender.world.clock_now();
        sender.change_health(|health| health.after_post(EndpointSignal::Gone, now, now)).await;
        sender.world.advance(1);
        sender.enable().await;
        sender.answer(410);
    };
    futures::join!(sender.world.run_until_idle(), meanwhile);
    assert_eq!((sender.posts(), sender.state().await), (1, WebhookStateName::Active));
    // The next post begins later, and counts.
    sender.after(10).await;
    assert_eq!((sender.posts(), sender.state().await), (2, WebhookStateName::Disabled));
}

#[tokio::test]
async fn an_endpoint_without_a_success_for_five_days_is_disabled() {
    let sender = Sender::start().await;
    sender.answer(500);
    let began = sender.world.clock_now();
    sender.send(0);
    for (number, step) in (1..).zip(steps(5 * DAY + 2 * HOUR, HOUR)) {
        sender.after(step).await;
        // There is always an event on its way.
        if number % 24 == 0 {
            sender.send(number);
        }
    }
    let WebhookState::Disabled { since, reason } = sender.health().await.state else {
        panic!("it is {:?}", sender.health().await)
    };
    assert_eq!(reason, DisabledReason::NoSuccess);
    let late = since.duration_since(began) - SignedDuration::from_hours(5 * 24);
    assert!(!late.is_negative() && late <= SignedDuration::from_hours(1), "{late}");
    let posts = sender.posts();
    sender.after(DAY).await;
    assert_eq!(sender.posts(), posts);
}

/// Posts until the endpoint is failing: its third post fails after more than five minutes.
async fn fail(sender: &Sender, number: usize) {
    sender.answer(500);
    sender.send(number);
    for seconds in [0, 7, 7 * MINUTE] {
        sender.after(seconds).await;
    }
    assert_eq!(sender.state().await, WebhookStateName::Failing);
}

async fn recover(sender: &Sender) {
    sender.answer(204);
    sender.after(HOUR).await;
    assert_eq!(sender.state().await, WebhookStateName::Active);
}

#[tokio::test]
async fn the_operator_is_told_once_when_the_endpoint_begins_to_fail_and_once_when_it_recovers() {
    let sender = Sender::start().await;
    let began = sender.world.clock_now();
    fail(&sender, 1).await;
    for _ in 0..4 {
        sender.world.sweep().await;
        sender.after(MINUTE).await;
    }
    assert_eq!(sender.kinds_of_notices(), ["webhook.failing"]);
    let told = sender.notices().remove(0);
    assert_eq!(
        (&told["data"]["state"], told["data"]["since"].as_str().unwrap().parse().ok()),
        (&json!("failing"), Some(began))
    );
    let message = sender.world.system.alarm_topic.all().remove(0);
    assert_eq!(message.attributes["eventType"], "webhook.failing");

    recover(&sender).await;
    for _ in 0..3 {
        sender.world.sweep().await;
        sender.after(MINUTE).await;
    }
    assert_eq!(sender.kinds_of_notices(), ["webhook.failing", "webhook.recovered"]);
    assert!(sender.notices()[1]["data"]["lastSuccessAt"].is_string());
}

/// The next post can be half an hour later.
#[tokio::test]
async fn the_operator_is_told_within_a_minute_of_five_minutes_without_a_success() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    for step in steps(5 * MINUTE - 20, 20) {
        sender.after(step).await;
        sender.world.sweep().await;
    }
    assert!(sender.notices().is_empty(), "{:?}", sender.notices());
    for step in steps(MINUTE, 20) {
        sender.after(step).await;
        sender.world.sweep().await;
    }
    assert_eq!(sender.kinds_of_notices(), ["webhook.failing"]);
    assert_eq!(sender.state().await, WebhookStateName::Failing);
}

/// The endpoint dies, an event of it becomes a dead letter, and on the sixth day another event is refused once.
#[tokio::test]
async fn days_without_an_event_do_not_disable_an_endpoint() {
    let sender = Sender::start().await;
    sender.answer(500);
    sender.send(1);
    sender.after(0).await;
    for pause in PAUSES {
        sender.after(pause * 6 / 5 + 1).await;
    }
    assert_eq!(sender.depth(), Depth { visible: 0, hidden: 0, dead: 1 });
    sender.after(3 * DAY).await;
    sender.send(2);
    sender.after(0).await;
    assert_eq!((sender.posts(), sender.state().await), (13, WebhookStateName::Failing));
    recover(&sender).await;
}

#[tokio::test]
async fn a_success_ends_a_failure_that_another_function_has_stored_meanwhile() {
    let sender = Sender::start().await;
    sender.send(1);
    sender.after(0).await;
    sender.receiver().answer(Answer::NotYet);
    sender.send(2);
    let meanwhile = async {
        sender.receiver().has_seen(2).await;
        let now = sender.world.clock_now();
        sender.change_health(|health| health.after_post(EndpointSignal::Failed, now, now)).await;
        sender.answer(204);
    };
    futures::join!(sender.world.run_until_idle(), meanwhile);
    assert_eq!((sender.posts(), sender.health().await.failing_since), (2, None));
}

#[tokio::test]
async fn another_endpoint_is_told_as_recovered_only_after_its_first_success() {
    let sender = Sender::start().await;
    sender.answer(410);
    sender.send(1);
    sender.after(0).await;
    sender.world.sweep().await;
    let post = async |signal| {
        let now = sender.world.clock_now();
        let decide = |health: &WebhookHealth| health.after_post(signal, now, now);
        sender.store.change_health("the hash of another URL", NO_DEADLINE, decide).await.unwrap();
        sender.world.sweep().await;
    };
    post(EndpointSignal::Failed).await;
    assert_eq!(sender.kinds_of_notices(), ["webhook.disabled"]);
    post(EndpointSignal::Accepted).await;
    assert_eq!(sender.kinds_of_notices(), ["webhook.disabled", "webhook.recovered"]);
}

#[tokio::test]
async fn sweeps_at_the_same_time_tell_the_operator_once() {
    let sender = Sender::start().await;
    sender.answer(410);
    sender.send(1);
    sender.after(0).await;
    let sweeps = futures::future::join_all((0..4).map(|_| sender.world.system.sweep())).await;
    assert!(sweeps.iter().all(Result::is_ok), "{sweeps:?}");
    assert_eq!(sender.kinds_of_notices(), ["webhook.disabled"]);
    assert_eq!(sender.notices()[0]["data"]["reason"], "gone");
}

#[tokio::test]
async fn a_topic_that_refuses_a_notice_gets_it_from_a_later_sweep() {
    let sender = Sender::start().await;
    sender.answer(410);
    sender.send(1);
    sender.after(0).await;
    sender.world.system.aws.fail(Fault::error("sns:Publish", 400, "AuthorizationError", 1));
    let swept = sender.world.sweep().await;
    assert_eq!((swept["failed"].as_u64(), sender.notices().len()), (Some(0), 0), "the other work of the sweep goes on");
    sender.after(2 * MINUTE).await;
    sender.world.sweep().await;
    assert_eq!(sender.kinds_of_notices(), ["webhook.disabled"]);
}

#[tokio::test]
async fn a_failure_that_ends_before_a_sweep_saw_it_is_not_told() {
    let sender = Sender::start().await;
    fail(&sender, 1).await;
    recover(&sender).await;
    sender.world.sweep().await;
    assert!(sender.notices().is_empty(), "{:?}", sender.notices());
}

#[tokio::test]
async fn a_batch_writes_the_health_of_the_endpoint_once_at_most() {
    let sender = Sender::start().await;
    for expected in [1, 0] {
        sender.world.system.aws.clear_record();
        (0..5).for_each(|number| sender.send(number));
        sender.after(1).await;
        let puts = crate::failures::sent(&sender.world, Function::PostWebhook, "dynamodb:PutItem");
        assert_eq!(puts, 5 + expected, "five attempts, and what the posts show of the endpoint");
    }
}
