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
    dead_letters_url: String,
}

impl Queue {
    pub(crate) fn new(aws: &Aws<'_>) -> Result<Self, ConfigError> {
        let url = |name| aws.environment().required(name).map(str::to_owned);
        Ok(Self {
            client: Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            url: url("WEBHOOKS_QUEUE_URL")?,
            dead_letters_url: url("WEBHOOKS_DEAD_LETTERS_URL")?,
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
    pub(crate) async fn send_to_dead_letters(&self, message: &Message) -> Result<(), AwsError> {
        let mut request = self.client.send_message().queue_url(&self.dead_letters_url).message_body(&message.body);
        for (name, value) in &message.attributes {
            // Each attribute that was received has a type.
            if let Some(value) = attribute(value) {
                request = request.message_attributes(name, value);
            }
        }
        request.send().await.map(drop).map_err(|error| AwsError::from(&error))
    }
}

fn attribute(received: &SqsMessageAttribute) -> Option<MessageAttributeValue> {
    let binary = received.binary_value.as_ref().map(|value| Blob::new(value.0.clone()));
    let value = MessageAttributeValue::builder()
        .set_data_type(received.data_type.clone())
        .set_string_value(received.string_value.clone())
        .set_binary_value(binary);
    value.build().ok()
}
