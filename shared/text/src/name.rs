//! Names within texts.

use std::borrow::Cow;

use fluent_bundle::FluentValue;

/// The mark before a name: FIRST STRONG ISOLATE.
pub(crate) const ISOLATE: char = '\u{2068}';
/// The mark after a name: POP DIRECTIONAL ISOLATE.
pub(crate) const END_ISOLATE: char = '\u{2069}';

/// A name from outside: of a service, the application, or a person. It can be of any script.
///
/// The direction of its script must not reorder the text around it, so that it is isolated: by `<bdi>` in HTML. Plain text has no
/// isolation: its marks are invisible characters, which the subject of a mail shows as boxes in old programs, and which searching
/// and filters stumble over. In languages from left to right, a name from right to left reads well without them, as long as no
/// number stands beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    Known(&'a str),
    /// The text says "this service" or "the application" then. The files select this case with the number 0.
    Unknown,
}

impl<'a> From<Option<&'a str>> for Name<'a> {
    fn from(name: Option<&'a str>) -> Self {
        name.map_or(Self::Unknown, Self::Known)
    }
}

impl<'a> From<&'a str> for Name<'a> {
    fn from(name: &'a str) -> Self {
        Self::Known(name)
    }
}

impl From<Name<'_>> for FluentValue<'_> {
    fn from(name: Name<'_>) -> Self {
        match name {
            Name::Known(name) => {
                let name = name.replace(is_direction_control, "");
                Self::String(Cow::Owned(format!("{ISOLATE}{name}{END_ISOLATE}")))
            }
            Name::Unknown => 0.into(),
        }
    }
}

/// Whether a character changes the direction of the text after it. A name must not contain such a mark, which would reach beyond it.
fn is_direction_control(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
