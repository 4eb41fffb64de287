//! Errors of the store.

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{put_item::PutItemError, transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
};
use reauth_domain::ReauthorizationId;

use crate::{aws::AwsError, retry::Conflict, secrets::SecretError};

/// A condition of a write. A conflict names the condition that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The user is not erased.
    NotErased,
    /// The account has the version that was read.
    Account,
    /// The event is new, or still exists.
    Event,
    /// The last reads have the version that was read.
    LastReads,
    /// The grant has the version that was read, and no other invocation holds the lease.
    Grant,
    /// The reauthorization has the version that was read.
    Reauthorization,
    /// A reauthorization whose progress is written with the account still exists.
    Settled(ReauthorizationId),
    /// The link does not exist yet, or its uses are unchanged.
    Link,
    /// The contact has the version that was read.
    Contact,
    /// The health of the webhook's endpoint has the version that was read.
    Webhook,
    /// The outage of a service has the version that was read.
    Outage,
    /// The logo is new, or still exists.
    Logo,
    /// The condition of a write of a single item, before the caller names it.
    Item,
}

/// A read or a write of the table failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The user was erased at or after the time when the invocation was triggered.
    #[error("the user was erased")]
    Erased,
    /// A condition failed because an item changed since it was read. Read again and decide again. `None` when every
    /// attempt met a transaction in progress on the same item.
    #[error("{}", conflict(.0.as_ref()))]
    Conflict(Option<Condition>),
    /// DynamoDB, or the service secret, which sealed values need, is not available.
    #[error("the table is not available")]
    Unavailable(#[source] Unavailable),
    /// An item does not have the form that this version of the service writes.
    #[error("an item of the table cannot be read: {0}")]
    Corrupt(String),
}

fn conflict(condition: Option<&Condition>) -> String {
    match condition {
        Some(condition) => format!("a concurrent write came first: the condition {condition:?} does not hold"),
        None => "every attempt met another transaction on the same item".to_owned(),
    }
}

/// What is not available.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unavailable {
    #[error("DynamoDB did not carry out the call")]
    DynamoDb(#[source] AwsError),
    #[error("the service secret cannot be read")]
    ServiceSecret(#[source] SecretError),
}

impl Conflict for StoreError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

impl StoreError {
    /// Names the condition of a conflict on a single item.
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
    StoreError::Unavailable(Unavailable::DynamoDb(error.into()))
}

/// Maps a cancelled transaction to the first condition that failed. An erased user comes before all others.
pub(super) fn of_transaction(
    error: &SdkError<TransactWriteItemsError, HttpResponse>,
    conditions: &[Condition],
) -> StoreError {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = || cancelled.cancellation_reasons().iter().map(|reason| reason.code()).zip(conditions);
            let failed = |(code, _): &(Option<&str>, &Condition)| *code == Some("ConditionalCheckFailed");
            if reasons().filter(failed).any(|(_, condition)| *condition == Condition::NotErased) {
                StoreError::Erased
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

pub(super) fn of_update(error: &SdkError<UpdateItemError, HttpResponse>) -> StoreError {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(_)) => StoreError::Conflict(Some(Condition::Item)),
        Some(UpdateItemError::TransactionConflictException(_)) => StoreError::Conflict(None),
        _ => unavailable(error),
    }
}

pub(super) fn of_put(error: &SdkError<PutItemError, HttpResponse>) -> StoreError {
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(_)) => StoreError::Conflict(Some(Condition::Item)),
        Some(PutItemError::TransactionConflictException(_)) => StoreError::Conflict(None),
        _ => unavailable(error),
    }
}
