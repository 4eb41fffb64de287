//! How many accounts of a service broke and healed, in buckets of five minutes.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};

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

/// How many accounts of a service broke in five minutes, and how many healed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub broken: u64,
    /// Accounts of which digi.me says that it can read them again.
    pub healed: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.broken += other.broken;
        self.healed += other.healed;
    }
}

/// The counts of a service in each bucket. A bucket in which nothing happened is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceCounts(BTreeMap<Timestamp, Counts>);

impl FromIterator<(Timestamp, Counts)> for ServiceCounts {
    fn from_iter<I: IntoIterator<Item = (Timestamp, Counts)>>(counts: I) -> Self {
        Self(counts.into_iter().collect())
    }
}

impl ServiceCounts {
    /// How many accounts usually break in the busiest five minutes of a day: the median of the seven days before
    /// `bucket`, or of the days since the first of these accounts broke.
    ///
    /// Not the mean: an application that reads all accounts once a night finds a day's broken accounts at once, which is
    /// usual. A median also forgets the days of an outage, unless they are most of the days.
    #[must_use]
    pub fn usual(&self, bucket: Timestamp) -> u64 {
        let end = before(bucket, BEGINNING);
        let mut before_outage = self.0.range(usual_from(bucket)..end);
        let Some((first, _)) = before_outage.find(|(_, counts)| counts.broken > 0) else { return 0 };
        let busiest_of_day = |day: i64| {
            let day = before(end, (day + 1) * DAY)..before(end, day * DAY);
            self.0.range(day).map(|(_, counts)| counts.broken).max().unwrap_or_default()
        };
        let known_days = (end.duration_since(*first).as_secs() + DAY - 1) / DAY;
        let mut busiest: Vec<_> = (0..known_days.clamp(1, DAYS)).map(busiest_of_day).collect();
        busiest.sort_unstable();
        busiest[(busiest.len() - 1) / 2]
    }

    /// How many accounts broke and healed since then.
    #[must_use]
    pub fn since(&self, since: Timestamp) -> Counts {
        let mut sum = Counts::default();
        self.0.range(since..).for_each(|(_, counts)| sum += *counts);
        sum
    }

    /// Whether `threshold` accounts break in five minutes: in the current ones or in those before.
    pub(super) fn breaks(&self, threshold: u64, now: Timestamp) -> bool {
        let recent = before(bucket_of(now), BUCKET);
        self.0.range(recent..).any(|(_, counts)| counts.broken >= threshold)
    }

    /// The length of a bucket.
    #[must_use]
    pub fn bucket() -> Duration {
        Duration::from_secs(BUCKET.unsigned_abs())
    }
}
