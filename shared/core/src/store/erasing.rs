//! Erasing a user. The tombstone is written first: it stops every write that would create items for the user. Then all
//! items of the user are deleted.

use std::time::Duration;

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use reauth_domain::{EventId, UserId, time::after};

use super::{
    Item, Store, StoreError, error,
    item::{self, TombstoneItem},
    key::{self, Key},
    transaction,
};

/// One day longer than the 14 days that a queue keeps a message, so that a message sent before the erasure is recognized
/// and dropped. After 15 days the tombstone is gone: an older message that is redriven then is processed again.
const KEPT: Duration = Duration::from_secs(15 * 24 * 60 * 60);
/// Longer than an event can have attempts to post it: it can be redelivered for 30 days, its message lives for 14 days
/// then, and the attempts are kept for 14 days.
const POSTED_WITHIN: Duration = Duration::from_secs(60 * 24 * 60 * 60);
/// Queries for the attempts to post events that are sent at the same time.
const CONCURRENCY: usize = 16;
/// Deletions in one transaction that have no second one with them.
const ATTEMPTS_CHUNK: usize = 100;
/// A pointer is deleted together with the item that it names, and DynamoDB allows 100 operations in one transaction.
const CHUNK: usize = 50;

impl Store {
    /// Erases a user. After an error or a timeout it can be called again: it deletes the items that remain.
    pub async fn erase(&self, user: &UserId) -> Result<(), StoreError> {
        self.write_tombstone(user).await?;
        // A concurrent write may depend on an item that is not deleted yet, and create new items. The next query finds
        // them.
        loop {
            let items = self.query(key::user(user), "").await?;
            if items.is_empty() {
                return Ok(());
            }
            for items in items.chunks(CHUNK) {
                // First: an event that is gone does not lead to its attempts any more.
                self.delete_attempts(items).await?;
                self.delete_all(items).await?;
            }
        }
    }

    /// When the user was erased. `None` if never, or if the tombstone has expired.
    pub(super) async fn erased_at(&self, user: &UserId) -> Result<Option<Timestamp>, StoreError> {
        let mut erased_at = None;
        for hash in self.keyring().await?.tombstone_ids(user) {
            let tombstone = self.get::<TombstoneItem>(key::tombstone(&hash)).await?;
            erased_at = erased_at.max(tombstone.map(|tombstone| tombstone.forgotten_at));
        }
        Ok(erased_at)
    }

    async fn write_tombstone(&self, user: &UserId) -> Result<(), StoreError> {
        let now = self.ambient.now();
        let tombstone = TombstoneItem { forgotten_at: now, ttl: after(now, KEPT).as_second() };
        for hash in self.keyring().await?.tombstone_ids(user) {
            let put = self.client.put_item().table_name(&*self.table);
            let put = put.set_item(Some(item::write(key::tombstone(&hash), &tombstone)?));
            let write = || {
                let put = put.clone();
                async move { put.send().await.map(drop).map_err(|error| error::of_put(&error)) }
            };
            self.retry_in_progress(write).await?;
        }
        Ok(())
    }

    /// Deletes the attempts to post these events.
    async fn delete_attempts(&self, items: &[Item]) -> Result<(), StoreError> {
        let oldest = self.ambient.now().saturating_sub(POSTED_WITHIN).unwrap_or(Timestamp::MIN);
        let events = items.iter().filter_map(|item| item.get("eventId")?.as_s().ok()?.parse::<EventId>().ok());
        let events: Vec<_> = events.filter(|event| event.is_from(oldest)).collect();
        let attempts = stream::iter(events).map(|event| self.query(key::attempts(&event), key::ATTEMPTS));
        let attempts: Vec<Vec<Item>> = attempts.buffer_unordered(CONCURRENCY).try_collect().await?;
        for attempts in attempts.concat().chunks(ATTEMPTS_CHUNK) {
            self.delete_all(attempts).await?;
        }
        Ok(())
    }

    /// Deletes the user's items, each pointer together with the item that it names.
    async fn delete_all(&self, items: &[Item]) -> Result<(), StoreError> {
        let field = |item: &Item, name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        let mut operations = Vec::new();
        for item in items {
            let (Some(pk), Some(sk)) = (field(item, "PK"), field(item, "SK")) else {
                continue;
            };
            let target = key::pointed_to(&sk);
            for key in target.into_iter().chain([Key { pk, sk }]) {
                let delete = transaction::delete(&self.table, key)?;
                operations.push(TransactWriteItem::builder().delete(delete).build());
            }
        }
        self.write(&operations, &[]).await
    }
}
