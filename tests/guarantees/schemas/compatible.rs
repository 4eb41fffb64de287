//! What a change of the schemas breaks for receivers that were written for the published ones. The rules are those of
//! `infra/schemas/README.md`: whatever is sent now must have been possible before, but for new events and fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// For people. They do not restrict a value.
const NOT_COMPARED: [&str; 4] = ["title", "description", "examples", "$comment"];
/// A smaller value allows more.
const LOWER_LIMITS: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
/// A larger value allows more.
const UPPER_LIMITS: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Each lists the values that are possible: `oneOf` with a description for each.
const VALUES: [&str; 3] = ["const", "enum", "oneOf"];

/// One line for each break: where it is, and what it is.
pub(super) fn breaks(published: &BTreeMap<String, Value>, current: &BTreeMap<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, before) in published {
        match current.get(kind) {
            Some(now) => compare(kind, before, now, &mut found),
            None => found.push(format!("{kind}: the event was removed")),
        }
    }
    found
}

fn compare(place: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    let nothing = Map::new();
    let (before, now) = (before.as_object().unwrap_or(&nothing), now.as_object().unwrap_or(&nothing));
    for (keyword, value) in before {
        let is_broken = match keyword.as_str() {
            name if NOT_COMPARED.contains(&name) || VALUES.contains(&name) => continue,
            "properties" => {
                fields(place, value, now.get(keyword), found);
                continue;
            }
            "items" => {
                compare(&format!("{place}[]"), value, now.get(keyword).unwrap_or(&Value::Null), found);
                continue;
            }
            "required" => {
                no_longer_required(place, value, now.get(keyword), found);
                continue;
            }
            "type" => !types(now.get(keyword)).is_subset(&types(Some(value))),
            name if LOWER_LIMITS.contains(&name) => number(now.get(keyword)) < number(Some(value)),
            name if UPPER_LIMITS.contains(&name) => upper(now.get(keyword)) > upper(Some(value)),
            // Two patterns cannot be compared, nor can two conditions. A new restriction is no break.
            _ => now.get(keyword) != Some(value),
        };
        if is_broken {
            found.push(format!("{place}: {keyword} was {value}, and is {}", now.get(keyword).unwrap_or(&Value::Null)));
        }
    }
    if let Some(more) = more_values(before, now) {
        found.push(format!("{place}: {more}"));
    }
}

fn fields(place: &str, before: &Value, now: Option<&Value>, found: &mut Vec<String>) {
    for (name, before) in before.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match now.and_then(|now| now.get(name)) {
            Some(now) => compare(&place, before, now, found),
            None => found.push(format!("{place}: the field was removed")),
        }
    }
}

fn no_longer_required(place: &str, before: &Value, now: Option<&Value>, found: &mut Vec<String>) {
    let now = texts(now);
    let optional = texts(Some(before)).into_iter().filter(|name| !now.contains(name));
    found.extend(optional.map(|name| format!("{place}.{name}: the field is no longer required")));
}

/// A message if values are possible that were not before.
fn more_values(before: &Map<String, Value>, now: &Map<String, Value>) -> Option<String> {
    let before = values(before)?;
    let Some(now) = values(now) else { return Some("all values are possible".to_owned()) };
    let more: Vec<_> = now.difference(&before).cloned().collect();
    (!more.is_empty()).then(|| format!("the values were added: {}", more.join(", ")))
}

/// The values that a schema lists, as texts. `None` if it lists none. A choice that is no list of values is one by itself:
/// it only equals the same choice.
fn values(schema: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let keyword = VALUES.into_iter().find(|keyword| schema.contains_key(*keyword))?;
    let value = &schema[keyword];
    Some(match (keyword, value) {
        ("enum", Value::Array(values)) => values.iter().map(Value::to_string).collect(),
        ("oneOf", Value::Array(choices)) => choices.iter().flat_map(of_choice).collect(),
        _ => [value.to_string()].into(),
    })
}

fn of_choice(choice: &Value) -> BTreeSet<String> {
    choice.as_object().and_then(values).unwrap_or_else(|| [choice.to_string()].into())
}

/// The types of JSON that are possible. All, if a schema names none.
fn types(value: Option<&Value>) -> BTreeSet<String> {
    let all = json!(["array", "boolean", "integer", "null", "number", "object", "string"]);
    let mut named = match value {
        Some(Value::String(one)) => [one.clone()].into(),
        Some(several @ Value::Array(_)) => texts(Some(several)),
        _ => texts(Some(&all)),
    };
    if named.contains("number") {
        named.insert("integer".to_owned());
    }
    named
}

