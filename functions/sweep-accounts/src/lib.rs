//! Looks at what is due: undelivered events and unverified callbacks.

mod verify;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, stream};
use lambda_runtime::Error;
use reauth_core::{
    ambient::{Ambient, after},
    authorized_client::{AuthorizedClient, AuthorizedClientError},
    aws::{Aws, describe_error},
    config::{ConfigError, Environment},
    lambda::{Function, Invocation, RequestContext},
    store::{Due, DueItem, StoreError},
};
use serde::Serialize;
use serde_json::Value;

/// How many items of each of the 16 shards one pass takes.
const PER_SHARD: usize = 25;
/// How many items are worked on side by side.
const CONCURRENCY: usize = 16;
/// With less time than this, no further event is put on the queue: a call of AWS takes up to 6 seconds.
const EVENT_TIME: Duration = Duration::from_secs(8);
/// With less time than this, no further account is verified: calls of digi.me and AWS could be cut off.
const VERIFICATION_TIME: Duration = Duration::from_secs(15);
/// After so many failures of digi.me in a row, the rest is left to the next sweep.
const MAX_FAILURES_IN_A_ROW: u32 = 5;
/// An event that is put on the queue again is due again after this, unless it was delivered.
const REQUEUE_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// The function.
#[derive(Debug)]
pub struct SweepAccounts {
    authorized: AuthorizedClient,
    ambient: Ambient,
    queue: aws_sdk_sqs::Client,
    notifications_queue: Arc<str>,
}

/// What became of an item that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SweepOutcome {
    /// An event was put on the queue again.
    Requeued,
    /// An account that was being verified is settled.
    Settled,
    /// It stays open, or another was faster.
    Open,
    /// There was no time for it, or digi.me does not answer. It stays due.
    Left,
    /// It failed; it is due again later.
    Failed,
}

/// How many items came to which end.
#[derive(Debug, Default, Serialize)]
struct Summary {
    requeued: u64,
    settled: u64,
    failed: u64,
    left: u64,
}

impl Summary {
    /// Counts the outcomes. Gives whether another pass may find more.
    fn add(&mut self, outcomes: &[SweepOutcome]) -> bool {
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        let moved = count(SweepOutcome::Requeued) + count(SweepOutcome::Settled);
        self.requeued += count(SweepOutcome::Requeued);
        self.settled += count(SweepOutcome::Settled);
        self.failed += count(SweepOutcome::Failed);
        self.left += count(SweepOutcome::Left);
        moved > 0 && count(SweepOutcome::Left) == 0
    }
}

/// Why an item could not be worked on.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] AuthorizedClientError),
    #[error("the queue did not take an event: {0}")]
    Queue(String),
}

impl Function for SweepAccounts {
    type Event = Value;
    type Reply = Value;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        // Part of the contract: a deployment that lacks it would lack it when reminders carry links.
        environment.base_url("PUBLIC_BASE_URL")?.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?;
        let aws = Aws::new(environment)?;
        Ok(Self {
            authorized: AuthorizedClient::new(&aws, ambient)?,
            ambient: ambient.clone(),
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            notifications_queue: environment.required("NOTIFICATIONS_QUEUE_URL")?.into(),
        })
    }

    /// Takes what is due: events first, which are quick and matter most, then accounts, pass by pass. The clock is looked
    /// at before each item, and one that fails does not hold up others.
    async fn handle(&self, _event: Value, invocation: Invocation) -> Result<Value, Error> {
        let mut summary = Summary::default();
        while summary.add(&self.requeue_events(&invocation).await?) {}
        while summary.add(&self.verify_accounts(&invocation).await?) {}
        let Summary { requeued, settled, failed, left } = summary;
        tracing::info!(requeued, settled, failed, left, "sweep: done");
        Ok(serde_json::to_value(summary)?)
    }
}

impl SweepAccounts {
    async fn requeue_events(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let due = self.authorized.store.due_events(self.ambient.now(), PER_SHARD).await?;
        let requeued = stream::iter(due).map(|item| async move {
            if self.ambient.remaining(invocation.deadline) < EVENT_TIME {
                return SweepOutcome::Left;
            }
            self.requeue(&item).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "sweep: could not put an event on the queue again");
                SweepOutcome::Failed
            })
        });
        Ok(requeued.buffer_unordered(CONCURRENCY).collect().await)
    }

    async fn verify_accounts(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let due = self.authorized.store.due_accounts(self.ambient.now(), PER_SHARD).await?;
        let failures_in_a_row = &AtomicU32::new(0);
        let verified = stream::iter(due).map(|item| async move {
            let is_down = failures_in_a_row.load(Ordering::Relaxed) >= MAX_FAILURES_IN_A_ROW;
            if is_down || self.ambient.remaining(invocation.deadline) < VERIFICATION_TIME {
                return SweepOutcome::Left;
            }
            let outcome = self.verify_one(&item, invocation).await;
            if outcome == SweepOutcome::Failed {
                failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            } else {
                failures_in_a_row.store(0, Ordering::Relaxed);
            }
            outcome
        });
        Ok(verified.buffer_unordered(CONCURRENCY).collect().await)
    }

    async fn verify_one(&self, item: &DueItem, invocation: &Invocation) -> SweepOutcome {
        let context = RequestContext { at: self.ambient.now(), deadline: invocation.deadline };
        let Due::Account(user_id, account_id) = &item.due else { return SweepOutcome::Open };
        match Box::pin(self.verify(item, user_id, account_id, context)).await {
            Ok(outcome) => outcome,
            Err(SweepError::Store(StoreError::Forgotten)) => SweepOutcome::Open,
            Err(error) => {
                tracing::warn!(%error, %user_id, %account_id, "sweep: could not verify an account");
                SweepOutcome::Failed
            }
        }
    }

    /// Puts an event on the queue once more. It is rescheduled first: if this process dies before the queue has it, it is
    /// due again.
    async fn requeue(&self, item: &DueItem) -> Result<SweepOutcome, SweepError> {
        let next = after(self.ambient.now(), REQUEUE_INTERVAL);
        let Some(event) = self.authorized.store.reschedule_event(item, next).await? else {
            return Ok(SweepOutcome::Open);
        };
        let request = self.queue.send_message().queue_url(&*self.notifications_queue);
        let sent = request.message_body(event.stream_record.to_string()).send().await;
        sent.map_err(|error| SweepError::Queue(describe_error(&error)))?;
        Ok(SweepOutcome::Requeued)
    }
}
