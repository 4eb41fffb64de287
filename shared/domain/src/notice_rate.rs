//! How many notices to users are started a minute, so that many that are due at once do not all go out at once.

use std::str::FromStr;

use jiff::Timestamp;

use crate::InvalidValue;

const MAX: u32 = 1_000_000;
const SECONDS_OF_MINUTE: i64 = 60;
/// A sweep takes this share of a minute's notices at a time. It loses at most one share when it ends.
const SHARES: u32 = 20;

/// The largest number of notices that are started in one minute, by all sweeps together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeRate(u32);

impl Default for NoticeRate {
    fn default() -> Self {
        // SES begins with 14 mails a second in most accounts.
        Self(600)
    }
}

impl FromStr for NoticeRate {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.parse().ok().filter(|rate| (1..=MAX).contains(rate));
        rate.map(Self).ok_or(InvalidValue("must be a number from 1 to 1000000"))
    }
}

impl NoticeRate {
    #[must_use]
    pub fn per_minute(self) -> u32 {
        self.0
    }

    /// How many notices a sweep takes at a time from those of a minute, of which `taken` are taken already. 0 if none
    /// are left.
    #[must_use]
    pub fn share(self, taken: u32) -> u32 {
        let share = self.0.div_ceil(SHARES);
        share.min(self.0.saturating_sub(taken))
    }
}

/// The beginning of the minute of a time.
#[must_use]
pub fn minute_of(time: Timestamp) -> Timestamp {
    let second = time.as_second();
    Timestamp::from_second(second - second.rem_euclid(SECONDS_OF_MINUTE)).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_that_lets_notices_through() {
        assert_eq!("1".parse::<NoticeRate>().unwrap().per_minute(), 1);
        assert_eq!("1000000".parse::<NoticeRate>().unwrap().per_minute(), MAX);
        for wrong in ["0", "1000001", "-1", "1.5", "", "1000/m"] {
            assert!(wrong.parse::<NoticeRate>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_shares_of_a_minute_are_together_its_notices() {
        for rate in [1, 7, 19, 20, 21, 999, 1_000, 1_001, MAX] {
            let (rate, mut taken, mut shares) = (NoticeRate(rate), 0, 0);
            while rate.share(taken) > 0 {
                (taken, shares) = (taken + rate.share(taken), shares + 1);
            }
            assert_eq!(taken, rate.per_minute());
            assert!(shares <= SHARES, "{rate:?}: {shares} writes a minute");
        }
    }

    #[test]
    fn a_minute_begins_at_its_first_second() {
        let time: Timestamp = "2026-11-26T12:45:59.999Z".parse().unwrap();
        assert_eq!(minute_of(time), "2026-11-26T12:45:00Z".parse().unwrap());
        let before: Timestamp = "1969-12-31T23:59:01Z".parse().unwrap();
        assert_eq!(minute_of(before), "1969-12-31T23:59:00Z".parse().unwrap());
    }
}
