use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    EpisodeId, ExpiryBasis, UserId,
    account::Episode,
    contact::TimeZoneName,
    quiet_hours::{daytime, is_daytime},
    time::after,
};

/// Zones with odd changes of the clock: by half an hour, by two hours, around Ramadan, at midnight, with quarters of an hour,
/// and one that skipped a day.
const ZONES: [&str; 14] = [
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
];
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

fn zone(name: &str) -> TimeZone {
    name.parse::<TimeZoneName>().unwrap().time_zone()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn user(number: usize) -> UserId {
    format!("user-{number}").parse().unwrap()
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * HOUR)
}

fn episode(told_at: Timestamp) -> Episode {
    Episode::new(EpisodeId::from([1; 16]), told_at, Default::default(), told_at)
}

fn local_hour(at: Timestamp, zone: &TimeZone) -> i8 {
    zone.to_datetime(at).hour()
}

/// Sends the reminders of an episode. Each is sent when the sweep comes, so long after the planned time. Returns their times.
fn remind(mut episode: Episode, schedule: &str, zone: &TimeZone, user: &UserId, delays: &[Duration]) -> Vec<Timestamp> {
    let (schedule, mut sent, mut now) = (schedule.parse().unwrap(), Vec::new(), episode.told_at());
    for delay in delays.iter().cycle() {
        match next_reminder(&episode, &schedule, zone, user, None, now) {
            None => return sent,
            Some(at) if at <= now => {
                assert!((8..21).contains(&local_hour(now, zone)), "{now} in {zone:?}");
                (episode.reminders, episode.reminded_at) = (episode.reminders + 1, Some(now));
                sent.push(now);
            }
            Some(at) => now = after(at, *delay),
        }
    }
    unreachable!("delays are endless")
}

#[test]
fn over_two_years_no_reminder_comes_at_night_early_or_too_often() {
    let offsets = [DAY, 3 * DAY, 7 * DAY];
    for (number, name) in ZONES.into_iter().enumerate() {
        let (zone, begin) =
            (zone(name), time(if name == "Pacific/Apia" { "2010-12-01T00:00:00Z" } else { "2026-01-01T00:00:00Z" }));
        // The step takes the beginning of the episode through all times of the day.
        for step in 0..(2 * 365 * DAY / (5 * HOUR + 7 * 60)) {
            let told_at = after(begin, Duration::from_secs(step * (5 * HOUR + 7 * 60)));
            let delay = Duration::from_secs(step * 61 % (40 * 60));
            let sent = remind(episode(told_at), "1d,3d,7d", &zone, &user(number), &[delay]);
            assert_eq!(sent.len(), 3, "{name}, from {told_at}");
            for (at, offset) in sent.iter().zip(offsets) {
                let planned = after(told_at, Duration::from_secs(offset));
                // A night in which the clock is set back, the hour over which the morning is spread, a sweep that comes late before and
                // after the night, and a skipped day.
                let skipped = if name == "Pacific/Apia" { 24 } else { 0 };
                let latest = after(planned, hours(11 + 2 + 1 + skipped) + 2 * delay);
                assert!(planned <= *at && *at <= latest, "{name}, from {told_at}: {at} for {planned}");
            }
        }
    }
}

#[test]
fn the_night_is_from_nine_until_eight_and_the_morning_is_spread_over_an_hour() {
    let amsterdam = zone("Europe/Amsterdam");
    for (at, hour) in [
        ("2026-03-28T19:59:59Z", 20),
        // 21:00. The clock changes in this night.
        ("2026-03-28T20:00:00Z", 8),
        ("2026-03-29T00:30:00Z", 8),
        ("2026-03-29T05:59:59Z", 8),
        ("2026-03-29T06:00:00Z", 8),
        ("2026-10-25T06:59:59Z", 8),
        ("2026-10-25T07:00:00Z", 8),
    ] {
        let moved: Vec<_> = (0..200).map(|number| daytime(time(at), &amsterdam, &user(number))).collect();
        assert!(
            moved.iter().all(|moved| local_hour(*moved, &amsterdam) == hour && *moved >= time(at)),
            "{at}: {moved:?}"
        );
        let is_night = !is_daytime(time(at), &amsterdam);
        let minutes: std::collections::BTreeSet<_> =
            moved.iter().map(|at| amsterdam.to_datetime(*at).minute()).collect();
        assert_eq!(is_night, minutes.len() > 50, "{at}: {minutes:?}");
    }
}

