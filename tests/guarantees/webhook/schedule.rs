//! When events are posted, and how often.

use jiff::SignedDuration;
use local::{Depth, Message, names::Queue};
use reauth_domain::webhook::EndpointSignal;
use tests::{Answer, BANK, DEMO_USER, broken};

use super::*;

const ONE_WAITS: Depth = Depth { visible: 0, hidden: 1, dead: 0 };
const ONE_IS_DEAD: Depth = Depth { visible: 0, hidden: 0, dead: 1 };

#[tokio::test]
async fn an_event_is_posted_twelve_times_by_the_schedule_and_then_becomes_a_dead_letter() {
    let sender = Sender::start().await;
    sender.answer(503);
    sender.send(1);
    sender.after(0).await;
    for (posts, pause) in (1..).zip(PAUSES) {
        assert_eq!((sender.posts(), sender.depth()), (posts, ONE_WAITS), "one message is in flight");
        // The pause differs by a fifth at most. After it, SQS can be late by the second that the pause is rounded to.
        sender.after(pause * 4 / 5 - 1).await;
        assert_eq!(sender.posts(), posts, "not before its time: {pause}");
        sender.after(pause * 2 / 5 + 2).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (12, ONE_IS_DEAD));
    sender.after(DAY).await;
    assert_eq!(sender.posts(), 12);

    let attempts = sender.attempts(1).await;
    assert!(attempts.iter().all(|attempt| attempt.status_code == Some(503) && attempt.error.is_none()), "{attempts:?}");
    let planned: Vec<_> = attempts.iter().map(|attempt| attempt.next_attempt_at).collect();
    assert!(planned[..11].iter().all(Option::is_some) && planned[11].is_none(), "{planned:?}");

    sender.answer(204);
    assert_eq!(sender.world.system.queues.redrive(Queue::Webhooks).unwrap(), 1);
    sender.after(0).await;
    assert_eq!((sender.posts(), sender.depth()), (13, Depth::default()));
}

#[tokio::test]
async fn without_a_dead_letter_queue_an_event_stays_on_its_queue_and_is_not_posted_again() {
    let sender = Sender::of(World::builder().setting("WEBHOOKS_DEAD_LETTERS_URL", "")).await;
    sender.answer(503);
    sender.send(1);
    sender.after(0).await;
    for pause in PAUSES {
        sender.after(pause * 6 / 5 + 1).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (12, ONE_WAITS));
    sender.after(HOUR).await;
    assert_eq!((sender.posts(), sender.depth()), (12, ONE_WAITS));
}

#[tokio::test]
async fn a_receiver_that_is_down_for_three_days_gets_each_event_once_when_it_is_up() {
    let sender = Sender::start().await;
    sender.answer(503);
    let accounts = [(0, BANK), (HOUR, "2_demo-hospital"), (30 * HOUR, "3_demo-instagram")];
    let (mut at, down) = (0, 3 * DAY);
    for step in steps(6 * DAY, 10 * MINUTE) {
        if let Some((_, account)) = accounts.iter().find(|(begins, _)| *begins == at) {
            let published = sender.world.published().len();
            sender.world.hand_in(DEMO_USER, None, &broken(account)).await;
            assert_eq!(sender.world.published().len(), published + 1, "the topic has the event at once");
        }
        if at == down {
            sender.answer(204);
        }
        sender.after(step).await;
        at += step;
    }
    let ids: Vec<_> = sender.world.published().into_iter().map(|event| event.event_id).collect();
    assert_eq!((ids.len(), sender.depth()), (3, Depth::default()));
    for id in ids {
        let attempts = sender.store.attempts(&id.parse().unwrap()).await.unwrap();
        let accepted = attempts.iter().filter(|attempt| attempt.status_code == Some(204)).count();
        let posts = sender.receiver().deliveries().iter().filter(|post| post.header("webhook-id") == id).count();
        assert_eq!((accepted, posts), (1, attempts.len()), "{attempts:?}");
        assert!((8..=12).contains(&posts), "{posts} posts");
    }
}

