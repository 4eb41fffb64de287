//! What the operator is told, on the alarm topic: of the webhook's endpoint, which cannot be told by itself, and of services
//! that are probably down.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    outage::{Outage, OutageState},
    time::rfc3339,
    webhook::{DisabledReason, WebhookHealth, WebhookStateName},
};

/// A change that the operator is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorNotice {
    timestamp: Timestamp,
    data: NoticeData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum NoticeData {
    Webhook(WebhookData),
    OutageSuspected(OutageSuspectedData),
    OutageEnded(OutageEndedData),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct WebhookData {
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

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OutageSuspectedData {
    /// The service's name as digi.me gives it.
    service: String,
    /// The beginning of the five minutes in which too many accounts broke.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    since: Timestamp,
    /// Until when mails and reminders to the service's users wait at least. If it has passed, they do not wait any more.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    held_until: Timestamp,
    /// How many accounts of the service broke since then.
    accounts: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct OutageEndedData {
    /// The service's name as digi.me gives it.
    service: String,
    /// The beginning of the five minutes in which too many accounts broke.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    since: Timestamp,
    /// When the outage counts as over. Mails and reminders that still wait go out within an hour from then on.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    ended_at: Timestamp,
    /// How many accounts of the service broke in this time.
    accounts: u64,
    /// How many healed. If they are few, the accounts are really broken, or the service is still down.
    healed: u64,
}

impl OperatorNotice {
    /// The notice of the state that the webhook's endpoint has now.
    #[must_use]
    pub fn of_webhook(health: &WebhookHealth, timestamp: Timestamp) -> Self {
        let (state, since, reason) = (health.state.name(), health.state.since(), health.state.reason());
        let data = WebhookData { state, since, reason, last_success_at: health.last_success_at };
        Self { timestamp, data: NoticeData::Webhook(data) }
    }

    /// The notice of the state that an outage has now.
    #[must_use]
    pub fn of_outage(outage: &Outage, timestamp: Timestamp) -> Self {
        let Outage { service, since, until, accounts, healed, .. } = outage.clone();
        let data = match outage.state {
            OutageState::Suspected => {
                let held_until = outage.held_until();
                NoticeData::OutageSuspected(OutageSuspectedData { service, since, held_until, accounts })
            }
            OutageState::Ended => {
                NoticeData::OutageEnded(OutageEndedData { service, since, ended_at: until, accounts, healed })
            }
        };
        Self { timestamp, data }
    }

    /// The notice's `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.data {
            NoticeData::Webhook(data) => webhook_kind(data.state),
            NoticeData::OutageSuspected(_) => OUTAGE_SUSPECTED,
            NoticeData::OutageEnded(_) => OUTAGE_ENDED,
        }
    }

    /// The subject of an email. SNS allows 100 characters of ASCII, so that it names no service.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        match &self.data {
            NoticeData::Webhook(data) => match data.state {
                WebhookStateName::Active => "digime-reauth: the webhook's endpoint has recovered",
                WebhookStateName::Failing => "digime-reauth: the webhook's endpoint is failing",
                WebhookStateName::Disabled => "digime-reauth: the webhook's endpoint is disabled",
            },
            NoticeData::OutageSuspected(_) => "digime-reauth: a service is probably down",
            NoticeData::OutageEnded(_) => "digime-reauth: the outage of a service counts as over",
        }
    }

    /// # Errors
    /// None is expected: every value of a notice can be written as JSON.
    pub fn to_json(&self) -> Result<Value, serde_json::Error> {
        let data = serde_json::to_value(&self.data)?;
        Ok(json!({"type": self.kind(), "timestamp": rfc3339::text(self.timestamp), "data": data}))
    }
}

const OUTAGE_SUSPECTED: &str = "service.outage_suspected";
const OUTAGE_ENDED: &str = "service.outage_ended";

fn webhook_kind(state: WebhookStateName) -> &'static str {
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
        let suspected = "Many accounts of one service broke within five minutes: the service is probably down. Mails and \
                         reminders to its users wait, for 24 hours at most within two days. Events are published as always.";
        let ended = "The outage of a service counts as over: its time has passed, and no more accounts break as they did. Mails \
                     and reminders to users whose accounts are still broken go out.";
        let types = [
            webhook_schema(generator, WebhookStateName::Active, &[], recovered),
            webhook_schema(generator, WebhookStateName::Failing, &["since"], failing),
            webhook_schema(generator, WebhookStateName::Disabled, &["since", "reason"], disabled),
            {
                let data = OutageSuspectedData::json_schema(generator).to_value();
                schema(generator, OUTAGE_SUSPECTED, data, suspected)
            },
            {
                let data = OutageEndedData::json_schema(generator).to_value();
                schema(generator, OUTAGE_ENDED, data, ended)
            },
        ];
        json_schema!({"oneOf": types})
    }
}

