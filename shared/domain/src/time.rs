//! Times, and their form in JSON and in the table.

use std::time::Duration;

pub use digime::time::{after, whole_milliseconds};
use jiff::{SignedDuration, Timestamp};

/// `time - duration`, or [`Timestamp::MIN`] if the difference is earlier.
#[must_use]
pub fn before(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}

/// A duration such as `90s`, `15m`, `1h` or `14d`: more than zero, and at most ten years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let number: u64 = number.parse().ok()?;
    number.checked_mul(seconds).filter(|total| (1..=10 * 366 * 86_400).contains(total)).map(Duration::from_secs)
}

/// RFC 3339 in UTC with milliseconds, always 24 characters, so that the texts sort by time.
pub mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    #[must_use]
    pub fn text(time: Timestamp) -> String {
        format!("{time:.3}")
    }

    /// For `#[serde(serialize_with)]` and `#[serde(with)]`.
    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*time))
    }

    /// For `#[serde(with)]`. Accepts any offset and precision.
    ///
    /// # Errors
    /// When the text is not a timestamp.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer).map(digime::time::whole_milliseconds)
    }

    /// For `#[serde(with)]` of an optional field.
    pub mod option {
        use jiff::Timestamp;
        use serde::{Deserialize, Deserializer, Serializer};

        pub fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, serializer),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
            Ok(Option::<Timestamp>::deserialize(deserializer)?.map(digime::time::whole_milliseconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn timestamps_are_written_with_milliseconds() {
        let time: Timestamp = "2026-11-23T10:00:00+01:00".parse().unwrap();
        assert_eq!(rfc3339::text(time), "2026-11-23T09:00:00.000Z");
    }
}