fn texts(value: Option<&Value>) -> BTreeSet<String> {
    let values = value.and_then(Value::as_array).into_iter().flatten();
    values.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn number(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(f64::NEG_INFINITY)
}

fn upper(value: Option<&Value>) -> f64 {
    value.and_then(Value::as_f64).unwrap_or(f64::INFINITY)
}

/// A schema with all that the rules are about.
fn published() -> Value {
    json!({
        "$id": "urn:digime-reauth:event:demo",
        "type": "object",
        "description": "A demo.",
        "required": ["type", "data"],
        "properties": {
            "type": {"type": "string", "const": "demo"},
            "data": {
                "type": "object",
                "required": ["id", "via", "count"],
                "properties": {
                    "id": {"type": "string", "pattern": "^[0-9]{1,9}$", "maxLength": 9, "not": {"enum": ["0"]}},
                    "via": {"oneOf": [{"type": "string", "const": "callback"}, {"type": "string", "const": "sweep"}]},
                    "kind": {"type": "string", "enum": ["account", "user"]},
                    "count": {"type": "integer", "minimum": 1, "maximum": 9},
                    "since": {"type": "string", "format": "date-time"},
                    "names": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3},
                    "note": {"type": ["string", "null"]},
                },
            },
        },
    })
}

/// What is found after a part of the schema is replaced. `None` takes the part away.
fn after_change(pointer: &str, value: Option<Value>) -> Vec<String> {
    let mut now = published();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = now.pointer_mut(parent).unwrap();
    match (value, parent.as_object_mut().unwrap()) {
        (Some(value), fields) => drop(fields.insert(name.to_owned(), value)),
        (None, fields) => drop(fields.remove(name).unwrap()),
    }
    let one = |schema| BTreeMap::from([("demo".to_owned(), schema)]);
    breaks(&one(published()), &one(now))
}

#[test]
fn every_breaking_change_is_found() {
    let fields = "/properties/data/properties";
    for (rule, pointer, value) in [
        ("a removed field", "/since", None),
        ("a removed required field", "/id", None),
        ("another type", "/count/type", Some(json!("string"))),
        ("a wider type", "/count/type", Some(json!("number"))),
        ("a field that can be null", "/since/type", Some(json!(["string", "null"]))),
        ("no type", "/since/type", None),
        ("an added value", "/kind/enum", Some(json!(["account", "user", "contract"]))),
        ("an added described value", "/via/oneOf", Some(json!([{"const": "callback"}, {"const": "other"}]))),
        ("no list of values", "/kind/enum", None),
        ("another pattern", "/id/pattern", Some(json!("^[0-9a-f]{1,9}$"))),
        ("no pattern", "/id/pattern", None),
        ("another condition", "/id/not", Some(json!({"enum": ["1"]}))),
        ("another format", "/since/format", Some(json!("date"))),
        ("a longer text", "/id/maxLength", Some(json!(10))),
        ("no longest text", "/id/maxLength", None),
        ("a smaller number", "/count/minimum", Some(json!(0))),
        ("no smallest number", "/count/minimum", None),
        ("a larger number", "/count/maximum", Some(json!(10))),
        ("more items", "/names/maxItems", Some(json!(4))),
        ("other items", "/names/items/type", Some(json!("integer"))),
        ("longer items", "/names/items/maxLength", Some(json!(10))),
    ] {
        let found = after_change(&format!("{fields}{pointer}"), value);
        assert_eq!(found.len(), 1, "{rule}: {found:?}");
    }
    for (rule, pointer, value) in [
        ("a field that is no longer required", "/properties/data/required", json!(["id", "count"])),
        ("another type of event", "/properties/type/const", json!("other")),
        ("another id", "/$id", json!("urn:digime-reauth:event:other")),
    ] {
        let found = after_change(pointer, Some(value));
        assert_eq!(found.len(), 1, "{rule}: {found:?}");
    }
    let removed = breaks(&BTreeMap::from([("demo".to_owned(), published())]), &BTreeMap::new());
    assert_eq!(removed, ["demo: the event was removed"]);
}

#[test]
fn harmless_changes_are_allowed() {
    let fields = "/properties/data/properties";
    for (rule, pointer, value) in [
        ("a new field", "/more", Some(json!({"type": "string"}))),
        ("another description", "/id/description", Some(json!("The id."))),
        ("a narrower type", "/note/type", Some(json!("string"))),
        ("a removed value", "/kind/enum", Some(json!(["user"]))),
        ("a removed described value", "/via/oneOf", Some(json!([{"const": "callback"}]))),
        (
            "the same values, written differently",
            "/via",
            Some(json!({"type": "string", "enum": ["sweep", "callback"]})),
        ),
        ("a first pattern", "/note/pattern", Some(json!("^[a-z]+$"))),
        ("a shorter text", "/id/maxLength", Some(json!(8))),
        ("a larger smallest number", "/count/minimum", Some(json!(2))),
        ("fewer items", "/names/maxItems", Some(json!(2))),
    ] {
        let found = after_change(&format!("{fields}{pointer}"), value);
        assert!(found.is_empty(), "{rule}: {found:?}");
    }
    let required = after_change("/properties/data/required", Some(json!(["id", "via", "count", "since"])));
    assert!(required.is_empty(), "a field that becomes required: {required:?}");
    let new = breaks(&BTreeMap::new(), &BTreeMap::from([("demo".to_owned(), published())]));
    assert!(new.is_empty(), "a new event: {new:?}");
}
