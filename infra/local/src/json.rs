//! JSON that can hold secrets: an error says what is wrong and where, and never what was sent.

use std::ops::RangeInclusive;

use serde_json::{Map, Value, error::Category};

/// Why JSON was not read. A message contains no value, and no name that is not a plain identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("invalid JSON at line {line} column {column}")]
    Syntax { line: usize, column: usize },
    #[error("the JSON ends too early, at line {line} column {column}")]
    Incomplete { line: usize, column: usize },
    #[error("unexpected value at line {line} column {column}")]
    Form { line: usize, column: usize },
    #[error("must be a JSON {0}")]
    Document(&'static str),
    #[error("missing field `{0}`")]
    Missing(&'static str),
    #[error("{0} must be {1}")]
    Type(&'static str, &'static str),
    #[error("unknown field `{0}`")]
    Unknown(String),
    /// The name could be anything, such as a key in a wrong place.
    #[error("unknown field, whose name is not shown")]
    UnknownName,
}

impl From<&serde_json::Error> for JsonError {
    fn from(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            Category::Eof => Self::Incomplete { line, column },
            Category::Data => Self::Form { line, column },
            Category::Syntax | Category::Io => Self::Syntax { line, column },
        }
    }
}

/// Reads any JSON.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonError> {
    serde_json::from_slice(text).map_err(|error| JsonError::from(&error))
}

/// An object whose fields are taken one by one.
pub(crate) struct Object(Map<String, Value>);

impl Object {
    /// `names` are those of all fields that the object can have.
    pub(crate) fn of(value: Value, names: &[&str]) -> Result<Self, JsonError> {
        let Value::Object(fields) = value else { return Err(JsonError::Document("object")) };
        match fields.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(Self(fields)),
            Some(name) if is_identifier(name) => Err(JsonError::Unknown(name.clone())),
            Some(_) => Err(JsonError::UnknownName),
        }
    }

    /// Takes a text. An optional field that is `null` is absent.
    pub(crate) fn optional_text(&mut self, name: &'static str) -> Result<Option<String>, JsonError> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(JsonError::Type(name, "a string")),
        }
    }

    pub(crate) fn text(&mut self, name: &'static str) -> Result<String, JsonError> {
        self.optional_text(name)?.ok_or(JsonError::Missing(name))
    }

    /// Takes a number that is in a range. `wanted` says which numbers those are.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        range: &RangeInclusive<usize>,
        wanted: &'static str,
    ) -> Result<usize, JsonError> {
        let value = self.0.remove(name).ok_or(JsonError::Missing(name))?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or(JsonError::Type(name, wanted))
    }

    /// Takes a list of texts. Without the field, the list is empty.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Vec<String>, JsonError> {
        let wrong = || JsonError::Type(name, "an array of strings");
        let values = match self.0.remove(name) {
            None => Vec::new(),
            Some(Value::Array(values)) => values,
            Some(_) => return Err(wrong()),
        };
        let text = |value| if let Value::String(text) = value { Ok(text) } else { Err(wrong()) };
        values.into_iter().map(text).collect()
    }
}

/// Whether a name can be shown: a line of a key is longer.
fn is_identifier(name: &str) -> bool {
    (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
