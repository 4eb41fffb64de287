//! A transaction: its operations, their conditions, and the check that the user is not erased.

use std::time::Duration;

use aws_sdk_dynamodb::{
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use jiff::Timestamp;
use reauth_domain::{
    UserId,
    time::{after, rfc3339},
};

use super::{Condition, Item, Store, StoreError, error, key};
use crate::retry::{Budget, retry};

/// For a write that DynamoDB refuses only because a transaction is in progress on the same item.
pub(super) const IN_PROGRESS: Budget = Budget { attempts: 6, pause: Duration::from_millis(15) };

/// After this time, such a write is not attempted again.
const LONGEST_IN_PROGRESS: Duration = Duration::from_secs(2);

/// The values of an expression, by name.
pub(super) type Values<'a> = &'a [(&'a str, AttributeValue)];

#[derive(Debug)]
pub(super) struct Transaction<'a> {
    store: &'a Store,
    operations: Vec<TransactWriteItem>,
    conditions: Vec<Condition>,
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The condition that an item has the version that was read. Version 0 means that the item does not exist.
pub(super) fn unchanged(version: u64) -> (&'static str, Option<AttributeValue>) {
    match version {
        0 => ("attribute_not_exists(PK)", None),
        version => ("version = :read", Some(number(version))),
    }
}

/// The version of an item after a write. The first version is the time in milliseconds: an item that is deleted and
/// created again does not reuse a version that it had before.
pub(super) fn next_version(read: u64, now: Timestamp) -> u64 {
    match read {
        0 => u64::try_from(now.as_millisecond()).unwrap_or_default().max(1),
        read => read + 1,
    }
}

impl Store {
    /// A transaction in which at least one condition requires an existing item of the user. Erasing a user deletes all
    /// of the user's items, so that the condition fails and no check of the tombstone is needed.
    pub(super) fn transaction(&self) -> Transaction<'_> {
        Transaction { store: self, operations: Vec::new(), conditions: Vec::new() }
    }

    /// A transaction that creates items for a user. It fails if the user was erased at or after `triggered_at`.
    pub(super) async fn unless_erased(
        &self,
        user: &UserId,
        triggered_at: Timestamp,
    ) -> Result<Transaction<'_>, StoreError> {
        self.checking_tombstone(user, triggered_at, "forgottenAt < :triggered").await
    }

    /// A transaction that stores a user's grant, which makes the user known again. It fails if the user was erased
    /// after `triggered_at`. A grant stored in the same millisecond as the erasure counts as later.
    pub(super) async fn restoring(
        &self,
        user: &UserId,
        triggered_at: Timestamp,
    ) -> Result<Transaction<'_>, StoreError> {
        self.checking_tombstone(user, triggered_at, "forgottenAt <= :triggered").await
    }

    async fn checking_tombstone(
        &self,
        user: &UserId,
        triggered_at: Timestamp,
        condition: &str,
    ) -> Result<Transaction<'_>, StoreError> {
        let mut transaction = self.transaction();
        for id in self.keyring().await?.tombstone_ids(user) {
            transaction.check(
                Condition::NotErased,
                key::tombstone(&id),
                &format!("attribute_not_exists(PK) OR {condition}"),
                &[(":triggered", text(rfc3339::text(triggered_at)))],
            )?;
        }
        Ok(transaction)
    }
}

