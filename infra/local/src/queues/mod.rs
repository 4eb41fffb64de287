//! The queues with their dead-letter queues, as far as this system uses SQS.
//!
//! With a data directory, they are in a file, because nothing would bring back a lost read result or a lost webhook
//! message. See `docs/decisions/0008-local-queues.md`.

mod dead_letters;
mod deliveries;
mod settings;
mod store;
mod visibility;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use digime::ambient::Ambient;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use serde_json::json;

pub(crate) use self::deliveries::{Channel, Delivery};
use self::store::{Store, milliseconds, read, timestamp};
pub(crate) use self::visibility::VisibilityError;
pub use self::{
    settings::{QueueSettings, batch_size},
    store::QueueError,
};
use crate::{
    ids::{random_hex, uuid},
    names::Queue,
};

/// 14 days, the longest retention of SQS, for messages and for dead letters.
const RETENTION: SignedDuration = SignedDuration::from_hours(14 * 24);

/// In bytes, of all bodies of a batch. Lambda accepts events of up to 6 MB; the rest is for the fields around the
/// bodies.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub message_id: String,
    /// Needed to delete the message. Each receive gives the message a new handle.
    pub receipt_handle: Option<String>,
    pub body: String,
    /// The values of the message attributes, which are texts.
    pub attributes: BTreeMap<String, String>,
    pub sent_at: Timestamp,
    pub receive_count: u32,
    pub first_received_at: Option<Timestamp>,
    /// When the message became a dead letter.
    pub dead_at: Option<Timestamp>,
    /// Why its last processing failed, as far as that is known.
    pub cause: Option<String>,
}

/// The number of messages in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
    /// Opens the queues of a file, or in memory without a path. Messages that were being processed when the previous
    /// process ended become visible, unless their function has hidden them until another time.
    pub(crate) fn open(path: Option<&Path>, ambient: Ambient, settings: QueueSettings) -> Result<Self, QueueError> {
        let queues = Self { store: Arc::new(Store::open(path)?), ambient, settings };
        let now = milliseconds(queues.now());
        queues.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET receipt_handle = NULL, visible_at = CASE visibility_set WHEN 0 THEN ?1 ELSE visible_at END
                 WHERE receipt_handle IS NOT NULL",
                params![now],
            )
        })?;
        Ok(queues)
    }

    /// Sends a message and returns its id.
    pub fn send(&self, queue: Queue, body: &str) -> Result<String, QueueError> {
        self.send_with(queue, body, &BTreeMap::new())
    }

    /// Sends a message with attributes and returns its id.
    pub fn send_with(
        &self,
        queue: Queue,
        body: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<String, QueueError> {
        self.store.transaction(|transaction| self.insert(transaction, queue, body, attributes))
    }

    /// Sends all messages or, after an error, none.
    pub(crate) fn send_all(&self, queue: Queue, bodies: &[String]) -> Result<(), QueueError> {
        self.store.transaction(|transaction| {
            bodies.iter().try_for_each(|body| self.insert(transaction, queue, body, &BTreeMap::new()).map(drop))
        })
    }

    /// Receives up to `max` visible messages, oldest first, and hides them. Messages that were received too often move
    /// to the dead-letter queue instead.
    pub fn receive(&self, queue: Queue, max: usize) -> Result<Vec<Message>, QueueError> {
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
            let mut received = Vec::new();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                let mut message = read(row)?;
                bytes += message.body.len();
                if !received.is_empty() && bytes > BATCH_BYTES {
                    break;
                }
                message.receive_count += 1;
                message.first_received_at.get_or_insert(timestamp(now));
                message.receipt_handle = Some(random_hex::<32>(&self.ambient));
                received.push(message);
            }
            for message in &received {
                transaction.execute(
                    "UPDATE messages SET visible_at = ?2, receive_count = ?3, first_received_at = ?4, receipt_handle = ?5,
                     received_at = ?6, visibility_set = 0 WHERE message_id = ?1",
                    params![
                        message.message_id,
                        hidden_until,
                        message.receive_count,
                        message.first_received_at.map(milliseconds),
                        message.receipt_handle,
                        now,
                    ],
                )?;
            }
            Ok(received)
        })
    }

    /// Deletes a processed message. A message that another consumer has received since then stays.
    pub fn delete(&self, message: &Message) -> Result<(), QueueError> {
        self.store.transaction(|transaction| {
            transaction.execute("DELETE FROM messages WHERE receipt_handle = ?1", params![message.receipt_handle])
        })?;
        Ok(())
    }

    /// Releases a failed message. It becomes visible after the retry delay, or when its function said. Without a cause, it
    /// keeps that of an earlier failure.
    pub fn release(&self, queue: Queue, message: &Message, cause: Option<&str>) -> Result<(), QueueError> {
        let visible_at = milliseconds(self.now() + self.settings.of(queue).retry_delay);
        self.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET receipt_handle = NULL, cause = COALESCE(?3, cause),
                 visible_at = CASE visibility_set WHEN 0 THEN ?2 ELSE visible_at END WHERE receipt_handle = ?1",
                params![message.receipt_handle, visible_at, cause],
            )
        })?;
        Ok(())
    }

    pub fn depth(&self, queue: Queue) -> Result<Depth, QueueError> {
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
    pub fn messages(&self, queue: Queue, limit: usize) -> Result<Vec<Message>, QueueError> {
        self.list(
            "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NULL ORDER BY sequence LIMIT ?2",
            queue,
            limit,
        )
    }

    /// Deletes messages and deliveries that are older than the retention.
    pub fn expire(&self) -> Result<usize, QueueError> {
        let oldest = milliseconds(self.now().saturating_sub(RETENTION).unwrap_or(Timestamp::MIN));
        self.store.transaction(|transaction| {
            transaction.execute("DELETE FROM deliveries WHERE delivered_at < ?1", params![oldest])?;
            transaction.execute("DELETE FROM messages WHERE sent_at < ?1", params![oldest])
        })
    }

    fn list(&self, query: &str, queue: Queue, limit: usize) -> Result<Vec<Message>, QueueError> {
        self.store.transaction(|transaction| {
            transaction.prepare_cached(query)?.query_map(params![queue.name(), limit], read)?.collect()
        })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ambient.now()
    }

    fn insert(
        &self,
        transaction: &Transaction<'_>,
        queue: Queue,
        body: &str,
        attributes: &BTreeMap<String, String>,
    ) -> rusqlite::Result<String> {
        let (message_id, now) = (uuid(&self.ambient), milliseconds(self.now()));
        transaction.execute(
            "INSERT INTO messages (queue, message_id, body, attributes, sent_at, visible_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            params![queue.name(), message_id, body, json!(attributes).to_string(), now],
        )?;
        Ok(message_id)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
