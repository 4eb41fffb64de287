//! The hours in which users get no notices, and how notices are spread over those in which they do.

use std::time::Duration;

use jiff::{
    Timestamp,
    civil::{Date, time},
    tz::TimeZone,
};

use crate::{UserId, time::after};

/// Notices are sent from 08:00 until before 21:00, in the user's time zone.
const DAY: std::ops::Range<i8> = 8..21;
/// How long the notices that waited for the morning are spread.
const MORNING: Duration = Duration::from_secs(60 * 60);
/// How long notices without a time of day of their own are spread.
pub(super) const WHOLE_DAY: Duration = Duration::from_secs(13 * 60 * 60);

/// Whether users get notices at this time.
#[must_use]
pub fn is_daytime(at: Timestamp, zone: &TimeZone) -> bool {
    DAY.contains(&zone.to_datetime(at).hour())
}

/// The time itself if it is in the daytime, else a time in the next morning.
#[must_use]
pub fn in_daytime(at: Timestamp, zone: &TimeZone, user: &UserId) -> Timestamp {
    if is_daytime(at, zone) {
        return at;
    }
    let local = zone.to_datetime(at);
    let date = if local.hour() < DAY.start { Some(local.date()) } else { local.date().tomorrow().ok() };
    date.and_then(|date| on_day(date, zone, user, MORNING)).unwrap_or(at).max(at)
}

/// A time on the day, at or after 08:00, that the user's id chooses from the hours given. `None` at the end of time.
pub(super) fn on_day(date: Date, zone: &TimeZone, user: &UserId, spread: Duration) -> Option<Timestamp> {
    let begin = zone.to_timestamp(date.to_datetime(time(DAY.start, 0, 0, 0))).ok()?;
    let chosen = after(begin, Duration::from_secs(hash(user) % spread.as_secs()));
    // A day that a change of the clock shortens may be over by then.
    Some(if is_daytime(chosen, zone) { chosen } else { begin })
}

/// FNV-1a: the same in every version of this service, so that a plan that is made again is the same.
fn hash(user: &UserId) -> u64 {
    user.as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
