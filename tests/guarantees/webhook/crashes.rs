//! The function's process is killed before and after every call that it sends, at one point in each run.

use local::{Depth, names::Queue};
use tests::Answer;

use super::*;

/// More points than any walk has.
const MAX_POINTS: usize = 200;

/// Runs the walk once for each point, with an event of that number.
async fn at_every_point(at_least: usize, walk: impl AsyncFn(&Sender, usize)) {
    let sender = Sender::of(World::builder().crashes()).await;
    for point in 0..MAX_POINTS {
        // Let all caches expire, so that each run starts with empty ones.
        sender.after(HOUR).await;
        sender.world.crashes.arm(point);
        walk(&sender, point).await;
        let Some(trace) = sender.world.crashes.trace() else {
            assert!(point >= at_least, "there are {point} points only");
            return;
        };
        println!("{point}: {}", trace.last().unwrap());
    }
    panic!("there are always more points");
}

#[tokio::test]
async fn killed_anywhere_an_event_is_posted_until_it_is_accepted() {
    at_every_point(12, async |sender, number| {
        sender.answer(500);
        sender.send(number);
        sender.after(0).await;
        for _ in 0..2 {
            sender.after(15 * MINUTE).await;
        }
        sender.answer(204);
        for _ in 0..2 {
            sender.after(HOUR).await;
        }
        assert_eq!(sender.depth(), Depth::default(), "nothing is left");
        let (posts, attempts) = (sender.posts_of(number).len(), sender.attempts(number).await);
        assert!((3..=5).contains(&posts), "{posts} posts");
        assert!(attempts.len() <= posts && attempts.len() + 1 >= posts, "{posts} posts, {attempts:?}");
        assert_eq!(attempts.last().unwrap().status_code, Some(204), "{attempts:?}");
    })
    .await;
}

/// Of a batch of five, four are accepted while the receiver does not answer to the fifth.
#[tokio::test]
async fn killed_anywhere_an_event_whose_acceptance_is_recorded_is_not_posted_again() {
    at_every_point(10, async |sender, number| {
        let numbers = number * 5..number * 5 + 5;
        let hanging = number * 5;
        sender.receiver().answer_event(&event_id(hanging), Answer::NotYet);
        numbers.clone().for_each(|number| sender.send(number));
        let until_four_are_recorded = async {
            for number in numbers.clone().skip(1) {
                while sender.attempts(number).await.is_empty() {}
            }
            sender.receiver().answer_event(&event_id(hanging), Answer::Status(204));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = sender.after(0) => {}
            () = until_four_are_recorded => {}
        }
        sender.receiver().answer_event(&event_id(hanging), Answer::Status(204));
        for _ in 0..3 {
            sender.after(5 * MINUTE).await;
        }
        assert_eq!(sender.depth(), Depth::default(), "nothing is left");
        for number in numbers {
            let (posts, attempts) = (sender.posts_of(number).len(), sender.attempts(number).await);
            assert!((1..=2).contains(&posts) && attempts.len() == 1, "{posts} posts, {attempts:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn killed_anywhere_an_event_that_nobody_accepts_becomes_a_dead_letter() {
    at_every_point(40, async |sender, number| {
        sender.answer(500);
        sender.send(number);
        sender.after(0).await;
        // A process that is killed costs the queue's visibility timeout, and at most one more post.
        for pause in PAUSES.iter().chain(&[4 * MINUTE, 12 * HOUR]) {
            sender.after(pause * 6 / 5 + 200).await;
        }
        let depth = sender.depth();
        assert_eq!((depth.visible, depth.hidden), (0, 0));
        assert!((1..=2).contains(&depth.dead), "{depth:?}");
        let posts = sender.posts_of(number).len();
        assert!((12..=13).contains(&posts), "{posts} posts");
        sender.answer(204);
        sender.world.system.queues.redrive(Queue::Webhooks).unwrap();
        sender.after(0).await;
        sender.after(HOUR).await;
        assert_eq!(sender.depth(), Depth::default());
    })
    .await;
}

/// The endpoint is gone, is enabled by hand, and accepts the event. The operator is told of both.
#[tokio::test]
async fn killed_anywhere_a_disabled_endpoint_loses_no_event_and_the_operator_is_told() {
    at_every_point(15, async |sender, number| {
        let told = sender.notices().len();
        let sweep_until_told = async |kind: &str| {
            for _ in 0..3 {
                let _ = sender.world.system.sweep().await;
                if sender.kinds_of_notices().split_off(told).last().is_some_and(|told| told == kind) {
                    return;
                }
                sender.after(2 * MINUTE).await;
            }
        };
        sender.answer(410);
        sender.send(number);
        for _ in 0..2 {
            sender.after(5 * MINUTE).await;
        }
        assert_eq!(sender.state().await, WebhookStateName::Disabled);
        sweep_until_told("webhook.disabled").await;
        sender.answer(204);
        sender.enable().await;
        for _ in 0..3 {
            sender.after(HOUR).await;
        }
        sweep_until_told("webhook.recovered").await;
        assert_eq!(sender.depth(), Depth::default(), "nothing is left");
        assert_eq!(sender.attempts(number).await.last().unwrap().status_code, Some(204));
        let mut kinds = sender.kinds_of_notices().split_off(told);
        // Told twice only if the process ended between the topic's answer and the write that says so.
        assert!(kinds.len() <= 3, "{kinds:?}");
        kinds.dedup();
        assert_eq!(kinds, ["webhook.disabled", "webhook.recovered"]);
    })
    .await;
}
