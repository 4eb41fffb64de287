//! The topics: each sends the published messages to its subscribed queues, and remembers the latest of them.
//!
//! The list of messages is in memory. It shows what was published, and nothing is delivered from it: the history of an
//! account is in the table, and a message for a subscribed queue is on that queue. What was published of an event is among
//! the event's deliveries (`queues/deliveries.rs`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use digime::ambient::Ambient;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::{
    ids::uuid,
    names::{self, Queue},
    queues::{Channel, QueueError, Queues},
};

/// The number of messages that the topic remembers.
const REMEMBERED: usize = 1_000;
/// A subscriber that is so many messages behind misses the oldest.
const BUFFERED: usize = 1_024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub message_id: String,
    pub message: String,
    /// Attribute values by name.
    pub attributes: BTreeMap<String, String>,
}

impl Publication {
    /// The message as JSON. `null` if the message is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.message).unwrap_or_default()
    }
}

/// The topics of the system. Cheap to clone.
#[derive(Clone)]
pub struct Topics {
    /// The events for the application.
    pub(crate) notifications: Topic,
    /// The notices for the operator. On AWS, also the alarms.
    pub(crate) alarms: Topic,
}

impl Topics {
    /// The notifications go to the subscribed queues, the notices for the operator to nobody.
    pub(crate) fn new(queues: &Queues, subscribed: Vec<Queue>, ambient: &Ambient) -> Self {
        let topic = |subscribed| Topic::new(queues.clone(), subscribed, ambient.clone());
        Self { notifications: topic(subscribed), alarms: topic(Vec::new()) }
    }

    pub(crate) fn by_arn(&self, arn: &str) -> Option<&Topic> {
        let topics = [(names::TOPIC, &self.notifications), (names::ALARM_TOPIC, &self.alarms)];
        topics.into_iter().find(|(name, _)| arn == names::arn("sns", name)).map(|(_, topic)| topic)
    }
}

/// A topic. Cheap to clone.
#[derive(Clone)]
pub struct Topic {
    queues: Queues,
    subscribed: Vec<Queue>,
    ambient: Ambient,
    published: Arc<Mutex<VecDeque<Publication>>>,
    subscribers: broadcast::Sender<Publication>,
}

impl Topic {
    /// A topic with raw message delivery: each subscribed queue receives the messages unchanged, with their attributes.
    #[must_use]
    pub(crate) fn new(queues: Queues, subscribed: Vec<Queue>, ambient: Ambient) -> Self {
        let subscribers = broadcast::Sender::new(BUFFERED);
        Self { queues, subscribed, ambient, published: Arc::default(), subscribers }
    }

    /// Publishes a message and returns its id.
    pub(crate) fn publish(&self, message: &str, attributes: BTreeMap<String, String>) -> Result<String, QueueError> {
        for queue in self.subscribed.iter().filter(|queue| takes(**queue, &attributes)) {
            self.queues.send_with(*queue, message, &attributes)?;
        }
        self.queues.record_delivery(Channel::Topic, &attributes, message)?;
        let message_id = uuid(&self.ambient);
        let publication = Publication { message_id: message_id.clone(), message: message.to_owned(), attributes };
        let mut published = self.published();
        if published.len() >= REMEMBERED {
            published.pop_front();
        }
        // An error means that nobody has subscribed.
        let _ = self.subscribers.send(publication.clone());
        published.push_back(publication);
        Ok(message_id)
    }

    /// The messages from now on, as they are published.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Publication> {
        self.subscribers.subscribe()
    }

    /// The latest messages since the start, newest first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Publication> {
        self.published().iter().rev().take(limit).cloned().collect()
    }

    /// The last 1,000 messages since the start, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Publication> {
        self.published().iter().cloned().collect()
    }

    fn published(&self) -> MutexGuard<'_, VecDeque<Publication>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The filter policy of the queue's subscription.
fn takes(queue: Queue, attributes: &BTreeMap<String, String>) -> bool {
    let is_told = |kind: &String| names::EMAIL_EVENTS.contains(&kind.as_str());
    queue != Queue::Emails || attributes.get("eventType").is_some_and(is_told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::{
        QueueSettings,
        testing::{TestClock, queues},
    };

    fn topic(subscribed: &[Queue]) -> (Topic, Queues) {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        (Topic::new(queues.clone(), subscribed.to_vec(), clock.ambient()), queues)
    }

    #[test]
    fn a_subscribed_queue_gets_the_message_as_it_was_published() {
        let (topic, queues) = topic(&[Queue::Webhooks]);
        let attributes = BTreeMap::from([("eventType".to_owned(), "account.removed".to_owned())]);
        topic.publish("event", attributes.clone()).unwrap();
        let messages = queues.messages(Queue::Webhooks, 10).unwrap();
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].body.as_str(), &messages[0].attributes), ("event", &attributes));
        assert!(queues.messages(Queue::Notifications, 10).unwrap().is_empty());
    }

    #[test]
    fn a_queue_that_is_not_subscribed_gets_nothing() {
        let (topic, queues) = topic(&[]);
        topic.publish("alone", BTreeMap::new()).unwrap();
        assert!(queues.messages(Queue::Webhooks, 10).unwrap().is_empty());
    }

    #[test]
    fn the_last_thousand_messages_are_remembered() {
        let (topic, _) = topic(&[]);
        for number in 0..1_003 {
            topic.publish(&number.to_string(), BTreeMap::new()).unwrap();
        }
        let all = topic.all();
        assert_eq!(all.len(), 1_000);
        assert_eq!(all[0].message, "3");
        assert_eq!(topic.newest(1)[0].message, "1002");
    }
}
