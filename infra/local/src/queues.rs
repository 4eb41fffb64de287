//! The queues with their dead-letter queues: the part of SQS that this system uses.

use std::{sync::Arc, time::Duration};

use digime::ambient::Ambient;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    ids::{random_hex, uuid},
    names::Queue,
    store::{Store, StoreError},
};

/// 14 days, the longest retention of SQS, for messages and for dead letters.
const RETENTION: SignedDuration = SignedDuration::from_hours(14 * 24);

/// In bytes, of all bodies of a batch. Lambda accepts events of up to 6 MB; the rest is for the fields around the
/// bodies.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The redelivery settings of the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// How long a received message stays hidden if its consumer neither deletes nor releases it.
    pub visibility_timeout: Duration,
    /// How long a failed message stays hidden. On AWS it is minutes; in tests it is zero.
    pub retry_delay: Duration,
    pub max_receive_count: u32,
    /// How long a received message of `Webhooks` stays hidden, whether it failed or its consumer neither deleted nor
    /// released it.
    pub webhook_retry_interval: Duration,
    pub webhook_max_receive_count: u32,
}

/// The settings of one queue.
struct Redelivery {
    visibility_timeout: Duration,
    retry_delay: Duration,
    max_receive_count: u32,
}

impl QueueSettings {
    fn of(&self, queue: Queue) -> Redelivery {
        match queue {
            Queue::ReadResults | Queue::Notifications => Redelivery {
                visibility_timeout: self.visibility_timeout,
                retry_delay: self.retry_delay,
                max_receive_count: self.max_receive_count,
            },
            Queue::Webhooks => Redelivery {
                visibility_timeout: self.webhook_retry_interval,
                retry_delay: self.webhook_retry_interval,
                max_receive_count: self.webhook_max_receive_count,
            },
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            visibility_timeout: Duration::from_secs(60),
            retry_delay: Duration::from_secs(2),
            max_receive_count: 5,
            // As in `template.yaml`.
            webhook_retry_interval: Duration::from_secs(900),
            webhook_max_receive_count: 192,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewMessage {
    pub body: String,
    /// Message attributes in SQS's JSON: name → `{DataType, StringValue}`.
    pub attributes: Map<String, Value>,
    pub sender: String,
    /// How long the message stays hidden after it is sent.
    pub delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub message_id: String,
    /// Needed to delete the message. Each receive gives the message a new handle.
    pub receipt_handle: Option<String>,
    pub body: String,
    /// Message attributes in SQS's JSON.
    pub attributes: Map<String, Value>,
    pub sender: String,
    pub sent_at: Timestamp,
    pub receive_count: u32,
    pub first_received_at: Option<Timestamp>,
}

/// The number of messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Messages that can be received now.
    pub visible: u64,
    /// Messages that are hidden: they are being processed, or wait for a retry.
    pub hidden: u64,
    /// Messages in the dead-letter queue.
    pub dead: u64,
}

#[derive(Clone)]
pub struct Queues {
    store: Arc<Store>,
    ambient: Ambient,
    settings: QueueSettings,
}

impl Queues {
    /// Opens the queues of the store. Messages that were being processed when the previous process ended become
    /// visible.
    pub fn new(store: Arc<Store>, ambient: Ambient, settings: QueueSettings) -> Result<Self, StoreError> {
        let queues = Self { store, ambient, settings };
        let now = milliseconds(queues.now());
        queues.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET visible_at = ?1, receipt_handle = NULL WHERE receipt_handle IS NOT NULL",
                params![now],
            )
        })?;
        Ok(queues)
    }

    /// Sends a message and returns its id.
    pub fn send(&self, queue: Queue, message: &NewMessage) -> Result<String, StoreError> {
        self.store.transaction(|transaction| insert(transaction, &self.ambient, queue, message))
    }

    /// Receives up to `max` visible messages, oldest first, and hides them. Messages that were received too often move
    /// to the dead-letter queue instead.
    pub fn take(&self, queue: Queue, max: usize) -> Result<Vec<Message>, StoreError> {
        let now = self.now();
        let redelivery = self.settings.of(queue);
        let hidden_until = milliseconds(now + redelivery.visibility_timeout);
        let now = milliseconds(now);
        self.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET dead_at = ?1, receipt_handle = NULL
                 WHERE queue = ?2 AND dead_at IS NULL AND visible_at <= ?1 AND receive_count >= ?3",
                params![now, queue.name(), redelivery.max_receive_count],
            )?;
            let mut statement = transaction.prepare_cached(
                "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NULL AND visible_at <= ?2
                 ORDER BY sequence LIMIT ?3",
            )?;
            let limit = i64::try_from(max).unwrap_or(i64::MAX);
            let mut rows = statement.query(params![queue.name(), now, limit])?;
            let mut taken = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let mut message = read(row)?;
                bytes += message.body.len();
                if !taken.is_empty() && bytes > BATCH_BYTES {
                    break;
                }
                message.receive_count += 1;
                message.first_received_at.get_or_insert(timestamp(now));
                message.receipt_handle = Some(random_hex::<32>(&self.ambient));
                taken.push(message);
            }
            for message in &taken {
                transaction.execute(
                    "UPDATE messages SET visible_at = ?2, receive_count = ?3, first_received_at = ?4, receipt_handle = ?5
                     WHERE message_id = ?1",
                    params![
                        message.message_id,
                        hidden_until,
                        message.receive_count,
                        message.first_received_at.map(milliseconds),
                        message.receipt_handle,
                    ],
                )?;
            }
            Ok(taken)
        })
    }

    /// Deletes a processed message. A message that another consumer has received since then stays.
    pub fn delete(&self, message: &Message) -> Result<(), StoreError> {
        self.store.transaction(|transaction| {
            transaction.execute("DELETE FROM messages WHERE receipt_handle = ?1", params![message.receipt_handle])
        })?;
        Ok(())
    }

    /// Releases a failed message. It becomes visible after the retry delay.
    pub fn release(&self, queue: Queue, message: &Message) -> Result<(), StoreError> {
        let visible_at = milliseconds(self.now() + self.settings.of(queue).retry_delay);
        self.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET visible_at = ?2, receipt_handle = NULL WHERE receipt_handle = ?1",
                params![message.receipt_handle, visible_at],
            )
        })?;
        Ok(())
    }

    pub fn depth(&self, queue: Queue) -> Result<Depth, StoreError> {
        let now = milliseconds(self.now());
        self.store.transaction(|transaction| {
            transaction.query_row(
                "SELECT COUNT(*) FILTER (WHERE dead_at IS NULL AND visible_at <= ?2),
                        COUNT(*) FILTER (WHERE dead_at IS NULL AND visible_at > ?2),
                        COUNT(*) FILTER (WHERE dead_at IS NOT NULL)
                 FROM messages WHERE queue = ?1",
                params![queue.name(), now],
                |row| Ok(Depth { visible: row.get(0)?, hidden: row.get(1)?, dead: row.get(2)? }),
            )
        })
    }

    /// The messages of a queue, oldest first. Does not receive them.
    pub fn messages(&self, queue: Queue, limit: u32) -> Result<Vec<Message>, StoreError> {
        self.list(
            "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NULL ORDER BY sequence LIMIT ?2",
            queue,
            limit,
        )
    }

    /// The messages of the queue's dead-letter queue, newest first.
    pub fn dead_letters(&self, queue: Queue, limit: u32) -> Result<Vec<Message>, StoreError> {
        self.list(
            "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NOT NULL ORDER BY dead_at DESC, sequence DESC LIMIT ?2",
            queue,
            limit,
        )
    }

    /// Moves all dead letters back to their queue, oldest first, and returns their number. As on SQS, each becomes a
    /// new message with a new id, a new sent time and a receive count of 0.
    pub fn redrive(&self, queue: Queue) -> Result<usize, StoreError> {
        self.store.transaction(|transaction| {
            let dead: Vec<Message> = transaction
                .prepare_cached("SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NOT NULL ORDER BY sequence")?
                .query_map(params![queue.name()], read)?
                .collect::<rusqlite::Result<_>>()?;
            for Message { message_id, body, attributes, sender, .. } in &dead {
                let (body, attributes, sender) = (body.clone(), attributes.clone(), sender.clone());
                let message = NewMessage { body, attributes, sender, delay: Duration::ZERO };
                insert(transaction, &self.ambient, queue, &message)?;
                transaction.execute("DELETE FROM messages WHERE message_id = ?1", params![message_id])?;
            }
            Ok(dead.len())
        })
    }

    /// Deletes messages that are older than the retention.
    pub fn expire(&self) -> Result<usize, StoreError> {
        let oldest = milliseconds(self.now().saturating_sub(RETENTION).unwrap_or(Timestamp::MIN));
        self.store
            .transaction(|transaction| transaction.execute("DELETE FROM messages WHERE sent_at < ?1", params![oldest]))
    }

    /// Sends the messages and stores the checkpoint of the stream in one transaction.
    pub(crate) fn send_from_stream(
        &self,
        queue: Queue,
        messages: &[NewMessage],
        stream: &str,
        sequence_number: &str,
    ) -> Result<(), StoreError> {
        self.store.transaction(|transaction| {
            for message in messages {
                insert(transaction, &self.ambient, queue, message)?;
            }
            transaction.execute(
                "INSERT INTO checkpoints (stream, sequence_number) VALUES (?1, ?2)
                 ON CONFLICT (stream) DO UPDATE SET sequence_number = excluded.sequence_number",
                params![stream, sequence_number],
            )
        })?;
        Ok(())
    }

    /// The sequence number of the last stream record that was sent.
    pub(crate) fn checkpoint(&self, stream: &str) -> Result<Option<String>, StoreError> {
        self.store.transaction(|transaction| {
            transaction
                .query_row("SELECT sequence_number FROM checkpoints WHERE stream = ?1", params![stream], |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    fn list(&self, query: &str, queue: Queue, limit: u32) -> Result<Vec<Message>, StoreError> {
        self.store.transaction(|transaction| {
            transaction.prepare_cached(query)?.query_map(params![queue.name(), limit], read)?.collect()
        })
    }

    fn now(&self) -> Timestamp {
        self.ambient.now()
    }
}

pub(crate) fn insert(
    transaction: &Transaction<'_>,
    ambient: &Ambient,
    queue: Queue,
    message: &NewMessage,
) -> rusqlite::Result<String> {
    let (message_id, now) = (uuid(ambient), ambient.now());
    transaction.execute(
        "INSERT INTO messages (queue, message_id, body, attributes, sender, sent_at, visible_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            queue.name(),
            message_id,
            message.body,
            Value::Object(message.attributes.clone()).to_string(),
            message.sender,
            milliseconds(now),
            milliseconds(now + message.delay),
        ],
    )?;
    Ok(message_id)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    let attributes: String = row.get("attributes")?;
    Ok(Message {
        message_id: row.get("message_id")?,
        receipt_handle: row.get("receipt_handle")?,
        body: row.get("body")?,
        attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        sender: row.get("sender")?,
        sent_at: timestamp(row.get("sent_at")?),
        receive_count: row.get("receive_count")?,
        first_received_at: row.get::<_, Option<i64>>("first_received_at")?.map(timestamp),
    })
}

fn milliseconds(time: Timestamp) -> i64 {
    time.as_millisecond()
}

fn timestamp(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Mutex;

    use digime::ambient::Clock;

    use super::*;

    /// A clock that the tests set.
    #[derive(Debug, Clone)]
    pub(crate) struct TestClock(Arc<Mutex<Timestamp>>);

    impl TestClock {
        pub(crate) fn new() -> Self {
            Self(Arc::new(Mutex::new("2026-01-02T03:04:05Z".parse().unwrap())))
        }

        pub(crate) fn ambient(&self) -> Ambient {
            Ambient::system().with_clock(Arc::new(self.clone()))
        }

        pub(crate) fn advance(&self, duration: Duration) {
            *self.0.lock().unwrap() += duration;
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    pub(crate) fn queues(clock: &TestClock, settings: QueueSettings) -> Queues {
        Queues::new(Arc::new(Store::memory().unwrap()), clock.ambient(), settings).unwrap()
    }

    pub(crate) fn text(body: &str) -> NewMessage {
        NewMessage { body: body.to_owned(), sender: "test".to_owned(), ..NewMessage::default() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{testing::*, *};

    const QUEUE: Queue = Queue::ReadResults;

    fn bodies(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.body.as_str()).collect()
    }

    #[test]
    fn messages_are_taken_in_order_and_hidden_from_the_next_taker() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        for body in ["a", "b", "c"] {
            queues.send(QUEUE, &text(body)).unwrap();
        }
        assert_eq!(bodies(&queues.take(QUEUE, 2).unwrap()), ["a", "b"]);
        assert_eq!(bodies(&queues.take(QUEUE, 2).unwrap()), ["c"]);
        assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, hidden: 3, dead: 0 });
        assert!(queues.take(Queue::Notifications, 10).unwrap().is_empty());
    }

    #[test]
    fn a_message_comes_back_when_its_taker_does_not() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        queues.send(QUEUE, &text("a")).unwrap();
        let lost = queues.take(QUEUE, 1).unwrap().remove(0);
        clock.advance(Duration::from_secs(60));
        let again = queues.take(QUEUE, 1).unwrap().remove(0);
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
        queues.send(QUEUE, &text("a")).unwrap();
        let message = queues.take(QUEUE, 1).unwrap().remove(0);
        queues.release(QUEUE, &message).unwrap();
        assert!(queues.take(QUEUE, 1).unwrap().is_empty());
        clock.advance(Duration::from_secs(2));
        assert_eq!(queues.take(QUEUE, 1).unwrap().len(), 1);
    }

    #[test]
    fn a_message_that_failed_five_times_is_a_dead_letter_until_it_is_redriven() {
        let settings = QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() };
        let queues = queues(&TestClock::new(), settings);
        queues.send(QUEUE, &text("bad")).unwrap();
        for _ in 0..5 {
            let message = queues.take(QUEUE, 10).unwrap().remove(0);
            queues.release(QUEUE, &message).unwrap();
        }
        assert!(queues.take(QUEUE, 10).unwrap().is_empty());
        assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, hidden: 0, dead: 1 });
        assert_eq!(queues.dead_letters(QUEUE, 10).unwrap()[0].receive_count, 5);

        assert_eq!(queues.redrive(QUEUE).unwrap(), 1);
        assert_eq!(queues.take(QUEUE, 10).unwrap()[0].receive_count, 1);
        assert!(queues.dead_letters(QUEUE, 10).unwrap().is_empty());
    }

    #[test]
    fn a_redriven_message_is_a_new_one_with_the_old_body() {
        let (clock, settings) =
            (TestClock::new(), QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() });
        let queues = queues(&clock, settings);
        let attributes = json!({"kind": {"DataType": "String", "StringValue": "x"}});
        let message = NewMessage { attributes: attributes.as_object().unwrap().clone(), ..text("bad") };
        let id = queues.send(QUEUE, &message).unwrap();
        while let Some(message) = queues.take(QUEUE, 10).unwrap().pop() {
            queues.release(QUEUE, &message).unwrap();
        }
        let dead = queues.dead_letters(QUEUE, 10).unwrap().remove(0);
        clock.advance(Duration::from_secs(3_600));
        queues.send(QUEUE, &text("meanwhile")).unwrap();
        queues.redrive(QUEUE).unwrap();
        let redriven = queues.take(QUEUE, 10).unwrap().pop().unwrap();
        assert_ne!(redriven.message_id, id);
        assert_eq!(redriven.sent_at, dead.sent_at + Duration::from_secs(3_600));
        assert_eq!((&redriven.body, &redriven.attributes), (&dead.body, &dead.attributes));
    }

    #[test]
    fn a_webhook_message_comes_again_every_quarter_of_an_hour_for_two_days() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() });
        queues.send(Queue::Webhooks, &text("event")).unwrap();
        for _ in 0..192 {
            let message = queues.take(Queue::Webhooks, 10).unwrap().remove(0);
            queues.release(Queue::Webhooks, &message).unwrap();
            assert!(queues.take(Queue::Webhooks, 10).unwrap().is_empty());
            clock.advance(Duration::from_secs(900));
        }
        assert!(queues.take(Queue::Webhooks, 10).unwrap().is_empty());
        assert_eq!(queues.depth(Queue::Webhooks).unwrap(), Depth { visible: 0, hidden: 0, dead: 1 });
    }

    #[test]
    fn a_delayed_message_stays_hidden_at_first() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        queues.send(QUEUE, &NewMessage { delay: Duration::from_secs(10), ..text("later") }).unwrap();
        assert!(queues.take(QUEUE, 1).unwrap().is_empty());
        clock.advance(Duration::from_secs(10));
        assert_eq!(queues.take(QUEUE, 1).unwrap().len(), 1);
    }

    #[test]
    fn a_batch_stays_below_what_a_function_takes() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        for _ in 0..6 {
            queues.send(QUEUE, &text(&"x".repeat(1024 * 1024))).unwrap();
        }
        assert_eq!(queues.take(QUEUE, 10).unwrap().len(), 4);
        assert_eq!(queues.take(QUEUE, 10).unwrap().len(), 2);
    }

    #[test]
    fn a_restart_keeps_the_messages_and_shows_those_that_were_being_worked_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("system.sqlite3");
        let clock = TestClock::new();
        let open =
            || Queues::new(Arc::new(Store::open(&path).unwrap()), clock.ambient(), QueueSettings::default()).unwrap();
        let queues = open();
        queues.send(QUEUE, &text("a")).unwrap();
        queues.send(QUEUE, &text("b")).unwrap();
        queues.take(QUEUE, 1).unwrap();
        drop(queues);
        assert_eq!(bodies(&open().take(QUEUE, 10).unwrap()), ["a", "b"]);
    }

    #[test]
    fn messages_are_dropped_after_two_weeks() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        queues.send(QUEUE, &text("old")).unwrap();
        clock.advance(Duration::from_secs(15 * 24 * 3600));
        queues.send(QUEUE, &text("new")).unwrap();
        assert_eq!(queues.expire().unwrap(), 1);
        assert_eq!(bodies(&queues.messages(QUEUE, 10).unwrap()), ["new"]);
    }
}
