//! The schedule of reminders.

use std::{str::FromStr, time::Duration};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    InvalidValue, UserId,
    account::Episode,
    quiet_hours::daytime,
    time::{after, parse_duration},
};

/// A reminder that could not be sent for so long is left out. An outage holds reminders back for a day, and a night follows.
const LATEST: Duration = Duration::from_secs(2 * 24 * 60 * 60);
const MAX_REMINDERS: usize = 20;

/// When a user is reminded, after the application was notified: such as `1d,3d,7d`, or `none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReminderSchedule(Vec<Duration>);

impl Default for ReminderSchedule {
    fn default() -> Self {
        Self([1, 3, 7].map(|days| Duration::from_secs(days * 24 * 60 * 60)).to_vec())
    }
}

impl FromStr for ReminderSchedule {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let wrong = InvalidValue("must be up to 20 growing durations such as 1d,3d,7d, or none");
        let offsets = text.split(',').map(|offset| parse_duration(offset.trim()));
        let offsets: Vec<_> = offsets.collect::<Option<_>>().ok_or(wrong)?;
        let grows = offsets.is_sorted_by(|one, next| one < next);
        if grows && offsets.len() <= MAX_REMINDERS { Ok(Self(offsets)) } else { Err(wrong) }
    }
}

/// When the next reminder of the episode is due: `now` or earlier if it is due now, which is then in the daytime. `None` if no
/// reminder follows. `not_before` is a time until which reminders wait.
#[must_use]
pub fn next_reminder(
    episode: &Episode,
    schedule: &ReminderSchedule,
    zone: &TimeZone,
    user: &UserId,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    if episode.reminders as usize >= schedule.0.len() {
        return None;
    }
    let planned = schedule.0.iter().map(|offset| after(episode.told_at(), *offset));
    // What passed while reminders were held back is covered by the reminder that came after.
    let ahead = planned.filter(|at| episode.reminded_at.is_none_or(|reminded_at| reminded_at < *at));
    let held_back = episode.postponed_until.max(not_before);
    let mut due = ahead.map(|at| daytime(held_back.map_or(at, |until| at.max(until)), zone, user));
    let next = due.find(|at| now <= after(*at, LATEST))?;
    Some(daytime(next.max(now), zone, user)).map(|at| if at <= now { next } else { at })
}
