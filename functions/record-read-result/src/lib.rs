//! Works out from read results which accounts lost or regained their authorization.

mod message;
mod take_in;

use std::collections::BTreeMap;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures::future::join_all;
use lambda_runtime::Error;
use reauth_core::{
    ambient::Ambient,
    authorized_client::AuthorizedClient,
    aws::Aws,
    config::{ConfigError, Environment},
    domain::UserId,
    lambda::{Function, Invocation, RequestContext},
    store::StoreError,
};

use crate::message::ReadMessage;

/// The function.
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

    /// Users are taken side by side, one user's messages in order. A message that fails does so alone.
    async fn handle(&self, event: SqsEvent, invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let mut by_user: BTreeMap<UserId, Vec<ReadMessage>> = BTreeMap::new();
        for record in event.records {
            let id = record.message_id.clone().unwrap_or_default();
            match ReadMessage::read(record, self.ambient.now()) {
                Ok(message) => by_user.entry(message.submission.user_id.clone()).or_default().push(message),
                Err(bad) => {
                    bad.log(&id);
                    reply.add_failure(id);
                }
            }
        }
        let users = by_user.into_values().map(|messages| Box::pin(self.take_in_order(messages, &invocation)));
        join_all(users).await.into_iter().flatten().for_each(|failed| reply.add_failure(failed));
        Ok(reply)
    }
}

impl RecordReadResult {
    /// Gives the identifiers of the messages that must come again.
    async fn take_in_order(&self, messages: Vec<ReadMessage>, invocation: &Invocation) -> Vec<String> {
        let mut failed = Vec::new();
        for message in messages {
            let context = RequestContext { at: message.handed_in_at, deadline: invocation.deadline };
            match self.take_in(&message, context).await {
                Ok(()) => {}
                Err(StoreError::Forgotten) => {
                    tracing::info!("A read result is dropped: its user was forgotten after it was sent");
                }
                Err(error) => {
                    tracing::warn!(message_id = %message.id, %error, "A read result could not be taken in");
                    failed.push(message.id);
                }
            }
        }
        failed
    }
}
