//! Retries after a conflict between concurrent writes.

use std::time::Duration;

use digime::ambient::{Ambient, Deadline};

/// How often an operation is attempted, and the longest pause after the first attempt. The pause grows with each
/// attempt, and a random part of it is waited. docs/decisions/0007-last-reads.md explains the numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
}

/// An error that may be a conflict: another write changed an item first.
pub trait Conflict {
    /// Whether the operation can succeed when it reads and decides again.
    fn is_conflict(&self) -> bool;
}

/// Repeats a sequence of read, decision and write after a conflict: up to 8 attempts, until the deadline.
///
/// # Errors
/// The error of the last attempt, or the first error that is not a conflict.
pub async fn retry_on_conflict<T, E: Conflict, F: Future<Output = Result<T, E>>>(
    ambient: &Ambient,
    deadline: Deadline,
    attempt: impl Fn() -> F,
) -> Result<T, E> {
    let budget = Budget { attempts: 8, pause: Duration::from_millis(20) };
    retry(ambient, budget, |error: &E| error.is_conflict() && !ambient.remaining(deadline).is_zero(), attempt).await
}

/// Repeats an operation as long as it fails with a retryable error.
pub(crate) async fn retry<T, E, F: Future<Output = Result<T, E>>>(
    ambient: &Ambient,
    budget: Budget,
    is_retryable: impl Fn(&E) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, E> {
    for number in 1..budget.attempts {
        // Boxed, because an attempt makes several calls, and its future is large.
        match Box::pin(attempt()).await {
            Err(error) if is_retryable(&error) => tokio::time::sleep(ambient.jitter(budget.pause * number)).await,
            result => return result,
        }
    }
    Box::pin(attempt()).await
}
