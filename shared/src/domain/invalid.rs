//! What is wrong with input: each wrong field with what is wrong, all of them together.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Names that a caller made up are cut to this many characters before they are repeated.
const MAX_NAME: usize = 64;

/// A field that is missing or has the wrong form. The message says what is wrong, never what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// Where, such as `readResult.status.details`; empty for the input as a whole. It is safe to log.
    pub field: Cow<'static, str>,
    /// The caller's own name of a field below `field`. It is told to the caller, and not logged: it may be any text.
    key: Option<String>,
    /// What is wrong.
    pub message: Cow<'static, str>,
}

impl InvalidField {
    /// A message about a field that this service names.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), key: None, message: message.into() }
    }

    /// A message about a field below `field` that the caller names.
    pub fn below(field: &'static str, key: &str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { key: Some(cut(key)), ..Self::new(field, message) }
    }

    /// The name of the field as it is told to the caller.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match &self.key {
            None => Cow::Borrowed(&*self.field),
            Some(key) if self.field.is_empty() => Cow::Borrowed(key.as_str()),
            Some(key) => Cow::Owned(format!("{}.{key}", self.field)),
        }
    }
}

/// For the caller: `{field, message}`.
impl Serialize for InvalidField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("InvalidField", 2)?;
        fields.serialize_field("field", &self.name())?;
        fields.serialize_field("message", &self.message)?;
        fields.end()
    }
}

/// For the log: without the names that the caller made up.
impl fmt::Display for InvalidField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// All that is wrong with an input. Its parts are parsed one after the other with [`InvalidFields::check`], which goes
/// on after an error; [`InvalidFields::finish`] ends the input.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct InvalidFields(pub Vec<InvalidField>);

impl From<InvalidField> for InvalidFields {
    fn from(field: InvalidField) -> Self {
        Self(vec![field])
    }
}

impl InvalidFields {
    /// The value of a part, if it is valid. If not, what is wrong is remembered.
    pub fn check<T>(&mut self, part: Result<T, impl Into<Self>>) -> Option<T> {
        let remember = |error| {
            let Self(wrong) = error;
            self.0.extend(wrong);
        };
        part.map_err(Into::into).map_err(remember).ok()
    }

    /// The whole input, put together from its parts, if nothing is wrong.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn finish<T>(self, whole: impl FnOnce() -> Option<T>) -> Result<T, Self> {
        if self.0.is_empty() { whole().ok_or(self) } else { Err(self) }
    }
}

/// The beginning of a text that a caller made up.
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
