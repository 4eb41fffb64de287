//! The bodies of the replies. `infra/openapi.yaml` describes them; a test compares the two.

use jiff::Timestamp;
use reauth_core::store::StoredAttempt;
use reauth_domain::{
    Event, EventId,
    time::rfc3339,
    webhook::{DisabledReason, WebhookStateName},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The codes of posts without an answer.
const POST_ERRORS: [&str; 5] = ["timeout", "connection_failed", "tls_failed", "address_refused", "disconnected"];

/// `GET /events`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventLog")]
pub struct LogBody {
    /// The events, oldest first, with the links that work.
    #[schemars(with = "Vec<Event>")]
    pub(crate) events: Vec<Value>,
    /// Where the next page begins. There is one on every page.
    pub(crate) cursor: String,
    /// Whether the next page may have events already.
    pub(crate) has_more: bool,
}

/// A way to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The SNS topic, and all that is subscribed to it.
    Topic,
    /// The application's URL.
    Webhook,
}

impl Channel {
    /// For log lines.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Webhook => "webhook",
        }
    }
}

/// `POST /events/{eventId}/redeliver`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RedeliveredEvent")]
pub struct RedeliveredEventBody {
    pub(crate) event_id: EventId,
    pub(crate) channel: Channel,
    /// Whether the event was still on its way to the topic, or waited for its next post, so that nothing had to be done.
    pub(crate) pending: bool,
}

/// `POST /events/redeliver`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "RedeliveredEvents")]
pub struct RedeliveredBody {
    /// The number of events that are on their way again.
    pub(crate) redelivered: usize,
    /// The number of events that were still on their way to the topic, or waited for their next post, so that nothing had to
    /// be done.
    pub(crate) pending: usize,
    /// The number of events that were not posted again, because their reconnect link cannot be derived any more.
    pub(crate) skipped: usize,
    /// Set if there is more to do: call again with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

/// `GET /events/{eventId}/deliveries`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventDeliveries")]
pub struct DeliveriesBody {
    pub(crate) event_id: EventId,
    pub(crate) deliveries: Vec<DeliveryBody>,
}

/// The delivery of an event on one channel.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "EventDelivery")]
pub struct DeliveryBody {
    pub(crate) channel: Channel,
    pub(crate) status: DeliveryStatus,
    /// When the channel accepted the event last.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub(crate) delivered_at: Option<Timestamp>,
    /// The posts of the last seven days, oldest first. Only of the webhook.
    pub(crate) attempts: Vec<AttemptBody>,
    /// When the event is posted again.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub(crate) next_attempt_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// The channel accepted the event.
    Delivered,
    /// The event is on its way, or is posted again.
    Pending,
    /// The event is not posted any more.
    Failed,
    /// A reminder or a warning was not published, because it was no longer true.
    Withheld,
}

impl DeliveryBody {
    pub(crate) fn new(channel: Channel, status: DeliveryStatus) -> Self {
        Self { channel, status, delivered_at: None, attempts: Vec::new(), next_attempt_at: None }
    }
}

/// A post of an event.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "DeliveryAttempt")]
pub struct AttemptBody {
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    attempted_at: Timestamp,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 999))]
    status_code: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = POST_ERRORS))]
    error: Option<String>,
    /// The beginning of a refused answer, on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    response: Option<String>,
}

impl From<StoredAttempt> for AttemptBody {
    fn from(attempt: StoredAttempt) -> Self {
        let StoredAttempt { attempted_at, status_code, error, response, .. } = attempt;
        Self { attempted_at, status_code, error, response }
    }
}

/// `GET /webhook` and `POST /webhook/enable`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Webhook")]
pub struct WebhookBody {
    #[schemars(extend("format" = "uri"))]
    pub(crate) url: String,
    pub(crate) state: WebhookStateName,
    /// Since when it is in this state. Not while it is active.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub(crate) since: Option<Timestamp>,
    /// Why it was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<DisabledReason>,
    /// When it accepted an event last, within a minute.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub(crate) last_success_at: Option<Timestamp>,
    /// The number of events that were not accepted yet, as SQS counts its messages: approximately.
    pub(crate) waiting: u64,
    /// The public keys of the signatures `v1a`. Empty if the secret has no private key, left out if the secret cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_keys: Option<Vec<String>>,
}

/// `POST /webhook/test`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "WebhookTest")]
pub struct WebhookTestBody {
    pub(crate) event_id: EventId,
    /// Whether the answer was 2xx.
    pub(crate) delivered: bool,
    /// The status of the answer, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 999))]
    pub(crate) status_code: Option<u16>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = POST_ERRORS))]
    pub(crate) error: Option<&'static str>,
    /// The beginning of a refused answer, on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub(crate) response: Option<String>,
    /// How long the post took, in milliseconds.
    pub(crate) duration_ms: u64,
}

#[cfg(test)]
mod tests {
    use reauth_core::webhook::PostError;

    use super::*;

    #[test]
    fn the_errors_of_posts_are_those_that_are_described() {
        assert_eq!(PostError::ALL.map(PostError::code), POST_ERRORS);
    }
}
