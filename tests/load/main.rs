//! A load of read results: doubled, out of order, few of them with an error. Each broken account causes one event, no
//! other account does, and memory stays bounded. The test is alone in its process, because it measures its memory.

// The memory of the process is read from /proc.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use local::names::Queue;
use tests::{DEMO_CONTRACT, ManualClock, ReadResult, World, broken, healthy};

const USERS: usize = 2_500;
const ACCOUNTS_OF_A_USER: usize = 4;
/// Of each account: ten read sessions, a minute apart.
const READS: usize = 10;
/// One account in a hundred loses its authorization.
const ONE_BROKEN_IN: usize = 100;
/// One result in twenty comes twice.
const ONE_TWICE_IN: usize = 20;
/// The number of results that are on the queue at the same time.
const WAVE: usize = 2_000;
/// In bytes: how much the process's memory may grow after a fifth of the load. By then, all accounts are known.
const MAX_GROWTH: usize = 48 * 1024 * 1024;

/// Whether the account loses its authorization, at one of its reads.
fn is_broken(account: usize) -> bool {
    account % ONE_BROKEN_IN == 7
}

fn broken_since(account: usize) -> usize {
    account / ONE_BROKEN_IN % READS
}

/// A message of the queue: one read of one account.
fn message(account: usize, read: usize) -> ReadResult {
    let id = format!("{account}_bank");
    let is_broken = is_broken(account) && read >= broken_since(account);
    let accounts = if is_broken { broken(&id) } else { healthy(&id) };
    let user = format!("user-{}", account / ACCOUNTS_OF_A_USER);
    ReadResult::new(&user, &accounts).contract(DEMO_CONTRACT).observed_at(format!("2026-11-23T08:{read:02}:00Z"))
}

/// All results, doubled ones included, in random order.
fn load() -> Vec<(usize, usize)> {
    let accounts = USERS * ACCOUNTS_OF_A_USER;
    let mut all: Vec<_> = (0..accounts).flat_map(|account| (0..READS).map(move |read| (account, read))).collect();
    let twice: Vec<_> = all.iter().copied().step_by(ONE_TWICE_IN).collect();
    all.extend(twice);
    let random = ManualClock::default().ambient();
    for index in (1..all.len()).rev() {
        all.swap(index, usize::from_be_bytes(random.bytes()) % (index + 1));
    }
    all
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

/// All accounts that the API lists as `reauth_required`.
async fn listed(world: &World) -> BTreeSet<String> {
    let mut listed = BTreeSet::new();
    let mut path = "/accounts?status=reauth_required&limit=37".to_owned();
    loop {
        let page = world.get(&path).await.json();
        let ids = page["accounts"].as_array().unwrap().iter().map(|account| account["accountId"].as_str().unwrap());
        listed.extend(ids.map(str::to_owned));
        let Some(cursor) = page["cursor"].as_str() else { return listed };
        path = format!("/accounts?status=reauth_required&limit=37&cursor={cursor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_read_results_cause_one_event_of_each_broken_account_and_no_other() {
    let world = World::builder().start().await;
    let load = load();
    assert!(load.len() > 100_000);
    let mut early = None;
    for (number, wave) in load.chunks(WAVE).enumerate() {
        for (account, read) in wave {
            world.enqueue(Queue::ReadResults, &message(*account, *read));
        }
        world.run_until_idle().await;
        if number * WAVE >= load.len() / 5 {
            early.get_or_insert_with(resident);
        }
    }
    let growth = resident().saturating_sub(early.unwrap());
    let accounts = 0..USERS * ACCOUNTS_OF_A_USER;
    let broken: BTreeSet<_> = accounts.filter(|account| is_broken(*account)).map(|id| format!("{id}_bank")).collect();
    assert_eq!(broken.len(), 100);
    assert_eq!(listed(&world).await, broken);
    let published = world.published();
    assert!(published.iter().all(|event| event.kind == "account.reauthorization_required"));
    let notified: BTreeSet<_> = published.iter().map(|event| event.account_id.clone()).collect();
    assert_eq!((published.len(), notified), (broken.len(), broken));
    assert!(growth < MAX_GROWTH, "memory grew by {growth} bytes");
}