#[test]
fn a_night_that_ends_in_a_skipped_day_ends_on_the_day_after() {
    let apia = zone("Pacific/Apia");
    let moved = daytime(time("2011-12-30T07:30:00Z"), &apia, &user(1));
    let local = apia.to_datetime(moved);
    assert_eq!((local.date().to_string(), local.hour()), ("2011-12-31".to_owned(), 8));
}

#[test]
fn not_now_and_an_outage_hold_reminders_back_and_missed_ones_are_not_made_up() {
    let (schedule, utc, told_at) = (ReminderSchedule::default(), TimeZone::UTC, time("2026-11-02T12:00:00Z"));
    let next = |episode: &Episode, not_before, now| next_reminder(episode, &schedule, &utc, &user(1), not_before, now);
    let day = |days: u64| after(told_at, Duration::from_secs(days * DAY));
    let mut episode = episode(told_at);
    assert_eq!(next(&episode, None, told_at), Some(day(1)));
    assert_eq!(next(&episode, Some(day(2)), told_at), Some(day(2)), "an outage");
    assert_eq!(next(&episode, None, day(1)), Some(day(1)), "due");
    assert_eq!(next(&episode, None, after(day(1), hours(4))), Some(day(1)), "due, late");
    episode.postponed_until = Some(day(9));
    assert_eq!(next(&episode, None, day(4)), Some(day(9)), "not now");
    (episode.reminders, episode.reminded_at) = (1, Some(day(9)));
    assert_eq!(next(&episode, None, day(9)), None, "the second and the third are not sent after it");
    // A sweep that did not run for five days: the reminder of the third day is left out, that of the seventh is sent.
    (episode.reminders, episode.reminded_at, episode.postponed_until) = (1, Some(day(1)), None);
    assert_eq!(next(&episode, None, after(day(5), hours(1))), Some(day(7)));
    assert_eq!(next(&episode, None, after(day(9), hours(1))), None);
    // The schedule has become shorter.
    episode.reminders = 3;
    assert_eq!(next(&episode, None, day(2)), None);
}

#[test]
fn schedules_and_lifetimes_are_parsed_strictly() {
    assert_eq!("1d,3d,7d".parse(), Ok(ReminderSchedule::default()));
    for good in ["none", "12h", "30m, 1d", "1d,2d,3d,4d,5d,6d,7d,8d,9d,10d,11d,12d,13d,14d,15d,16d,17d,18d,19d,20d"] {
        assert!(good.parse::<ReminderSchedule>().is_ok(), "{good}");
    }
    let too_many: Vec<_> = (1..=21).map(|day| format!("{day}d")).collect();
    for bad in ["", "1", "1d,", "1d,1d", "3d,1d", "24h,1d", "never", "none,1d", "0d", "-1d", &too_many.join(",")] {
        assert!(bad.parse::<ReminderSchedule>().is_err(), "{bad}");
    }
    for good in
        ["Spotify=180d", "Spotify=180d,MedMij=idle 90d", "A=1d, A=idle 1d", "St. Clement's = Hospital = idle  12h"]
    {
        assert!(good.parse::<Lifetimes>().is_ok(), "{good}");
    }
    for bad in [
        "",
        "Spotify",
        "=180d",
        " =1d",
        "Spotify=",
        "Spotify=180",
        "Spotify=idle",
        "A=1d,A=2d",
        "A=1d,a =2d",
        "A=1d,",
        "A=idle1d",
    ] {
        assert!(bad.parse::<Lifetimes>().is_err(), "{bad}");
    }
}

