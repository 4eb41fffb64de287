//! Posts signed events to the application's URL.
//!
//! The queue retries a message until the receiver answers 2xx, or moves the message to the dead-letter queue (see
//! `WebhooksQueue` in template.yaml).

mod message;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use digime::ambient::Ambient;
use futures::future::join_all;
use lambda_runtime::Error;
use reauth_core::{
    aws::Aws,
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation, first_receipt, traceparent},
    metrics::{self, Channel},
    warm_up::Step,
    webhook::{Outcome, Outgoing, PostResult, Webhook},
};
use tracing::{Span, field::display, instrument};

use crate::message::Message;

#[derive(Debug)]
pub struct PostWebhook {
    webhook: Webhook,
}

impl Function for PostWebhook {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        Ok(Self { webhook: Webhook::new(&Aws::new(environment)?, ambient)? })
    }

    fn warm_up(&self) -> Vec<Step<'_>> {
        self.webhook.warm_up()
    }

    /// Posts all messages concurrently. A message that fails does not affect the others.
    #[instrument(skip_all, fields(records = event.records.len()))]
    async fn handle(&self, event: SqsEvent, _invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let results = join_all(event.records.into_iter().map(|record| Box::pin(self.post(record)))).await;
        results.into_iter().flatten().for_each(|failed| reply.add_failure(failed));
        Ok(reply)
    }
}

impl PostWebhook {
    /// Returns the message's id if the message failed.
    #[instrument(skip_all, fields(trace_id))]
    async fn post(&self, record: SqsMessage) -> Option<String> {
        let (first_receipt, traceparent) = (first_receipt(&record), traceparent(&record));
        if let Some(traceparent) = &traceparent {
            Span::current().record("trace_id", display(traceparent.trace_id()));
        }
        let message_id = record.message_id.unwrap_or_default();
        let Some(message) = record.body.and_then(|body| Message::parse(body, traceparent)) else {
            if first_receipt {
                tracing::error!(message_id, "post-webhook: a message holds no event");
            }
            return Some(message_id);
        };
        let event_id = message.event_id.as_str();
        let outgoing = Outgoing { event_id: &message.event_id, body: &message.body, traceparent: message.traceparent };
        let posted = self.webhook.post(outgoing).await;
        metrics::delivery(Channel::Webhook, posted.as_ref().is_ok_and(Outcome::is_accepted));
        match posted.map(|outcome| outcome.result) {
            Ok(PostResult::Accepted { .. }) => {
                tracing::info!(message_id, event_id, "post-webhook: posted an event");
                return None;
            }
            Ok(PostResult::Refused(refusal)) => {
                let status = refusal.status;
                tracing::warn!(message_id, event_id, status, "post-webhook: the receiver refused an event");
            }
            Ok(PostResult::Failed(error)) => {
                tracing::warn!(message_id, event_id, error = %error, "post-webhook: could not post an event");
            }
            Err(error) => {
                tracing::warn!(message_id, event_id, error = %Chain(&error), "post-webhook: could not post an event");
            }
        }
        Some(message_id)
    }
}
