//! A message in the language of its reader.

use std::fmt;

use fluent_bundle::FluentValue;
use maud::{Markup, PreEscaped, Render};

use crate::name::{END_ISOLATE, ISOLATE};

/// A formatted message. As HTML, it is escaped, and names are in `<bdi>`. As plain text (`Display`), names stand as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(pub(crate) String);

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.split([ISOLATE, END_ISOLATE]);
        parts.into_iter().try_for_each(|part| formatter.write_str(part))
    }
}

impl Render for Text {
    fn render(&self) -> Markup {
        let escaped = self.0.render().into_string();
        PreEscaped(escaped.replace(ISOLATE, "<bdi>").replace(END_ISOLATE, "</bdi>"))
    }
}

/// A message within another one, such as a date or a list.
impl From<&Text> for FluentValue<'_> {
    fn from(text: &Text) -> Self {
        text.0.clone().into()
    }
}

/// Makes a method of [`crate::Texts`] for each message, with the message's variables as its arguments.
macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*);)*) => {
        impl $crate::Texts {
            $($(#[$doc])*
            #[must_use]
            pub fn $name(&self, $($argument: $type),*) -> $crate::Text {
                self.format(stringify!($name), &[$((stringify!($argument), $argument.into())),*])
            })*
        }

        /// The messages and their variables.
        #[cfg(test)]
        pub(crate) const MESSAGES: &[(&str, &[(&str, &str)])] =
            &[$((stringify!($name), &[$((stringify!($argument), stringify!($type))),*])),*];
    };
}
