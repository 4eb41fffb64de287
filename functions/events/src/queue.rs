//! The queue of webhooks.

use aws_sdk_sqs::{
    Client,
    error::BuildError,
    types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry},
};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
    store::LoggedEvent,
};
use reauth_domain::EventId;

use crate::EventWithLink;

/// SQS takes at most so many messages at once.
const MAX_BATCH: usize = 10;
/// In bytes: what the messages of a batch have together, if they are more than one. SQS takes 256 KiB everywhere, with the
/// attributes.
const MAX_BATCH_SIZE: usize = 200 * 1024;
/// SQS can refuse some messages of a batch and take the others.
const ATTEMPTS: usize = 2;

#[derive(Debug)]
pub(crate) struct Queue {
    client: Client,
    url: String,
}

/// An event as a message of the queue. Its form is that which the topic's subscription with raw delivery gives it.
pub(crate) struct Message {
    pub(crate) stored: LoggedEvent,
    body: String,
    /// What becomes of the event, if its message is sent.
    pub(crate) fate: Fate,
}

/// What becomes of an event that is asked for again on the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    /// It is on its way to the topic, or waits for its next post.
    Pending,
    /// Its link was derived with a service secret that has been rotated twice since. Without it, it is not valid.
    Skipped,
}

/// A message that SQS did not take. All before it are on the queue.
#[derive(Debug, thiserror::Error)]
#[error("SQS did not take a message: {reason}")]
pub(crate) struct NotSent {
    pub(crate) event_id: EventId,
    reason: String,
}

impl Message {
    pub(crate) fn event_id(&self) -> &EventId {
        &self.stored.event_id
    }

    /// `is_waiting`: a message of the event waits for its next post.
    pub(crate) fn new(event: EventWithLink, is_waiting: bool) -> Self {
        let fate = match event.stored.published_at.or(event.stored.withheld_at) {
            Some(_) if event.lacks_link => Fate::Skipped,
            Some(_) if !is_waiting => Fate::Sent,
            _ => Fate::Pending,
        };
        Self { body: event.body.to_string(), stored: event.stored, fate }
    }

    /// `id` names it within its batch.
    fn entry(&self, id: usize) -> Result<SendMessageBatchRequestEntry, BuildError> {
        let attribute = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build();
        let mut entry = SendMessageBatchRequestEntry::builder()
            .id(id.to_string())
            .message_body(&self.body)
            .message_attributes("eventType", attribute(self.stored.kind())?)
            .message_attributes("eventId", attribute(self.event_id().as_str())?);
        if let Some(traceparent) = self.stored.traceparent {
            entry = entry.message_attributes("traceparent", attribute(&traceparent.to_string())?);
        }
        entry.build()
    }
}

/// The messages in their order, in batches that SQS takes.
pub(crate) fn in_batches(messages: &[Message]) -> Vec<&[Message]> {
    let (mut batches, mut rest) = (Vec::new(), messages);
    while !rest.is_empty() {
        let mut size = 0;
        let fits = rest.iter().take(MAX_BATCH).take_while(|message| {
            size += message.body.len();
            size <= MAX_BATCH_SIZE
        });
        let (batch, behind) = rest.split_at(fits.count().max(1));
        batches.push(batch);
        rest = behind;
    }
    batches
}

impl Queue {
    pub(crate) fn new(aws: &Aws<'_>) -> Result<Self, ConfigError> {
        let client = Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?);
        Ok(Self { client, url: aws.environment().required("WEBHOOKS_QUEUE_URL")?.to_owned() })
    }

    /// Puts a batch on the queue. Messages that SQS refuses are sent once more.
    ///
    /// # Errors
    /// The first message that SQS did not take. Later ones may be on the queue.
    pub(crate) async fn send(&self, messages: &[&Message]) -> Result<(), NotSent> {
        let mut waiting: Vec<usize> = (0..messages.len()).collect();
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            if waiting.is_empty() {
                return Ok(());
            }
            match self.send_once(messages, &waiting).await {
                Ok(refused) => (waiting, reason) = refused,
                Err(error) => {
                    reason = error;
                    break;
                }
            }
        }
        match waiting.first() {
            Some(index) => Err(NotSent { event_id: messages[*index].event_id().clone(), reason }),
            None => Ok(()),
        }
    }

    /// Returns the messages that SQS refused, and why it refused one of them.
    async fn send_once(&self, messages: &[&Message], wanted: &[usize]) -> Result<(Vec<usize>, String), String> {
        let entries = wanted.iter().map(|index| messages[*index].entry(*index)).collect::<Result<_, _>>();
        let entries: Vec<_> = entries.map_err(|error| error.to_string())?;
        let answer = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
        let answer = answer.map_err(|error| AwsError::from(&error).to_string())?;
        let mut refused: Vec<usize> = answer.failed.iter().filter_map(|entry| entry.id.parse().ok()).collect();
        refused.sort_unstable();
        Ok((refused, answer.failed.first().map(|entry| entry.code.clone()).unwrap_or_default()))
    }

    /// The number of messages on the queue. Approximate, as SQS counts them.
    pub(crate) async fn depth(&self) -> Result<u64, AwsError> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let request = self.client.get_queue_attributes().queue_url(&self.url).set_attribute_names(Some(names.into()));
        let answer = request.send().await.map_err(|error| AwsError::from(&error))?;
        let counts = answer.attributes.unwrap_or_default().into_values();
        Ok(counts.filter_map(|count| count.parse::<u64>().ok()).sum())
    }
}
