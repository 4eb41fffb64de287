//! Times.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

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
