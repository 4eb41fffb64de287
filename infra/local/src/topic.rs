//! The notification topic: keeps the published messages for the console and the tests, and sends them to the subscribed
//! queues.

use std::sync::Arc;

use digime::ambient::Ambient;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    ids::uuid,
    names::Queue,
    queues::{self, NewMessage},
    store::{Store, StoreError},
};

/// Messages to keep.
const KEPT: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Publication {
    pub message_id: String,
    pub message: String,
    /// Attribute values by name.
    pub attributes: Map<String, Value>,
    pub published_at: Timestamp,
}

impl Publication {
    /// The message as JSON. `null` if the message is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.message).unwrap_or_default()
    }
}

#[derive(Clone)]
pub struct Topic {
    store: Arc<Store>,
    ambient: Ambient,
    subscribed: Vec<Queue>,
}

impl Topic {
    #[must_use]
    pub fn new(store: Arc<Store>, ambient: Ambient) -> Self {
        Self { store, ambient, subscribed: Vec::new() }
    }

    /// Subscribes a queue to the topic with raw message delivery: the queue receives each message unchanged, with its
    /// attributes.
    #[must_use]
    pub fn subscribe(mut self, queue: Queue) -> Self {
        self.subscribed.push(queue);
        self
    }

    /// Publishes a message and returns its id. The topic keeps the last 1,000 messages.
    pub fn publish(&self, message: &str, attributes: &Map<String, Value>) -> Result<String, StoreError> {
        let message_id = uuid(&self.ambient);
        let raw = NewMessage {
            body: message.to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, value)| (name.clone(), json!({"DataType": "String", "StringValue": value})))
                .collect(),
            sender: "sns".to_owned(),
            ..NewMessage::default()
        };
        let attributes = Value::Object(attributes.clone()).to_string();
        let now = self.ambient.now();
        self.store.transaction(|transaction| {
            transaction.execute(
                "INSERT INTO publications (message_id, message, attributes, published_at) VALUES (?1, ?2, ?3, ?4)",
                params![message_id, message, attributes, now.as_millisecond()],
            )?;
            let sequence = transaction.last_insert_rowid();
            transaction.execute("DELETE FROM publications WHERE sequence <= ?1 - ?2", params![sequence, KEPT])?;
            for queue in &self.subscribed {
                queues::insert(transaction, &self.ambient, *queue, &raw)?;
            }
            Ok(())
        })?;
        Ok(message_id)
    }

    /// The latest messages, newest first.
    pub fn newest(&self, limit: u32) -> Result<Vec<Publication>, StoreError> {
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached("SELECT * FROM publications ORDER BY sequence DESC LIMIT ?1")?
                .query_map(params![limit], read)?
                .collect()
        })
    }

    /// All messages that the topic keeps, oldest first.
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
    use crate::queues::{QueueSettings, Queues, testing::TestClock};

    #[test]
    fn a_subscribed_queue_gets_the_message_as_it_was_published() {
        let (store, ambient) = (Arc::new(Store::memory().unwrap()), TestClock::new().ambient());
        let queues = Queues::new(Arc::clone(&store), ambient.clone(), QueueSettings::default()).unwrap();
        let topic = Topic::new(store, ambient);
        let attributes = json!({"eventType": "a.type"});
        topic.publish("alone", attributes.as_object().unwrap()).unwrap();
        topic.subscribe(Queue::Webhooks).publish("event", attributes.as_object().unwrap()).unwrap();
        let messages = queues.messages(Queue::Webhooks, 10).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].body, "event");
        assert_eq!(messages[0].attributes["eventType"], json!({"DataType": "String", "StringValue": "a.type"}));
        assert!(queues.messages(Queue::Notifications, 10).unwrap().is_empty());
    }

    #[test]
    fn the_last_thousand_messages_are_kept() {
        let topic = Topic::new(Arc::new(Store::memory().unwrap()), TestClock::new().ambient());
        for number in 0..1_003 {
            topic.publish(&number.to_string(), &Map::new()).unwrap();
        }
        let kept = topic.all().unwrap();
        assert_eq!(kept.len(), 1_000);
        assert_eq!(kept[0].message, "3");
        assert_eq!(topic.newest(1).unwrap()[0].message, "1002");
    }
}
