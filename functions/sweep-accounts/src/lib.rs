//! The sweep: puts undelivered events on the queue again, notices refresh tokens that have expired, and verifies accounts
//! that digi.me has not confirmed. It also tells the operator when the webhook's endpoint begins or ends to fail.

pub mod budget;
mod mails;
mod operator;
mod verify;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use digime::ambient::Ambient;
use futures::{StreamExt, future::join, stream};
use lambda_runtime::Error;
use reauth_core::{
    authorized_client::{AuthorizedClient, AuthorizedClientError},
    aws::{Aws, AwsError},
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation, RequestContext},
    metrics,
    store::{DueItem, NoticeKind, StoreError},
    warm_up::Step,
};
use reauth_domain::{Target, time::after};
use serde::Serialize;
use serde_json::Value;
use tracing::instrument;

use crate::{budget::Budget, mails::Mails, operator::Operator};

/// Items that one pass reads from each of the 16 shards.
const PER_SHARD: usize = 25;
/// Items that are processed at the same time.
const CONCURRENCY: usize = 16;
/// The remaining time that requeuing an event requires: a call to AWS takes up to 6 seconds.
const EVENT_TIME: Duration = Duration::from_secs(8);
/// The remaining time that verifying an account requires, so that no call to digi.me or AWS is cut off.
const VERIFICATION_TIME: Duration = Duration::from_secs(15);
/// After this many consecutive calls that digi.me does not answer or answers with a temporary error, digi.me counts as
/// down, and the next sweep verifies the remaining accounts.
const MAX_OUTAGES_IN_A_ROW: u32 = 5;
/// A requeued event that is still not delivered after this time is due again, and so is a grant whose change failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
pub struct SweepAccounts {
    authorized: AuthorizedClient,
    ambient: Ambient,
    queue: aws_sdk_sqs::Client,
    notifications_queue: Arc<str>,
    operator: Operator,
    /// Of reminders and warnings.
    #[expect(dead_code, reason = "reminders and warnings take from it")]
    notice_budget: Budget,
    mails: Mails,
}

/// The result of processing one due item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SweepOutcome {
    /// An event was put on the queue again.
    Requeued,
    /// An account is no longer `verifying`.
    Verified,
    /// A refresh token has expired, and the application is notified.
    Expired,
    /// Nothing was changed: the item is no longer due, digi.me does not say, or another write came first.
    Open,
    /// Not processed, because the time was too short or digi.me is down. The item stays due.
    Left,
    /// Processing failed. The item is due again later.
    Failed,
}

/// The number of items per outcome.
#[derive(Debug, Default, Serialize)]
struct Summary {
    requeued: u64,
    settled: u64,
    expired: u64,
    failed: u64,
    left: u64,
}

impl Summary {
    /// Counts the outcomes. Returns whether another pass can find more due items.
    fn add(&mut self, outcomes: &[SweepOutcome]) -> bool {
        let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count() as u64;
        let moved = count(SweepOutcome::Requeued) + count(SweepOutcome::Verified) + count(SweepOutcome::Expired);
        self.requeued += count(SweepOutcome::Requeued);
        self.settled += count(SweepOutcome::Verified);
        self.expired += count(SweepOutcome::Expired);
        self.failed += count(SweepOutcome::Failed);
        self.left += count(SweepOutcome::Left);
        moved > 0 && count(SweepOutcome::Left) == 0
    }
}

/// Why processing an item failed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    AuthorizedClient(AuthorizedClientError),
    #[error("SQS did not accept the event")]
    Queue(#[source] AwsError),
}

impl From<AuthorizedClientError> for SweepError {
    fn from(error: AuthorizedClientError) -> Self {
        match error {
            AuthorizedClientError::Store(error) => Self::Store(error),
            error => Self::AuthorizedClient(error),
        }
    }
}

impl SweepError {
    /// Whether digi.me is down or overloaded.
    fn is_outage(&self) -> bool {
        matches!(self, Self::AuthorizedClient(AuthorizedClientError::Digime(error)) if error.is_retryable())
    }
}

impl Function for SweepAccounts {
    type Event = Value;
    type Reply = Value;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        // The configuration contract requires this variable. The function does not use it yet.
        environment.base_url("PUBLIC_BASE_URL")?.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?;
        let aws = Aws::new(environment)?;
        let authorized = AuthorizedClient::new(&aws, ambient)?;
        let rate = environment.parsed("NOTICE_RATE")?.unwrap_or_default();
        let budget = |kind| Budget::new(authorized.store.clone(), kind, rate, ambient);
        Ok(Self {
            notice_budget: budget(NoticeKind::Event),
            mails: Mails::new(&aws, authorized.store.clone(), budget(NoticeKind::Mail), ambient)?,
            operator: Operator::new(&aws, authorized.store.webhook(), ambient)?,
            authorized,
            ambient: ambient.clone(),
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            notifications_queue: environment.required("NOTIFICATIONS_QUEUE_URL")?.into(),
        })
    }

    /// Most sweeps find nothing due: they only list.
    fn warm_up(&self) -> Vec<Step<'_>> {
        let store = &self.authorized.store;
        store.warm_up().into_iter().chain(store.warm_up_lists()).collect()
    }

    /// Processes due items, and tells the operator. Neither waits for the other, or fails because of it.
    #[instrument(skip_all)]
    async fn handle(&self, _event: Value, invocation: Invocation) -> Result<Value, Error> {
        let (summary, ()) = join(self.process_due_items(&invocation), self.operator.tell(invocation.deadline)).await;
        let summary = summary?;
        let Summary { requeued, settled, expired, failed, left } = summary;
        metrics::sweep_run(left);
        tracing::info!(requeued, settled, expired, failed, left, "sweep: done");
        Ok(serde_json::to_value(summary)?)
    }
}

