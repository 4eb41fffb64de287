//! What a sweep did.

use reauth_core::store::StoreError;
use serde::Serialize;

/// The result of processing one due item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SweepOutcome {
    /// An event was put on the queue again.
    Requeued,
    /// An account is no longer `verifying`.
    Verified,
    /// A refresh token has expired, and the application is notified.
    Expired,
    /// A reminder was written.
    Reminded,
    /// A warning was written.
    Warned,
    /// A mail was put on the queue of mails.
    Mailed,
    /// The next reminder or warning was planned.
    Planned,
    /// Nothing was changed: the item is no longer due, digi.me does not say, or another write came first.
    Open,
    /// The item is no longer due, most likely because another sweep claimed it first.
    Lost,
    /// Not processed, because the time was too short or digi.me is down. The item stays due.
    Left,
    /// Not told, because enough notices were started in this minute. The item is due in the next one.
    Held,
    /// Processing failed. The item is due again later.
    Failed,
}

/// The number of items per outcome.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) requeued: u64,
    pub(crate) settled: u64,
    pub(crate) expired: u64,
    pub(crate) reminded: u64,
    pub(crate) warned: u64,
    pub(crate) mailed: u64,
    pub(crate) planned: u64,
    pub(crate) held: u64,
    pub(crate) failed: u64,
    pub(crate) left: u64,
}

impl Summary {
    /// Counts the outcomes of a slice. Returns whether the next slice can be processed: not if an item was left, if all failed, or
    /// if most had to be held. A held item costs as many writes as one that is told.
    pub(crate) fn add(&mut self, outcomes: &[SweepOutcome]) -> bool {
        let mut slice = Self::default();
        for outcome in outcomes {
            let count = match outcome {
                SweepOutcome::Requeued => &mut slice.requeued,
                SweepOutcome::Verified => &mut slice.settled,
                SweepOutcome::Expired => &mut slice.expired,
                SweepOutcome::Reminded => &mut slice.reminded,
                SweepOutcome::Warned => &mut slice.warned,
                SweepOutcome::Mailed => &mut slice.mailed,
                SweepOutcome::Planned => &mut slice.planned,
                SweepOutcome::Held => &mut slice.held,
                SweepOutcome::Failed => &mut slice.failed,
                SweepOutcome::Left => &mut slice.left,
                SweepOutcome::Open | SweepOutcome::Lost => continue,
            };
            *count += 1;
        }
        *self = self.with(&slice);
        let tried = outcomes.iter().filter(|outcome| **outcome != SweepOutcome::Lost).count() as u64;
        slice.left == 0 && (slice.failed == 0 || slice.failed < tried) && 2 * slice.held <= tried
    }

    /// The sum of two.
    pub(crate) fn with(self, other: &Self) -> Self {
        Self {
            requeued: self.requeued + other.requeued,
            settled: self.settled + other.settled,
            expired: self.expired + other.expired,
            reminded: self.reminded + other.reminded,
            warned: self.warned + other.warned,
            mailed: self.mailed + other.mailed,
            planned: self.planned + other.planned,
            held: self.held + other.held,
            failed: self.failed + other.failed,
            left: self.left + other.left,
        }
    }
}

/// What a part of a sweep did, and the first error of a list of due items.
#[derive(Debug, Default)]
pub(crate) struct RunResult {
    pub(crate) summary: Summary,
    pub(crate) error: Option<StoreError>,
}

impl From<Summary> for RunResult {
    fn from(summary: Summary) -> Self {
        Self { summary, error: None }
    }
}

impl From<StoreError> for RunResult {
    fn from(error: StoreError) -> Self {
        Self { summary: Summary::default(), error: Some(error) }
    }
}

impl RunResult {
    /// The result of two parts.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { summary: self.summary.with(&other.summary), error: self.error.or(other.error) }
    }
}
