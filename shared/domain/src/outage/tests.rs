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

fn counts(broken: u64, healed: u64) -> Counts {
    Counts { broken, healed }
}

/// The counts of the week before `at(7 * DAYS)`, by the number of the bucket.
fn week(count: impl Fn(u64) -> u64) -> ServiceCounts {
    (0..BUCKETS_OF_WEEK)
        .map(|number| (at(number * 5 * MINUTES), counts(count(number), 1)))
        .filter(|(_, counts)| counts.broken > 0)
        .collect()
}

/// The outage that begins with these accounts in five minutes, after a week with these counts.
fn begun(week: &ServiceCounts, accounts: u64) -> Option<Outage> {
    let bucket = at(7 * DAYS);
    Outage::begun(None, "Meadow Bank", accounts, bucket, week.usual(bucket), &settings(), bucket)
}

fn outage() -> Outage {
    begun(&ServiceCounts::default(), 50).unwrap()
}

fn later(outage: &Outage, seconds: u64) -> Timestamp {
    after(outage.since, Duration::from_secs(seconds))
}

/// A service of which accounts broke and healed so many minutes after the outage began.
fn since_it_began(outage: &Outage, of_minutes: &[(u64, Counts)]) -> ServiceCounts {
    of_minutes.iter().map(|(minute, counts)| (bucket_of(later(outage, minute * MINUTES)), *counts)).collect()
}

/// The outage with a look in each minute, and how often it was prolonged.
fn looked_at_each_minute(mut outage: Outage, of_minutes: &[(u64, Counts)]) -> (Outage, usize) {
    let mut prolonged = 0;
    for minute in 0..30 * 60 {
        let now = later(&outage, minute * MINUTES);
        let known = of_minutes.iter().take_while(|(of, _)| *of <= minute).count();
        let counts = since_it_began(&outage, &of_minutes[..known]);
        let Some(next) = outage.looked_at(&counts, now) else { continue };
        if next.state == OutageState::Ended {
            assert_eq!(now, next.until);
            return (next, prolonged);
        }
        assert!(outage.holds(now), "it is prolonged before notices go out");
        (outage, prolonged) = (next, prolonged + 1);
    }
    panic!("it does not end");
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
    assert_eq!((outage.since, outage.held_until()), (at(7 * DAYS), at(7 * DAYS + 2 * HOURS)));
    assert!(outage.holds(later(&outage, 0)) && outage.holds(later(&outage, 2 * HOURS - 1)));
    assert!(!outage.holds(later(&outage, 2 * HOURS)), "also if no sweep has looked at it");
    let counts = since_it_began(&outage, &[(0, counts(1_000, 0)), (100, counts(49, 900))]);
    assert_eq!(outage.looked_at(&counts, later(&outage, 2 * HOURS - 1)), None);
    let ended = outage.looked_at(&counts, later(&outage, 2 * HOURS)).unwrap();
    assert_eq!((ended.state, ended.accounts, ended.healed), (OutageState::Ended, 1_049, 900));
    assert_eq!(ended.looked_at(&counts, later(&outage, 3 * HOURS)), None);
}

#[test]
fn an_outage_goes_on_while_accounts_break_as_they_did() {
    let first = (0, counts(1_000, 0));
    for (name, of_minutes, is_over) in [
        ("no more break", vec![first, (60, counts(0, 5))], true),
        ("a few break", vec![first, (115, counts(49, 0))], true),
        ("many broke an hour ago", vec![first, (60, counts(800, 0))], true),
        ("many break", vec![first, (115, counts(50, 0))], false),
        ("many break and heal", vec![first, (115, counts(50, 500))], false),
    ] {
        let looked = outage().looked_at(&since_it_began(&outage(), &of_minutes), later(&outage(), 2 * HOURS)).unwrap();
        assert_eq!(looked.state == OutageState::Ended, is_over, "{name}");
    }
}

#[test]
fn an_outage_in_which_accounts_always_break_takes_a_day_at_most() {
    let waves: Vec<_> = (0..30 * 12).map(|bucket| (bucket * 5, counts(60, 0))).collect();
    let (ended, prolonged) = looked_at_each_minute(outage(), &waves);
    assert_eq!(ended.until, later(&outage(), 24 * HOURS));
    assert!((11..=13).contains(&prolonged), "{prolonged}");
}

#[test]
fn a_late_look_prolongs_an_outage_from_now_on() {
    let outage = outage();
    let late = later(&outage, 6 * HOURS);
    let of_now = since_it_began(&outage, &[(6 * 60, counts(90, 0)), (30 * 60, counts(90, 0))]);
    assert_eq!(outage.looked_at(&of_now, late).unwrap().until, after(late, 2 * HOUR));
    let too_late = later(&outage, 30 * HOURS);
    assert_eq!(outage.looked_at(&of_now, too_late).unwrap().state, OutageState::Ended);
}

