//! The last reads of a user, which guard every decision about a read result.

use reauth_core::store::{Condition, Versioned};
use reauth_domain::{Account, LastReads};

use crate::{bank, is_conflict, lost, read, table::on_a_table, user};

#[tokio::test]
async fn of_two_decisions_about_reads_that_rest_on_the_same_one_is_written() {
    on_a_table(async |table| {
        let nothing = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let with = |mut last_reads: Versioned<LastReads>, account: &str, minutes| {
            last_reads.value.record(account.parse().unwrap(), read(table, minutes, false));
            last_reads
        };
        let first = with(nothing.clone(), "1_bank", 5);
        table.store.put_last_reads(&user(1), first, table.now()).await.unwrap();
        let same = with(nothing, "2_other", 5);
        assert!(is_conflict(&table.store.put_last_reads(&user(1), same, table.now()).await, &Condition::LastReads));

        let read_again = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut change = lost(table, Account::new(user(1), bank()), 0);
        change.changes[0].read = Some(read(table, 6, true));
        change.last_reads = Some(read_again.clone());
        table.store.put_last_reads(&user(1), with(read_again, "2_other", 6), table.now()).await.unwrap();
        assert!(is_conflict(&table.store.commit(change.clone()).await, &Condition::LastReads));
        assert!(table.store.account(&user(1), &bank()).await.unwrap().is_none());

        change.last_reads = Some(table.store.user_accounts(&user(1)).await.unwrap().last_reads);
        table.store.commit(change).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!(known.last_reads.value.last(&bank()), Some(read(table, 6, true)));
        assert_eq!((known.accounts.len(), known.last_reads.value.watermarks.len()), (1, 2));
    })
    .await;
}
