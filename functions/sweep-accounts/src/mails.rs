//! Puts the mails that are due on the queue of `email-user`.

use digime::ambient::Ambient;
use futures::{StreamExt, stream};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
    error::Chain,
    lambda::Invocation,
    store::{DueMail, Store, StoreError},
};
use reauth_domain::time::after;
use serde_json::json;
use tracing::instrument;

use crate::{
    RETRY_INTERVAL, SweepError,
    budget::Budget,
    slices::{CHANGE_TIME, CONCURRENCY},
    summary::SweepOutcome,
};

/// Items that one pass reads from each of the 16 shards.
const PER_SHARD: usize = 25;

/// The queue of mails. Does nothing if this service writes to nobody.
#[derive(Debug)]
pub(crate) struct Mails {
    queue: aws_sdk_sqs::Client,
    queue_url: Option<String>,
    store: Store,
    budget: Budget,
    ambient: Ambient,
}

impl Mails {
    pub(crate) fn new(aws: &Aws<'_>, store: Store, budget: Budget, ambient: &Ambient) -> Result<Self, ConfigError> {
        let queue = aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?);
        let queue_url = aws.environment().optional("EMAILS_QUEUE_URL").map(str::to_owned);
        Ok(Self { queue, queue_url, store, budget, ambient: ambient.clone() })
    }

    /// One pass over the mails that are due.
    pub(crate) async fn start(&self, invocation: &Invocation) -> Result<Vec<SweepOutcome>, StoreError> {
        let Some(queue_url) = &self.queue_url else { return Ok(Vec::new()) };
        let due = self.store.due_mails(self.ambient.now(), PER_SHARD).await?;
        let started = stream::iter(due).map(|mail| async move {
            if self.ambient.remaining(invocation.deadline) < CHANGE_TIME {
                return SweepOutcome::Left;
            }
            self.start_one(queue_url, &mail).await.unwrap_or_else(|error| {
                tracing::warn!(error = %Chain(&error), user_id = %mail.user_id, "sweep: could not start a mail");
                SweepOutcome::Failed
            })
        });
        Ok(started.buffer_unordered(CONCURRENCY).collect().await)
    }

    /// The mail is rescheduled first, so that of two sweeps one starts it. If this process ends before the message is sent, the
    /// mail is due again.
    #[instrument(skip_all, fields(user_id = %mail.user_id))]
    async fn start_one(&self, queue_url: &str, mail: &DueMail) -> Result<SweepOutcome, SweepError> {
        if !self.budget.take().await? {
            return Ok(SweepOutcome::Held);
        }
        let next = after(self.ambient.now(), RETRY_INTERVAL);
        if !self.store.reschedule_mail(mail, next).await? {
            self.budget.give_back().await;
            return Ok(SweepOutcome::Open);
        }
        let message = json!({"type": "mail.due", "userId": mail.user_id});
        let sent = self.queue.send_message().queue_url(queue_url).message_body(message.to_string()).send().await;
        sent.map_err(|error| SweepError::Queue(AwsError::from(&error)))?;
        Ok(SweepOutcome::Mailed)
    }
}
