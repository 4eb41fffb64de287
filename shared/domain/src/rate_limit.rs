//! A rate limit of five uses in ten minutes. The recent uses are stored in the item that the limit applies to.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::time::{after, rfc3339};

/// How many uses are allowed within [`PERIOD`]. Each use causes calls to digi.me.
const MAX_USES: usize = 5;
const PERIOD: Duration = Duration::from_secs(10 * 60);

/// The uses within the last ten minutes, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentUses(Vec<Timestamp>);

impl RecentUses {
    /// Parses the output of [`RecentUses::to_text`].
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        // Words that are not timestamps are ignored.
        Self(text.split(' ').filter_map(|at| at.parse().ok()).collect())
    }

    /// The stored form of the uses: timestamps, joined by spaces.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|at| rfc3339::text(*at)).collect::<Vec<_>>().join(" ")
    }

    /// The uses without the one at the given time. `None` if there is no such use.
    #[must_use]
    pub fn without(&self, at: Timestamp) -> Option<Self> {
        let mut uses = self.0.clone();
        uses.remove(uses.iter().position(|used_at| *used_at == at)?);
        Some(Self(uses))
    }

    /// The uses with one more at `now`.
    ///
    /// # Errors
    /// How long to wait, in whole seconds, when there were five uses within the last ten minutes.
    pub fn record(&self, now: Timestamp) -> Result<Self, Duration> {
        let mut recent: Vec<_> = self.0.iter().copied().filter(|at| now < after(*at, PERIOD)).collect();
        if recent.len() >= MAX_USES {
            let oldest = after(recent[recent.len() - MAX_USES], PERIOD);
            let wait = oldest.duration_since(now).unsigned_abs();
            // Rounded up, so that a use is allowed after the wait.
            return Err(Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)));
        }
        recent.push(now);
        Ok(Self(recent))
    }
}

/// The recent uses of several things, each with the same limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecentUsesByName(BTreeMap<String, RecentUses>);

impl RecentUsesByName {
    /// Parses the output of [`RecentUsesByName::to_text`]. A text of another form counts as no uses.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        let names: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        Self(names.into_iter().map(|(name, uses)| (name, RecentUses::from_text(&uses))).collect())
    }

    /// The stored form: a JSON object.
    #[must_use]
    pub fn to_text(&self) -> String {
        let names: BTreeMap<&str, String> = self.0.iter().map(|(name, uses)| (name.as_str(), uses.to_text())).collect();
        serde_json::json!(names).to_string()
    }

    /// The uses with one more of `name` at `now`. Names without a use in the last ten minutes are dropped.
    ///
    /// # Errors
    /// How long to wait, in whole seconds, when there were five uses of `name` within the last ten minutes.
    pub fn record(&self, name: &str, now: Timestamp) -> Result<Self, Duration> {
        let own = self.0.get(name).cloned().unwrap_or_default().record(now)?;
        let is_recent = |uses: &RecentUses| uses.0.iter().any(|at| now < after(*at, PERIOD));
        let others = self.0.iter().filter(|(other, uses)| *other != name && is_recent(uses));
        let others = others.map(|(other, uses)| (other.clone(), uses.clone()));
        Ok(Self(others.chain([(name.to_owned(), own)]).collect()))
    }

    /// The uses without the one of `name` at the given time. `None` if there is no such use.
    #[must_use]
    pub fn without(&self, name: &str, at: Timestamp) -> Option<Self> {
        let mut names = self.0.clone();
        let own = names.get(name)?.without(at)?;
        names.insert(name.to_owned(), own);
        Some(Self(names))
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

    #[test]
    fn each_name_has_a_limit_of_its_own() {
        let mut uses = RecentUsesByName::default();
        for second in 0..5 {
            uses = RecentUsesByName::from_text(&uses.record("a", at(second)).unwrap().to_text());
        }
        assert!(uses.record("a", at(60)).is_err());
        assert!(uses.without("a", at(4)).unwrap().record("a", at(60)).is_ok(), "one was taken back");
        assert_eq!(uses.without("b", at(4)), None);
        let both = uses.record("b", at(60)).unwrap();
        assert!(both.record("a", at(60)).is_err());
        let later = both.record("b", at(650)).unwrap();
        assert_eq!(later.to_text().matches("1970").count(), 2, "what is long ago is dropped: {}", later.to_text());
    }
}