impl Transaction<'_> {
    fn push(&mut self, about: Condition, operation: TransactWriteItem) {
        self.conditions.push(about);
        self.operations.push(operation);
    }

    fn table(&self) -> String {
        self.store.table.to_string()
    }

    /// Writes a whole item if the condition holds.
    pub(super) fn put(
        &mut self,
        about: Condition,
        item: Item,
        condition: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        let mut put = Put::builder().table_name(self.table()).set_item(Some(item)).condition_expression(condition);
        for (name, value) in values {
            put = put.expression_attribute_values(*name, value.clone());
        }
        let put = put.build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.push(about, TransactWriteItem::builder().put(put).build());
        Ok(())
    }

    /// Writes a whole item if it has the version that was read.
    pub(super) fn put_version(
        &mut self,
        about: Condition,
        item: Item,
        expected_version: u64,
    ) -> Result<(), StoreError> {
        let (condition, value) = unchanged(expected_version);
        let values: Vec<_> = value.map(|value| (":read", value)).into_iter().collect();
        self.put(about, item, condition, &values)
    }

    /// Deletes an item if it has the version that was read.
    pub(super) fn delete_version(
        &mut self,
        about: Condition,
        key: key::Key,
        expected_version: u64,
    ) -> Result<(), StoreError> {
        let delete = Delete::builder()
            .table_name(self.table())
            .set_key(Some(key.into_item()))
            .condition_expression("version = :read")
            .expression_attribute_values(":read", number(expected_version));
        let delete = delete.build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.push(about, TransactWriteItem::builder().delete(delete).build());
        Ok(())
    }

    /// Writes a whole item without a condition.
    pub(super) fn put_unconditionally(&mut self, about: Condition, item: Item) -> Result<(), StoreError> {
        let put = Put::builder().table_name(self.table()).set_item(Some(item)).build();
        let put = put.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.push(about, TransactWriteItem::builder().put(put).build());
        Ok(())
    }

    /// Changes an item if the condition holds.
    pub(super) fn update(
        &mut self,
        about: Condition,
        key: key::Key,
        expression: &str,
        condition: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        let mut update = Update::builder()
            .table_name(self.table())
            .set_key(Some(key.into_item()))
            .update_expression(expression)
            .condition_expression(condition);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        let update = update.build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.push(about, TransactWriteItem::builder().update(update).build());
        Ok(())
    }

    /// Adds a condition on an item that the transaction does not write.
    pub(super) fn check(
        &mut self,
        about: Condition,
        key: key::Key,
        condition: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        let mut check = ConditionCheck::builder()
            .table_name(self.table())
            .set_key(Some(key.into_item()))
            .condition_expression(condition);
        for (name, value) in values {
            check = check.expression_attribute_values(*name, value.clone());
        }
        let check = check.build().map_err(|error| StoreError::Corrupt(error.to_string()))?;
        self.push(about, TransactWriteItem::builder().condition_check(check).build());
        Ok(())
    }

    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.store.write(&self.operations, &self.conditions).await
    }
}

impl Store {
    /// Writes all operations or none.
    pub(super) async fn write(
        &self,
        operations: &[TransactWriteItem],
        conditions: &[Condition],
    ) -> Result<(), StoreError> {
        self.retry_in_progress(|| {
            let request = self.client.transact_write_items().set_transact_items(Some(operations.to_vec()));
            async move { request.send().await.map(drop).map_err(|error| error::of_transaction(&error, conditions)) }
        })
        .await
    }

    /// Updates one item and returns the attributes that the update asks for. [`StoreError::Conflict`] when the
    /// condition does not hold.
    pub(super) async fn update(&self, update: UpdateItemFluentBuilder) -> Result<Option<Item>, StoreError> {
        self.retry_in_progress(|| {
            let update = update.clone();
            async move {
                let answer = update.send().await.map_err(|error| error::of_update(&error))?;
                Ok(answer.attributes)
            }
        })
        .await
    }

    /// Writes one whole item if it has the version that was read.
    pub(super) async fn put_if_unchanged(
        &self,
        about: Condition,
        item: Item,
        expected_version: u64,
    ) -> Result<(), StoreError> {
        self.put_if(about, item, "version = :read", &[(":read", number(expected_version))]).await
    }

    /// Writes one whole item if the condition holds.
    pub(super) async fn put_if(
        &self,
        about: Condition,
        item: Item,
        condition: &str,
        values: Values<'_>,
    ) -> Result<(), StoreError> {
        let mut put = self.client.put_item().table_name(&*self.table).set_item(Some(item));
        put = put.condition_expression(condition);
        for (name, value) in values {
            put = put.expression_attribute_values(*name, value.clone());
        }
        let written = self
            .retry_in_progress(|| {
                let put = put.clone();
                async move { put.send().await.map(drop).map_err(|error| error::of_put(&error)) }
            })
            .await;
        written.map_err(|error| error.about(about))
    }

    /// Repeats a write that DynamoDB refused because a transaction was in progress on the item. The write's own
    /// condition was not evaluated, so that the same write may still succeed.
    pub(super) async fn retry_in_progress<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        write: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        // With the time limit of the last call, a write ends within 8 seconds: the log relies on it (`SETTLED_AFTER`).
        let until = after(self.ambient.now(), LONGEST_IN_PROGRESS);
        let in_progress =
            |error: &StoreError| matches!(error, StoreError::Conflict(None)) && self.ambient.now() < until;
        retry(&self.ambient, IN_PROGRESS, in_progress, write).await
    }
}

/// Deletes an item without a condition.
pub(super) fn delete(table: &str, key: key::Key) -> Result<Delete, StoreError> {
    let delete = Delete::builder().table_name(table).set_key(Some(key.into_item()));
    delete.build().map_err(|error| StoreError::Corrupt(error.to_string()))
}
