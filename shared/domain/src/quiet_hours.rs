//! The hours in which nobody is written to.

use jiff::{Timestamp, ToSpan, tz::TimeZone};

use crate::UserId;

/// The first hour of the day in which users are written to.
const MORNING: i8 = 8;
/// The first hour of the night.
const NIGHT: i8 = 21;
/// What waits for the morning is spread over this many minutes.
const SPREAD: u64 = 60;

/// The time itself if it is between 08:00 and 21:00 in the time zone of the user; else the next morning, between 08:00 and 09:00
/// depending on the user, so that not all mails of a night are sent at once.
#[must_use]
pub fn daytime(at: Timestamp, zone: &TimeZone, user: &UserId) -> Timestamp {
    let local = at.to_zoned(zone.clone());
    let date = match local.hour() {
        MORNING..NIGHT => return at,
        NIGHT.. => local.date().saturating_add(1.day()),
        _ => local.date(),
    };
    // A time that the clocks skip moves to the time after it.
    let morning = date.at(MORNING, 0, 0, 0).to_zoned(zone.clone()).map(|morning| morning.timestamp());
    let minute = i64::try_from(hash(user) % SPREAD).unwrap_or_default();
    let spread = morning.and_then(|morning| morning.checked_add(minute.minutes()));
    spread.unwrap_or(at).max(at)
}

/// FNV-1a: the same in every version of this service.
fn hash(user: &UserId) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    user.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::TimeZoneName;

    fn zone(name: &str) -> TimeZone {
        name.parse::<TimeZoneName>().unwrap().time_zone()
    }

    fn local(at: &str, name: &str, user: &str) -> String {
        let at: Timestamp = at.parse().unwrap();
        let moved = daytime(at, &zone(name), &user.parse().unwrap());
        moved.to_zoned(zone(name)).strftime("%F %H:%M").to_string()
    }

    #[test]
    fn the_day_is_from_8_to_21_in_the_users_time_zone() {
        for (at, name, expected) in [
            ("2026-11-26T07:00:00Z", "Europe/Amsterdam", "2026-11-26 08:00"),
            ("2026-11-26T19:59:59Z", "Europe/Amsterdam", "2026-11-26 20:59"),
            ("2026-11-26T12:00:00Z", "UTC", "2026-11-26 12:00"),
        ] {
            assert_eq!(local(at, name, "u"), expected);
        }
        for (at, name, day) in [
            ("2026-11-26T20:00:00Z", "Europe/Amsterdam", "2026-11-27 08:"),
            ("2026-11-26T23:30:00Z", "Europe/Amsterdam", "2026-11-27 08:"),
            ("2026-11-26T06:59:59Z", "Europe/Amsterdam", "2026-11-26 08:"),
            ("2026-11-26T04:00:00Z", "America/New_York", "2026-11-26 08:"),
            ("2026-12-31T20:00:00Z", "Asia/Kathmandu", "2027-01-01 08:"),
        ] {
            let moved = local(at, name, "u");
            assert!(moved.starts_with(day), "{at} {name}: {moved}");
        }
    }

    #[test]
    fn every_time_of_two_years_is_moved_into_the_day_and_less_than_a_day_later() {
        // Clocks that change by half an hour, at midnight, by two hours, at Ramadan, and far from UTC.
        for name in
            ["Australia/Lord_Howe", "Africa/Cairo", "Antarctica/Troll", "Africa/Casablanca", "Pacific/Kiritimati"]
        {
            let (zone, user) = (zone(name), "u".parse().unwrap());
            let mut at: Timestamp = "2026-01-01T00:07:00Z".parse().unwrap();
            let end: Timestamp = "2028-01-01T00:00:00Z".parse().unwrap();
            while at < end {
                let moved = daytime(at, &zone, &user);
                let hour = moved.to_zoned(zone.clone()).hour();
                assert!((MORNING..NIGHT).contains(&hour), "{name} {at}: {hour}");
                assert!(moved >= at && moved.duration_since(at).as_secs() < 14 * 3_600, "{name} {at}");
                assert_eq!(daytime(moved, &zone, &user), moved);
                at = at.checked_add(17.minutes()).unwrap();
            }
        }
    }

    #[test]
    fn mails_of_a_night_are_spread_over_an_hour() {
        let users = (0..600).map(|number| local("2026-11-26T02:00:00Z", "UTC", &format!("user-{number}")));
        let minutes: std::collections::BTreeSet<String> = users.collect();
        assert!(minutes.len() > 50 && minutes.iter().all(|at| at.starts_with("2026-11-26 08:")), "{}", minutes.len());
    }
}
