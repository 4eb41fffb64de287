//! The counters of broken accounts, and the outages of services.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use reauth_core::lambda::NO_DEADLINE;
use reauth_domain::{
    Outage, OutageSettings, ServiceKey,
    outage::{Counts, OutageState, bucket_of},
    time::after,
};

use crate::{
    MINUTE,
    table::{Table, on_a_table},
};

const NAME: &str = "Meadow Bank";

fn service() -> ServiceKey {
    ServiceKey::of(NAME).unwrap()
}

fn broken(accounts: u64) -> Counts {
    Counts { broken: accounts, healed: 0 }
}

/// The outage that begins now with enough accounts.
fn begin(previous: Option<&Outage>, name: &str, now: Timestamp) -> Option<Outage> {
    Outage::begun(previous, name, 60, bucket_of(now), 0, &OutageSettings::default(), now)
}

async fn begun(table: &Table, name: &str) -> Option<Outage> {
    let (service, now) = (ServiceKey::of(name).unwrap(), table.now());
    table.store.change_outage(&service, NO_DEADLINE, |previous| begin(previous, name, now)).await.unwrap()
}

#[tokio::test]
async fn counts_at_the_same_time_are_all_counted() {
    on_a_table(async |table| {
        let bucket = bucket_of(table.now());
        let (service, other) = (service(), ServiceKey::of("Meadow").unwrap());
        let count = |count| table.store.count_accounts(&service, bucket, Counts { broken: count, healed: 1 });
        let counts = join_all((1..=10).map(count)).await;
        assert_eq!(counts.into_iter().map(|counts| counts.unwrap().broken).max(), Some(55));
        assert_eq!(table.store.count_accounts(&other, bucket, broken(3)).await.unwrap(), broken(3));
        let next = after(bucket, MINUTE * 5);
        assert_eq!(table.store.count_accounts(&service, next, broken(7)).await.unwrap(), broken(7));
        let counts = table.store.account_counts(&service, bucket, next).await.unwrap();
        assert_eq!(counts, [(bucket, Counts { broken: 55, healed: 10 }), (next, broken(7))].into_iter().collect());
        let backwards = table.store.account_counts(&service, next, bucket).await.unwrap();
        assert_eq!(backwards, [].into_iter().collect());
    })
    .await;
}

#[tokio::test]
async fn what_is_usual_is_read_from_the_counters_of_a_week() {
    on_a_table(async |table| {
        let service = service();
        // More counters than one answer of the database holds with large items, oldest first.
        for number in 0..8 * 24 {
            let bucket = bucket_of(after(table.now(), MINUTE * 60 * number));
            table.store.count_accounts(&service, bucket, broken(if number % 24 == 3 { 40 } else { 1 })).await.unwrap();
        }
        let bucket = bucket_of(after(table.now(), MINUTE * 60 * 8 * 24));
        assert_eq!(table.store.usual_broken_accounts(&service, bucket).await.unwrap(), 40);
        let month_later = after(bucket, MINUTE * 60 * 24 * 30);
        assert_eq!(table.store.usual_broken_accounts(&service, month_later).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn of_functions_that_notice_an_outage_at_the_same_time_one_writes_it() {
    on_a_table(async |table| {
        let written = join_all((0..8).map(|_| begun(table, NAME))).await;
        assert_eq!(written.iter().flatten().count(), 1, "{written:?}");
        assert_eq!(table.store.due_outages(table.now(), 10).await.unwrap(), [service()], "the operator must be told");
    })
    .await;
}

#[tokio::test]
async fn an_outage_is_due_until_its_end_is_told_and_then_never_again() {
    on_a_table(async |table| {
        let (service, began) = (service(), table.now());
        begun(table, NAME).await.unwrap();
        let tell = async || {
            let now = table.now();
            let claim =
                table.store.change_outage(&service, NO_DEADLINE, |one| one?.with_claimed_notice(broken(60), now)).await;
            let state = claim.unwrap().unwrap().state;
            table.store.change_outage(&service, NO_DEADLINE, |one| Some(one?.with_sent_notice(state))).await.unwrap();
        };
        let is_due = async || !table.store.due_outages(table.now(), 10).await.unwrap().is_empty();
        tell().await;
        assert!(!is_due().await);
        table.clock.advance(MINUTE * 115);
        assert!(is_due().await);
        table.clock.advance(MINUTE * 5);
        let now = table.now();
        table.store.count_accounts(&service, bucket_of(now), Counts { broken: 0, healed: 60 }).await.unwrap();
        let counts = &table.store.account_counts(&service, began, now).await.unwrap();
        let look = table.store.change_outage(&service, NO_DEADLINE, |one| one?.looked_at(counts, now)).await;
        assert_eq!(look.unwrap().unwrap().state, OutageState::Ended);
        assert!(is_due().await);
        tell().await;
        table.clock.advance(MINUTE * 60 * 24 * 14);
        assert!(!is_due().await);
    })
    .await;
}

#[tokio::test]
async fn notices_wait_for_services_by_whatever_name_until_the_outage_is_over() {
    on_a_table(async |table| {
        let long = "A bank with a very long name ".repeat(200);
        begun(table, NAME).await.unwrap();
        begun(table, &long).await.unwrap();
        let names = [NAME, " MEADOW bank", "Meadow Bank 2", "", "  ", &long, NAME];
        let open = table.store.open_outages(names).await.unwrap();
        let held_until = after(table.now(), Duration::from_secs(2 * 60 * 60));
        let expected = [NAME, " MEADOW bank", &long].map(|name| (name.to_owned(), held_until));
        assert_eq!(open, expected.into_iter().collect());
        assert!(table.store.open_outages([]).await.unwrap().is_empty());
        table.clock.advance(MINUTE * 120);
        assert!(table.store.open_outages(names).await.unwrap().is_empty(), "though no sweep has ended them");
    })
    .await;
}

#[tokio::test]
async fn the_outages_of_more_services_than_one_call_reads_are_found() {
    on_a_table(async |table| {
        let names: Vec<_> = (0..230).map(|number| format!("Bank {number}")).collect();
        for name in names.iter().step_by(2) {
            begun(table, name).await.unwrap();
        }
        let open = table.store.open_outages(names.iter().map(String::as_str)).await.unwrap();
        assert_eq!(open.len(), 115);
        assert!(open.keys().all(|name| names.iter().step_by(2).any(|other| other == name)));
    })
    .await;
}

#[tokio::test]
async fn an_outage_reads_back_as_it_was_written() {
    on_a_table(async |table| {
        let outage = begun(table, NAME).await.unwrap();
        assert_eq!(table.store.outage(&service()).await.unwrap().unwrap().value, outage);
    })
    .await;
}
