//! The JSON Schema of an event as it is delivered. It is put together like the event itself ([`Event::to_json`]).

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::{
    Event, EventDetail,
    event::{AboutAccount, AboutGrant, ReconnectLink, Subject},
};

/// The types for which [`EventDetail::carries_link`] is true.
pub(crate) const WITH_LINK: [&str; 4] = [
    "account.reauthorization_required",
    "account.authorization_expiring",
    "user.reauthorization_required",
    "user.authorization_expiring",
];

impl JsonSchema for Event {
    fn schema_name() -> Cow<'static, str> {
        "Event".into()
    }

    /// One schema for each event type. A link is not required: the history shows events without their link, and the log
    /// shows the link while it works.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        types(generator, false)
    }
}

/// Events as the topic and the webhook deliver them: like [`Event`], but always with the link of those that carry one.
#[derive(Debug)]
pub enum DeliveredForm {}

impl JsonSchema for DeliveredForm {
    fn schema_name() -> Cow<'static, str> {
        "DeliveredForm".into()
    }

    /// One schema for each event type.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        types(generator, true)
    }
}

fn types(generator: &mut SchemaGenerator, link_required: bool) -> Schema {
    let subject = Subject::json_schema(generator).to_value();
    let about_account = AboutAccount::json_schema(generator).to_value();
    let about_grant = AboutGrant::json_schema(generator).to_value();
    let mut link = ReconnectLink::json_schema(generator).to_value();
    if !link_required {
        link["required"] = json!([]);
    }
    let timestamp = json!({"properties": {"timestamp": timestamp(generator)}, "required": ["timestamp"]});
    let mut types = EventDetail::json_schema(generator);
    for event in types.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let kind = event["properties"]["type"]["const"].as_str().unwrap_or_default().to_owned();
        let data = &mut event["properties"]["data"];
        merge(data, &subject);
        merge(data, if kind.starts_with("account.") { &about_account } else { &about_grant });
        if WITH_LINK.contains(&kind.as_str()) {
            merge(data, &link);
        }
        merge(event, &timestamp);
    }
    types
}

fn timestamp(generator: &mut SchemaGenerator) -> Value {
    let mut timestamp = Timestamp::json_schema(generator).to_value();
    timestamp["description"] = "When the event happened.".into();
    timestamp
}

/// Adds the properties of another object.
fn merge(object: &mut Value, other: &Value) {
    let properties = other["properties"].as_object().into_iter().flatten();
    for (name, schema) in properties {
        object["properties"][name] = schema.clone();
    }
    let mut required = object["required"].as_array().cloned().unwrap_or_default();
    required.extend(other["required"].as_array().into_iter().flatten().cloned());
    object["required"] = required.into();
}
