//! A message of the `Webhooks` queue: the event as it was published on the topic.

use reauth_domain::{EventId, TraceParent};
use serde::Deserialize;

/// An event to post.
#[derive(Debug)]
pub(crate) struct Message {
    /// Sent as the `webhook-id` header.
    pub(crate) event_id: EventId,
    /// `{"type", "timestamp", "data"}`, posted unchanged. An event type that this version does not know is posted too.
    pub(crate) body: String,
    /// The trace of the event, sent as the `traceparent` header.
    pub(crate) traceparent: Option<TraceParent>,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "timestamp")]
    _timestamp: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    event_id: EventId,
}

impl Message {
    /// Parses the body of a message. Returns `None` if the body holds no event.
    pub(crate) fn parse(body: String, traceparent: Option<TraceParent>) -> Option<Self> {
        let envelope: Envelope = serde_json::from_str(&body).ok()?;
        Some(Self { event_id: envelope.data.event_id, body, traceparent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type": "account.some_later_type", "timestamp": "2026-11-23T09:00:00.000Z",
        "data": {"eventId": "evt_00000000000000000000000000000001", "userId": "u", "more": [1]}}"#;

    #[test]
    fn an_event_of_any_type_is_kept_as_it_is() {
        let message = Message::parse(EVENT.to_owned(), None).unwrap();
        assert_eq!(message.event_id.as_str(), "evt_00000000000000000000000000000001");
        assert_eq!(message.body, EVENT);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let bad_id = EVENT.replace("evt_00", "evt_\\n");
        let no_id = EVENT.replace("eventId", "id");
        let envelope = serde_json::json!({"Type": "Notification", "Message": EVENT}).to_string();
        for body in ["", "x", "{}", "[]", &bad_id, &no_id, &envelope] {
            assert!(Message::parse(body.to_owned(), None).is_none(), "{body}");
        }
    }
}
