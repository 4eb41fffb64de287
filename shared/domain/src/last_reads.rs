//! The last read of each of a user's accounts. They decide whether a read result is newer than what is known.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::AccountId;
use crate::time::after;

/// The last reads of a user are one item, which DynamoDB limits to 400 KB. A watermark takes up to 200 bytes.
const MAX_WATERMARKS: usize = 2_000;
/// When the time of the read is not known, an error that is sent this soon after a reauthorization may come from an
/// earlier read.
const UNCERTAINTY: Duration = Duration::from_secs(15 * 60);

/// The last processed read of an account. At equal times an error sorts after a completed read, so that the error wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark {
    /// When the read session was started.
    pub observed_at: Timestamp,
    /// Whether the user had to reauthorize the account.
    pub needs_user: bool,
}

/// The last reads of all of a user's accounts, under all contracts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastReads {
    /// The last read of each account.
    pub watermarks: BTreeMap<AccountId, Watermark>,
    /// The newest watermark that was dropped because there were too many. For an account without a watermark, a read
    /// that is not newer than this one changes nothing.
    pub floor: Option<Watermark>,
    /// The version of each account's item after the last change by a read. A DynamoDB query may return one item of a
    /// transaction from before it and another from after it. An account's item with an older version than this one
    /// reveals such a query.
    pub account_versions: BTreeMap<AccountId, u64>,
    /// When the user was last erased. Results that were submitted until then are dropped.
    pub erased_at: Option<Timestamp>,
}

impl LastReads {
    /// The last processed read of an account.
    #[must_use]
    pub fn last(&self, account: &AccountId) -> Option<Watermark> {
        self.watermarks.get(account).copied().or(self.floor)
    }

    /// When the last read of an account was started. `None` if it failed, or none is known.
    #[must_use]
    pub fn last_completed(&self, account: &AccountId) -> Option<Timestamp> {
        self.watermarks.get(account).filter(|read| !read.needs_user).map(|read| read.observed_at)
    }

    /// Whether a result was submitted before its user was erased.
    #[must_use]
    pub fn is_void(&self, handed_in_at: Timestamp) -> bool {
        self.erased_at.is_some_and(|erased_at| handed_in_at <= erased_at)
    }

    /// Records a read. When there are too many watermarks, the oldest ones are dropped.
    pub fn record(&mut self, account: AccountId, read: Watermark) {
        self.watermarks.insert(account, read);
        while self.watermarks.len() > MAX_WATERMARKS {
            let Some((oldest, read)) = self.watermarks.iter().min_by_key(|(_, read)| **read) else { return };
            let (oldest, read) = (oldest.clone(), *read);
            self.remove(&oldest);
            self.floor = self.floor.max(Some(read));
        }
    }

    /// Removes an account.
    pub fn remove(&mut self, account: &AccountId) {
        self.watermarks.remove(account);
        self.account_versions.remove(account);
    }

    /// Whether a read of an account is newer than what is known: newer than the last read (at equal times an error is
    /// newer) and not older than the last reauthorization. `certain` means that the time is that of the read itself.
    #[must_use]
    pub fn is_news(
        &self,
        account: &AccountId,
        read: Watermark,
        certain: bool,
        reauthorized_at: Option<Timestamp>,
    ) -> bool {
        let newer = self.last(account).is_none_or(|last| last < read);
        let outdated = reauthorized_at.is_some_and(|at| {
            read.observed_at < at || (!certain && read.needs_user && read.observed_at < after(at, UNCERTAINTY))
        });
        newer && !outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn read(minute: i64, needs_user: bool) -> Watermark {
        Watermark { observed_at: at(minute), needs_user }
    }

    fn account(number: usize) -> AccountId {
        format!("{number}_a").parse().unwrap()
    }

    fn is_news(new: Watermark, certain: bool, last: Option<Watermark>, reauthorized_at: Option<Timestamp>) -> bool {
        let mut reads = LastReads::default();
        reads.watermarks.extend(last.map(|last| (account(1), last)));
        reads.is_news(&account(1), new, certain, reauthorized_at)
    }

    #[test]
    fn only_newer_reads_are_news_and_the_error_wins_at_equal_times() {
        assert!(is_news(read(5, false), true, None, None));
        assert!(is_news(read(5, false), true, Some(read(4, true)), None));
        assert!(!is_news(read(5, false), true, Some(read(6, false)), None));
        assert!(is_news(read(5, true), true, Some(read(5, false)), None));
        assert!(!is_news(read(5, false), true, Some(read(5, true)), None));
        assert!(!is_news(read(5, true), true, Some(read(5, true)), None));
    }

    #[test]
    fn what_is_older_than_the_reauthorization_is_no_news() {
        assert!(!is_news(read(5, true), true, None, Some(at(6))));
        assert!(is_news(read(6, true), true, None, Some(at(6))));
        assert!(!is_news(read(20, true), false, None, Some(at(6))));
        assert!(is_news(read(21, true), false, None, Some(at(6))));
        assert!(is_news(read(7, false), false, None, Some(at(6))));
    }

    #[test]
    fn beyond_two_thousand_accounts_the_oldest_reads_are_dropped_and_stay_no_news() {
        let mut reads = LastReads::default();
        for number in 0..MAX_WATERMARKS + 3 {
            reads.record(account(number), read(i64::try_from(number).unwrap(), false));
        }
        assert_eq!(reads.watermarks.len(), MAX_WATERMARKS);
        assert_eq!(reads.last(&account(0)), Some(read(2, false)));
        assert!(!reads.is_news(&account(0), read(0, true), true, None));
        assert!(reads.is_news(&account(0), read(3, false), true, None));
    }
}
