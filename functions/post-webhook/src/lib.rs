//! Posts signed events to the application's URL, by a schedule, until the receiver accepts them.
//!
//! A message of the queue is posted at most 12 times within about three days. After a post that failed, the function hides
//! the message until its next post, and reports it as failed, so that Lambda does not delete it. After the last post, it
//! moves the message to the dead-letter queue. `docs/decisions/0017-webhook-schedule.md` says why.

mod batch;
mod message;
mod queue;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use digime::ambient::Ambient;
use futures::future::join_all;
use lambda_runtime::Error;
use reauth_core::{
    aws::Aws,
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation},
    store::{WebhookStore, url_hash},
    warm_up::Step,
    webhook::Webhook,
};
use tracing::instrument;

use crate::{batch::Batch, message::Message, queue::Queue};

#[derive(Debug)]
pub struct PostWebhook {
    webhook: Webhook,
    /// Names the endpoint in the item of its health.
    url_hash: String,
    store: WebhookStore,
    queue: Queue,
    ambient: Ambient,
}

impl Function for PostWebhook {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        let webhook = Webhook::new(&aws, ambient)?;
        Ok(Self {
            url_hash: url_hash(webhook.url()),
            webhook,
            store: WebhookStore::from_environment(&aws, ambient)?,
            queue: Queue::new(&aws)?,
            ambient: ambient.clone(),
        })
    }

    /// Without a connection of SQS, which only failed posts need.
    fn warm_up(&self) -> Vec<Step<'_>> {
        let mut steps = self.webhook.warm_up();
        steps.push(self.store.warm_up());
        steps
    }

    /// Processes all messages concurrently. A message that fails does not affect the others. Without the endpoint's health,
    /// nothing is posted, since the endpoint may be disabled. The invocation then fails, which raises an alarm.
    #[instrument(skip_all, fields(records = event.records.len()))]
    async fn handle(&self, event: SqsEvent, invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let messages: Vec<Message> = event.records.into_iter().map(Message::from).collect();
        if messages.is_empty() {
            return Ok(reply);
        }
        let health = self.store.health_of(&self.url_hash).await.inspect_err(|error| {
            tracing::warn!(error = %Chain(error), "post-webhook: could not read the endpoint's health");
        })?;
        let batch = Batch::new(self, health.value, invocation.deadline);
        let done = join_all(messages.iter().map(|message| Box::pin(batch.process(message)))).await;
        let failed = messages.into_iter().zip(done).filter(|(_, done)| !done);
        failed.for_each(|(message, _)| reply.add_failure(message.id));
        Ok(reply)
    }
}
