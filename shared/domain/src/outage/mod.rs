//! Outages of services. When many accounts of one service break within a short time, the service is probably down: its
//! users can mend nothing, so that notices to them wait.

mod counts;
mod service;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    counts::{Counts, ServiceCounts, bucket_of, usual_from},
    service::ServiceKey,
};
use crate::{
    UserId,
    time::{after, rfc3339},
    told_state::ToldState,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// An outage takes at most this long. After that, the accounts are broken, not the service. Notices wait at most this long in
/// outages that follow each other within [`PAUSE`].
pub const LONGEST_HOLD: Duration = HOUR.saturating_mul(24);
/// After this long without a wait, notices may wait for the longest time again.
const PAUSE: Duration = HOUR.saturating_mul(24);
/// An outage is looked at from this long before its end on, so that it is prolonged before a notice goes out.
const LAST_LOOK: SignedDuration = SignedDuration::from_mins(5);
/// The notices that waited are spread over this time behind the end of the outage.
pub const SMOOTHING: Duration = HOUR;

/// When broken accounts of a service count as its outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutageSettings {
    /// At least this many accounts break within five minutes.
    pub min_accounts: u64,
    /// At least this many times as many as usual.
    pub factor: u64,
    /// How long notices wait, before the outage is looked at again.
    pub hold: Duration,
}

impl Default for OutageSettings {
    fn default() -> Self {
        Self { min_accounts: 50, factor: 10, hold: HOUR.saturating_mul(2) }
    }
}

impl OutageSettings {
    /// From how many broken accounts in five minutes on it is an outage, for a service with this usual number.
    #[must_use]
    pub fn threshold(&self, usual: u64) -> u64 {
        self.min_accounts.max(self.factor.saturating_mul(usual))
    }
}

/// Whether a service is probably down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutageState {
    #[default]
    Ended,
    Suspected,
}

/// An outage of a service, which may have ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outage {
    /// The service's name as digi.me gives it.
    pub service: String,
    pub state: OutageState,
    /// The beginning of the first five minutes in which too many accounts broke.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// Until when it lasts, unless it is prolonged.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
    /// Notices wait until then at the latest, though the outage lasts longer.
    #[serde(with = "rfc3339")]
    pub hold_limit: Timestamp,
    /// From how many broken accounts in five minutes on the outage goes on.
    pub threshold: u64,
    /// In seconds: how long it is prolonged at a time.
    pub hold_seconds: u64,
    /// How many accounts broke since its beginning, as it was counted last.
    pub accounts: u64,
    /// How many of the service's accounts healed in this time.
    #[serde(default)]
    pub healed: u64,
    /// What the operator was told.
    #[serde(flatten)]
    pub told: ToldState<OutageState>,
}

impl Outage {
    /// The outage that begins with `accounts` broken accounts in the five minutes from `bucket` on, of a service that
    /// usually has `usual`. `None` if that is no outage, if it is known, or if it is over by now.
    #[must_use]
    pub fn begun(
        previous: Option<&Self>,
        service: &str,
        accounts: u64,
        bucket: Timestamp,
        usual: u64,
        settings: &OutageSettings,
        now: Timestamp,
    ) -> Option<Self> {
        let threshold = settings.threshold(usual);
        let until = after(now, settings.hold).min(after(bucket, LONGEST_HOLD));
        let is_known = previous.is_some_and(|previous| previous.is_open(now));
        (accounts >= threshold && !is_known && now < until).then(|| Self {
            service: service.to_owned(),
            state: OutageState::Suspected,
            since: bucket,
            until,
            hold_limit: hold_limit(previous, bucket, now),
            threshold,
            hold_seconds: settings.hold.as_secs(),
            accounts,
            healed: 0,
            told: previous.map(|previous| previous.told).unwrap_or_default(),
        })
    }