/// The schema of the notice of one state of the endpoint, which always has the fields `required`.
fn webhook_schema(
    generator: &mut SchemaGenerator,
    state: WebhookStateName,
    required: &[&str],
    description: &str,
) -> Value {
    let mut data = WebhookData::json_schema(generator).to_value();
    data["properties"]["state"] = json!({"type": "string", "const": state});
    data["required"] = ["state"].iter().chain(required).copied().collect();
    if let Some(fields) = data["properties"].as_object_mut() {
        let only_if_required = |name: &str| matches!(name, "since" | "reason");
        fields.retain(|name, _| required.contains(&name.as_str()) || !only_if_required(name));
    }
    schema(generator, webhook_kind(state), data, description)
}

/// The schema of the notices of one type.
fn schema(generator: &mut SchemaGenerator, kind: &str, data: Value, description: &str) -> Value {
    let mut timestamp = Timestamp::json_schema(generator).to_value();
    timestamp["description"] = "When the notice was published.".into();
    json!({
        "type": "object",
        "description": description,
        "properties": {"type": {"type": "string", "const": kind}, "timestamp": timestamp, "data": data},
        "required": ["type", "timestamp", "data"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToldState, webhook::WebhookState};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn of_webhook(state: WebhookState, last_success_at: Option<Timestamp>) -> Value {
        let health = WebhookHealth { state, last_success_at, ..WebhookHealth::default() };
        OperatorNotice::of_webhook(&health, time("2026-11-23T09:00:00Z")).to_json().unwrap()
    }

    #[test]
    fn the_published_form_of_an_endpoints_state_is_the_contracts() {
        let since = time("2026-11-23T08:55:00Z");
        let failing = json!({
            "type": "webhook.failing",
            "timestamp": "2026-11-23T09:00:00.000Z",
            "data": {"state": "failing", "since": "2026-11-23T08:55:00.000Z", "lastSuccessAt": "2026-11-23T08:55:00.000Z"},
        });
        assert_eq!(of_webhook(WebhookState::Failing { since }, Some(since)), failing);
        let disabled = of_webhook(WebhookState::Disabled { since, reason: DisabledReason::NoSuccess }, None);
        let data = json!({"state": "disabled", "since": "2026-11-23T08:55:00.000Z", "reason": "no_success"});
        assert_eq!((&disabled["type"], &disabled["data"]), (&json!("webhook.disabled"), &data));
        let recovered = of_webhook(WebhookState::Active, None);
        assert_eq!(
            (&recovered["type"], &recovered["data"]),
            (&json!("webhook.recovered"), &json!({"state": "active"}))
        );
    }

    #[test]
    fn the_published_form_of_an_outage_is_the_contracts() {
        let suspected = Outage {
            service: "Meadow Bank".to_owned(),
            state: OutageState::Suspected,
            since: time("2026-11-23T08:55:00Z"),
            until: time("2026-11-23T10:58:12Z"),
            hold_limit: time("2026-11-24T08:55:00Z"),
            threshold: 50,
            hold_seconds: 7_200,
            accounts: 61,
            healed: 40,
            told: ToldState::default(),
        };
        let told = |outage: &Outage| {
            let notice = OperatorNotice::of_outage(outage, time("2026-11-23T09:00:00Z"));
            assert!(notice.subject().is_ascii() && notice.subject().len() <= 100);
            notice.to_json().unwrap()
        };
        let data = json!({"service": "Meadow Bank", "since": "2026-11-23T08:55:00.000Z",
            "heldUntil": "2026-11-23T10:58:12.000Z", "accounts": 61});
        let expected =
            json!({"type": "service.outage_suspected", "timestamp": "2026-11-23T09:00:00.000Z", "data": data});
        assert_eq!(told(&suspected), expected);
        let ended = told(&Outage { state: OutageState::Ended, ..suspected });
        let data = json!({"service": "Meadow Bank", "since": "2026-11-23T08:55:00.000Z",
            "endedAt": "2026-11-23T10:58:12.000Z", "accounts": 61, "healed": 40});
        assert_eq!((&ended["type"], &ended["data"]), (&json!("service.outage_ended"), &data));
    }
}
