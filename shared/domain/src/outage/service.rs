//! The name of a service as a key.

/// In bytes. DynamoDB allows 2,048 in a partition key.
const MAX_LENGTH: usize = 256;

/// Names a service in keys. Names that differ only in case or in spaces are the same service. Of a long name the
/// beginning counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey(String);

impl ServiceKey {
    /// `None` for a name without a letter: accounts without a service are not those of one service.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let words: Vec<_> = name.split_whitespace().map(str::to_lowercase).collect();
        let mut key = words.join(" ");
        key.truncate(key.floor_char_boundary(MAX_LENGTH));
        let key = key.trim_end().to_owned();
        (!key.is_empty()).then_some(Self(key))
    }

    /// The key that was stored.
    #[must_use]
    pub fn stored(key: &str) -> Self {
        Self(key.to_owned())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ServiceKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_case_and_spaces_are_one_service() {
        let key = |name| ServiceKey::of(name).map(|key| key.as_str().to_owned());
        for name in ["Meadow Bank", " meadow  BANK", "MEADOW\u{a0}BANK\n", "Meadow\tBank "] {
            assert_eq!(key(name).as_deref(), Some("meadow bank"), "{name:?}");
        }
        assert_eq!(key("Ärztehaus").as_deref(), Some("ärztehaus"));
        assert_ne!(key("Meadow Bank 2"), key("Meadow Bank"));
        assert_eq!([key(""), key(" \t\u{a0}\n")], [None, None]);
    }

    #[test]
    fn a_long_name_becomes_a_key_that_dynamodb_accepts() {
        for name in ["x".repeat(5_000), "ß".repeat(3_000), "€ ".repeat(2_000), "𝕏".repeat(1_000)] {
            let key = ServiceKey::of(&name).unwrap();
            assert!(key.as_str().len() <= MAX_LENGTH && key.as_str().len() > MAX_LENGTH - 4, "{}", key.as_str().len());
            assert_eq!(ServiceKey::of(key.as_str()).as_ref(), Some(&key), "a key is its own key");
        }
    }
}
