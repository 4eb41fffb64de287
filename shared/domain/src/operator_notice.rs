//! What the operator is told of the webhook's endpoint, on the alarm topic: an endpoint cannot be told by itself.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    time::rfc3339,
    webhook::{DisabledReason, WebhookHealth, WebhookStateName},
};

/// A change of the endpoint's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorNotice {
    timestamp: Timestamp,
    data: NoticeData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct NoticeData {
    state: WebhookStateName,
    /// Since when the endpoint is in this state. The first failed post, if it is failing.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    since: Option<Timestamp>,
    /// Why the endpoint was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DisabledReason>,
    /// When the endpoint accepted an event last, within a minute. Left out if it never did.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    last_success_at: Option<Timestamp>,
}

impl OperatorNotice {
    /// The notice of the state that `health` has now.
    #[must_use]
    pub fn new(health: &WebhookHealth, timestamp: Timestamp) -> Self {
        let (state, since, reason) = (health.state.name(), health.state.since(), health.state.reason());
        Self { timestamp, data: NoticeData { state, since, reason, last_success_at: health.last_success_at } }
    }

    /// The notice's `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        kind(self.data.state)
    }

    /// # Errors
    /// None is expected: every value of a notice can be written as JSON.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let data = serde_json::to_value(&self.data)?;
        Ok(json!({"type": self.kind(), "timestamp": rfc3339::text(self.timestamp), "data": data}))
    }
}

fn kind(state: WebhookStateName) -> &'static str {
    match state {
        WebhookStateName::Active => "webhook.recovered",
        WebhookStateName::Failing => "webhook.failing",
        WebhookStateName::Disabled => "webhook.disabled",
    }
}

impl JsonSchema for OperatorNotice {
    fn schema_name() -> Cow<'static, str> {
        "OperatorNotice".into()
    }

    /// One schema for each type.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let recovered = "The webhook's endpoint accepts events again, or was enabled by hand.";
        let failing = "The webhook's endpoint has accepted no event for 5 minutes or more. Events are posted again.";
        let disabled = "The webhook's endpoint is disabled: events wait until it is enabled.";
        let types = [
            schema(generator, WebhookStateName::Active, &[], recovered),
            schema(generator, WebhookStateName::Failing, &["since"], failing),
            schema(generator, WebhookStateName::Disabled, &["since", "reason"], disabled),
        ];
        json_schema!({"oneOf": types})
    }
}

/// The schema of the notice of one state, which always has the fields `required`.
fn schema(generator: &mut SchemaGenerator, state: WebhookStateName, required: &[&str], description: &str) -> Value {
    let mut data = NoticeData::json_schema(generator).to_value();
    data["properties"]["state"] = json!({"type": "string", "const": state});
    data["required"] = ["state"].iter().chain(required).copied().collect();
    if let Some(fields) = data["properties"].as_object_mut() {
        let only_if_required = |name: &str| matches!(name, "since" | "reason");
        fields.retain(|name, _| required.contains(&name.as_str()) || !only_if_required(name));
    }
    let mut timestamp = Timestamp::json_schema(generator).to_value();
    timestamp["description"] = "When the notice was published.".into();
    json!({
        "type": "object",
        "description": description,
        "properties": {"type": {"type": "string", "const": kind(state)}, "timestamp": timestamp, "data": data},
        "required": ["type", "timestamp", "data"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::WebhookState;

    fn notice(state: WebhookState, last_success_at: Option<Timestamp>) -> Value {
        let health = WebhookHealth { state, last_success_at, ..WebhookHealth::default() };
        OperatorNotice::new(&health, "2026-11-23T09:00:00Z".parse().unwrap()).to_json().unwrap()
    }

    #[test]
    fn the_published_form_is_the_contracts() {
        let since: Timestamp = "2026-11-23T08:55:00Z".parse().unwrap();
        let failing = json!({
            "type": "webhook.failing",
            "timestamp": "2026-11-23T09:00:00.000Z",
            "data": {"state": "failing", "since": "2026-11-23T08:55:00.000Z", "lastSuccessAt": "2026-11-23T08:55:00.000Z"},
        });
        assert_eq!(notice(WebhookState::Failing { since }, Some(since)), failing);
        let disabled = notice(WebhookState::Disabled { since, reason: DisabledReason::NoSuccess }, None);
        let data = json!({"state": "disabled", "since": "2026-11-23T08:55:00.000Z", "reason": "no_success"});
        assert_eq!((&disabled["type"], &disabled["data"]), (&json!("webhook.disabled"), &data));
        let recovered = notice(WebhookState::Active, None);
        assert_eq!(
            (&recovered["type"], &recovered["data"]),
            (&json!("webhook.recovered"), &json!({"state": "active"}))
        );
    }
}
