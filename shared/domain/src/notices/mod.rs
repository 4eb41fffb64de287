//! When a user is reminded of an account that needs the user, and warned of an authorization that expires. The code is pure:
//! the time, the user's time zone and the configuration are passed in.

mod lifetimes;
mod reminders;
mod warnings;

use jiff::{Timestamp, tz::TimeZone};

pub use self::{
    lifetimes::{Expiry, Lifetimes, expires_at, is_due_for_renewal},
    reminders::{ReminderSchedule, next_reminder},
    warnings::{NextWarning, WARNING_DAYS, next_warning},
};
use crate::{
    Account, Grant, Status,
    account::{ExpiryWarning, NoticePlan, Warned},
};

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
                    at => self.wait(at.map_or(NoticePlan::Nothing, NoticePlan::At)),
                }
            }
            Status::Active { .. } => {
                let Some(expiry) = expires_at(self, *last_read, lifetimes) else {
                    return self.wait(NoticePlan::Nothing);
                };
                match next_warning(expiry.at, self.warned.as_ref(), zone, &self.user_id, *now) {
                    NextWarning::Now { days_left } => {
                        NextNotice::Warn(ExpiryWarning { expires_at: expiry.at, days_left, basis: expiry.basis })
                    }
                    NextWarning::Later { at, warned } => {
                        NextNotice::Wait(Wait { plan: NoticePlan::At(at), warned: Some(warned) })
                    }
                    NextWarning::Never => self.wait(NoticePlan::Nothing),
                }
            }
            Status::Dismissed { .. } | Status::Verifying { .. } => self.wait(NoticePlan::Nothing),
        }
    }

    fn wait(&self, plan: NoticePlan) -> NextNotice {
        NextNotice::Wait(Wait { plan, warned: self.warned.clone() })
    }
}

impl Grant {
    /// What is to be done about the expiry of the refresh token. [`NextWarning::Never`]: nothing before it expires.
    #[must_use]
    pub fn next_warning(&self, zone: &TimeZone, now: Timestamp) -> NextWarning {
        next_warning(self.tokens.refresh.expires_at, self.warned.as_ref(), zone, &self.user_id, now)
    }
}

#[cfg(test)]
mod tests;