/// An active account of a service.
fn account(service: &str) -> Account {
    let mut account = Account::new(user(1), "1_a".parse().unwrap());
    account.service_name = Some(service.to_owned());
    account
}

#[test]
fn what_comes_first_of_the_source_and_the_lifetimes_of_the_service_is_the_expiry() {
    let lifetimes: Lifetimes = "Spotify=180d,MedMij=idle 90d,Both=180d,Both=idle 90d".parse().unwrap();
    let day = |days: u64| after(time("2026-01-01T00:00:00Z"), Duration::from_secs(days * DAY));
    let service = |at| Some(Expiry { at, basis: ExpiryBasis::Service });
    let mut spotify = account("Spotify");
    assert_eq!(expires_at(&spotify, Some(day(1)), &lifetimes), None, "nobody knows since when it is authorized");
    spotify.created_at = Some(day(0));
    assert_eq!(expires_at(&spotify, Some(day(100)), &lifetimes), service(day(180)), "reads do not prolong it");
    spotify.reauthorized_at = Some(day(150));
    assert_eq!(expires_at(&spotify, None, &lifetimes), service(day(330)));
    spotify.status = Status::Active { verified: None, authorization_expires_at: Some(day(329)) };
    let of_source = Expiry { at: day(329), basis: ExpiryBasis::Source };
    assert_eq!(expires_at(&spotify, None, &lifetimes), Some(of_source));
    assert!(!is_due_for_renewal(&spotify, None, &lifetimes, day(298)));
    assert!(
        is_due_for_renewal(&spotify, None, &lifetimes, day(299))
            && is_due_for_renewal(&spotify, None, &lifetimes, day(400))
    );

    let medmij = account("MedMij");
    assert_eq!(expires_at(&medmij, Some(day(10)), &lifetimes), service(day(100)));
    assert!(lifetimes.depends_on_reads(&medmij) && !lifetimes.depends_on_reads(&spotify));
    let mut both = account("Both");
    both.created_at = Some(day(0));
    assert_eq!(expires_at(&both, Some(day(20)), &lifetimes), service(day(110)));
    assert_eq!(expires_at(&both, Some(day(120)), &lifetimes), service(day(180)));
    assert_eq!(expires_at(&account("Other"), Some(day(1)), &lifetimes), None);
    spotify.status = Status::ReauthRequired(episode(day(1)));
    assert_eq!(expires_at(&spotify, None, &lifetimes), None);
}

#[test]
fn a_lifetime_is_that_of_the_service_however_its_name_is_spelled() {
    let lifetimes: Lifetimes = "meadow  BANK=180d".parse().unwrap();
    for (service, is_known) in [("Meadow Bank", true), ("MEADOW\u{a0}BANK ", true), ("Meadow", false), (" ", false)] {
        let mut account = account(service);
        account.created_at = Some(time("2026-01-01T00:00:00Z"));
        assert_eq!(expires_at(&account, None, &lifetimes).is_some(), is_known, "{service}");
    }
}

/// The plan of an account at `now`.
fn plan(account: &Account, lifetimes: &str, schedule: &str, now: Timestamp) -> Wait {
    let lifetimes = lifetimes.parse().unwrap();
    let schedule = schedule.parse().unwrap();
    let circumstances = Circumstances {
        schedule: &schedule,
        lifetimes: &lifetimes,
        zone: &TimeZone::UTC,
        last_read: None,
        not_before: None,
        now,
    };
    match account.next_notice(&circumstances) {
        NextNotice::Wait(wait) => wait,
        told => panic!("{told:?}"),
    }
}

