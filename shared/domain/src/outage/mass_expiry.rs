//! 100,000 accounts of one service expire on one day: how the plans, the outage and the rate work together.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use jiff::tz::TimeZone;

use super::*;
use crate::{
    NoticeRate,
    account::Warned,
    notice_rate::minute_of,
    notices::{NextWarning, next_warning},
};

const USERS: usize = 100_000;
const MINUTE: Duration = Duration::from_secs(60);

fn users() -> Vec<UserId> {
    (0..USERS).map(|number| format!("user-{number}").parse().unwrap()).collect()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What a sweep does about a user who is due.
enum Done {
    /// It started a notice. The next one is due then.
    Told(Option<Timestamp>),
    /// It started none, and plans to look again.
    Planned(Option<Timestamp>),
}

/// Sweeps every minute, longest due first, with the default rate. Returns how many notices were started in each minute.
fn sweep(due: Vec<Timestamp>, mut process: impl FnMut(usize, Timestamp) -> Done) -> BTreeMap<Timestamp, u32> {
    let rate = NoticeRate::default();
    let mut queue: BinaryHeap<_> = due.into_iter().enumerate().map(|(user, at)| Reverse((at, user))).collect();
    let (mut started, mut now) = (BTreeMap::new(), Timestamp::MIN);
    while let Some(Reverse((first, _))) = queue.peek() {
        now = minute_of(after(now.max(*first), MINUTE));
        let (mut taken, mut left) = (0, rate.share(0));
        while let Some(Reverse((at, user))) = queue.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            if left == 0 {
                taken += rate.share(taken);
                left = rate.share(taken);
            }
            if left == 0 {
                break;
            }
            queue.pop();
            let next = match process(user, now) {
                Done::Told(next) => {
                    left -= 1;
                    *started.entry(now).or_default() += 1;
                    next
                }
                Done::Planned(next) => next,
            };
            assert!(next.is_none_or(|next| next > at), "it is not due for ever");
            queue.extend(next.map(|next| Reverse((next, user))));
        }
    }
    started
}

fn busiest(started: &BTreeMap<Timestamp, u32>) -> u32 {
    started.values().copied().max().unwrap_or_default()
}

#[test]
fn each_user_is_warned_three_times_spread_over_the_days() {
    let (users, expires_at) = (users(), time("2026-12-20T10:00:00Z"));
    let mut warned: Vec<(u32, Option<Warned>)> = vec![(0, None); USERS];
    let started = sweep(vec![time("2026-12-01T00:00:00Z"); USERS], |user, now| {
        let (warnings, known) = &mut warned[user];
        match next_warning(expires_at, known.as_ref(), &TimeZone::UTC, &users[user], now) {
            NextWarning::Now { days_left } => {
                *warnings += 1;
                *known = Some(Warned { expires_at, days_left: Some(days_left), notice: None });
                Done::Told(Some(after(now, MINUTE)))
            }
            NextWarning::Later { at, warned } => {
                *known = Some(warned);
                Done::Planned(Some(at))
            }
            NextWarning::Never => Done::Planned(None),
        }
    });
    assert!(warned.iter().all(|(warnings, _)| *warnings == 3), "each warning once");
    assert_eq!(started.values().sum::<u32>(), 3 * 100_000);
    // Spread over thirteen hours by itself.
    assert!(busiest(&started) < 250, "{}", busiest(&started));
}

/// The accounts are read, and found broken, within an hour of the night.
#[test]
fn each_user_is_told_once_behind_the_outage_and_no_minute_exceeds_the_rate() {
    let (users, first_read) = (users(), time("2026-12-20T03:00:00Z"));
    let broken_at: Vec<_> = users.iter().map(|user| after(first_read, spread(user, HOUR))).collect();
    let mut counts: BTreeMap<_, Counts> = BTreeMap::new();
    broken_at.iter().for_each(|at| counts.entry(bucket_of(*at)).or_default().broken += 1);
    let counts_at = |now| counts.range(..=now).map(|(bucket, counts)| (*bucket, *counts)).collect::<ServiceCounts>();
    let settings = OutageSettings::default();
    let first = bucket_of(first_read);
    let mut outage =
        Outage::begun(None, "Meadow Bank", 50, first, counts_at(first).usual(first), &settings, first_read).unwrap();
    // The sweeps of the outage come before those of the notices.
    for minute in 0..24 * 60 {
        let now = after(first_read, MINUTE * minute);
        outage = outage.looked_at(&counts_at(now), now).unwrap_or(outage);
    }
    assert_eq!((outage.state, outage.until), (OutageState::Ended, after(first_read, 2 * HOUR)));
    let due = users.iter().map(|user| resume_at(outage.held_until(), user)).collect();
    let mut told = vec![0; USERS];
    let started = sweep(due, |user, _| {
        told[user] += 1;
        Done::Told(None)
    });
    assert!(told.iter().all(|times| *times == 1));
    assert_eq!(busiest(&started), NoticeRate::default().per_minute());
    let (first, last) = (*started.keys().next().unwrap(), *started.keys().last().unwrap());
    assert!(first > outage.held_until() && last <= after(first, 168 * MINUTE), "{first} to {last}");
}
