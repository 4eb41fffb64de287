//! Dead letters: messages that were received too often, and messages that a function sent to the dead-letter queue.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::{
    Message, QueueError, Queues,
    store::{milliseconds, read},
};
use crate::names::Queue;

impl Queues {
    /// Sends a message to a queue's dead-letter queue and returns its id.
    pub(crate) fn send_dead_letter(
        &self,
        queue: Queue,
        body: &str,
        attributes: &BTreeMap<String, String>,
    ) -> Result<String, QueueError> {
        let now = milliseconds(self.now());
        self.store.transaction(|transaction| {
            let message_id = self.insert(transaction, queue, body, attributes)?;
            transaction.execute("UPDATE messages SET dead_at = ?2 WHERE message_id = ?1", params![message_id, now])?;
            Ok(message_id)
        })
    }

    /// Gives the dead letters with this body that a function has sent since then their cause. Returns whether there are any.
    pub(crate) fn explain_dead_letters(
        &self,
        queue: Queue,
        body: &str,
        since: Timestamp,
        cause: Option<&str>,
    ) -> Result<bool, QueueError> {
        let explained = self.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET cause = COALESCE(cause, ?4)
                 WHERE queue = ?1 AND body = ?2 AND dead_at >= ?3 AND receive_count = 0",
                params![queue.name(), body, milliseconds(since), cause],
            )
        })?;
        Ok(explained > 0)
    }

    /// The newest messages of the queue's dead-letter queue, newest first.
    pub fn dead_letters(&self, queue: Queue, limit: usize) -> Result<Vec<Message>, QueueError> {
        self.dead_letters_page(queue, 0, limit)
    }

    /// A page of the messages of the queue's dead-letter queue, newest first.
    pub(crate) fn dead_letters_page(
        &self,
        queue: Queue,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<Message>, QueueError> {
        let (offset, limit) = (i64::try_from(offset).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached(
                    "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NOT NULL
                     ORDER BY dead_at DESC, sequence DESC LIMIT ?2 OFFSET ?3",
                )?
                .query_map(params![queue.name(), limit, offset], read)?
                .collect()
        })
    }

    /// A dead letter, and the queue that it comes from.
    pub fn dead_letter(&self, message_id: &str) -> Result<Option<(Queue, Message)>, QueueError> {
        self.store.transaction(|transaction| {
            let found = transaction
                .prepare_cached("SELECT * FROM messages WHERE message_id = ?1 AND dead_at IS NOT NULL")?
                .query_map(params![message_id], |row| Ok((row.get::<_, String>("queue")?, read(row)?)))?
                .next()
                .transpose()?;
            Ok(found.and_then(|(queue, message)| Some((Queue::by_name(&queue)?, message))))
        })
    }

    /// Moves all dead letters back to their queue, oldest first, and returns their number. As on SQS, each becomes a
    /// new message with a new id, a new sent time and a receive count of 0.
    pub fn redrive(&self, queue: Queue) -> Result<usize, QueueError> {
        self.redrive_messages(queue, None)
    }

    /// Moves all dead letters, or the one with the given id, back to their queue.
    pub(crate) fn redrive_messages(&self, queue: Queue, message_id: Option<&str>) -> Result<usize, QueueError> {
        self.store.transaction(|transaction| {
            let dead: Vec<Message> = transaction
                .prepare_cached(
                    "SELECT * FROM messages WHERE queue = ?1 AND dead_at IS NOT NULL AND message_id = COALESCE(?2, message_id)
                     ORDER BY sequence",
                )?
                .query_map(params![queue.name(), message_id], read)?
                .collect::<rusqlite::Result<_>>()?;
            for Message { message_id, body, attributes, .. } in &dead {
                self.insert(transaction, queue, body, attributes)?;
                transaction.execute("DELETE FROM messages WHERE message_id = ?1", params![message_id])?;
            }
            Ok(dead.len())
        })
    }
}