#[tokio::test]
async fn a_receiver_can_ask_for_more_time_but_not_for_more_than_an_hour() {
    let now = "2026-11-23T09:00:00Z".parse::<jiff::Timestamp>().unwrap();
    let date = (now + SignedDuration::from_mins(10)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    // The first pause is at most 6 seconds without it.
    for (retry_after, pause) in [("120".to_owned(), 120), (date, 600), ("86400".to_owned(), 3_600)] {
        let sender = Sender::start().await;
        assert_eq!(sender.world.clock_now(), now);
        sender.receiver().answer(Answer::RetryAfter(429, retry_after.clone()));
        sender.send(1);
        sender.after(0).await;
        sender.after(pause - 1).await;
        assert_eq!(sender.posts(), 1, "{retry_after}");
        sender.after(2).await;
        assert_eq!(sender.posts(), 2, "{retry_after}");
    }
}

#[tokio::test]
async fn a_shorter_time_than_the_schedules_does_not_count() {
    for retry_after in ["0", "1", "Mon, 23 Nov 2026 08:00:00 GMT", "soon", "-1"] {
        let sender = Sender::start().await;
        sender.receiver().answer(Answer::RetryAfter(503, retry_after.to_owned()));
        sender.send(1);
        sender.after(0).await;
        sender.after(3).await;
        assert_eq!(sender.posts(), 1, "{retry_after}");
        sender.after(4).await;
        assert_eq!(sender.posts(), 2, "{retry_after}");
    }
}

#[tokio::test]
async fn the_posts_of_an_event_are_counted_as_long_as_its_message_lives() {
    let sender = Sender::start().await;
    sender.answer(503);
    sender.send(1);
    sender.after(0).await;
    for pause in &PAUSES[..10] {
        sender.after(pause * 6 / 5 + 1).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (11, ONE_WAITS));
    let now = sender.world.clock_now();
    sender.change_health(|health| health.after_post(EndpointSignal::Gone, now, now)).await;
    for step in steps(8 * DAY, 15 * MINUTE) {
        sender.after(step).await;
    }
    assert_eq!((sender.posts(), sender.attempts(1).await.len()), (11, 0), "attempts of the last seven days are shown");
    sender.enable().await;
    sender.after(25 * MINUTE).await;
    assert_eq!((sender.posts(), sender.depth(), sender.attempts(1).await.len()), (12, ONE_IS_DEAD, 1));
}

#[tokio::test]
async fn a_message_that_has_waited_for_thirteen_days_is_kept_as_a_dead_letter() {
    let sender = Sender::start().await;
    sender.answer(410);
    sender.send(1);
    sender.after(0).await;
    for step in steps(13 * DAY, 15 * MINUTE) {
        sender.after(step).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (1, ONE_WAITS));
    sender.after(25 * MINUTE).await;
    assert_eq!((sender.posts(), sender.depth()), (1, ONE_IS_DEAD));
    sender.after(2 * DAY).await;
    sender.world.system.queues.expire().unwrap();
    assert_eq!(sender.depth(), ONE_IS_DEAD, "it is a new message, which SQS keeps for 14 days");
}

#[tokio::test]
async fn a_message_that_would_wait_for_more_than_thirteen_days_for_its_next_post_is_given_up() {
    let sender = Sender::start().await;
    let now = sender.world.clock_now();
    sender.change_health(|health| health.after_post(EndpointSignal::Gone, now, now)).await;
    sender.send(1);
    sender.after(0).await;
    for step in steps(13 * DAY - HOUR, 15 * MINUTE) {
        sender.after(step).await;
    }
    sender.enable().await;
    sender.receiver().answer(Answer::RetryAfter(503, "3600".to_owned()));
    for step in steps(HOUR - 25 * MINUTE, 5 * MINUTE) {
        sender.after(step).await;
    }
    assert_eq!((sender.posts(), sender.depth()), (1, ONE_IS_DEAD));
}

#[tokio::test]
async fn a_dead_letter_is_the_message_with_its_attributes() {
    let sender = Sender::start().await;
    sender.world.enqueue(Queue::Webhooks, "no event");
    sender.send(1);
    sender.answer(503);
    sender.after(0).await;
    for pause in PAUSES {
        sender.after(pause * 6 / 5 + 1).await;
    }
    let mut dead = sender.world.system.queues.dead_letters(Queue::Webhooks, 10).unwrap();
    dead.reverse();
    let bodies: Vec<_> = dead.iter().map(|message: &Message| message.body.clone()).collect();
    assert_eq!(bodies, ["no event".to_owned(), event(1).to_string()]);
    assert_eq!(dead[1].attributes["eventId"], event_id(1));
    assert!(dead[0].sent_at < dead[1].sent_at, "a message without an event is given up at once");
}
