use std::time::Duration;

use super::{testing::*, *};

const QUEUE: Queue = Queue::ReadResults;

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[test]
fn messages_are_received_in_order_and_hidden_from_the_next_consumer() {
    let queues = queues(&TestClock::new(), QueueSettings::default());
    for body in ["a", "b", "c"] {
        queues.send(QUEUE, body).unwrap();
    }
    assert_eq!(bodies(&queues.receive(QUEUE, 2).unwrap()), ["a", "b"]);
    assert_eq!(bodies(&queues.receive(QUEUE, 2).unwrap()), ["c"]);
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, hidden: 3, dead: 0 });
    assert!(queues.receive(Queue::Notifications, 10).unwrap().is_empty());
}

#[test]
fn a_message_is_visible_again_when_its_consumer_does_not_finish() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    queues.send(QUEUE, "a").unwrap();
    let lost = queues.receive(QUEUE, 1).unwrap().remove(0);
    clock.advance(Duration::from_secs(60));
    let again = queues.receive(QUEUE, 1).unwrap().remove(0);
    assert_eq!(again.receive_count, 2);
    assert_eq!(again.sent_at, lost.sent_at);
    assert_eq!(again.first_received_at, lost.first_received_at);

    // The first consumer is too late: another consumer has received the message.
    queues.delete(&lost).unwrap();
    assert_eq!(queues.depth(QUEUE).unwrap().hidden, 1);
    queues.delete(&again).unwrap();
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth::default());
}

#[test]
fn a_failed_message_waits_for_its_retry_delay() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    queues.send(QUEUE, "a").unwrap();
    let message = queues.receive(QUEUE, 1).unwrap().remove(0);
    queues.release(QUEUE, &message, None).unwrap();
    assert!(queues.receive(QUEUE, 1).unwrap().is_empty());
    clock.advance(Duration::from_secs(2));
    assert_eq!(queues.receive(QUEUE, 1).unwrap().len(), 1);
}

#[test]
fn a_message_that_failed_five_times_is_a_dead_letter_until_it_is_redriven() {
    let settings = QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() };
    let queues = queues(&TestClock::new(), settings);
    queues.send(QUEUE, "bad").unwrap();
    for _ in 0..5 {
        let message = queues.receive(QUEUE, 10).unwrap().remove(0);
        queues.release(QUEUE, &message, None).unwrap();
    }
    assert!(queues.receive(QUEUE, 10).unwrap().is_empty());
    assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, hidden: 0, dead: 1 });
    assert_eq!(queues.dead_letters(QUEUE, 10).unwrap()[0].receive_count, 5);

    assert_eq!(queues.redrive(QUEUE).unwrap(), 1);
    assert_eq!(queues.receive(QUEUE, 10).unwrap()[0].receive_count, 1);
    assert!(queues.dead_letters(QUEUE, 10).unwrap().is_empty());
}

#[test]
fn a_redriven_message_is_a_new_one_with_the_old_body() {
    let (clock, settings) =
        (TestClock::new(), QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() });
    let queues = queues(&clock, settings);
    let id = queues.send(QUEUE, "bad").unwrap();
    while let Some(message) = queues.receive(QUEUE, 10).unwrap().pop() {
        queues.release(QUEUE, &message, None).unwrap();
    }
    let dead = queues.dead_letters(QUEUE, 10).unwrap().remove(0);
    clock.advance(Duration::from_secs(3_600));
    queues.send(QUEUE, "meanwhile").unwrap();
    queues.redrive(QUEUE).unwrap();
    let redriven = queues.receive(QUEUE, 10).unwrap().pop().unwrap();
    assert_ne!(redriven.message_id, id);
    assert_eq!(redriven.sent_at, dead.sent_at + Duration::from_secs(3_600));
    assert_eq!(redriven.body, dead.body);
}

/// Sends a message, and receives it.
fn received(queues: &Queues) -> Message {
    queues.send(Queue::Webhooks, "event").unwrap();
    queues.receive(Queue::Webhooks, 10).unwrap().remove(0)
}

fn hide(queues: &Queues, message: &Message, hours: u64) -> Result<(), VisibilityError> {
    let handle = message.receipt_handle.as_deref().unwrap();
    queues.change_visibility(Queue::Webhooks, handle, Duration::from_secs(hours * 3_600))
}

#[test]
fn a_failed_message_stays_hidden_until_the_time_that_its_function_has_set() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    let message = received(&queues);
    hide(&queues, &message, 5).unwrap();
    queues.release(Queue::Webhooks, &message, None).unwrap();
    clock.advance(Duration::from_secs(5 * 3_600 - 1));
    assert!(queues.receive(Queue::Webhooks, 10).unwrap().is_empty());
    clock.advance(Duration::from_secs(1));
    let message = queues.receive(Queue::Webhooks, 10).unwrap().remove(0);
    assert_eq!(message.receive_count, 2);

    // The time counts for one receipt.
    queues.release(Queue::Webhooks, &message, None).unwrap();
    clock.advance(Duration::from_secs(180));
    assert_eq!(queues.receive(Queue::Webhooks, 10).unwrap().len(), 1);
}

#[test]
fn a_message_is_hidden_for_twelve_hours_from_its_receipt_at_most() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    let message = received(&queues);
    clock.advance(Duration::from_secs(1));
    assert!(matches!(hide(&queues, &message, 12), Err(VisibilityError::TooLong)));
    hide(&queues, &message, 11).unwrap();
    clock.advance(Duration::from_secs(2 * 3_600));
    assert!(matches!(hide(&queues, &message, 11), Err(VisibilityError::TooLong)));
}

