//! A rate limit: at most five uses in ten minutes, of something whose recent uses are stored with it.

use std::time::Duration;

use jiff::Timestamp;

use crate::ambient::{after, rfc3339};

/// How many uses within [`PERIOD`]. Each of them calls digi.me.
const MAX_USES: usize = 5;
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// The uses within the last ten minutes, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentUses(Vec<Timestamp>);

impl RecentUses {
    /// Reads what [`RecentUses::to_text`] wrote.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        // What is no timestamp counts as no use.
        Self(text.split(' ').filter_map(|at| at.parse().ok()).collect())
    }

    /// The uses as they are stored: timestamps, joined by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|at| rfc3339::text(*at)).collect::<Vec<_>>().join(" ")
    }

    /// The uses without the one at that time; none if there is none.
    #[must_use]
    pub fn without(&self, at: Timestamp) -> Option<Self> {
        let mut uses = self.0.clone();
        uses.remove(uses.iter().position(|used_at| *used_at == at)?);
        Some(Self(uses))
    }

    /// The uses with one more at `now`.
    ///
    /// # Errors
    /// How long to wait, in whole seconds, when there were five within the last ten minutes.
    pub fn record(&self, now: Timestamp) -> Result<Self, Duration> {
        let mut recent: Vec<_> = self.0.iter().copied().filter(|at| now < after(*at, PERIOD)).collect();
        if recent.len() >= MAX_USES {
            let oldest = after(recent[recent.len() - MAX_USES], PERIOD);
            let wait = oldest.duration_since(now).unsigned_abs();
            // Rounded up, so that who waits that long has waited long enough.
            return Err(Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        recent.push(now);
        Ok(Self(recent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn five_uses_fit_into_ten_minutes() {
        let mut uses = RecentUses::default();
        for second in 0..5 {
            uses = RecentUses::from_text(&uses.record(at(second)).unwrap().to_text());
        }
        assert_eq!(uses.record(at(60)), Err(Duration::from_secs(540)));
        assert!(uses.record(at(599)).is_err());
        assert!(uses.without(at(4)).unwrap().record(at(60)).is_ok(), "one was taken back");
        assert!(uses.record(at(600)).is_ok(), "the first use is ten minutes ago");
    }
}
