//! Mints the reconnect link and delivers an event to each channel.

mod channel;
mod deliver;
mod webhook;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures::future::join_all;
use lambda_runtime::Error;
use reauth_core::{
    ambient::Ambient,
    aws::Aws,
    config::{ConfigError, Environment},
    lambda::{Function, Invocation, first_receipt},
    services,
    store::{Store, StoredEvent},
};
use std::time::Duration;
use url::Url;

use crate::{
    channel::{Channel, SnsChannel},
    webhook::Webhook,
};

/// The function.
#[derive(Debug)]
pub struct NotifyReauth {
    store: Store,
    ambient: Ambient,
    channels: Vec<Channel>,
    public_base_url: Url,
    link_ttl: Duration,
}

impl Function for NotifyReauth {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        let public_base_url = environment.base_url("PUBLIC_BASE_URL")?;
        let sns = aws_sdk_sns::Client::new(&aws.service("AWS_ENDPOINT_URL_SNS")?);
        let topic = environment.required("NOTIFICATION_TOPIC_ARN")?;
        let webhook = Webhook::from_environment(environment, services::secrets_manager(&aws)?, ambient)?;
        let sns = Channel::Sns(SnsChannel::new(sns, topic));
        Ok(Self {
            store: services::store(&aws, ambient)?,
            ambient: ambient.clone(),
            channels: std::iter::once(sns).chain(webhook.map(|webhook| Channel::Webhook(Box::new(webhook)))).collect(),
            public_base_url: public_base_url.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?,
            link_ttl: services::reconnect_link_ttl(environment)?,
        })
    }

    /// All events side by side; one that fails does so alone.
    async fn handle(&self, event: SqsEvent, _invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let results = join_all(event.records.into_iter().map(|record| Box::pin(self.notify(record)))).await;
        results.into_iter().flatten().for_each(|failed| reply.add_failure(failed));
        Ok(reply)
    }
}

impl NotifyReauth {
    /// Gives the identifier of the message if it must come again.
    async fn notify(&self, record: SqsMessage) -> Option<String> {
        let first_receipt = first_receipt(&record);
        let id = record.message_id.unwrap_or_default();
        let body = record.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
        let Some(event) = body.as_ref().and_then(|body| StoredEvent::from_stream_record(body).ok()) else {
            if first_receipt {
                tracing::error!(message_id = id, "A message holds no event");
            }
            return Some(id);
        };
        match self.deliver(event).await {
            Ok(()) => None,
            Err(error) => {
                tracing::warn!(message_id = id, %error, "An event was not delivered to every channel");
                Some(id)
            }
        }
    }
}