#[test]
fn notices_wait_for_a_day_at_most_in_two_days_whatever_breaks() {
    for pause in [5, 20, 60, 150, 400, 1_000, 1_600, 2_700] {
        let (mut outage, mut held_minutes): (Option<Outage>, Vec<u64>) = (None, Vec::new());
        let mut known = Vec::new();
        for minute in (0..7 * 24 * 60).step_by(5) {
            let now = at(minute * MINUTES);
            if minute % pause == 0 {
                known.push((bucket_of(now), counts(90, 0)));
                let begun = Outage::begun(outage.as_ref(), "S", 90, bucket_of(now), 0, &settings(), now);
                outage = begun.or(outage);
            }
            let counts = known.iter().copied().collect();
            outage = outage.as_ref().and_then(|outage| outage.looked_at(&counts, now)).or(outage);
            if outage.as_ref().is_some_and(|outage| outage.holds(now)) {
                held_minutes.push(minute);
            }
        }
        for first in &held_minutes {
            let within = |minute: &&u64| (*first..first + 48 * 60).contains(*minute);
            let held = held_minutes.iter().filter(within).count();
            assert!(held <= 24 * 60 / 5, "{held} times five minutes, with a wave every {pause} minutes");
        }
        assert!(held_minutes.last() > Some(&(4 * 24 * 60)), "they wait again, with a wave every {pause} minutes");
    }
}

#[test]
fn an_outage_that_is_known_does_not_begin_again() {
    let open = outage();
    assert_eq!(again(&open, HOURS), None);
    assert_eq!(again(&open, 2 * HOURS - 1), None);
}

/// The outage of the same service that begins so long after the `first` one.
fn again(previous: &Outage, seconds: u64) -> Option<Outage> {
    let now = later(&outage(), seconds);
    Outage::begun(Some(previous), "Meadow Bank", 500, bucket_of(now), 0, &settings(), now)
}

fn ended_after(seconds: u64) -> Outage {
    Outage { state: OutageState::Ended, until: later(&outage(), seconds), ..outage() }
}

#[test]
fn an_outage_on_the_next_day_holds_notices_like_the_first_one() {
    for hours in [3, 12, 21, 29, 48] {
        let second = again(&ended_after(2 * HOURS), hours * HOURS).unwrap();
        assert_eq!((second.since, second.accounts), (later(&outage(), hours * HOURS), 500));
        assert_eq!(second.held_until(), later(&outage(), (hours + 2) * HOURS), "{hours}");
        let left = if hours < 26 { 22 } else { 24 };
        assert_eq!(second.hold_limit, later(&outage(), (hours + left) * HOURS), "{hours}");
    }
}

#[test]
fn after_a_day_of_outage_the_operator_is_told_of_the_next_one_and_notices_do_not_wait() {
    let first = ended_after(24 * HOURS);
    let second = again(&first, 30 * HOURS).unwrap();
    let now = second.since;
    assert!(second.is_open(now) && !second.holds(now));
    assert_eq!((second.due_at(now), second.held_until()), (Some(now), first.until));
    assert_eq!(again(&second, 31 * HOURS), None, "it is known");
    // The pause counts from when notices last waited, not from the outage in which they did not.
    let third = again(&Outage { state: OutageState::Ended, ..second }, 48 * HOURS).unwrap();
    assert_eq!(third.held_until(), later(&outage(), 50 * HOURS));
}

#[test]
fn the_operator_is_told_of_each_state_once() {
    let open = outage();
    let now = open.since;
    assert_eq!(open.due_at(now), Some(now));
    let telling = open.with_claimed_notice(counts(60, 0), now).unwrap();
    assert_eq!(
        (telling.with_claimed_notice(counts(60, 0), later(&open, 119)), telling.due_at(now)),
        (None, Some(later(&open, 120)))
    );
    assert!(
        telling.with_claimed_notice(counts(60, 0), later(&open, 120)).is_some(),
        "the sweep that was telling did not end"
    );
    let told = telling.with_sent_notice(OutageState::Suspected);
    assert_eq!(told.with_claimed_notice(counts(60, 0), later(&open, 300)), None);
    assert_eq!(told.due_at(now), Some(later(&open, 2 * HOURS - 5 * MINUTES)), "the last look");

    let ended = told.looked_at(&ServiceCounts::default(), told.until).unwrap();
    assert_eq!(ended.due_at(told.until), Some(told.until));
    let known = ended.with_claimed_notice(counts(60, 0), told.until).unwrap().with_sent_notice(OutageState::Ended);
    assert_eq!(
        (known.with_claimed_notice(counts(60, 0), later(&open, 9 * HOURS)), known.due_at(told.until)),
        (None, None)
    );
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
