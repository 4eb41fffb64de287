//! Accounts and their events: written together, and only as they were read.

use std::collections::BTreeSet;

use reauth_core::store::{AccountChange, Commit, Condition, Store, StoreError};
use reauth_domain::{Account, Change, Signal, Via};
use tests::DeliveredEvent;

use crate::{bank, broken, commit, is_conflict, lost, read, table::on_a_table, user};

#[tokio::test]
async fn an_account_and_its_event_are_written_together() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await;
        let milliseconds = u64::try_from(table.now().as_millisecond()).unwrap();
        assert_eq!((account.version, account.value.sequence), (milliseconds, milliseconds));
        let history = table.store.history(&user(1), &bank(), None, 10).await.unwrap().events;
        assert_eq!(history.len(), 1);
        let event = DeliveredEvent::from(&history[0]);
        assert_eq!((&*event.kind, event.sequence), ("account.reauthorization_required", milliseconds));
        let notice = account.value.episode().unwrap().notice.clone().unwrap();
        assert_eq!(event.event_id, notice.event_id.as_str());
    })
    .await;
}

#[tokio::test]
async fn of_many_writers_that_read_the_same_one_writes_and_the_others_write_nothing() {
    on_a_table(async |table| {
        let commits: Vec<_> = (0..5).map(|_| lost(table, Account::new(user(1), bank()), 0)).collect();
        for (index, commit) in commits.into_iter().enumerate() {
            let result = table.store.commit(commit).await;
            assert!(if index == 0 { result.is_ok() } else { is_conflict(&result, &Condition::Account) }, "{result:?}");
        }
        assert_eq!(table.store.history(&user(1), &bank(), None, 10).await.unwrap().events.len(), 1);

        let account = table.store.account(&user(1), &bank()).await.unwrap().unwrap();
        let healed = |version| {
            let signal = Signal::Confirmed { via: Via::Sweep, listed: None, attempt: None };
            table.store.commit(commit(account.value.clone(), signal, version, table.now()))
        };
        assert!(is_conflict(&healed(7).await, &Condition::Account));
        healed(account.version).await.unwrap();
        assert!(is_conflict(&healed(account.version).await, &Condition::Account));
        assert_eq!(table.store.history(&user(1), &bank(), None, 10).await.unwrap().events.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn changes_of_more_accounts_than_one_transaction_takes_are_all_written() {
    on_a_table(async |table| {
        let last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut all = Commit { last_reads: Some(last_reads), ..lost(table, Account::new(user(1), bank()), 0) };
        for number in 0..60 {
            let account = Account::new(user(1), format!("{number}_many").parse().unwrap());
            all.changes.extend(lost(table, account, 0).changes);
        }
        all.changes.iter_mut().for_each(|change| change.read = Some(read(table, 1, true)));
        table.store.commit(all).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!((known.accounts.len(), known.last_reads.value.watermarks.len()), (61, 61));
    })
    .await;
}

#[tokio::test]
async fn accounts_larger_than_one_answer_of_the_database_are_read_whole() {
    on_a_table(async |table| {
        let last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut all = Commit { last_reads: Some(last_reads), ..lost(table, Account::new(user(1), bank()), 0) };
        for number in 0..150 {
            let mut account = Account::new(user(1), format!("{number}_account").parse().unwrap());
            account.service_name = Some("n".repeat(15_000));
            let change = Change::without_events(account);
            all.changes.push(AccountChange { change, read_version: 0, read: None });
        }
        let expected: BTreeSet<_> = all.changes.iter().map(|one| one.change.account.account_id.clone()).collect();
        table.store.commit(all).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!(known.accounts.into_keys().collect::<BTreeSet<_>>(), expected);
    })
    .await;
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told_as_unavailable() {
    on_a_table(async |table| {
        let elsewhere: Store = table.store_of("no-such-table");
        assert!(matches!(elsewhere.account(&user(1), &bank()).await, Err(StoreError::Unavailable(_))));
    })
    .await;
}
