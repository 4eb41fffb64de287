//! Identifiers and other short values, parsed where they enter the service.

use digime::{InvalidValue, id::check, text_newtype, text_schema};
use jiff::Timestamp;

/// A language tag with many extensions can be long. The registered ones have up to 35 characters.
const MAX_LOCALE_LENGTH: usize = 128;

text_newtype!(
    /// The application's identifier of a user. Opaque: 1 to 128 of `[A-Za-z0-9._:@|+=~-]`, not `.` or `..`.
    UserId,
    |value| check(value, b"._:@|+=~-", "must be 1 to 128 characters of A-Z a-z 0-9 . _ : @ | + = ~ -, and not . or ..")
);

text_schema!(UserId, { "type": "string", "pattern": "^[A-Za-z0-9._:@|+=~-]{1,128}$", "not": { "enum": [".", ".."] } });

text_newtype!(
    /// A language tag (BCP 47), such as `en` or `pt-BR`.
    Locale,
    |value| {
        let message = InvalidValue("must be a BCP 47 language tag such as en or pt-BR");
        if value.len() > MAX_LOCALE_LENGTH {
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

        text_schema!($name, { "type": "string", "pattern": concat!("^", $prefix, "[0-9a-f]{32}$") });

        impl From<[u8; 16]> for $name {
            /// Creates the identifier from 16 random bytes.
            fn from(random: [u8; 16]) -> Self {
                Self(format!(concat!($prefix, "{:032x}"), u128::from_be_bytes(random)))
            }
        }
    };
}

random_id!(
    /// Identifies one event. It begins with the event's sequence number, so that the ids of events sort by time, and those
    /// of one account by sequence. Ids of earlier versions of this service are random.
    EventId,
    "evt_"
);

impl EventId {
    /// The id of the event with this sequence number.
    #[must_use]
    pub fn new(sequence: u64, random: [u8; 8]) -> Self {
        Self::at(u128::from(sequence) << 64 | u128::from(u64::from_be_bytes(random)))
    }

    /// The id at a position in the order of all ids.
    #[must_use]
    pub fn at(position: u128) -> Self {
        Self::from(position.to_be_bytes())
    }

    /// Whether the event happened at this time or later, for ids of this version of the service.
    #[must_use]
    pub fn is_from(&self, time: Timestamp) -> bool {
        (self.position() >> 64) >= u128::try_from(time.as_millisecond()).unwrap_or_default()
    }

    /// The position of the id in the order of all ids.
    #[must_use]
    pub fn position(&self) -> u128 {
        let digits = self.as_str().strip_prefix("evt_").unwrap_or_default();
        u128::from_str_radix(digits, 16).unwrap_or_default()
    }
}

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
    use digime::{AccountId, ContractId};

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
    fn event_ids_sort_by_sequence_number() {
        let id = |sequence, random| EventId::new(sequence, [random; 8]);
        assert!(id(1_795_424_400_000, 255).as_str() < id(1_795_424_400_001, 0).as_str());
        assert_eq!(id(1_795_424_400_000, 7).as_str(), "evt_000001a207a232800707070707070707");
        assert_eq!(EventId::at(id(3, 9).position()), id(3, 9));
    }

    #[test]
    fn random_ids_read_back_what_they_print() {
        let id = ReauthorizationId::from([7; 16]);
        assert_eq!(id.as_str().parse(), Ok(id));
        assert!("ra_XYZ".parse::<ReauthorizationId>().is_err());
        assert!(EventId::from([7; 16]).as_str().parse::<ReauthorizationId>().is_err());
    }
}
