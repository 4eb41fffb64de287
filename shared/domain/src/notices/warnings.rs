//! Warnings before an authorization expires.

use jiff::{Span, Timestamp, tz::TimeZone};

use crate::{
    UserId,
    account::Warned,
    quiet_hours::{WHOLE_DAY, daytime, on_day},
};

/// How many days before the expiry the user is warned, in days of the user's calendar.
pub const WARNING_DAYS: [u32; 3] = [14, 7, 1];

/// digi.me may compute an expiry anew with each list. One that moves by less than a day is the same.
const SAME_EXPIRY_SECONDS: i64 = 24 * 60 * 60;

/// What is to be done about an expiry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextWarning {
    /// A warning is due.
    Now { days_left: u32 },
    /// The next warning is due at this time.
    Later {
        at: Timestamp,
        /// The warnings that are done.
        warned: Warned,
    },
    /// No warning follows.
    Never,
}

/// What is to be done about an expiry now. Warnings whose time had passed when the expiry became known are left out: `warned`
/// says which, and is stored with the plan. Of several warnings whose time has passed since, one is sent.
#[must_use]
pub fn next_warning(
    expires_at: Timestamp,
    warned: Option<&Warned>,
    zone: &TimeZone,
    user: &UserId,
    now: Timestamp,
) -> NextWarning {
    if expires_at <= now {
        return NextWarning::Never;
    }
    let due = |days: u32| Some((days, warning_time(expires_at, days, zone, user)?));
    let known = warned.filter(|warned| is_same_expiry(expires_at, warned.expires_at));
    let all = WARNING_DAYS.into_iter().filter_map(due);
    let passed = all.clone().filter(|(_, at)| *at <= now).map(|(days, _)| days).min();
    let warned = match known {
        Some(known) => known.clone(),
        None => Warned { expires_at, days_left: passed, notice: None },
    };
    let is_ahead = |days: u32| warned.days_left.is_none_or(|done| days < done);
    let at = match all.into_iter().find(|(days, _)| is_ahead(*days)) {
        Some((_, at)) if at <= now => daytime(now, zone, user),
        Some((_, at)) => at,
        None => return NextWarning::Never,
    };
    if at <= now {
        NextWarning::Now { days_left: days_between(now, expires_at, zone) }
    } else if at < expires_at {
        NextWarning::Later { at, warned }
    } else {
        NextWarning::Never
    }
}

pub(crate) fn is_same_expiry(one: Timestamp, other: Timestamp) -> bool {
    one.duration_since(other).as_secs().abs() < SAME_EXPIRY_SECONDS
}

/// A time of the day that is so many days before the day of the expiry.
fn warning_time(expires_at: Timestamp, days: u32, zone: &TimeZone, user: &UserId) -> Option<Timestamp> {
    let date = zone.to_datetime(expires_at).date().checked_sub(Span::new().days(days)).ok()?;
    on_day(date, zone, user, WHOLE_DAY)
}

fn days_between(now: Timestamp, expires_at: Timestamp, zone: &TimeZone) -> u32 {
    let date = |time| zone.to_datetime(time).date();
    u32::try_from(date(expires_at).duration_since(date(now)).as_secs() / (24 * 60 * 60)).unwrap_or_default()
}
