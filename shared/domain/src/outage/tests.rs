use super::*;

const MINUTES: u64 = 60;
const HOURS: u64 = 60 * 60;
const DAYS: u64 = 24 * 60 * 60;
const BUCKETS_OF_WEEK: u64 = 7 * DAYS / (5 * MINUTES);

fn at(seconds: u64) -> Timestamp {
    after("2026-11-23T09:00:00Z".parse().unwrap(), Duration::from_secs(seconds))
}

fn settings() -> OutageSettings {
    OutageSettings::default()
}

/// The counts of the week before `at(7 * DAYS)`, by the number of the bucket.
fn week(count: impl Fn(u64) -> u64) -> BrokenAccounts {
    (0..BUCKETS_OF_WEEK)
        .map(|number| (at(number * 5 * MINUTES), count(number)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// The outage that begins with these accounts in five minutes, after a week with these counts.
fn begun(week: &BrokenAccounts, accounts: u64) -> Option<Outage> {
    let bucket = at(7 * DAYS);
    Outage::begun(None, "Meadow Bank", accounts, bucket, week.usual(bucket), &settings(), bucket)
}

fn outage() -> Outage {
    begun(&BrokenAccounts::default(), 50).unwrap()
}

fn later(outage: &Outage, seconds: u64) -> Timestamp {
    after(outage.since, Duration::from_secs(seconds))
}

/// A service of which `recent` accounts broke in the last five minutes.
fn breaking(recent: u64) -> Breakage {
    Breakage { accounts: 1_000, recent }
}

#[test]
fn an_outage_is_many_accounts_and_many_more_than_usual() {
    let nothing = week(|_| 0);
    let steady = week(|_| 3);
    // An application that reads every account at three at night.
    let nightly = week(|number| if number % 288 == 216 { 80 } else { 0 });
    let outage_on_one_day = week(|number| if (600..620).contains(&number) { 5_000 } else { 1 });
    for (name, week, accounts, is_outage) in [
        ("a few accounts", &nothing, 3, false),
        ("one too few", &nothing, 49, false),
        ("enough", &nothing, 50, true),
        ("the usual rate", &steady, 3, false),
        ("enough of a service with a usual rate", &steady, 50, true),
        ("a busy night", &nightly, 160, false),
        ("ten times a usual night", &nightly, 800, true),
        ("an outage a few days ago", &outage_on_one_day, 50, true),
    ] {
        assert_eq!(begun(week, accounts).is_some(), is_outage, "{name}");
    }
}

#[test]
fn a_rate_that_stays_the_same_is_no_outage_once_it_is_known_for_an_hour() {
    for rate in [1, 7, 49, 50, 500, 50_000] {
        for known_buckets in [13, 100, 288, 600, BUCKETS_OF_WEEK] {
            let week = week(|number| if number < BUCKETS_OF_WEEK - known_buckets { 0 } else { rate });
            let is_outage = |accounts| begun(&week, accounts).is_some();
            assert!(!is_outage(rate * 9), "{rate} in each of {known_buckets}");
            assert!(is_outage((rate * 10).max(50)), "{rate} in each of {known_buckets}");
        }
    }
}

#[test]
fn the_first_minutes_of_an_outage_are_not_usual() {
    let rising = week(|number| if number < BUCKETS_OF_WEEK - 6 { 0 } else { 49 });
    assert!(begun(&rising, 50).is_some());
    let rare = week(|number| u64::from(number == 1_500));
    assert!(begun(&rare, 50).is_some());
    let yesterday = week(|number| if (1_700..1_712).contains(&number) { 3_000 } else { 0 });
    assert!(begun(&yesterday, 50).is_some(), "an outage yesterday, of a service that never broke before");
}

#[test]
fn a_small_service_never_has_an_outage() {
    for accounts in 0..=3 {
        for usual in [0, 1, 1_000] {
            assert_eq!(begun(&week(|_| usual), accounts), None);
        }
    }
}

#[test]
fn an_outage_holds_notices_until_its_time_is_over() {
    let outage = outage();
    assert_eq!((outage.since, outage.held_until), (at(7 * DAYS), at(7 * DAYS + 2 * HOURS)));
    assert!(outage.is_open(later(&outage, 0)) && outage.is_open(later(&outage, 2 * HOURS - 1)));
    assert!(!outage.is_open(later(&outage, 2 * HOURS)), "also if no sweep has looked at it");
    assert_eq!(outage.looked_at(breaking(0), later(&outage, 2 * HOURS - 1)), None);
    let ended = outage.looked_at(breaking(49), later(&outage, 2 * HOURS)).unwrap();
    assert_eq!((ended.state, ended.accounts), (OutageState::Ended, 1_000));
    assert_eq!(ended.looked_at(breaking(500), later(&outage, 3 * HOURS)), None);
}

#[test]
fn an_outage_is_prolonged_while_accounts_break_and_for_a_day_at_most() {
    let (mut outage, since) = (outage(), outage().since);
    let mut prolonged = 0;
    for minute in 0..30 * 60 {
        let now = later(&outage, minute * MINUTES);
        let Some(next) = outage.looked_at(breaking(50), now) else { continue };
        if next.state == OutageState::Ended {
            assert_eq!((now, next.held_until), (after(since, LONGEST_HOLD), after(since, LONGEST_HOLD)));
            assert!((11..=13).contains(&prolonged), "{prolonged}");
            return;
        }
        assert!(outage.is_open(now), "it is prolonged before notices go out");
        (outage, prolonged) = (next, prolonged + 1);
    }
    panic!("it does not end");
}

#[test]
fn a_late_look_prolongs_an_outage_from_now_on() {
    let outage = outage();
    let late = later(&outage, 6 * HOURS);
    assert_eq!(outage.looked_at(breaking(50), late).unwrap().held_until, after(late, 2 * HOUR));
    let too_late = later(&outage, 30 * HOURS);
    assert_eq!(outage.looked_at(breaking(50), too_late).unwrap().state, OutageState::Ended);
}

/// Waves of broken accounts, as an application that reads once an hour makes them.
#[test]
fn notices_wait_for_a_day_at_most_in_two_days_whatever_breaks() {
    for pause in [20, 60, 150, 400, 1_000] {
        let (mut outage, mut held_minutes): (Option<Outage>, Vec<u64>) = (None, Vec::new());
        for minute in 0..4 * 24 * 60 {
            let now = at(minute * MINUTES);
            let breaks = minute % pause == 0;
            if let Some(looked) =
                outage.as_ref().and_then(|outage| outage.looked_at(breaking(if breaks { 90 } else { 0 }), now))
            {
                outage = Some(looked);
            }
            if breaks {
                let begun = Outage::begun(outage.as_ref(), "S", 90, bucket_of(now), 0, &settings(), now);
                outage = begun.or(outage);
            }
            if outage.as_ref().is_some_and(|outage| outage.is_open(now)) {
                held_minutes.push(minute);
            }
        }
        for first in &held_minutes {
            let within = |minute: &&u64| (*first..first + 48 * 60).contains(*minute);
            let held = held_minutes.iter().filter(within).count();
            // The second of two outages can begin before the two days of the first are over.
            assert!(held <= 24 * 60 + 60, "{held} minutes, with a wave every {pause} minutes");
        }
    }
}

#[test]
fn a_mass_expiry_is_an_outage_at_first_and_ends() {
    // 100,000 accounts are found broken within an hour.
    let mut outage = outage();
    let is_breaking = |seconds: u64| if seconds < HOURS { 8_333 } else { 0 };
    for minute in 0..180 {
        let now = later(&outage, minute * MINUTES);
        if let Some(next) = outage.looked_at(breaking(is_breaking(minute * MINUTES)), now) {
            outage = next;
        }
    }
    assert_eq!((outage.state, outage.held_until), (OutageState::Ended, later(&outage, 2 * HOURS)));
}

#[test]
fn an_outage_that_is_known_does_not_begin_again() {
    let open = outage();
    let again = |previous: &Outage, seconds: u64| {
        let now = later(&open, seconds);
        Outage::begun(Some(previous), "Meadow Bank", 500, bucket_of(now), 0, &settings(), now)
    };
    assert_eq!(again(&open, HOURS), None);
    let ended = open.looked_at(breaking(0), later(&open, 2 * HOURS)).unwrap();
    let continued = again(&ended, 3 * HOURS).unwrap();
    assert_eq!((continued.since, continued.held_until), (open.since, later(&open, 5 * HOURS)));
    let last = again(&ended, 23 * HOURS).unwrap();
    assert_eq!(last.held_until, later(&open, 24 * HOURS), "not longer than a day from its beginning");
    for hours in [24, 36, 47] {
        assert_eq!(again(&ended, hours * HOURS), None, "{hours}");
    }
    assert_eq!(again(&ended, 48 * HOURS).unwrap().since, later(&open, 48 * HOURS));
}

#[test]
fn the_operator_is_told_of_each_state_once() {
    let open = outage();
    let now = open.since;
    assert_eq!(open.due_at(now), Some(now));
    let telling = open.with_claimed_notice(60, now).unwrap();
    assert_eq!(
        (telling.with_claimed_notice(60, later(&open, 119)), telling.due_at(now)),
        (None, Some(later(&open, 120)))
    );
    assert!(telling.with_claimed_notice(60, later(&open, 120)).is_some(), "the sweep that was telling did not end");
    let told = telling.with_sent_notice(OutageState::Suspected);
    assert_eq!(told.with_claimed_notice(60, later(&open, 300)), None);
    assert_eq!(told.due_at(now), Some(later(&open, 2 * HOURS - 5 * MINUTES)), "the last look");

    let ended = told.looked_at(breaking(0), told.held_until).unwrap();
    assert_eq!(ended.due_at(told.held_until), Some(told.held_until));
    let known = ended.with_claimed_notice(60, told.held_until).unwrap().with_sent_notice(OutageState::Ended);
    assert_eq!((known.with_claimed_notice(60, later(&open, 9 * HOURS)), known.due_at(told.held_until)), (None, None));
}

#[test]
fn notices_are_spread_evenly_over_an_hour() {
    let held_until = at(0);
    let mut of_minute = [0_u32; 60];
    for number in 0..60_000 {
        let user: UserId = format!("user-{number}").parse().unwrap();
        let resumed = resume_at(held_until, &user);
        assert_eq!(resumed, resume_at(held_until, &user));
        let second = resumed.duration_since(held_until).as_secs();
        of_minute[usize::try_from(second / 60).unwrap()] += 1;
    }
    assert!(of_minute.iter().all(|users| (850..1_150).contains(users)), "{of_minute:?}");
}
