//! An event as the application receives it.

use serde::Deserialize;
use serde_json::Value;

use crate::event_schemas::assert_recorded;

/// A delivered event, or an event of an account's history. Unknown fields are refused, so that two events are equal only
/// if their JSON is equal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveredEvent {
    /// The event's `type`. In JSON, all other fields but `timestamp` are in `data`.
    #[serde(rename = "type")]
    pub kind: String,
    pub timestamp: String,
    pub event_id: String,
    pub user_id: String,
    /// Empty in the events of a user.
    #[serde(default)]
    pub account_id: String,
    pub sequence: u64,
    pub contract_id: Option<String>,
    pub service_name: Option<String>,
    pub episode_id: Option<String>,
    pub error: Option<DeliveredError>,
    pub since: Option<String>,
    pub reminder: Option<u32>,
    pub reconnect_url: Option<String>,
    pub reconnect_url_expires_at: Option<String>,
    pub via: Option<String>,
    pub verified: Option<bool>,
    pub reauthorization_id: Option<String>,
    pub error_code: Option<String>,
    pub retryable: Option<bool>,
    pub recoverable: Option<bool>,
    pub expires_at: Option<String>,
    pub days_left: Option<u32>,
    pub basis: Option<String>,
    pub reason: Option<String>,
}

/// The error of the read that an event tells of.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveredError {
    pub code: Option<String>,
    pub status_code: Option<u16>,
    pub message: Option<String>,
}

impl From<&Value> for DeliveredEvent {
    /// Panics if the event does not conform to its schema.
    fn from(event: &Value) -> Self {
        assert_recorded(event);
        let (mut event, shown) = (event.clone(), event.to_string());
        let mut fields = event["data"].take();
        for name in ["type", "timestamp"] {
            fields[name] = event[name].take();
        }
        serde_json::from_value(fields).unwrap_or_else(|error| panic!("{error}: {shown}"))
    }
}

impl DeliveredEvent {
    /// The reconnect link. Panics if the event has none.
    #[must_use]
    pub fn reconnect_url(&self) -> &str {
        self.reconnect_url.as_deref().expect("the event has a link")
    }

    /// The event as the history holds it.
    #[must_use]
    pub fn without_link(self) -> Self {
        Self { reconnect_url: None, reconnect_url_expires_at: None, ..self }
    }
}

/// The typed form of a list of events.
pub(crate) fn events(list: &Value) -> Vec<DeliveredEvent> {
    list.as_array().expect("a list of events").iter().map(DeliveredEvent::from).collect()
}
