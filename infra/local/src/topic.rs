//! The inbox of the notification topic: what was published, kept to be looked at.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    ambient::{Clock, uuid},
    store::{Store, StoreError},
};

/// How many messages are kept.
const KEPT: u32 = 1_000;

/// A message that was published on the topic.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    /// The id that SNS gave it.
    pub message_id: String,
    /// The text, as subscribers get it.
    pub message: String,
    /// Its attributes: name → text.
    pub attributes: Map<String, Value>,
    /// When it was published.
    pub published_at: Timestamp,
}

impl Publication {
    /// The text as JSON; null, when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.message).unwrap_or_default()
    }
}

/// The topic.
#[derive(Clone)]
pub struct Topic {
    store: Arc<Store>,
    clock: Clock,
}

impl Topic {
    /// The inbox that the store holds.
    #[must_use]
    pub fn new(store: Arc<Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Takes in a message and gives its id. Of many, the last 1,000 are kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn publish(&self, message: &str, attributes: &Map<String, Value>) -> Result<String, StoreError> {
        let message_id = uuid();
        let attributes = Value::Object(attributes.clone()).to_string();
        let now = (self.clock)().as_millisecond();
        self.store.transaction(|transaction| {
            transaction.execute(
                "INSERT INTO publications (message_id, message, attributes, published_at) VALUES (?1, ?2, ?3, ?4)",
                params![message_id, message, attributes, now],
            )?;
            let sequence = transaction.last_insert_rowid();
            transaction.execute("DELETE FROM publications WHERE sequence <= ?1 - ?2", params![sequence, KEPT])
        })?;
        Ok(message_id)
    }

    /// What was published last, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn newest(&self, limit: u32) -> Result<Vec<Publication>, StoreError> {
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached("SELECT * FROM publications ORDER BY sequence DESC LIMIT ?1")?
                .query_map(params![limit], read)?
                .collect()
        })
    }

    /// Everything that is kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn all(&self) -> Result<Vec<Publication>, StoreError> {
        let mut publications = self.newest(KEPT)?;
        publications.reverse();
        Ok(publications)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Publication> {
    let attributes: String = row.get("attributes")?;
    Ok(Publication {
        message_id: row.get("message_id")?,
        message: row.get("message")?,
        attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        published_at: Timestamp::from_millisecond(row.get("published_at")?).unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::testing::TestClock;

    #[test]
    fn the_last_thousand_messages_are_kept() {
        let topic = Topic::new(Arc::new(Store::memory().unwrap()), TestClock::new().clock());
        for number in 0..1_003 {
            topic.publish(&number.to_string(), &Map::new()).unwrap();
        }
        let kept = topic.all().unwrap();
        assert_eq!(kept.len(), 1_000);
        assert_eq!(kept[0].message, "3");
        assert_eq!(topic.newest(1).unwrap()[0].message, "1002");
    }
}
