//! Erasing a user.

use jiff::Timestamp;
use reauth_core::store::{Commit, GrantCondition, StoreError};
use reauth_domain::Account;
use secrecy::SecretString;

use crate::{
    MINUTE, bank, broken, context, grant, last_event, link, lost, read, reauthorization, secrets,
    table::{Table, on_a_table},
    user,
};

async fn put_grant(table: &Table, triggered_at: Timestamp) -> Result<u64, StoreError> {
    let grant = grant(&user(1), "a", triggered_at).unchanged();
    table.store.put_grant(grant, GrantCondition::Version(0), None, context(triggered_at)).await
}

#[tokio::test]
async fn what_was_handed_in_before_the_erasure_is_void_also_when_the_user_has_come_back() {
    on_a_table(async |table| {
        let before = table.now();
        table.clock.advance(MINUTE);
        table.store.erase(&user(1)).await.unwrap();
        table.clock.advance(MINUTE);
        let mut last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        last_reads.value.record(bank(), read(table, 0, false));
        let late = table.store.put_last_reads(&user(1), last_reads.clone(), before).await;
        assert!(matches!(late, Err(StoreError::Erased)), "{late:?}");
        table.store.put_last_reads(&user(1), last_reads, table.now()).await.unwrap();
        let back = table.store.user_accounts(&user(1)).await.unwrap().last_reads.value;
        assert!(back.is_void(before) && !back.is_void(table.now()));
    })
    .await;
}

#[tokio::test]
async fn an_erased_user_is_gone_and_stays_gone_for_whatever_was_triggered_before() {
    on_a_table(async |table| {
        let before = table.now();
        let account = broken(table, &user(1)).await;
        put_grant(table, before).await.unwrap();
        let (token, event) = (SecretString::from("link"), last_event(table, &account.value).await);
        table.store.put_link(&token, &link(&account.value, before), &event).await.unwrap();
        table.store.create_reauthorization(&reauthorization(before), secrets(&token), before).await.unwrap();

        table.clock.advance(MINUTE);
        table.store.erase(&user(1)).await.unwrap();
        assert!(!table.store.user_exists(&user(1)).await.unwrap());
        assert!(table.store.link("link").await.unwrap().is_none());
        assert!(table.store.reauthorization(&reauthorization(before).id).await.unwrap().is_none());

        let late = Commit { context: context(before), ..lost(table, Account::new(user(1), bank()), 0) };
        assert!(matches!(table.store.commit(late).await, Err(StoreError::Erased)));
        let late = put_grant(table, before).await;
        assert!(matches!(late, Err(StoreError::Erased)));
        let late = table.store.put_link(&token, &link(&account.value, before), &event).await;
        assert!(matches!(late, Err(StoreError::Erased)));
        assert!(!table.store.user_exists(&user(1)).await.unwrap());

        // A grant that is stored at the time of the erasure counts as later. Other writes must be later.
        put_grant(table, table.now()).await.unwrap();
        table.clock.advance(MINUTE);
        broken(table, &user(1)).await;
    })
    .await;
}
