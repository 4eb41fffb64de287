//! The topic that events are published on.

use std::sync::Arc;

use aws_sdk_sns::{Client, error::BuildError, types::MessageAttributeValue};
use reauth_core::{aws::describe_error, domain::Event};

/// The SNS topic: the event as the message, its type and identifier as attributes.
#[derive(Debug)]
pub(crate) struct Topic {
    client: Client,
    arn: Arc<str>,
}

/// The topic did not take an event. The message holds nothing of the event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("an attribute of the message cannot be built: {0}")]
    Attribute(#[from] BuildError),
    #[error("the topic did not take the message: {0}")]
    Sns(String),
}

impl Topic {
    pub(crate) fn new(client: Client, arn: &str) -> Self {
        Self { client, arn: arn.into() }
    }

    pub(crate) async fn publish(&self, event: &Event, payload: String) -> Result<(), PublishError> {
        let attribute = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let request = self
            .client
            .publish()
            .topic_arn(&*self.arn)
            .message(payload)
            .message_attributes("eventType", attribute(event.detail.kind())?)
            .message_attributes("eventId", attribute(event.subject.event_id.as_str())?);
        request.send().await.map(drop).map_err(|error| PublishError::Sns(describe_error(&error)))
    }
}
