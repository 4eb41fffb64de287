//! A message of the `Webhooks` queue: the event as it was published on the topic.

use std::{collections::HashMap, time::Duration};

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use jiff::Timestamp;
use reauth_core::lambda::{first_receipt, sent_at, traceparent};
use reauth_domain::{EventId, TraceParent, time::after};
use serde::Deserialize;
use serde_json::Value;

/// A message that waits for longer becomes a dead letter. SQS deletes it a day later. No pause is that long.
const LONGEST_WAIT: Duration = Duration::from_secs(13 * 24 * 60 * 60);

/// A message as it was received.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) receipt_handle: String,
    /// Posted unchanged. An event type that this version does not know is posted too.
    pub(crate) body: String,
    pub(crate) attributes: HashMap<String, SqsMessageAttribute>,
    pub(crate) is_first_receipt: bool,
    /// The trace of the event, sent as the `traceparent` header.
    pub(crate) traceparent: Option<TraceParent>,
    sent_at: Option<Timestamp>,
}

/// The event in a message's body: `{"type", "timestamp", "data"}`.
#[derive(Debug)]
pub(crate) struct Event {
    /// Sent as the `webhook-id` header.
    pub(crate) id: EventId,
    /// For the log, as are the following.
    pub(crate) user_id: Option<String>,
    pub(crate) account_id: Option<String>,
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
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    account_id: Value,
}

impl From<SqsMessage> for Message {
    fn from(message: SqsMessage) -> Self {
        let (is_first_receipt, traceparent) = (first_receipt(&message), traceparent(&message));
        let sent_at = sent_at(&message);
        Self {
            id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            body: message.body.unwrap_or_default(),
            attributes: message.message_attributes,
            is_first_receipt,
            traceparent,
            sent_at,
        }
    }
}

impl Message {
    /// `None` if the body holds no event.
    pub(crate) fn event(&self) -> Option<Event> {
        let Data { event_id, user_id, account_id } = serde_json::from_str::<Envelope>(&self.body).ok()?.data;
        let text = |value: Value| value.as_str().map(str::to_owned);
        Some(Event { id: event_id, user_id: text(user_id), account_id: text(account_id) })
    }

    /// Whether the message must not wait any longer at this time.
    pub(crate) fn is_overdue(&self, at: Timestamp) -> bool {
        self.sent_at.is_some_and(|sent_at| at > after(sent_at, LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"type": "account.some_later_type", "timestamp": "2026-11-23T09:00:00.000Z",
        "data": {"eventId": "evt_00000000000000000000000000000001", "userId": "u", "accountId": 7, "more": [1]}}"#;

    fn message(body: &str) -> Message {
        Message { body: body.to_owned(), ..Message::default() }
    }

    #[test]
    fn an_event_of_any_type_is_an_event() {
        let event = message(EVENT).event().unwrap();
        assert_eq!(event.id.as_str(), "evt_00000000000000000000000000000001");
        assert_eq!((event.user_id.as_deref(), event.account_id), (Some("u"), None));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let bad_id = EVENT.replace("evt_00", "evt_\\n");
        let no_id = EVENT.replace("eventId", "id");
        let envelope = serde_json::json!({"Type": "Notification", "Message": EVENT}).to_string();
        for body in ["", "x", "{}", "[]", &bad_id, &no_id, &envelope] {
            assert!(message(body).event().is_none(), "{body}");
        }
    }

    #[test]
    fn a_message_is_overdue_after_13_days() {
        let sent_at: Timestamp = "2026-11-23T09:00:00Z".parse().unwrap();
        let message = Message { sent_at: Some(sent_at), ..Message::default() };
        assert!(!message.is_overdue(after(sent_at, LONGEST_WAIT)));
        assert!(message.is_overdue(after(sent_at, LONGEST_WAIT + Duration::from_millis(1))));
        assert!(!Message::default().is_overdue(sent_at));
    }
}
