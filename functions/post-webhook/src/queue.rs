//! The queue of webhooks and its dead-letter queue.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessageAttribute;
use aws_sdk_sqs::{Client, primitives::Blob, types::MessageAttributeValue};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
};

use crate::message::Message;

#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
    dead_letters_url: Option<String>,
}

impl Queue {
    pub(crate) fn new(aws: &Aws<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            client: Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            url: aws.environment().required("WEBHOOKS_QUEUE_URL")?.to_owned(),
            dead_letters_url: aws.environment().optional("WEBHOOKS_DEAD_LETTERS_URL").map(str::to_owned),
        })
    }

    /// Hides a received message for this time from now on, at most 12 hours after its receipt.
    pub(crate) async fn hide(&self, message: &Message, pause: Duration) -> Result<(), AwsError> {
        let seconds = i32::try_from(pause.as_secs()).unwrap_or(i32::MAX);
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let sent = request.receipt_handle(&message.receipt_handle).visibility_timeout(seconds).send().await;
        sent.map(drop).map_err(|error| AwsError::from(&error))
    }

    /// Sends a copy of the message to the dead-letter queue.
    ///
    /// # Errors
    /// Also when no queue is known. The message then comes back until SQS itself moves it, by the queue's redrive policy.
    pub(crate) async fn send_to_dead_letters(&self, message: &Message) -> Result<(), NotKept> {
        let url = self.dead_letters_url.as_ref().ok_or(NotKept::NoQueue)?;
        let mut request = self.client.send_message().queue_url(url).message_body(&message.body);
        for (name, value) in &message.attributes {
            // Each attribute that was received has a type.
            if let Some(value) = attribute(value) {
                request = request.message_attributes(name, value);
            }
        }
        request.send().await.map(drop).map_err(|error| NotKept::Refused(AwsError::from(&error)))
    }
}

/// Why a message is not in the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("WEBHOOKS_DEAD_LETTERS_URL is not set")]
    NoQueue,
    #[error("SQS did not take it")]
    Refused(#[source] AwsError),
}

fn attribute(received: &SqsMessageAttribute) -> Option<MessageAttributeValue> {
    let binary = received.binary_value.as_ref().map(|value| Blob::new(value.0.clone()));
    let value = MessageAttributeValue::builder()
        .set_data_type(received.data_type.clone())
        .set_string_value(received.string_value.clone())
        .set_binary_value(binary);
    value.build().ok()
}
