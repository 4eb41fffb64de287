//! A flood of read results: doubled, out of order, few of them in need. Every account that needs its user is told once,
//! no other is, and memory stays bounded. Alone in its process, whose memory it measures.

// How much memory it is, the kernel tells in /proc.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;

use local::{DEMO_CONTRACT, names::Queue};
use serde_json::json;
use tests::{ManualClock, World};

const USERS: usize = 2_500;
const ACCOUNTS_OF_A_USER: usize = 4;
/// Of each account: ten read sessions, a minute apart.
const READS: usize = 10;
/// One account in a hundred loses its authorization.
const ONE_BROKEN_IN: usize = 100;
/// One result in twenty comes twice.
const ONE_TWICE_IN: usize = 20;
/// So many results are on the queue at once.
const WAVE: usize = 2_000;
/// What the process may hold more after the flood than when a fifth of it has passed; by then all accounts are known.
const MAX_GROWTH: usize = 48 * 1024 * 1024;

/// The accounts that need their user; each has needed him from one of its reads on.
fn is_broken(account: usize) -> bool {
    account % ONE_BROKEN_IN == 7
}

fn broken_since(account: usize) -> usize {
    account / ONE_BROKEN_IN % READS
}

/// A message of the queue: one read of one account.
fn message(account: usize, read: usize) -> String {
    let id = format!("{account}_bank");
    let entry = if is_broken(account) && read >= broken_since(account) {
        json!({"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511,
            "error": {"message": "Service authorization required", "reauth": true}}})
    } else {
        json!({"state": "completed"})
    };
    json!({"userId": format!("user-{}", account / ACCOUNTS_OF_A_USER), "contractId": DEMO_CONTRACT,
        "observedAt": format!("2026-11-23T08:{read:02}:00Z"), "readResult": {id: entry}})
    .to_string()
}

/// All results, doubled ones included, in an order that is none.
fn flood() -> Vec<(usize, usize)> {
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

/// The memory that this process holds now, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<usize>().unwrap() * 1024
}

/// Every account that needs its user, by the API's list.
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
async fn a_hundred_thousand_read_results_tell_of_each_broken_account_once_and_of_no_other() {
    let world = World::new().await;
    let flood = flood();
    assert!(flood.len() > 100_000);
    let mut early = None;
    for (number, wave) in flood.chunks(WAVE).enumerate() {
        for (account, read) in wave {
            world.system.queues.send(Queue::ReadResults, &message(*account, *read)).unwrap();
        }
        world.run_until_idle().await;
        if number * WAVE >= flood.len() / 5 {
            early.get_or_insert_with(resident);
        }
    }
    let growth = resident().saturating_sub(early.unwrap());
    let accounts = 0..USERS * ACCOUNTS_OF_A_USER;
    let broken: BTreeSet<_> = accounts.filter(|account| is_broken(*account)).map(|id| format!("{id}_bank")).collect();
    assert_eq!(broken.len(), 100);
    assert_eq!(listed(&world).await, broken);
    let published = world.published();
    let told: BTreeSet<_> =
        published.iter().map(|event| event["data"]["accountId"].as_str().unwrap().to_owned()).collect();
    assert!(published.iter().all(|event| event["type"] == "account.reauthorization_required"));
    assert_eq!((published.len(), told), (broken.len(), broken));
    assert!(growth < MAX_GROWTH, "memory grew by {growth} bytes");
}
