//! `infra/schemas/events` holds the schemas of the types, and no change of them breaks receivers that were written for
//! `infra/schemas/published`. `infra/schemas/README.md` says how the files are written.

mod compatible;

use std::{collections::BTreeMap, fs, path::PathBuf};

use reauth_domain::{DeliveredForm, OperatorNotice, TestEvent};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use tests::{assert_delivered, read_schemas};

use self::compatible::breaks;

/// `write`: rewrites `infra/schemas/events`. `publish`: rewrites `infra/schemas/published`.
const VARIABLE: &str = "EVENT_SCHEMAS";
const WRITE: &str = "EVENT_SCHEMAS=write cargo test --package tests --test guarantees schemas::";

#[test]
fn the_schemas_are_those_of_the_types() {
    let of_types = of_types();
    if is_asked_to("write") {
        write("events", &of_types);
    }
    let committed = read_schemas(&folder("events"));
    let names = |schemas: &BTreeMap<String, Value>| schemas.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&of_types), "the files of infra/schemas/events. {WRITE}");
    for (kind, schema) in of_types {
        assert_eq!(text(&committed[&kind]), text(&schema), "infra/schemas/events/{kind}.json. {WRITE}");
    }
}

#[test]
fn receivers_of_the_published_schemas_understand_every_event() {
    let of_types = of_types();
    let breaks = breaks(&read_schemas(&folder("published")), &of_types);
    assert!(breaks.is_empty(), "receivers of infra/schemas/published break: {breaks:#?}");
    if is_asked_to("publish") {
        write("published", &of_types);
    }
}

#[test]
fn the_examples_of_the_description_conform_to_the_schemas() {
    let document = local::yaml(include_str!("../../../infra/openapi.yaml")).unwrap();
    for (name, webhook) in document["webhooks"].as_object().unwrap() {
        let examples = &webhook["post"]["requestBody"]["content"]["application/json"]["examples"];
        for example in examples.as_object().unwrap().values() {
            assert_eq!(example["value"]["type"], json!(name));
            assert_delivered(&example["value"]);
        }
    }
}

#[test]
fn the_document_shows_every_event_as_its_schema_describes_it() {
    let document = include_str!("../../../docs/events.md");
    let blocks = document.split("```json\n").skip(1).map(|block| block.split("```").next().unwrap());
    let events: Vec<Value> = blocks.map(|block| serde_json::from_str(block).unwrap()).collect();
    let events: Vec<_> = events.into_iter().filter(|event| event["type"].is_string()).collect();
    events.iter().for_each(assert_delivered);
    for kind in of_types().keys() {
        assert!(events.iter().any(|event| event["type"] == json!(kind)), "docs/events.md has no example of {kind}");
    }
}

#[test]
#[should_panic(expected = "conform to infra/schemas/events/account.removed.json")]
fn an_event_without_a_field_of_its_schema_is_refused() {
    assert_delivered(&json!({"type": "account.removed", "timestamp": "2026-03-02T08:15:04.512Z", "data": {
        "eventId": "evt_0000019cad9d79401a09f8e7d6c5b4a3", "userId": "u", "accountId": "1_a",
    }}));
}

#[test]
#[should_panic(expected = "conform to infra/schemas/events/webhook.test.json")]
fn an_event_with_a_field_that_its_schema_does_not_name_is_refused() {
    assert_delivered(&json!({"type": "webhook.test", "timestamp": "2026-03-02T08:15:04.512Z", "data": {
        "eventId": "evt_0000019cad9d79401a09f8e7d6c5b4a3", "userId": "u",
    }}));
}

/// The schema of each event type.
fn of_types() -> BTreeMap<String, Value> {
    let schemas = [schema::<DeliveredForm>(), schema::<OperatorNotice>(), schema::<TestEvent>()];
    let each = schemas.into_iter().flat_map(|schema| match schema["oneOf"].as_array() {
        Some(types) => types.clone(),
        None => vec![schema],
    });
    each.map(|schema| {
        let value = &schema["properties"]["type"];
        let kind = value.get("const").or(value["enum"].get(0)).and_then(Value::as_str).unwrap().to_owned();
        (kind.clone(), document(&kind, schema))
    })
    .collect()
}

/// The JSON Schema of what serde writes for a type.
fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

fn document(kind: &str, mut schema: Value) -> Value {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(format!("urn:digime-reauth:event:{kind}"));
    schema["title"] = json!(kind);
    schema["properties"]["type"] = json!({"type": "string", "const": kind});
    as_written(schema)
}

/// The schema as people and other languages read it: without what only concerns Rust, and without `null`. No event has a
/// `null`: an optional field is left out.
fn as_written(schema: Value) -> Value {
    let Value::Object(mut fields) = schema else { return schema };
    fields.remove("default");
    if fields.get("format").and_then(Value::as_str).is_some_and(|format| format.contains("int")) {
        fields.remove("format");
    }
    without_null(&mut fields);
    if let Some(Value::String(description)) = fields.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    if let Some(Value::Array(names)) = fields.get_mut("required") {
        names.sort_by_key(Value::to_string);
    }
    for property in fields.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        *property = as_written(property.take());
    }
    Value::Object(fields)
}

fn without_null(fields: &mut Map<String, Value>) {
    if let Some([kind, null]) = fields.get("type").and_then(Value::as_array).map(Vec::as_slice)
        && null == "null"
    {
        let kind = kind.clone();
        fields.insert("type".to_owned(), kind);
    }
    if let Some([value, null]) = fields.get("anyOf").and_then(Value::as_array).map(Vec::as_slice)
        && null["type"] == "null"
    {
        let value = value.as_object().unwrap().clone();
        fields.remove("anyOf");
        fields.extend(value.into_iter().filter(|(name, _)| name != "description"));
    }
}

fn is_asked_to(what: &str) -> bool {
    std::env::var(VARIABLE).is_ok_and(|value| value == what)
}

fn folder(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../infra/schemas", name].iter().collect()
}

fn write(name: &str, schemas: &BTreeMap<String, Value>) {
    let folder = folder(name);
    fs::create_dir_all(&folder).unwrap();
    for kind in read_schemas(&folder).keys().filter(|kind| !schemas.contains_key(*kind)) {
        fs::remove_file(folder.join(format!("{kind}.json"))).unwrap();
    }
    for (kind, schema) in schemas {
        fs::write(folder.join(format!("{kind}.json")), text(schema)).unwrap();
    }
}

fn text(schema: &Value) -> String {
    serde_json::to_string_pretty(schema).unwrap() + "\n"
}