impl SweepAccounts {
    /// Processes due items in passes: first events, which are quick and matter most, then grants and accounts. Each item starts
    /// only if enough time remains. An item that fails does not affect the others.
    async fn process_due_items(&self, invocation: &Invocation) -> Result<Summary, StoreError> {
        let mut summary = Summary::default();
        while summary.add(&self.requeue_events(invocation).await?) {}
        while summary.add(&self.notice_expired_grants(invocation).await?) {}
        while summary.add(&self.mails.start(invocation).await?) {}
        while summary.add(&self.verify_accounts(invocation).await?) {}
        Ok(summary)
    }

    async fn requeue_events(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let due = self.authorized.store.due_events(self.ambient.now(), PER_SHARD).await?;
        let requeued = stream::iter(due).map(|item| async move {
            if self.ambient.remaining(invocation.deadline) < EVENT_TIME {
                return SweepOutcome::Left;
            }
            self.requeue(&item).await.unwrap_or_else(|error| {
                let DueItem { user_id, target, .. } = &item;
                tracing::warn!(error = %Chain(&error), %user_id, account_id = target.account_id(), contract_id = target.contract_id(), "sweep: could not requeue an event");
                SweepOutcome::Failed
            })
        });
        Ok(requeued.buffer_unordered(CONCURRENCY).collect().await)
    }

    async fn notice_expired_grants(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let due = self.authorized.store.due_grants(self.ambient.now(), PER_SHARD).await?;
        let noticed = stream::iter(due).map(|item| async move {
            if self.ambient.remaining(invocation.deadline) < EVENT_TIME {
                return SweepOutcome::Left;
            }
            let context = invocation.context(self.ambient.now(), None, &self.ambient);
            match Box::pin(self.notice_expired_grant(&item, context)).await {
                Ok(outcome) => outcome,
                Err(StoreError::Erased) => SweepOutcome::Open,
                Err(error) => {
                    let DueItem { user_id, target, .. } = &item;
                    tracing::warn!(error = %Chain(&error), %user_id, account_id = target.account_id(), contract_id = target.contract_id(), "sweep: could not record that a refresh token has expired");
                    SweepOutcome::Failed
                }
            }
        });
        Ok(noticed.buffer_unordered(CONCURRENCY).collect().await)
    }

    /// Records that a refresh token has expired. The grant is rescheduled first, so that one that cannot be read does not
    /// stay before the others.
    #[instrument(skip_all, fields(trace_id = %context.traceparent.trace_id(), user_id = %item.user_id, account_id = item.target.account_id(), contract_id = item.target.contract_id()))]
    async fn notice_expired_grant(&self, item: &DueItem, context: RequestContext) -> Result<SweepOutcome, StoreError> {
        let Target::Grant(contract) = &item.target else { return Ok(SweepOutcome::Open) };
        let next = after(context.triggered_at, RETRY_INTERVAL);
        if !self.authorized.store.reschedule_item(item, next).await? {
            return Ok(SweepOutcome::Open);
        }
        let Some(grant) = self.authorized.store.grant(&item.user_id, contract).await? else {
            return Ok(SweepOutcome::Open);
        };
        // The index is eventually consistent: the grant may have changed since.
        if !grant.value.has_expired_unnoticed(context.triggered_at) {
            return Ok(SweepOutcome::Open);
        }
        self.authorized.notice_expiry(grant, context).await?;
        Ok(SweepOutcome::Expired)
    }

    async fn verify_accounts(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let due = self.authorized.store.due_accounts(self.ambient.now(), PER_SHARD).await?;
        let outages_in_a_row = &AtomicU32::new(0);
        let verified = stream::iter(due).map(|item| async move {
            let is_down = outages_in_a_row.load(Ordering::Relaxed) >= MAX_OUTAGES_IN_A_ROW;
            if is_down || self.ambient.remaining(invocation.deadline) < VERIFICATION_TIME {
                return SweepOutcome::Left;
            }
            let context = invocation.context(self.ambient.now(), None, &self.ambient);
            let result = Box::pin(self.verify(&item, context)).await;
            if result.as_ref().is_err_and(SweepError::is_outage) {
                outages_in_a_row.fetch_add(1, Ordering::Relaxed);
            } else {
                outages_in_a_row.store(0, Ordering::Relaxed);
            }
            match result {
                Ok(outcome) => outcome,
                Err(SweepError::Store(StoreError::Erased)) => SweepOutcome::Open,
                Err(error) => {
                    let DueItem { user_id, target, .. } = &item;
                    tracing::warn!(error = %Chain(&error), %user_id, account_id = target.account_id(), contract_id = target.contract_id(), "sweep: could not verify an account");
                    SweepOutcome::Failed
                }
            }
        });
        Ok(verified.buffer_unordered(CONCURRENCY).collect().await)
    }

    /// Puts an event on the queue again. The event is rescheduled first: if this process ends before the message is
    /// sent, the event is due again.
    #[instrument(skip_all, fields(user_id = %item.user_id, account_id = item.target.account_id(), contract_id = item.target.contract_id()))]
    async fn requeue(&self, item: &DueItem) -> Result<SweepOutcome, SweepError> {
        let next = after(self.ambient.now(), RETRY_INTERVAL);
        let Some(event) = self.authorized.store.reschedule_event(item, next).await? else {
            return Ok(SweepOutcome::Open);
        };
        let request = self.queue.send_message().queue_url(&*self.notifications_queue);
        let sent = request.message_body(event.stream_record.to_string()).send().await;
        sent.map_err(|error| SweepError::Queue(AwsError::from(&error)))?;
        Ok(SweepOutcome::Requeued)
    }
}
