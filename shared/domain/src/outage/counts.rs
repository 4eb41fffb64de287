//! How many accounts of a service broke, in buckets of five minutes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::Breakage;

/// In seconds.
const BUCKET: i64 = 5 * 60;
const DAY: i64 = 24 * 60 * 60;
/// The days whose counts say what is usual.
const DAYS: i64 = 7;
/// In seconds: the time before a bucket that says nothing about what is usual, because it can belong to the outage.
const BEGINNING: i64 = 60 * 60;

/// The beginning of the five minutes of a time.
#[must_use]
pub fn bucket_of(time: Timestamp) -> Timestamp {
    let second = time.as_second();
    Timestamp::from_second(second - second.rem_euclid(BUCKET)).unwrap_or(time)
}

/// The first bucket whose count says what is usual at `bucket`.
#[must_use]
pub fn usual_from(bucket: Timestamp) -> Timestamp {
    before(bucket, BEGINNING + DAYS * DAY)
}

fn before(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN)
}

/// How many accounts broke in each bucket. A bucket without a broken account is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokenAccounts(BTreeMap<Timestamp, u64>);

impl FromIterator<(Timestamp, u64)> for BrokenAccounts {
    fn from_iter<I: IntoIterator<Item = (Timestamp, u64)>>(counts: I) -> Self {
        Self(counts.into_iter().collect())
    }
}

impl BrokenAccounts {
    /// How many accounts usually break in the busiest five minutes of a day: the median of the seven days before
    /// `bucket`, or of the days since the first of these accounts broke.
    ///
    /// Not the mean: an application that reads all accounts once a night finds a day's broken accounts at once, which is
    /// usual. A median also forgets the days of an outage, unless they are most of the days.
    #[must_use]
    pub fn usual(&self, bucket: Timestamp) -> u64 {
        let end = before(bucket, BEGINNING);
        let Some((first, _)) = self.0.range(usual_from(bucket)..end).next() else { return 0 };
        let busiest_of_day = |day: i64| {
            let day = before(end, (day + 1) * DAY)..before(end, day * DAY);
            self.0.range(day).map(|(_, count)| *count).max().unwrap_or_default()
        };
        let known_days = (end.duration_since(*first).as_secs() + DAY - 1) / DAY;
        let mut busiest: Vec<_> = (0..known_days.clamp(1, DAYS)).map(busiest_of_day).collect();
        busiest.sort_unstable();
        busiest[(busiest.len() - 1) / 2]
    }

    /// What the counts say at `now` about an outage since `since`.
    #[must_use]
    pub fn since(&self, since: Timestamp, now: Timestamp) -> Breakage {
        let current = bucket_of(now);
        let accounts = self.0.range(since..).map(|(_, count)| count).sum();
        let recent = self.0.range(before(current, BUCKET)..).map(|(_, count)| *count).max().unwrap_or_default();
        Breakage { accounts, recent }
    }

    /// The length of a bucket.
    #[must_use]
    pub fn bucket() -> Duration {
        Duration::from_secs(BUCKET.unsigned_abs())
    }
}