#[test]
fn the_visibility_of_a_message_changes_only_while_it_is_in_flight() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    let message = received(&queues);
    clock.advance(Duration::from_secs(180));
    assert!(matches!(hide(&queues, &message, 1), Err(VisibilityError::NotInFlight)));
    let again = queues.receive(Queue::Webhooks, 10).unwrap().remove(0);
    assert!(matches!(hide(&queues, &message, 1), Err(VisibilityError::UnknownHandle)));
    queues.delete(&again).unwrap();
    assert!(matches!(hide(&queues, &again, 1), Err(VisibilityError::UnknownHandle)));
}

#[test]
fn a_message_that_is_sent_to_the_dead_letter_queue_can_be_redriven() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    let attributes = BTreeMap::from([("eventId".to_owned(), "evt_1".to_owned())]);
    queues.send_dead_letter(Queue::Webhooks, "event", &attributes).unwrap();
    assert!(queues.receive(Queue::Webhooks, 10).unwrap().is_empty());
    assert!(queues.explain_dead_letters(Queue::Webhooks, "event", queues.now(), Some("refused")).unwrap());
    assert!(!queues.explain_dead_letters(Queue::Webhooks, "another", queues.now(), None).unwrap());
    let dead = queues.dead_letters(Queue::Webhooks, 10).unwrap().remove(0);
    assert_eq!((dead.attributes, dead.cause.as_deref()), (attributes.clone(), Some("refused")));
    assert_eq!(queues.redrive(Queue::Webhooks).unwrap(), 1);
    assert_eq!(queues.receive(Queue::Webhooks, 10).unwrap()[0].attributes, attributes);
}

#[test]
fn a_batch_stays_below_the_size_limit_of_an_event() {
    let queues = queues(&TestClock::new(), QueueSettings::default());
    for _ in 0..6 {
        queues.send(QUEUE, &"x".repeat(1024 * 1024)).unwrap();
    }
    assert_eq!(queues.receive(QUEUE, 10).unwrap().len(), 4);
    assert_eq!(queues.receive(QUEUE, 10).unwrap().len(), 2);
}

#[test]
fn a_restart_keeps_messages_hidden_that_their_function_has_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (path, clock) = (folder.path().join("queues.sqlite"), TestClock::new());
    let open = || Queues::open(Some(&path), clock.ambient(), QueueSettings::default()).unwrap();
    let queues = open();
    hide(&queues, &received(&queues), 1).unwrap();
    drop(queues);
    let queues = open();
    assert!(queues.receive(Queue::Webhooks, 10).unwrap().is_empty());
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(queues.receive(Queue::Webhooks, 10).unwrap().len(), 1);
}

#[test]
fn a_restart_keeps_the_messages_and_makes_those_in_flight_visible() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queues.sqlite");
    let clock = TestClock::new();
    let open = || Queues::open(Some(&path), clock.ambient(), QueueSettings::default()).unwrap();
    let queues = open();
    queues.send(QUEUE, "a").unwrap();
    queues.send(QUEUE, "b").unwrap();
    queues.receive(QUEUE, 1).unwrap();
    drop(queues);
    assert_eq!(bodies(&open().receive(QUEUE, 10).unwrap()), ["a", "b"]);
}

#[test]
fn messages_are_dropped_after_two_weeks() {
    let clock = TestClock::new();
    let queues = queues(&clock, QueueSettings::default());
    queues.send(QUEUE, "old").unwrap();
    clock.advance(Duration::from_secs(15 * 24 * 3600));
    queues.send(QUEUE, "new").unwrap();
    assert_eq!(queues.expire().unwrap(), 1);
    assert_eq!(bodies(&queues.messages(QUEUE, 10).unwrap()), ["new"]);
}

#[test]
fn one_dead_letter_is_redriven_and_keeps_its_last_cause_until_then() {
    let settings = QueueSettings { retry_delay: Duration::ZERO, max_receive_count: 2, ..QueueSettings::default() };
    let queues = queues(&TestClock::new(), settings);
    for body in ["a", "b"] {
        queues.send(QUEUE, body).unwrap();
    }
    for cause in [Some("it broke"), None] {
        for message in queues.receive(QUEUE, 10).unwrap() {
            queues.release(QUEUE, &message, cause).unwrap();
        }
    }
    assert!(queues.receive(QUEUE, 10).unwrap().is_empty());
    let dead = queues.dead_letters_page(QUEUE, 1, 10).unwrap().remove(0);
    assert_eq!((dead.body.as_str(), dead.cause.as_deref()), ("a", Some("it broke")));
    let (queue, found) = queues.dead_letter(&dead.message_id).unwrap().unwrap();
    assert_eq!((queue, &found), (QUEUE, &dead));
    assert_eq!(queues.redrive_messages(QUEUE, Some(&dead.message_id)).unwrap(), 1);
    assert_eq!(bodies(&queues.dead_letters(QUEUE, 10).unwrap()), ["b"]);
    let redriven = queues.receive(QUEUE, 10).unwrap().remove(0);
    assert_eq!((redriven.body.as_str(), redriven.cause), ("a", None));
    assert!(queues.dead_letter(&dead.message_id).unwrap().is_none());
}