    /// Whether the service is probably down.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.state == OutageState::Suspected && now < self.until
    }

    /// Until when notices wait, or waited last.
    #[must_use]
    pub fn held_until(&self) -> Timestamp {
        self.until.min(self.hold_limit)
    }

    /// Whether notices wait.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.is_open(now) && now < self.held_until()
    }

    /// The outage after a look at it: prolonged while accounts break as they did at its beginning, ended if its time is over.
    /// `None` if nothing changes. Accounts that are still broken at the end are those that their users must mend.
    #[must_use]
    pub fn looked_at(&self, counts: &ServiceCounts, now: Timestamp) -> Option<Self> {
        let is_time = self.until.duration_since(now) <= LAST_LOOK;
        if self.state == OutageState::Ended || !is_time {
            return None;
        }
        let looked = self.counted(counts.since(self.since));
        let prolonged = after(now, Duration::from_secs(self.hold_seconds)).min(after(self.since, LONGEST_HOLD));
        if prolonged > self.until && prolonged > now && counts.breaks(self.threshold, now) {
            return Some(Self { until: prolonged, ..looked });
        }
        (now >= self.until).then_some(Self { state: OutageState::Ended, ..looked })
    }

    /// With what was counted since its beginning. Counters are eventually consistent: what was counted before stays counted.
    fn counted(&self, counts: Counts) -> Self {
        let (accounts, healed) = (counts.broken.max(self.accounts), counts.healed.max(self.healed));
        Self { accounts, healed, ..self.clone() }
    }

    /// When the sweep must look at the outage: to tell the operator, to prolong it, or to end it. `None` if it has ended
    /// and the operator knows.
    #[must_use]
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.told.must_tell(self.state) {
            return Some(self.told.notice_claimed_until.unwrap_or(now));
        }
        // From then on, every sweep looks at it.
        let last_look = self.until.saturating_sub(LAST_LOOK).unwrap_or(self.until);
        (self.state == OutageState::Suspected).then_some(last_look)
    }

    /// The outage while a sweep tells the operator of its state, and of what was counted by now.
    /// `None` if the operator knows the state, or another sweep is telling it.
    #[must_use]
    pub fn with_claimed_notice(&self, counts: Counts, now: Timestamp) -> Option<Self> {
        let told = self.told.claimed(self.state, now)?;
        Some(Self { told, ..self.counted(counts) })
    }

    /// The outage after the operator was told of `state`.
    #[must_use]
    pub fn with_sent_notice(&self, state: OutageState) -> Self {
        Self { told: self.told.sent(state), ..self.clone() }
    }
}

/// Until when notices may wait for an outage since `since`: what earlier outages have left of the longest time. If that is
/// nothing, the end of the last wait, so that the pause counts from there.
fn hold_limit(previous: Option<&Outage>, since: Timestamp, now: Timestamp) -> Timestamp {
    let Some(previous) = previous.filter(|previous| now < after(previous.held_until(), PAUSE)) else {
        return after(since, LONGEST_HOLD);
    };
    let left = Duration::try_from(previous.hold_limit.duration_since(previous.until)).unwrap_or_default();
    let limit = after(since, left);
    if now < limit { limit } else { previous.held_until() }
}

/// When a notice to a user goes out that waits until `held_until`: somewhere within an hour behind it, always the same
/// for the same user.
#[must_use]
pub fn resume_at(held_until: Timestamp, user: &UserId) -> Timestamp {
    after(held_until, spread(user, SMOOTHING))
}

/// A time from zero up to `over`, derived from the user: users are spread evenly over it.
#[must_use]
pub fn spread(user: &UserId, over: Duration) -> Duration {
    let milliseconds = u64::try_from(over.as_millis()).unwrap_or(u64::MAX);
    let part = (u128::from(hash(user.as_str())) * u128::from(milliseconds)) >> u64::BITS;
    Duration::from_millis(u64::try_from(part).unwrap_or(milliseconds))
}

/// FNV-1a, and the last step of MurmurHash3, which spreads short texts that differ in their last letters.
fn hash(text: &str) -> u64 {
    let fnv = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod mass_expiry;
#[cfg(test)]
mod tests;
