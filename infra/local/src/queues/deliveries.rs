//! Which channel took which event, when, and in what form. The console shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::{
    Message, QueueError, Queues,
    store::{milliseconds, read, timestamp},
};
use crate::names::Queue;

/// The message attribute that names the event.
const EVENT_ID: &str = "eventId";

/// A receiver of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Topic,
    Webhook,
}

impl Channel {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Webhook => "webhook",
        }
    }
}

/// An event that a channel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) channel: Channel,
    pub(crate) at: Timestamp,
    /// The event in JSON, as the channel got it.
    pub(crate) message: String,
}

impl Queues {
    /// Records that a channel took a message. A message without an event id is not an event of this service.
    pub(crate) fn record_delivery(
        &self,
        channel: Channel,
        attributes: &BTreeMap<String, String>,
        message: &str,
    ) -> Result<(), QueueError> {
        let Some(event_id) = attributes.get(EVENT_ID) else { return Ok(()) };
        let now = milliseconds(self.now());
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached(
                    "INSERT INTO deliveries (event_id, channel, delivered_at, message) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![event_id, channel.name(), now, message])
        })?;
        Ok(())
    }

    /// The deliveries of an event, oldest first.
    pub(crate) fn deliveries(&self, event_id: &str) -> Result<Vec<Delivery>, QueueError> {
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached("SELECT * FROM deliveries WHERE event_id = ?1 ORDER BY sequence")?
                .query_map(params![event_id], |row| {
                    let channel: String = row.get("channel")?;
                    Ok(Delivery {
                        channel: if channel == Channel::Webhook.name() { Channel::Webhook } else { Channel::Topic },
                        at: timestamp(row.get("delivered_at")?),
                        message: row.get("message")?,
                    })
                })?
                .collect()
        })
    }

    /// The messages of a queue, and of its dead-letter queue, whose body contains the event's id, the
    /// oldest ten.
    pub(crate) fn messages_of_event(&self, queue: Queue, event_id: &str) -> Result<Vec<Message>, QueueError> {
        self.store.transaction(|transaction| {
            transaction
                .prepare_cached(
                    "SELECT * FROM messages WHERE queue = ?1 AND instr(body, ?2) > 0 ORDER BY sequence LIMIT 10",
                )?
                .query_map(params![queue.name(), event_id], read)?
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queues::{QueueSettings, testing::*};

    #[test]
    fn the_deliveries_of_an_event_are_kept_for_the_retention() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        let attributes = BTreeMap::from([(EVENT_ID.to_owned(), "evt_1".to_owned())]);
        queues.record_delivery(Channel::Topic, &attributes, "one").unwrap();
        queues.record_delivery(Channel::Webhook, &attributes, "two").unwrap();
        queues.record_delivery(Channel::Webhook, &BTreeMap::new(), "no event").unwrap();
        let deliveries = queues.deliveries("evt_1").unwrap();
        let seen: Vec<_> = deliveries.iter().map(|one| (one.channel, one.message.as_str())).collect();
        assert_eq!(seen, [(Channel::Topic, "one"), (Channel::Webhook, "two")]);
        assert!(queues.deliveries("evt_2").unwrap().is_empty());
        clock.advance(std::time::Duration::from_secs(15 * 24 * 60 * 60));
        queues.expire().unwrap();
        assert!(queues.deliveries("evt_1").unwrap().is_empty());
    }

    #[test]
    fn the_messages_of_an_event_are_found_by_its_id() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        for body in ["a evt_1", "b evt_2"] {
            queues.send(Queue::Webhooks, body).unwrap();
        }
        let found = queues.messages_of_event(Queue::Webhooks, "evt_2").unwrap();
        assert_eq!(found.iter().map(|message| message.body.as_str()).collect::<Vec<_>>(), ["b evt_2"]);
        assert!(queues.messages_of_event(Queue::Notifications, "evt_2").unwrap().is_empty());
    }
}
