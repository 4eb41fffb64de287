//! The items of the table, read as its stream delivers them.

use std::collections::BTreeMap;

use reauth_core::store::StoredItem;
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, World};

#[tokio::test]
async fn every_item_of_a_journey_is_read() {
    let (world, link) = World::in_need().await;
    let url = world.follow(&link).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for item in world.items() {
        let stored = StoredItem::from_json(&item).unwrap();
        let kind = match &stored {
            Some(StoredItem::Account(account)) => {
                assert_eq!(account.user_id.as_str(), DEMO_USER);
                "account"
            }
            Some(StoredItem::Grant(_)) => "grant",
            Some(StoredItem::Event(event)) => {
                assert!(event.published_at.is_some());
                "event"
            }
            Some(StoredItem::Reauthorization(reauthorization)) => {
                assert_eq!(reauthorization.account_id().unwrap().as_str(), BANK);
                assert!(reauthorization.clicked_at.is_some() && reauthorization.returned_at.is_some());
                "reauthorization"
            }
            Some(StoredItem::Link { link, token_hash }) => {
                assert_eq!((link.user_id.as_str(), token_hash.len()), (DEMO_USER, 43));
                "link"
            }
            Some(StoredItem::WebhookHealth { .. }) => "webhook",
            Some(StoredItem::Attempt { .. }) => "attempt",
            Some(StoredItem::Outage(_)) => "outage",
            None => "other",
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let expected = [("account", 3), ("event", 2), ("grant", 1), ("link", 1), ("other", 4), ("reauthorization", 1)];
    assert_eq!(kinds, BTreeMap::from(expected), "others: the last reads, two pointers and the counter of the service");
}

#[test]
fn an_item_that_cannot_be_read_is_an_error() {
    let text = |text: &str| json!({"S": text});
    for item in [
        json!("no item"),
        json!({}),
        json!({"PK": text("USER#u")}),
        json!({"PK": text("USER#u"), "SK": text("ACCOUNT#1_a")}),
        json!({"PK": text("LINK#x"), "SK": text("LINK")}),
    ] {
        assert!(StoredItem::from_json(&item).is_err(), "{item}");
    }
    let last_reads: Value = json!({"PK": text("USER#u"), "SK": text("ACCOUNTS")});
    assert!(StoredItem::from_json(&last_reads).unwrap().is_none());
}
