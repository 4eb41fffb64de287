//! The fields of a JSON body, each wrong one remembered, so that a caller hears of all at once.

use std::{fmt::Display, str::FromStr};

use serde_json::{Map, Value};

use super::{FieldError, Problem};

/// A JSON object whose fields are read one by one.
#[derive(Debug)]
pub struct Fields {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// The fields of a body; none of it at all is an empty object.
    ///
    /// # Errors
    /// 400 when the body is something else than an object.
    pub fn of(body: Value) -> Result<Self, Problem> {
        match body {
            Value::Object(fields) => Ok(Self { fields, errors: Vec::new() }),
            Value::Null => Ok(Self { fields: Map::new(), errors: Vec::new() }),
            _ => Err(Problem::invalid_field("", "the body must be a JSON object")),
        }
    }

    /// An optional text field, parsed.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.optional_with(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// An optional text field, parsed by `parse`.
    pub fn optional_with<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match self.fields.get(name) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => parse(text),
            Some(_) => Err("must be a string".to_owned()),
        };
        parsed.map_err(|message| self.errors.push(FieldError { field: name.to_owned(), message })).ok()
    }

    /// What was wrong with the fields that were read.
    ///
    /// # Errors
    /// 400, naming each.
    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }
}