#[test]
fn a_plan_follows_a_change_of_the_settings_within_30_days() {
    let now = time("2026-11-02T12:00:00Z");
    let in_30_days = NoticePlan::At(after(now, Duration::from_secs(30 * DAY)));
    let mut active = account("Spotify");
    active.created_at = Some(now);
    assert_eq!(plan(&active, "Other=180d", "1d", now).plan, in_30_days, "no expiry is known");
    assert_eq!(plan(&active, "Spotify=180d", "1d", now).plan, in_30_days, "the first warning is later");
    let NoticePlan::At(first) = plan(&active, "Spotify=40d", "1d", now).plan else { panic!("no plan") };
    assert!(NoticePlan::At(first) != in_30_days && first.to_string().starts_with("2026-11-28"), "{first}");
    let mut broken = account("Spotify");
    broken.status = Status::ReauthRequired(episode(now));
    assert_eq!(plan(&broken, "Other=1d", "none", now).plan, in_30_days);
    broken.status = Status::Dismissed { episode: episode(now), dismissed_at: now };
    assert_eq!(plan(&broken, "Other=1d", "1d", now).plan, NoticePlan::Nothing);
}

#[test]
fn an_expiry_that_is_no_longer_known_is_forgotten_and_one_that_was_told_is_not() {
    let now = time("2026-11-02T12:00:00Z");
    let mut account = account("Spotify");
    account.created_at = Some(now);
    let expires_at = after(now, Duration::from_secs(20 * HOUR));
    account.warned = Some(Warned { expires_at, days_left: Some(1), notice: None });
    assert_eq!(plan(&account, "Other=180d", "1d", now).warned, None);
    assert_eq!(plan(&account, "Spotify=20h", "1d", now).warned, account.warned);
    let later = after(now, Duration::from_secs(2 * DAY));
    assert_eq!(plan(&account, "Spotify=20h", "1d", later).warned, account.warned);
}

/// Sends the warnings of an expiry that became known at `now`. Returns the times of the warnings, and how many days they say.
fn warn(
    expires_at: Timestamp,
    mut now: Timestamp,
    zone: &TimeZone,
    user: &UserId,
    delay: Duration,
) -> Vec<(Timestamp, u32)> {
    let (mut warned, mut sent) = (None, Vec::new());
    loop {
        match next_warning(expires_at, warned.as_ref(), zone, user, now) {
            NextWarning::Never => return sent,
            NextWarning::Now { days_left } => {
                assert!((8..21).contains(&local_hour(now, zone)), "{now} in {zone:?}");
                warned = Some(Warned { expires_at, days_left: Some(days_left), notice: None });
                sent.push((now, days_left));
            }
            NextWarning::Later { at, warned: done } => {
                assert!(now < at && at < expires_at);
                (now, warned) = (after(at, delay), Some(done));
            }
        }
    }
}

#[test]
fn over_two_years_every_expiry_is_told_14_7_and_1_days_before_in_the_daytime() {
    for (number, name) in ZONES.into_iter().enumerate() {
        let (zone, begin) =
            (zone(name), time(if name == "Pacific/Apia" { "2010-12-01T00:00:00Z" } else { "2026-01-01T00:00:00Z" }));
        for step in 0..(2 * 365 * DAY / (7 * HOUR + 11 * 60)) {
            let expires_at = after(begin, Duration::from_secs(step * (7 * HOUR + 11 * 60)));
            let known_at = expires_at - jiff::SignedDuration::from_hours(90 * 24);
            let sent = warn(expires_at, known_at, &zone, &user(number + step as usize), Duration::ZERO);
            let days: Vec<_> = sent.iter().map(|(_, days)| *days).collect();
            // The day before the last one does not exist when the expiry is on the day after a skipped one.
            assert!(
                days == [14, 7, 1] || (name == "Pacific/Apia" && days.len() >= 2),
                "{name}, {expires_at}: {sent:?}"
            );
            for (at, days) in sent {
                let local = |at| zone.to_datetime(at).date();
                assert_eq!(local(expires_at).duration_since(local(at)).as_hours() / 24, i64::from(days));
            }
        }
    }
}

