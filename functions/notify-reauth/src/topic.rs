//! Publishes events on the SNS topic.

use std::sync::Arc;

use aws_sdk_sns::{Client, error::BuildError, types::MessageAttributeValue};
use reauth_core::{aws::AwsError, http_client, store::StoredEvent};
use tower::BoxError;

/// The SNS topic. The message is the event; the message attributes are its type, its id and its trace.
#[derive(Debug)]
pub(crate) struct Topic {
    client: Client,
    arn: Arc<str>,
}

/// Why an event was not published. The error text contains no part of the event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("could not build a message attribute")]
    Attribute(#[from] BuildError),
    #[error("SNS did not accept the message")]
    Sns(#[source] AwsError),
}

impl Topic {
    pub(crate) fn new(client: Client, arn: &str) -> Self {
        Self { client, arn: arn.into() }
    }

    /// Opens the connection of `publish`, and publishes nothing.
    pub(crate) async fn connect(&self) -> Result<(), BoxError> {
        http_client::open_for(self.client.publish().topic_arn(&*self.arn).message("nothing").send()).await
    }

    pub(crate) async fn publish(&self, stored: &StoredEvent, payload: String) -> Result<(), PublishError> {
        let StoredEvent { event, traceparent, .. } = stored;
        let attribute = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let mut request = self
            .client
            .publish()
            .topic_arn(&*self.arn)
            .message(payload)
            .message_attributes("eventType", attribute(event.detail.kind())?)
            .message_attributes("eventId", attribute(event.subject.event_id.as_str())?);
        if let Some(traceparent) = traceparent {
            request = request.message_attributes("traceparent", attribute(&traceparent.to_string())?);
        }
        request.send().await.map(drop).map_err(|error| PublishError::Sns(AwsError::from(&error)))
    }
}
