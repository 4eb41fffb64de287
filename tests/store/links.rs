//! Reconnect links and their uses.

use reauth_core::{
    keyring::random_secret,
    store::{LinkUse, OngoingResult, StoreError},
};
use reauth_domain::{EventId, Target, event::Subject, time::after};
use secrecy::{ExposeSecret, SecretString};

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
    let (target, browser) = (read.link.target.clone(), random_secret(&table.ambient));
    table.store.record_use("link", read, &target, &browser, table.now()).await.unwrap()
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

#[tokio::test]
async fn the_same_use_twice_counts_once_and_the_second_gets_the_answer_of_the_first() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("link"), last_event(table, &account).await);
        table.store.put_link(&token, &link(&account, table.now()), &event).await.unwrap();
        let read = table.store.link("link").await.unwrap().unwrap();
        let (own, other) = (read.link.target.clone(), Target::Account("2_other".parse().unwrap()));
        let (browser, another) = (random_secret(&table.ambient), random_secret(&table.ambient));
        let first = table.store.record_use("link", read.clone(), &own, &browser, table.now()).await.unwrap();
        let LinkUse::Recorded(first) = first else { panic!("there is room") };
        // Both read the link before the first use was recorded.
        let LinkUse::Ongoing(ongoing) =
            table.store.record_use("link", read.clone(), &own, &browser, table.now()).await.unwrap()
        else {
            panic!("the first use is under way")
        };
        assert!(matches!(table.store.result_of_use("link", &ongoing).await.unwrap(), OngoingResult::None));
        let before_the_answer = table.now();
        table.clock.advance(MINUTE / 60);
        table.store.answer_use("link", &first, &"https://digi.me/page?code=secret".into()).await.unwrap();
        assert!(!table.everything().await.contains("code=secret"));
        let result = table.store.result_of_use("link", &ongoing).await.unwrap();
        assert!(matches!(result, OngoingResult::Url(url) if url.expose_secret() == "https://digi.me/page?code=secret"));

        // The first use is answered: the next one is a new use. So is one for something else, or in another browser. A use
        // that began before the answer is not new.
        let read = table.store.link("link").await.unwrap().unwrap();
        let late = table.store.record_use("link", read, &own, &browser, before_the_answer).await.unwrap();
        assert!(matches!(late, LinkUse::Ongoing(_)), "{late:?}");
        for (target, browser) in [(&own, &browser), (&other, &browser), (&own, &another)] {
            let read = table.store.link("link").await.unwrap().unwrap();
            let next = table.store.record_use("link", read, target, browser, table.now()).await.unwrap();
            assert!(matches!(next, LinkUse::Recorded(_)), "{next:?}");
        }
        // A use whose process has ended is not waited for.
        let read = table.store.link("link").await.unwrap().unwrap();
        let LinkUse::Ongoing(lost) =
            table.store.record_use("link", read.clone(), &own, &another, table.now()).await.unwrap()
        else {
            panic!("that use is under way")
        };
        table.clock.advance(MINUTE);
        assert!(matches!(table.store.result_of_use("link", &lost).await.unwrap(), OngoingResult::Failed));
        let next = table.store.record_use("link", read, &own, &another, table.now()).await.unwrap();
        assert!(matches!(next, LinkUse::Recorded(_)), "{next:?}");
    })
    .await;
}
