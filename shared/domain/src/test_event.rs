//! The event that an application asks for to test its webhook. It is about no user, and is posted once.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{EventId, time::rfc3339};

/// Tests the webhook: it is posted when `POST /webhook/test` is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TestEvent {
    #[serde(rename = "type")]
    kind: TestEventKind,
    /// When the test was asked for.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    timestamp: Timestamp,
    data: TestEventData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
enum TestEventKind {
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct TestEventData {
    /// Another one for each test.
    event_id: EventId,
}

impl TestEvent {
    /// The event's `type`.
    pub const KIND: &str = "webhook.test";

    #[must_use]
    pub fn new(event_id: EventId, timestamp: Timestamp) -> Self {
        Self { kind: TestEventKind::WebhookTest, timestamp, data: TestEventData { event_id } }
    }

    /// # Errors
    /// None is expected: every value of the event can be written as JSON.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_posted_form_is_the_contracts() {
        let event = TestEvent::new(EventId::from([1; 16]), Timestamp::UNIX_EPOCH);
        let expected = serde_json::json!({
            "type": TestEvent::KIND,
            "timestamp": "1970-01-01T00:00:00.000Z",
            "data": {"eventId": "evt_01010101010101010101010101010101"},
        });
        assert_eq!(event.to_json().unwrap(), expected);
    }
}
