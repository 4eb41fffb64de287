//! The hours in which nobody is written to.

use std::time::Duration;

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::{UserId, outage::spread, time::after};

/// The first hour of the day in which users are written to.
const MORNING: i8 = 8;
/// The first hour of the night.
const NIGHT: i8 = 21;
/// How long what waits for the morning is spread.
const SPREAD: Duration = Duration::from_secs(60 * 60);
/// From the morning to the night.
pub(crate) const WHOLE_DAY: Duration = Duration::from_secs(13 * 60 * 60);

/// Whether users are written to at this time.
#[must_use]
pub fn is_daytime(at: Timestamp, zone: &TimeZone) -> bool {
    (MORNING..NIGHT).contains(&zone.to_datetime(at).hour())
}

/// The time itself if it is between 08:00 and 21:00 in the time zone of the user; else the next morning, between 08:00 and 09:00
/// depending on the user, so that not all mails of a night are sent at once.
#[must_use]
pub fn daytime(at: Timestamp, zone: &TimeZone, user: &UserId) -> Timestamp {
    if is_daytime(at, zone) {
        return at;
    }
    let local = zone.to_datetime(at);
    let date = if local.hour() < MORNING { Some(local.date()) } else { local.date().tomorrow().ok() };
    date.and_then(|date| on_day(date, zone, user, SPREAD)).unwrap_or(at).max(at)
}

/// A time on the day, from 08:00 on, which depends on the user. `None` at the end of time.
pub(crate) fn on_day(date: Date, zone: &TimeZone, user: &UserId, over: Duration) -> Option<Timestamp> {
    // A time that the clocks skip moves to the time after it.
    let morning = zone.to_timestamp(date.at(MORNING, 0, 0, 0)).ok()?;
    let chosen = after(morning, spread(user, over));
    // The clocks may end the day early.
    Some(if is_daytime(chosen, zone) { chosen } else { morning })
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;

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
