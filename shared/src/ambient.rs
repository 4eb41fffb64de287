//! Time and randomness. Only this module reads the system's clock and random number generator.
//!
//! Other code gets a [`Clock`] or a [`Random`] (together: [`Ambient`]) from its caller, so that tests can set the time.

use std::{fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time, in whole milliseconds.
    fn now(&self) -> Timestamp;
}

/// A source of cryptographically secure random bytes.
pub trait Random: fmt::Debug + Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock and a source of randomness. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Ambient {
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// The system's clock and random number generator.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(System), Arc::new(System))
    }

    /// The current time, in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A random duration below `limit`, for the jitter of retries.
    #[must_use]
    pub fn jitter(&self, limit: Duration) -> Duration {
        let fraction = u32::from_be_bytes(self.bytes());
        limit.mul_f64(f64::from(fraction) / (f64::from(u32::MAX) + 1.0))
    }

    /// The time until the deadline; zero after it.
    #[must_use]
    pub fn remaining(&self, deadline: Deadline) -> Duration {
        Duration::try_from(deadline.0.duration_since(self.now())).unwrap_or_default()
    }
}

/// The time at which an invocation, or a part of it, must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Timestamp);

impl Deadline {
    /// The earlier of this deadline and `now + limit`.
    #[must_use]
    pub fn within(self, now: Timestamp, limit: Duration) -> Self {
        self.min(Self(after(now, limit)))
    }

    /// This deadline, `reserve` earlier, so that time is left for later work.
    #[must_use]
    pub fn less(self, reserve: Duration) -> Self {
        let reserve = SignedDuration::try_from(reserve).unwrap_or(SignedDuration::MAX);
        Self(self.0.saturating_sub(reserve).unwrap_or(Timestamp::MIN))
    }
}

/// `time + duration`, or [`Timestamp::MAX`] if the sum is later.
#[must_use]
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// The timestamp, truncated to whole milliseconds.
#[must_use]
pub fn whole_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[derive(Debug)]
struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        whole_milliseconds(Timestamp::now())
    }
}

impl Random for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks for randomness")]
    #[expect(clippy::expect_used, reason = "a system without randomness cannot do anything safely")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
    }
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
        Timestamp::deserialize(deserializer).map(super::whole_milliseconds)
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
            Ok(Option::<Timestamp>::deserialize(deserializer)?.map(super::super::whole_milliseconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_written_with_milliseconds() {
        let time: Timestamp = "2026-11-23T10:00:00+01:00".parse().unwrap();
        assert_eq!(rfc3339::text(time), "2026-11-23T09:00:00.000Z");
    }

    #[test]
    fn nothing_remains_after_the_deadline() {
        let ambient = Ambient::system();
        assert_eq!(ambient.remaining(Deadline(Timestamp::UNIX_EPOCH)), Duration::ZERO);
    }
}
