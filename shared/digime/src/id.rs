//! Identifiers, parsed where they enter the program.

/// A value that does not have the form of its field. The message says what is wrong and never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

const MAX_LENGTH: usize = 128;

/// Checks an identifier: 1 to 128 ASCII letters, digits and bytes of `extra`, and neither `.` nor `..`.
///
/// # Errors
/// [`InvalidValue`] with `message` when the value has another form.
pub fn check(value: &str, extra: &[u8], message: &'static str) -> Result<(), InvalidValue> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    let well_formed =
        !value.is_empty() && value.len() <= MAX_LENGTH && value.bytes().all(allowed) && value != "." && value != "..";
    if well_formed { Ok(()) } else { Err(InvalidValue(message)) }
}

/// Declares a string type whose values are checked when they are parsed: from a string, from JSON, and from a map key.
#[macro_export]
macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The value.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::InvalidValue;

            fn from_str(value: &str) -> Result<Self, $crate::InvalidValue> {
                let check: fn(&str) -> Result<(), $crate::InvalidValue> = $check;
                check(value)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::InvalidValue;

            fn try_from(value: String) -> Result<Self, $crate::InvalidValue> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_newtype!(
    /// digi.me's identifier of an account, such as `1_1xxxxxxxxx`: 1 to 128 of `[A-Za-z0-9._-]`, not `.` or `..`.
    AccountId,
    |value| check(value, b"._-", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -, and not . or ..")
);

text_newtype!(
    /// digi.me's identifier of a contract: 1 to 128 of `[A-Za-z0-9._-]`, not `.` or `..`.
    ContractId,
    |value| check(value, b"._-", "must be 1 to 128 characters of A-Z a-z 0-9 . _ -, and not . or ..")
);

/// Gives a type of [`text_newtype!`] its JSON Schema. The calling crate depends on `schemars`.
#[cfg(feature = "schemars")]
#[macro_export]
macro_rules! text_schema {
    ($name:ident, $schema:tt) => {
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

#[cfg(feature = "schemars")]
text_schema!(AccountId, { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$", "not": { "enum": [".", ".."] } });
#[cfg(feature = "schemars")]
text_schema!(ContractId, { "type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$", "not": { "enum": [".", ".."] } });
