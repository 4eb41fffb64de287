//! Holds events against the schemas of `infra/schemas/events`. A field that a schema does not name is refused here:
//! receivers ignore it, but it is not described.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The fields that only a delivered event must have.
const LINK: [&str; 2] = ["reconnectUrl", "reconnectUrlExpiresAt"];

static DELIVERED: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| validators(closed));
static RECORDED: LazyLock<BTreeMap<String, Validator>> = LazyLock::new(|| {
    validators(|mut schema| {
        if let Some(required) = schema.pointer_mut("/properties/data/required").and_then(Value::as_array_mut) {
            required.retain(|name| !LINK.iter().any(|link| name == link));
        }
        closed(schema)
    })
});

/// Panics if the event has another form than those that the topic and the webhook deliver.
pub fn assert_delivered(event: &Value) {
    assert_valid(&DELIVERED, event);
}

/// Panics if the event has another form than those of the history and the log, which can be without a link.
pub fn assert_recorded(event: &Value) {
    assert_valid(&RECORDED, event);
}

fn assert_valid(schemas: &BTreeMap<String, Validator>, event: &Value) {
    let kind = event["type"].as_str().unwrap_or_default();
    let schema = schemas.get(kind).unwrap_or_else(|| panic!("no schema describes this event: {event}"));
    let errors: Vec<_> = schema.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{event} does not conform to infra/schemas/events/{kind}.json: {errors:#?}");
}

fn validators(form: impl Fn(Value) -> Value) -> BTreeMap<String, Validator> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/schemas/events");
    read_schemas(&folder).into_iter().map(|(kind, schema)| (kind, validator(&form(schema)))).collect()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).expect("a valid schema")
}

/// The schemas of a folder, by event type.
#[must_use]
pub fn read_schemas(folder: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder).expect("a folder of schemas").map(|file| file.expect("a file").path());
    let schema = |path: &Path| serde_json::from_slice(&fs::read(path).expect("a schema")).expect("a schema in JSON");
    let kind = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.map(|path| (kind(&path), schema(&path))).collect()
}

/// The schema, without room for fields that it does not name.
fn closed(mut schema: Value) -> Value {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        for property in properties.values_mut() {
            *property = closed(property.take());
        }
        schema["additionalProperties"] = json!(false);
    }
    schema
}
