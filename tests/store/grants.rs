//! Grants and the lease to refresh them.

use reauth_core::store::Condition;
use secrecy::ExposeSecret;

use crate::{MINUTE, contract, grant, is_conflict, table::on_a_table, user};

#[tokio::test]
async fn one_lease_is_given_until_it_ends() {
    on_a_table(async |table| {
        let store = &table.store;
        store.put_grant(&grant(&user(1), "a", table.now()), 0, table.now()).await.unwrap();
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        let first = store.lease(&read).await.unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));

        // A caller that reads the grant again finds it leased. When the lease has ended, the next caller gets it.
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));
        table.clock.advance(MINUTE);
        let second = store.lease(&read).await.unwrap();

        let renewed = grant(&user(1), "b", table.now());
        assert!(is_conflict(&store.put_refreshed(&renewed, &first).await, &Condition::Grant));
        store.put_refreshed(&renewed, &second).await.unwrap();
        assert!(is_conflict(&store.put_refreshed(&renewed, &second).await, &Condition::Grant));
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
        store.put_grant(&grant(&user(1), "plain-text-token", table.now()), 0, table.now()).await.unwrap();
        let again = grant(&user(1), "other", table.now());
        assert!(is_conflict(&store.put_grant(&again, 0, table.now()).await, &Condition::Grant));
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert_eq!(read.value.tokens.access.value.expose_secret(), "plain-text-token");
        assert!(!table.everything().await.contains("plain-text-token"));
        store.put_grant(&again, read.version, table.now()).await.unwrap();
        assert_eq!(store.grants(&user(1)).await.unwrap().len(), 1);
    })
    .await;
}