#[test]
fn warnings_are_spread_over_the_day() {
    let (utc, expires_at) = (TimeZone::UTC, time("2026-11-24T10:00:00Z"));
    let first = |number| warn(expires_at, time("2026-09-01T00:00:00Z"), &utc, &user(number), Duration::ZERO)[0].0;
    let mut by_hour = [0; 24];
    (0..13_000).for_each(|number| by_hour[local_hour(first(number), &utc) as usize] += 1);
    assert!(by_hour[8..21].iter().all(|count| (700..1_300).contains(count)), "{by_hour:?}");
    assert_eq!(by_hour.iter().sum::<i32>(), 13_000);
}

#[test]
fn an_expiry_that_is_known_late_or_moves_is_told_only_of_what_lies_ahead() {
    let (utc, expires_at) = (TimeZone::UTC, time("2026-11-24T10:00:00Z"));
    let days = |known_at: &str, delay| {
        warn(expires_at, time(known_at), &utc, &user(1), delay).into_iter().map(|(_, days)| days).collect::<Vec<_>>()
    };
    assert_eq!(days("2026-11-14T10:00:00Z", Duration::ZERO), [7, 1], "ten days before");
    assert_eq!(days("2026-11-20T10:00:00Z", Duration::ZERO), [1]);
    assert!(days("2026-11-24T09:00:00Z", Duration::ZERO).is_empty(), "an hour before: it lives an hour only");
    // A sweep that comes eight days late sends one warning for two.
    assert_eq!(days("2026-09-01T00:00:00Z", hours(8 * 24)), [6]);

    let warned = Warned { expires_at, days_left: Some(7), notice: None };
    let next =
        |expires_at: &str| next_warning(time(expires_at), Some(&warned), &utc, &user(1), time("2026-11-18T12:00:00Z"));
    let is_for = |next: NextWarning, days: &str| matches!(next, NextWarning::Later { at, .. } if at.to_string().starts_with(days));
    assert!(is_for(next("2026-11-24T22:00:00Z"), "2026-11-23"), "it moved by some hours");
    assert!(is_for(next("2026-12-24T10:00:00Z"), "2026-12-10"), "it was renewed");
}

proptest! {
    /// Whatever the sweep's delays, the pauses and the outages: no reminder at night, before its time, in a pause, or beyond
    /// those that were planned.
    #[test]
    fn reminders_keep_their_promises(
        zone_number in 0..ZONES.len(),
        begin in 1_280_000_000_i64..1_840_000_000,
        schedule in proptest::sample::subsequence(vec!["1h", "5h", "12h", "1d", "3d", "7d", "14d"], 0..7),
        steps in vec((1..50_u64 * HOUR, 0..12_u8), 1..60),
    ) {
        let (zone, user, told_at) = (zone(ZONES[zone_number]), user(zone_number), Timestamp::from_second(begin).unwrap());
        let text = if schedule.is_empty() { "none".to_owned() } else { schedule.join(",") };
        let parsed: ReminderSchedule = text.parse().unwrap();
        let offsets: Vec<_> = schedule.iter().map(|offset| crate::time::parse_duration(offset).unwrap()).collect();
        let (mut episode, mut now, mut sent) = (episode(told_at), told_at, Vec::new());
        let mut held_until = None;
        for (step, action) in steps {
            now = after(now, Duration::from_secs(step));
            match action {
                0 => episode.postponed_until = Some(after(now, Duration::from_secs(7 * DAY))),
                1 => held_until = Some(after(now, hours(2))),
                _ => {}
            }
            let next = next_reminder(&episode, &parsed, &zone, &user, held_until, now);
            prop_assert!(next.is_none_or(|at| is_daytime(at, &zone)));
            if next.is_some_and(|at| at <= now) {
                prop_assert!((8..21).contains(&local_hour(now, &zone)));
                prop_assert!(episode.postponed_until.max(held_until).is_none_or(|until| until <= now));
                sent.push(now);
                (episode.reminders, episode.reminded_at) = (episode.reminders + 1, Some(now));
            }
        }
        prop_assert!(sent.len() <= offsets.len());
        for (at, offset) in sent.iter().zip(&offsets) {
            prop_assert!(after(told_at, *offset) <= *at);
        }
    }
}
