//! When a received message becomes visible again, as a function sets it.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{
    Queues,
    store::{QueueError, milliseconds, timestamp},
};
use crate::names::Queue;

/// SQS hides a message for at most this long after its receipt.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

/// Why the visibility of a message was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VisibilityError {
    #[error("no message has this receipt handle")]
    UnknownHandle,
    #[error("the message is visible again")]
    NotInFlight,
    #[error("the message would be hidden for more than 12 hours")]
    TooLong,
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Queues {
    /// Hides a received message for this time from now on.
    pub(crate) fn change_visibility(
        &self,
        queue: Queue,
        handle: &str,
        hidden_for: Duration,
    ) -> Result<(), VisibilityError> {
        let now = self.now();
        let times = self.store.transaction(|transaction| {
            transaction
                .prepare_cached(
                    "SELECT visible_at, received_at FROM messages WHERE queue = ?1 AND receipt_handle = ?2 AND dead_at IS NULL",
                )?
                .query_row(params![queue.name(), handle], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))
                .optional()
        })?;
        let (visible_at, received_at) = times.ok_or(VisibilityError::UnknownHandle)?;
        if timestamp(visible_at) <= now {
            return Err(VisibilityError::NotInFlight);
        }
        let visible_at = now + hidden_for;
        if visible_at > received_at.map_or(now, timestamp) + LONGEST {
            return Err(VisibilityError::TooLong);
        }
        self.set_visible_at(handle, visible_at).map_err(VisibilityError::from)
    }

    fn set_visible_at(&self, handle: &str, visible_at: Timestamp) -> Result<(), QueueError> {
        self.store.transaction(|transaction| {
            transaction.execute(
                "UPDATE messages SET visible_at = ?2, visibility_set = 1 WHERE receipt_handle = ?1",
                params![handle, milliseconds(visible_at)],
            )
        })?;
        Ok(())
    }
}
