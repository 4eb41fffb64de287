//! `infra/openapi.yaml` describes the replies, problems and events as the functions write them: its schemas are
//! compared with the JSON Schemas of the types. Descriptions are not compared.

use std::path::Path;

use accounts::replies::{AcceptedBody, AccountBody, AccountListBody, ContactBody, GrantBody, InNeedListBody};
use create_reauth_url::replies::CreatedBody;
use events::replies::{DeliveriesBody, LogBody, RedeliveredBody, RedeliveredEventBody, WebhookBody, WebhookTestBody};
use reauth_core::web::{ProblemBody, ReauthorizationBody};
use reauth_domain::Event;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use tests::read_schemas;

/// What does not restrict a value, or only names a type of Rust.
const NOT_COMPARED: [&str; 7] = ["$schema", "$id", "title", "description", "default", "discriminator", "allOf"];

fn document() -> Value {
    local::yaml(include_str!("../../infra/openapi.yaml")).unwrap()
}

#[test]
fn the_schemas_of_the_description_are_those_of_the_types() {
    let document = document();
    for (name, of_type) in [
        ("AcceptedReadResult", schema::<AcceptedBody>()),
        ("Account", schema::<AccountBody>()),
        ("AccountList", schema::<AccountListBody>()),
        ("CreatedReauthorization", schema::<CreatedBody>()),
        ("Event", schema::<Event>()),
        ("EventDeliveries", schema::<DeliveriesBody>()),
        ("EventLog", schema::<LogBody>()),
        ("InNeedList", schema::<InNeedListBody>()),
        ("Problem", schema::<ProblemBody>()),
        ("RedeliveredEvent", schema::<RedeliveredEventBody>()),
        ("RedeliveredEvents", schema::<RedeliveredBody>()),
        ("Reauthorization", schema::<ReauthorizationBody>()),
        ("StoredContact", schema::<ContactBody>()),
        ("StoredGrant", schema::<GrantBody>()),
        ("Webhook", schema::<WebhookBody>()),
        ("WebhookTest", schema::<WebhookTestBody>()),
    ] {
        let documented = normal(&document["components"]["schemas"][name], &document);
        let shown = |schema: &Value| serde_json::to_string_pretty(schema).unwrap();
        let (left, right) = (shown(&documented), shown(&of_type));
        let difference = left.lines().zip(right.lines()).find(|(left, right)| left != right);
        assert!(documented == of_type, "{name}: documented and written: {difference:?}");
    }
}

#[test]
fn every_event_has_a_webhook_of_its_own_with_the_schema_of_infra_schemas() {
    let document = document();
    let mut schemas = read_schemas(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/schemas/events")));
    // The operator is told of these on the alarm topic. The others are posted.
    for notice in
        ["service.outage_ended", "service.outage_suspected", "webhook.disabled", "webhook.failing", "webhook.recovered"]
    {
        schemas.remove(notice).unwrap();
    }
    let webhooks = document["webhooks"].as_object().unwrap();
    assert_eq!(webhooks.keys().collect::<Vec<_>>(), schemas.keys().collect::<Vec<_>>());
    for (name, webhook) in webhooks {
        let body = &webhook["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(normal(body, &document), normal(&schemas[name], &Value::Null), "{name}");
    }
}

/// The JSON Schema of what serde writes for a type.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    normal(&settings.into_generator().into_root_schema_for::<T>().to_value(), &Value::Null)
}

/// A schema in one of several equal forms: without references, `allOf` and what is not compared.
fn normal(schema: &Value, document: &Value) -> Value {
    match schema {
        Value::Object(fields) => normal_object(fields, document),
        Value::Array(values) => values.iter().map(|value| normal(value, document)).collect(),
        other => other.clone(),
    }
}

fn normal_object(fields: &Map<String, Value>, document: &Value) -> Value {
    if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
        let target = document.pointer(reference.trim_start_matches('#'));
        return normal(target.unwrap_or_else(|| panic!("{reference} is missing")), document);
    }
    let mut whole = json!({});
    for part in fields.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        merge(&mut whole, normal(part, document));
    }
    let names = fields.iter().filter(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    let own = names.filter(|(name, value)| *name != "format" || !is_rust_integer(value));
    let own = own.map(|(name, value)| match (name.as_str(), value) {
        ("properties", Value::Object(properties)) => {
            let properties = properties.iter().map(|(name, schema)| (name.clone(), normal(schema, document)));
            (name.clone(), Value::Object(properties.collect()))
        }
        _ => (name.clone(), normal(value, document)),
    });
    merge(&mut whole, Value::Object(own.collect()));
    one_form(whole)
}

fn is_rust_integer(format: &Value) -> bool {
    matches!(format.as_str(), Some("int64" | "uint" | "uint16" | "uint32" | "uint64"))
}

/// Adds the fields of a part of an object's schema.
fn merge(whole: &mut Value, part: Value) {
    let Value::Object(part) = part else { return };
    for (name, value) in part {
        match (&mut whole[&name], value) {
            (Value::Object(known), Value::Object(more)) => known.extend(more),
            (Value::Array(known), Value::Array(more)) if name == "required" => known.extend(more),
            (known, value) => *known = value,
        }
    }
}

/// Chooses one of the ways to write the same schema.
fn one_form(mut schema: Value) -> Value {
    // Texts to choose from: one `enum`, or a `const` for each that has a description of its own.
    let texts = |one: &Value| one["enum"].as_array().cloned().or_else(|| Some(vec![one.get("const")?.clone()]));
    let choices = schema["oneOf"].as_array().map(|choices| choices.iter().map(texts).collect::<Option<Vec<_>>>());
    if let Some(Some(texts)) = choices {
        return one_form(json!({"enum": texts.concat()}));
    }
    // An optional value: a field that may be left out is never written as null.
    if let Some([value, null]) = schema["anyOf"].as_array().map(Vec::as_slice)
        && null["type"] == "null"
    {
        return value.clone();
    }
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object_mut().into_iter().flatten() {
        if let Some([kind, null]) = property["type"].as_array().map(Vec::as_slice)
            && null == "null"
            && !required.contains(&json!(name))
        {
            property["type"] = kind.clone();
        }
    }
    if schema.get("enum").is_some() || schema.get("const").is_some() {
        schema["type"] = Value::Null;
    }
    for name in ["required", "enum", "oneOf"] {
        if let Some(values) = schema[name].as_array_mut() {
            values.sort_by_key(Value::to_string);
        }
    }
    let Value::Object(fields) = schema else { return schema };
    Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect())
}
