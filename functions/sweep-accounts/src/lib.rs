//! Looks at what is due: undelivered events and unverified callbacks.

mod verify;

use std::{sync::Arc, time::Duration};

use aws_sdk_sqs::error::DisplayErrorContext;
use futures::{StreamExt, stream};
use lambda_runtime::Error;
use reauth_core::{
    access::{Access, AccessError},
    ambient::{Ambient, after},
    aws::Aws,
    config::{ConfigError, Environment},
    lambda::{Function, Invocation, Trigger},
    store::{Due, DueItem, StoreError},
};
use serde_json::{Value, json};

/// How many items of each of the 16 shards one pass takes.
const PER_SHARD: usize = 25;
/// How many are looked at side by side.
const CONCURRENCY: usize = 16;
/// No further pass begins with less time than this.
const RESERVE: Duration = Duration::from_secs(15);
/// An event that is put on the queue again is due again after this, unless it was delivered.
const REQUEUE_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// The function.
#[derive(Debug)]
pub struct SweepAccounts {
    access: Access,
    ambient: Ambient,
    queue: aws_sdk_sqs::Client,
    notifications_queue: Arc<str>,
}

/// What a look at something brought.
enum Look {
    /// An event was put on the queue again.
    Requeued,
    /// An account that was being verified is settled.
    Settled,
    /// It stays open, or another was faster.
    Open,
    /// It could not be looked at; it is due again.
    Failed,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Access(#[from] AccessError),
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
            access: Access::new(&aws, ambient)?,
            ambient: ambient.clone(),
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            notifications_queue: environment.required("NOTIFICATIONS_QUEUE_URL")?.into(),
        })
    }

    /// Takes what is due, pass by pass, until nothing is or the time runs out. One that fails does not hold up others.
    async fn handle(&self, _event: Value, invocation: Invocation) -> Result<Value, Error> {
        let (mut requeued, mut settled, mut failed) = (0_u64, 0_u64, 0_u64);
        loop {
            let due = self.access.store.due(self.ambient.now(), PER_SHARD).await?;
            let looks = stream::iter(due).map(|item| Box::pin(self.look(item, &invocation)));
            let looks: Vec<Look> = looks.buffer_unordered(CONCURRENCY).collect().await;
            let mut moved = false;
            for look in looks {
                match look {
                    Look::Requeued => requeued += 1,
                    Look::Settled => settled += 1,
                    Look::Open => continue,
                    Look::Failed => {
                        failed += 1;
                        continue;
                    }
                }
                moved = true;
            }
            if !moved || self.ambient.remaining(invocation.deadline) < RESERVE {
                break;
            }
        }
        tracing::info!(requeued, settled, failed, "The sweep is done");
        Ok(json!({"requeued": requeued, "settled": settled, "failed": failed}))
    }
}

impl SweepAccounts {
    async fn look(&self, item: DueItem, invocation: &Invocation) -> Look {
        let trigger = Trigger { at: self.ambient.now(), deadline: invocation.deadline };
        let look = match &item.due {
            Due::Event => self.requeue(&item).await,
            Due::Account(user, account) => self.verify(&item, user, account, trigger).await,
        };
        look.unwrap_or_else(|error| match error {
            LookError::Store(StoreError::Forgotten) => Look::Open,
            error => {
                tracing::warn!(%error, "Something that is due could not be looked at");
                Look::Failed
            }
        })
    }

    /// Puts an event on the queue once more. It is put off first: if this process dies before the queue has it, it is
    /// due again.
    async fn requeue(&self, item: &DueItem) -> Result<Look, LookError> {
        let next = after(self.ambient.now(), REQUEUE_INTERVAL);
        let Some(event) = self.access.store.put_off_event(item, next).await? else { return Ok(Look::Open) };
        let request = self.queue.send_message().queue_url(&*self.notifications_queue);
        let sent = request.message_body(event.stream_record.to_string()).send().await;
        sent.map_err(|error| LookError::Queue(DisplayErrorContext(error).to_string()))?;
        Ok(Look::Requeued)
    }
}
