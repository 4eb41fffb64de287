//! The channels that events are delivered to.

use std::sync::Arc;

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use reauth_core::{aws::describe_error, domain::Event};

use crate::webhook::Webhook;

/// Where events go.
#[derive(Debug)]
pub(crate) enum Channel {
    /// An SNS topic.
    Sns(SnsChannel),
    /// A URL of the application's.
    Webhook(Box<Webhook>),
}

/// A channel that did not take an event. The message holds nothing of the event.
#[derive(Debug, thiserror::Error)]
#[error("channel {channel}: {cause}")]
pub(crate) struct ChannelError {
    channel: &'static str,
    cause: String,
}

impl Channel {
    /// The name under which the channel's taking of an event is marked.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sns(_) => "sns",
            Self::Webhook(_) => "webhook",
        }
    }

    pub(crate) async fn deliver(&self, event: &Event, payload: &str) -> Result<(), ChannelError> {
        match self {
            Self::Sns(channel) => channel.publish(event, payload).await,
            Self::Webhook(webhook) => webhook.post(event, payload.to_owned()).await,
        }
        .map_err(|cause| ChannelError { channel: self.name(), cause })
    }
}

/// An SNS topic: the event as the message, its type and identifier as attributes.
#[derive(Debug)]
pub(crate) struct SnsChannel {
    client: Client,
    topic: Arc<str>,
}

impl SnsChannel {
    pub(crate) fn new(client: Client, topic: &str) -> Self {
        Self { client, topic: topic.into() }
    }

    async fn publish(&self, event: &Event, payload: &str) -> Result<(), String> {
        let attribute = |value: &str| {
            let attribute = MessageAttributeValue::builder().data_type("String").string_value(value).build();
            attribute.map_err(|error| error.to_string())
        };
        let request = self
            .client
            .publish()
            .topic_arn(&*self.topic)
            .message(payload)
            .message_attributes("eventType", attribute(event.detail.kind())?)
            .message_attributes("eventId", attribute(event.subject.event_id.as_str())?);
        request.send().await.map(drop).map_err(|error| describe_error(&error))
    }
}
