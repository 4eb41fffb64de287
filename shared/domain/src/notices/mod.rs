//! When a user is reminded of an account that needs the user, and warned of an authorization that expires. The code is pure:
//! the time, the user's time zone and the configuration are passed in.

mod lifetimes;
mod reminders;
mod warnings;

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};

pub(crate) use self::warnings::is_same_expiry;
pub use self::{
    lifetimes::{Expiry, Lifetimes, expires_at, is_due_for_renewal},
    reminders::{ReminderSchedule, next_reminder},
    warnings::{NextWarning, WARNING_DAYS, next_warning},
};
use crate::{
    Account, Event, EventDetail, ExpiryBasis, Grant, Status,
    account::{ExpiryWarning, NoticePlan, Warned},
    time::after,
};

/// An account is planned anew after this time, so that its plan follows a change of the settings or of the user's time zone.
const PLANNED_ANEW: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the next notice about an account depends on, besides the account.
#[derive(Debug, Clone)]
pub struct Circumstances<'a> {
    pub schedule: &'a ReminderSchedule,
    pub lifetimes: &'a Lifetimes,
    /// The user's time zone.
    pub zone: &'a TimeZone,
    /// When the last completed read of the account was started.
    pub last_read: Option<Timestamp>,
    /// Until when reminders wait, such as for the end of an outage of the service.
    pub not_before: Option<Timestamp>,
    pub now: Timestamp,
}

/// What is to be done about an account now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextNotice {
    /// The next reminder is due.
    Remind,
    /// A warning is due.
    Warn(ExpiryWarning),
    Wait(Wait),
}

/// When the next notice is due, and the warnings that are done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    pub plan: NoticePlan,
    pub warned: Option<Warned>,
}

impl Account {
    /// What is to be done about the account now.
    #[must_use]
    pub fn next_notice(&self, circumstances: &Circumstances<'_>) -> NextNotice {
        let Circumstances { schedule, lifetimes, zone, last_read, not_before, now } = circumstances;
        match &self.status {
            Status::ReauthRequired(episode) => {
                match next_reminder(episode, schedule, zone, &self.user_id, *not_before, *now) {
                    Some(at) if at <= *now => NextNotice::Remind,
                    at => wait(at, self.warned.clone(), *now),
                }
            }
            Status::Active { .. } => {
                let Some(expiry) = expires_at(self, *last_read, lifetimes) else {
                    // An expiry that is no longer known is not offered for renewal.
                    return wait(None, None, *now);
                };
                match next_warning(expiry.at, self.warned.as_ref(), zone, &self.user_id, *now) {
                    NextWarning::Now { days_left } => {
                        NextNotice::Warn(ExpiryWarning { expires_at: expiry.at, days_left, basis: expiry.basis })
                    }
                    NextWarning::Later { at, warned } => wait(Some(at), Some(warned), *now),
                    NextWarning::Never => wait(None, self.warned.clone(), *now),
                }
            }
            Status::Dismissed { .. } | Status::Verifying { .. } => {
                NextNotice::Wait(Wait { plan: NoticePlan::Nothing, warned: self.warned.clone() })
            }
        }
    }
}

/// Waits for a notice at the time `at`, if one is known.
fn wait(at: Option<Timestamp>, warned: Option<Warned>, now: Timestamp) -> NextNotice {
    let anew = after(now, PLANNED_ANEW);
    NextNotice::Wait(Wait { plan: NoticePlan::At(at.map_or(anew, |at| at.min(anew))), warned })
}

impl Grant {
    /// What is to be done about the expiry of the refresh token. [`NextWarning::Never`]: nothing before it expires.
    #[must_use]
    pub fn next_warning(&self, zone: &TimeZone, now: Timestamp) -> NextWarning {
        next_warning(self.tokens.refresh.expires_at, self.warned.as_ref(), zone, &self.user_id, now)
    }
}

/// Whether the event is a reminder or a warning: it is published only while it is true.
#[must_use]
pub fn is_notice(detail: &EventDetail) -> bool {
    match detail {
        EventDetail::ReauthorizationRequired { reminder, .. } => *reminder > 0,
        EventDetail::AuthorizationExpiring { .. } | EventDetail::UserAuthorizationExpiring { .. } => true,
        _ => false,
    }
}

/// Whether a reminder or a warning about an account is still true: the episode is open and not postponed, or the account is
/// active and its authorization was not renewed since. `account` is `None` if it is gone.
#[must_use]
pub fn is_true_of_account(event: &Event, account: Option<&Account>, now: Timestamp) -> bool {
    let Some(account) = account else { return false };
    match (&event.detail, &account.status) {
        (EventDetail::ReauthorizationRequired { .. }, Status::ReauthRequired(episode)) => {
            event.subject.episode_id.as_ref() == Some(&episode.episode_id)
                && episode.postponed_until.is_none_or(|until| until <= now)
        }
        (
            EventDetail::AuthorizationExpiring { expires_at, basis, .. },
            Status::Active { authorization_expires_at, .. },
        ) => match basis {
            ExpiryBasis::Source => authorization_expires_at.is_some_and(|at| is_same_expiry(at, *expires_at)),
            ExpiryBasis::Service => account.reauthorized_at.is_none_or(|at| at < event.timestamp),
        },
        _ => false,
    }
}

/// Whether a warning about a grant is still true. `refresh_expires_at` is when the grant's refresh token expires, unless it
/// is dead or the grant is gone.
#[must_use]
pub fn is_true_of_grant(event: &Event, refresh_expires_at: Option<Timestamp>) -> bool {
    let EventDetail::UserAuthorizationExpiring { expires_at, .. } = &event.detail else { return false };
    refresh_expires_at == Some(*expires_at)
}

#[cfg(test)]
mod tests;
