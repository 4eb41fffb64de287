//! What a read or a write of the table can end in.

use crate::domain::ReauthorizationId;
use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
};

use crate::aws::describe_error;

/// What one operation of a transaction was about; a failed condition is told by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The user is not forgotten.
    NotErased,
    /// The account has the version that was read.
    Account,
    /// The event is new.
    Event,
    /// The last reads have the version that was read.
    LastReads,
    /// The grant has the version that was read, and nobody else's lease.
    Grant,
    /// The reauthorization has the version that was read.
    Reauthorization,
    /// A reauthorization that is settled with the account still exists.
    Settled(ReauthorizationId),
    /// The link.
    Link,
    /// The one item of a write that is no transaction has what was read.
    Item,
}

/// A read or a write of the table that did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The user was forgotten after what triggered this write.
    #[error("the user was forgotten")]
    Forgotten,
    /// Something changed since it was read: read again, decide again. Without a part, a transaction was under way on
    /// the same item each time that the write was tried.
    #[error("a concurrent write was faster ({0:?})")]
    Conflict(Option<Condition>),
    /// The table, or the secret that its sealed values need, cannot be used now.
    #[error("the table cannot be used: {0}")]
    Unavailable(String),
    /// An item does not have the form that this version of the service writes.
    #[error("an item of the table cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Whether the same may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict(_) | Self::Unavailable(_))
    }

    /// The error of a write that is no transaction, told by what it was about.
    pub(super) fn about(self, condition: Condition) -> Self {
        match self {
            Self::Conflict(Some(Condition::Item)) => Self::Conflict(Some(condition)),
            error => error,
        }
    }
}

pub(super) fn unavailable<E>(error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    StoreError::Unavailable(describe_error(error))
}

/// Tells a cancelled transaction by the first condition that failed.
pub(super) fn of_transaction(
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
    conditions: &[Condition],
) -> StoreError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = || cancelled.cancellation_reasons().iter().map(|reason| reason.code()).zip(conditions);
            let failed = |(code, _): &(Option<&str>, &Condition)| *code == Some("ConditionalCheckFailed");
            if reasons().filter(failed).any(|(_, condition)| *condition == Condition::NotErased) {
                StoreError::Forgotten
            } else if let Some((_, condition)) = reasons().find(failed) {
                StoreError::Conflict(Some(condition.clone()))
            } else if cancelled.cancellation_reasons().iter().any(|one| one.code() == Some("TransactionConflict")) {
                StoreError::Conflict(None)
            } else {
                unavailable(error)
            }
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => StoreError::Conflict(None),
        _ => unavailable(error),
    }
}

/// Tells why a single item was not changed.
pub(super) fn of_update(error: &SdkError<UpdateItemError, HttpResponse>) -> StoreError {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(_)) => StoreError::Conflict(Some(Condition::Item)),
        Some(UpdateItemError::TransactionConflictException(_)) => StoreError::Conflict(None),
        _ => unavailable(error),
    }
}

/// Tells why a single item was not written.
pub(super) fn of_put(error: &SdkError<PutItemError, HttpResponse>) -> StoreError {
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(_)) => StoreError::Conflict(Some(Condition::Item)),
        Some(PutItemError::TransactionConflictException(_)) => StoreError::Conflict(None),
        _ => unavailable(error),
    }
}
