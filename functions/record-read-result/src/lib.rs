//! Determines from read results which accounts lost or regained their authorization, and records it.

mod message;
mod record;

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use digime::ambient::Ambient;
use futures::future::join_all;
use lambda_runtime::Error;
use reauth_core::{
    authorized_client::AuthorizedClient,
    aws::Aws,
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation, RequestContext},
    metrics::{self, ReadResultOutcome},
    store::StoreError,
    warm_up::Step,
};
use reauth_domain::UserId;
use tracing::instrument;

use crate::message::ReadMessage;

#[derive(Debug)]
pub struct RecordReadResult {
    authorized: AuthorizedClient,
    ambient: Ambient,
}

impl Function for RecordReadResult {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        Ok(Self { authorized: AuthorizedClient::new(&Aws::new(environment)?, ambient)?, ambient: ambient.clone() })
    }

    /// A result is written to the table. digi.me is called only for an account in need that its list can say more
    /// about.
    fn warm_up(&self) -> Vec<Step<'_>> {
        self.authorized.store.warm_up()
    }

    /// Processes the messages of one user in order, and users concurrently. A message that fails does not affect the
    /// others.
    #[instrument(skip_all, fields(records = event.records.len()))]
    async fn handle(&self, event: SqsEvent, invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let mut by_user: BTreeMap<UserId, Vec<ReadMessage>> = BTreeMap::new();
        for record in event.records {
            let id = record.message_id.clone().unwrap_or_default();
            match ReadMessage::read(record, self.ambient.now()) {
                Ok(message) => by_user.entry(message.submission.user_id.clone()).or_default().push(message),
                Err(bad) => {
                    metrics::read_result(ReadResultOutcome::Invalid);
                    bad.log(&id);
                    reply.add_failure(id);
                }
            }
        }
        let users = by_user.into_values().map(|messages| Box::pin(self.record_in_order(messages, &invocation)));
        join_all(users).await.into_iter().flatten().for_each(|failed| reply.add_failure(failed));
        Ok(reply)
    }
}

impl RecordReadResult {
    /// Returns the ids of the messages that must be retried.
    async fn record_in_order(&self, messages: Vec<ReadMessage>, invocation: &Invocation) -> Vec<String> {
        let mut failed = Vec::new();
        for message in messages {
            let context = invocation.context(message.handed_in_at, message.traceparent, &self.ambient);
            if !self.process(&message, context).await {
                failed.push(message.id);
            }
        }
        failed
    }

    /// Records one message, and logs and counts the outcome. Returns false if the message must be retried.
    #[instrument(skip_all, fields(trace_id = %context.traceparent.trace_id()))]
    async fn process(&self, message: &ReadMessage, context: RequestContext) -> bool {
        let (message_id, user_id) = (&message.id, &message.submission.user_id);
        let ignored = message.submission.read_result.ignored.len();
        if ignored > 0 {
            tracing::warn!(%message_id, %user_id, ignored, "record-read-result: ignored entries that are not accounts");
        }
        match self.record(message, context).await {
            Ok(()) => metrics::read_result(ReadResultOutcome::Recorded),
            Err(StoreError::Erased) => {
                metrics::read_result(ReadResultOutcome::Erased);
                tracing::info!(%message_id, %user_id, "record-read-result: dropped a message, its user was erased after it was sent");
            }
            Err(error) => {
                metrics::read_result(ReadResultOutcome::Failed);
                tracing::warn!(%message_id, %user_id, error = %Chain(&error), "record-read-result: could not record a read result");
                return false;
            }
        }
        true
    }
}
