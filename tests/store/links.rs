//! Reconnect links and their uses.

use reauth_core::store::{LinkUse, StoreError};
use reauth_domain::{EventId, event::Subject, time::after};
use secrecy::SecretString;

use crate::{
    MINUTE, broken, last_event, link,
    table::{Table, on_a_table},
    user,
};

#[tokio::test]
async fn a_link_is_stored_by_its_hash_and_stays_as_it_was_first_written() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("the-token-of-the-link"), last_event(table, &account).await);
        let expires_at = after(table.now(), MINUTE);
        for _ in 0..2 {
            table.store.put_link(&token, &link(&account, table.now()), &event).await.unwrap();
            table.clock.advance(MINUTE);
        }
        let found = table.store.link("the-token-of-the-link").await.unwrap().unwrap().link;
        assert_eq!((found.user_id, found.expires_at), (user(1), expires_at));
        assert!(table.store.link("another").await.unwrap().is_none());
        assert!(!table.everything().await.contains("the-token-of-the-link"));
    })
    .await;
}

#[tokio::test]
async fn a_link_of_an_event_that_is_not_in_the_table_is_not_written() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("link"), last_event(table, &account).await);
        for gone in [
            Subject { sequence: 2, ..event.clone() },
            Subject { event_id: EventId::from([9; 16]), ..event.clone() },
            Subject { user_id: user(2), ..event.clone() },
        ] {
            let refused = table.store.put_link(&token, &link(&account, table.now()), &gone).await;
            assert!(matches!(refused, Err(StoreError::Erased)), "{refused:?}");
        }
        assert!(table.store.link("link").await.unwrap().is_none());
    })
    .await;
}

async fn record_use(table: &Table) -> LinkUse {
    let read = table.store.link("link").await.unwrap().unwrap();
    table.store.record_use("link", read).await.unwrap()
}

#[tokio::test]
async fn a_use_that_is_taken_back_does_not_count_whatever_was_recorded_since() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("link"), last_event(table, &account).await);
        table.store.put_link(&token, &link(&account, table.now()), &event).await.unwrap();
        let mut recorded = Vec::new();
        for _ in 0..5 {
            let LinkUse::Recorded(one) = record_use(table).await else { panic!("there is room") };
            recorded.push(one);
        }
        assert_eq!(record_use(table).await, LinkUse::TooMany(10 * MINUTE));
        for one in recorded {
            table.store.take_back_use("link", one).await.unwrap();
        }
        for _ in 0..5 {
            assert!(matches!(record_use(table).await, LinkUse::Recorded(_)));
        }
        assert_eq!(record_use(table).await, LinkUse::TooMany(10 * MINUTE));
    })
    .await;
}
