//! Grants and the lease to refresh them.

use reauth_core::store::{Condition, GrantCondition, Lease, Store, StoreError};
use reauth_domain::Grant;
use secrecy::ExposeSecret;

use crate::{
    MINUTE, context, contract, grant, is_conflict,
    table::{Table, on_a_table},
    user,
};

async fn put(table: &Table, grant: &Grant, read_version: u64) -> Result<u64, StoreError> {
    let (change, condition) = (grant.clone().unchanged(), GrantCondition::Version(read_version));
    table.store.put_grant(change, condition, None, context(table.now())).await
}

#[tokio::test]
async fn one_lease_is_given_until_it_ends() {
    on_a_table(async |table| {
        let store = &table.store;
        put(table, &grant(&user(1), "a", table.now()), 0).await.unwrap();
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        let first = store.lease(&read).await.unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));

        // A caller that reads the grant again finds it leased. When the lease has ended, the next caller gets it.
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));
        table.clock.advance(MINUTE);
        let second = store.lease(&read).await.unwrap();

        let renewed = grant(&user(1), "b", table.now());
        let put_refreshed = async |store: &Store, lease: &Lease| {
            let (change, condition) = (renewed.clone().unchanged(), GrantCondition::Lease(lease));
            store.put_grant(change, condition, None, context(table.now())).await
        };
        assert!(is_conflict(&put_refreshed(store, &first).await, &Condition::Grant));
        put_refreshed(store, &second).await.unwrap();
        assert!(is_conflict(&put_refreshed(store, &second).await, &Condition::Grant));
        let stored = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(stored.value.tokens.same_tokens(&renewed.tokens));
        assert_eq!(stored.value.leased_until, None);
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_replaced_only_as_it_was_read_and_its_tokens_are_sealed() {
    on_a_table(async |table| {
        let store = &table.store;
        put(table, &grant(&user(1), "plain-text-token", table.now()), 0).await.unwrap();
        let again = grant(&user(1), "other", table.now());
        assert!(is_conflict(&put(table, &again, 0).await, &Condition::Grant));
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert_eq!(read.value.tokens.access.value.expose_secret(), "plain-text-token");
        assert!(!table.everything().await.contains("plain-text-token"));
        put(table, &again, read.version).await.unwrap();
        assert_eq!(store.grants(&user(1)).await.unwrap().len(), 1);
    })
    .await;
}
