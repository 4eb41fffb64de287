//! Time and randomness. Only this module reads the system's clock and random number generator.
//!
//! Other code gets a [`Clock`] or a [`Random`] (together: [`Ambient`]) from its caller, so that tests can set the time.

use std::{fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::time::{after, whole_milliseconds};

/// A source of the current time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time, in whole milliseconds.
    fn now(&self) -> Timestamp;
}

/// A source of cryptographically secure random bytes.
pub trait Random: fmt::Debug + Send + Sync {
    /// Fills the buffer with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A clock and a source of randomness. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ambient {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Ambient {
    /// A clock and a source of randomness of the caller.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// The system's clock and random number generator.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(System), Arc::new(System))
    }

    /// The same source of randomness with another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// The current time, in whole milliseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// `N` random bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_remains_after_the_deadline() {
        let ambient = Ambient::system();
        assert_eq!(ambient.remaining(Deadline(Timestamp::UNIX_EPOCH)), Duration::ZERO);
    }
}
