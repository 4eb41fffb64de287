//! Identifiers and other short values, parsed where they enter the service.

use std::{fmt, str::FromStr};

/// A value that does not have the form of its field. The message says what is wrong and never contains the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);

const MAX_LENGTH: usize = 128;

fn check(value: &str, extra: &[u8], message: &'static str) -> Result<(), InvalidValue> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    let well_formed =
        !value.is_empty() && value.len() <= MAX_LENGTH && value.bytes().all(allowed) && value != "." && value != "..";
    if well_formed { Ok(()) } else { Err(InvalidValue(message)) }
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(value: &str) -> Result<Self, InvalidValue> {
                let check: fn(&str) -> Result<(), InvalidValue> = $check;
                check(value)?;
                Ok(Self(value.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidValue;

            fn try_from(value: String) -> Result<Self, InvalidValue> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_newtype!(
    /// The application's identifier of a user. Opaque: 1 to 128 of `[A-Za-z0-9._:@|+=~-]`, not `.` or `..`.
    UserId,
    |value| check(value, b"._:@|+=~-", "must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ | + = ~ -, and not . or ..")
);

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

text_newtype!(
    /// A language tag (BCP 47), such as `en` or `pt-BR`.
    Locale,
    |value| {
        let message = InvalidValue("must be a BCP 47 language tag such as en or pt-BR");
        if value.len() > MAX_LENGTH {
            return Err(message);
        }
        oxilangtag::LanguageTag::parse(value).map(drop).map_err(|_| message)
    }
);

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        text_newtype!(
            $(#[$doc])*
            $name,
            |value| {
                let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                match value.strip_prefix($prefix) {
                    Some(rest) if rest.len() == 32 && rest.bytes().all(hex) => Ok(()),
                    _ => Err(InvalidValue(concat!("must be ", $prefix, " and 32 hexadecimal digits"))),
                }
            }
        );

        impl From<[u8; 16]> for $name {
            /// Creates the identifier from 16 random bytes.
            fn from(random: [u8; 16]) -> Self {
                Self(format!(concat!($prefix, "{:032x}"), u128::from_be_bytes(random)))
            }
        }
    };
}

random_id!(
    /// Identifies one event.
    EventId,
    "evt_"
);

random_id!(
    /// Identifies one episode: the time from an account's authorization error until it is active again.
    EpisodeId,
    "ep_"
);

random_id!(
    /// Identifies one reauthorization.
    ReauthorizationId,
    "ra_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_hold_what_identity_providers_use() {
        for value in ["auth0|5f7c8ec7c33c6c004bbafe82", "a", "x@y", "urn:user:1", "~", "a+b=c", &"a".repeat(128)] {
            assert!(value.parse::<UserId>().is_ok(), "{value}");
        }
        for value in ["", ".", "..", "a b", "a/b", "a#b", "ä", "a\0", &"a".repeat(129)] {
            assert!(value.parse::<UserId>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn account_and_contract_ids_are_narrower() {
        assert!("1_1xxxxxxxxx".parse::<AccountId>().is_ok());
        for value in ["a:b", "a@b", "..", "", "a#b"] {
            assert!(value.parse::<AccountId>().is_err(), "{value:?}");
            assert!(value.parse::<ContractId>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn locales_are_language_tags() {
        for value in ["en", "pt-BR", "zh-Hant-TW", "de-CH-1996"] {
            assert!(value.parse::<Locale>().is_ok(), "{value}");
        }
        for value in ["", "e", "en_GB", "en-", "&lng=x", "english language"] {
            assert!(value.parse::<Locale>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn random_ids_read_back_what_they_print() {
        let id = ReauthorizationId::from([7; 16]);
        assert_eq!(id.as_str().parse(), Ok(id));
        assert!("ra_XYZ".parse::<ReauthorizationId>().is_err());
        assert!(EventId::from([7; 16]).as_str().parse::<ReauthorizationId>().is_err());
    }
}
