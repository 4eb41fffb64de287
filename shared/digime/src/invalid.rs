//! Errors in input: all invalid fields together, each with a message.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Names from the caller are cut to this many characters before they are repeated.
const MAX_NAME: usize = 64;

/// A field that is missing or has the wrong form. The message says what is wrong and never contains the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The field's path, such as `readResult.status.details`. Empty for the input as a whole. Safe to log.
    pub field: Cow<'static, str>,
    /// The caller's name of a field below `field`. It is returned to the caller and not logged, because it can be any
    /// text.
    key: Option<String>,
    /// What the field must be, such as `must be an object`. Safe to log.
    pub message: Cow<'static, str>,
}

impl InvalidField {
    /// A message about a field whose name is known in advance.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), key: None, message: message.into() }
    }

    /// A message about a field below `field` whose name the caller chose.
    pub fn below(field: &'static str, key: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { key: Some(cut(key)), ..Self::new(field, message) }
    }

    /// The same field of an object that contains the input as its field `parent`.
    fn under(mut self, parent: &str) -> Self {
        let field = if self.field.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.field) };
        self.field = field.into();
        self
    }

    /// The name of the field as it is returned to the caller.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match &self.key {
            None => Cow::Borrowed(&*self.field),
            Some(key) if self.field.is_empty() => Cow::Borrowed(key.as_str()),
            Some(key) => Cow::Owned(format!("{}.{key}", self.field)),
        }
    }
}

/// The form for the caller: `{field, message}`.
impl Serialize for InvalidField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("InvalidField", 2)?;
        fields.serialize_field("field", &self.name())?;
        fields.serialize_field("message", &self.message)?;
        fields.end()
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for InvalidField {
    fn schema_name() -> Cow<'static, str> {
        "InvalidField".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "object",
            "properties": { "field": { "type": "string" }, "message": { "type": "string" } },
            "required": ["field", "message"],
        })
    }
}

/// The form for the log, without names that the caller chose.
impl fmt::Display for InvalidField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// All invalid fields of an input. [`InvalidFields::check`] takes each parsed part and continues after an error.
/// [`InvalidFields::finish`] ends the input.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidFields(pub Vec<InvalidField>);

impl From<InvalidField> for InvalidFields {
    fn from(field: InvalidField) -> Self {
        Self(vec![field])
    }
}

impl InvalidFields {
    /// The value of a part if it is valid. If not, its error is recorded.
    pub fn check<T>(&mut self, part: Result<T, impl Into<Self>>) -> Option<T> {
        let remember = |error| {
            let Self(wrong) = error;
            self.0.extend(wrong);
        };
        part.map_err(Into::into).map_err(remember).ok()
    }

    /// The same fields of an object that contains the input as its field `parent`.
    #[must_use]
    pub fn under(self, parent: &str) -> Self {
        Self(self.0.into_iter().map(|field| field.under(parent)).collect())
    }

    /// The whole input, built from its parts, if every part is valid.
    ///
    /// # Errors
    /// All invalid fields.
    pub fn finish<T>(self, whole: impl FnOnce() -> Option<T>) -> Result<T, Self> {
        if self.0.is_empty() { whole().ok_or(self) } else { Err(self) }
    }
}

/// The beginning of a text from the caller, at most 64 characters.
#[must_use]
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_caller_made_up_are_cut_and_not_logged() {
        let field = InvalidField::below("readResult", &"ä".repeat(100), "must be an object");
        assert_eq!(field.name(), format!("readResult.{}…", "ä".repeat(MAX_NAME)));
        assert_eq!(field.to_string(), "readResult: must be an object");
        assert_eq!(InvalidField::below("", "x", "is not known").name(), "x");
        let told = serde_json::to_string(&InvalidField::below("", "\"\u{0}", "is not known")).unwrap();
        assert_eq!(told, r#"{"field":"\"\u0000","message":"is not known"}"#);
    }

    #[test]
    fn all_that_is_wrong_is_remembered() {
        let mut wrong = InvalidFields::default();
        let good = wrong.check(Ok::<_, InvalidField>(1));
        let bad = wrong.check(Err::<u8, _>(InvalidField::new("a", "is missing")));
        let worse: Option<u8> = wrong.check(Err(InvalidField::new("b", "is missing")));
        let fields = wrong.finish(|| Some((good?, bad?, worse?))).unwrap_err();
        assert_eq!(fields.0.iter().map(InvalidField::name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(InvalidFields::default().finish(|| good), Ok(1));
    }
}
