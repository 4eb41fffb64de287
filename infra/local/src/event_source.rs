//! The event source mapping from a queue to its function, with partial batch responses.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    causes,
    invoke::{Invoke, InvokeError},
    names::{self, Queue},
    queues::{Channel, Message, QueueError, Queues, batch_size},
};

/// Receives batches from a queue and invokes the function with each. Deletes the messages that succeeded, and releases
/// the messages that failed.
pub(crate) struct EventSource {
    queue: Queue,
    queues: Queues,
    function: Arc<dyn Invoke>,
    timeout: Duration,
    /// Limits the mapping to one batch at a time. While a caller holds the lock, no other batch is in progress.
    lock: Mutex<()>,
}

impl EventSource {
    /// `timeout` is the time limit of one invocation.
    #[must_use]
    pub(crate) fn new(queue: Queue, queues: Queues, function: Arc<dyn Invoke>, timeout: Duration) -> Self {
        Self { queue, queues, function, timeout, lock: Mutex::default() }
    }

    /// Processes one batch. Returns the number of its messages, which is 0 if no message is visible.
    pub(crate) async fn poll(&self) -> Result<usize, QueueError> {
        let _one_at_a_time = self.lock.lock().await;
        let batch = self.queues.receive(self.queue, batch_size(self.queue))?;
        if batch.is_empty() {
            return Ok(0);
        }
        let began_at = self.queues.now();
        let event = Bytes::from(event(self.queue, &batch).to_string());
        let reply = match tokio::time::timeout(self.timeout, self.function.invoke(event)).await {
            Ok(reply) => reply,
            Err(_elapsed) => Err(InvokeError::TimedOut),
        };
        let (failures, cause) = match reply {
            Ok(reply) => (failures(&reply, &batch), None),
            Err(error) => {
                tracing::warn!(queue = self.queue.name(), %error, "event-source: could not process a batch");
                (Failures::All, Some(cause(&error)))
            }
        };
        for message in &batch {
            let logged = causes::take(&message.message_id);
            if failures.contain(&message.message_id) {
                self.queues.release(self.queue, message, cause.as_deref().or(logged.as_deref()))?;
            } else {
                self.processed(message, began_at, logged.as_deref())?;
            }
        }
        Ok(batch.len())
    }

    /// A message that its function has moved to the dead-letter queue was not delivered.
    fn processed(&self, message: &Message, began_at: Timestamp, cause: Option<&str>) -> Result<(), QueueError> {
        let is_dead = self.queues.explain_dead_letters(self.queue, &message.body, began_at, cause)?;
        if self.queue == Queue::Webhooks && !is_dead {
            self.queues.record_delivery(Channel::Webhook, &message.attributes, &message.body)?;
        }
        self.queues.delete(message)
    }
}

/// Why a whole batch failed.
fn cause(error: &InvokeError) -> String {
    match error {
        InvokeError::Failed { error_message, .. } => format!("{error}: {error_message}"),
        InvokeError::TimedOut => error.to_string(),
    }
}

/// The messages of a batch that failed.
#[derive(Debug, PartialEq, Eq)]
enum Failures {
    All,
    These(Vec<String>),
}

impl Failures {
    fn contain(&self, message_id: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(ids) => ids.iter().any(|id| id == message_id),
        }
    }
}

/// Reads a partial batch response as Lambda does. If it names no failures, all messages succeeded. If it is invalid or
/// names an unknown message, all messages failed.
fn failures(reply: &[u8], batch: &[Message]) -> Failures {
    if reply.is_empty() {
        return Failures::These(Vec::new());
    }
    let Ok(reply) = serde_json::from_slice::<Value>(reply) else {
        return Failures::All;
    };
    let items = match reply.get("batchItemFailures") {
        None | Some(Value::Null) => return Failures::These(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Failures::All,
    };
    let named: Option<Vec<String>> = items
        .iter()
        .map(|item| {
            let id = item.get("itemIdentifier")?.as_str()?;
            batch.iter().any(|message| message.message_id == id).then(|| id.to_owned())
        })
        .collect();
    named.map_or(Failures::All, Failures::These)
}

fn message_attributes(attributes: &BTreeMap<String, String>) -> Value {
    let attribute = |value: &String| json!({"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"});
    attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

/// The event that Lambda creates from a batch.
fn event(queue: Queue, batch: &[Message]) -> Value {
    let records: Vec<Value> = batch
        .iter()
        .map(|message| {
            let first_received_at = message.first_received_at.unwrap_or(message.sent_at);
            json!({
                "messageId": message.message_id,
                "receiptHandle": message.receipt_handle,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": message.receive_count.to_string(),
                    "SentTimestamp": message.sent_at.as_millisecond().to_string(),
                    "SenderId": names::ACCOUNT,
                    "ApproximateFirstReceiveTimestamp": first_received_at.as_millisecond().to_string(),
                },
                "messageAttributes": message_attributes(&message.attributes),
                "md5OfBody": format!("{:x}", md5::compute(&message.body)),
                "eventSource": "aws:sqs",
                "eventSourceARN": queue.arn(),
                "awsRegion": names::REGION,
            })
        })
        .collect();
    json!({"Records": records})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        invoke::testing::{Scripted, failed},
        queues::{Depth, QueueSettings, testing::*},
    };

    const QUEUE: Queue = Queue::Notifications;

    fn source(clock: &TestClock, function: Arc<Scripted>) -> (EventSource, Queues) {
        let settings = QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() };
        let queues = queues(clock, settings);
        (EventSource::new(QUEUE, queues.clone(), function, Duration::from_secs(30)), queues)
    }

    #[tokio::test]
    async fn a_batch_of_ten_reaches_the_function_in_the_shape_of_aws() {
        let function = Scripted::new(|_| Ok(json!({"batchItemFailures": []})));
        let clock = TestClock::new();
        let (source, queues) = source(&clock, function.clone());
        for _ in 0..11 {
            queues.send(QUEUE, "hello").unwrap();
        }
        clock.advance(Duration::from_millis(1500));

        assert_eq!(source.poll().await.unwrap(), 10);
        assert_eq!(source.poll().await.unwrap(), 1);
        assert_eq!(source.poll().await.unwrap(), 0);
        assert_eq!(queues.depth(QUEUE).unwrap(), Depth::default());

        let events = function.events.lock().unwrap();
        let mut record = events[0]["Records"][0].clone();
        assert!(record["messageId"].take().is_string());
        assert!(record["receiptHandle"].take().is_string());
        let expected = json!({
            "messageId": null, "receiptHandle": null, "body": "hello",
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1767323045000", "SenderId": "000000000000",
                "ApproximateFirstReceiveTimestamp": "1767323046500",
            },
            "messageAttributes": {},
            "md5OfBody": "5d41402abc4b2a76b9719d911017c592", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:Notifications", "awsRegion": "eu-west-1",
        });
        assert_eq!(record, expected);
    }

    #[tokio::test]
    async fn a_failed_batch_is_the_cause_of_each_of_its_messages() {
        let (source, queues) = source(&TestClock::new(), Scripted::new(|_| Err(failed())));
        queues.send(QUEUE, "a").unwrap();
        source.poll().await.unwrap();
        let cause = queues.messages(QUEUE, 1).unwrap().remove(0).cause;
        assert_eq!(cause.as_deref(), Some("the function failed with Broken: as the test wants it"));
    }

    #[tokio::test]
    async fn a_webhook_that_took_an_event_is_recorded() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        let function = Scripted::new(|_| Ok(json!({"batchItemFailures": []})));
        let source = EventSource::new(Queue::Webhooks, queues.clone(), function, Duration::from_secs(30));
        let attributes = BTreeMap::from([("eventId".to_owned(), "evt_1".to_owned())]);
        queues.send_with(Queue::Webhooks, "event", &attributes).unwrap();
        source.poll().await.unwrap();
        let deliveries = queues.deliveries("evt_1").unwrap();
        assert_eq!((deliveries[0].channel, deliveries[0].message.as_str()), (Channel::Webhook, "event"));
    }

    #[tokio::test]
    async fn a_message_that_its_function_gave_up_is_no_delivery() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        let moving = queues.clone();
        let function = Scripted::new(move |event| {
            let body = event["Records"][0]["body"].as_str().unwrap();
            moving.send_dead_letter(Queue::Webhooks, body, &BTreeMap::new()).unwrap();
            Ok(json!({"batchItemFailures": []}))
        });
        let source = EventSource::new(Queue::Webhooks, queues.clone(), function, Duration::from_secs(30));
        let attributes = BTreeMap::from([("eventId".to_owned(), "evt_1".to_owned())]);
        queues.send_with(Queue::Webhooks, "event", &attributes).unwrap();
        source.poll().await.unwrap();
        assert!(queues.deliveries("evt_1").unwrap().is_empty());
        assert_eq!(queues.depth(Queue::Webhooks).unwrap(), Depth { visible: 0, hidden: 0, dead: 1 });
    }

    #[tokio::test]
    async fn a_batch_of_webhooks_has_five_messages() {
        let queues = queues(&TestClock::new(), QueueSettings::default());
        let function = Scripted::new(|_| Ok(json!({"batchItemFailures": []})));
        let source = EventSource::new(Queue::Webhooks, queues.clone(), function, Duration::from_secs(30));
        (0..6).for_each(|_| drop(queues.send(Queue::Webhooks, "event").unwrap()));
        assert_eq!((source.poll().await.unwrap(), source.poll().await.unwrap()), (5, 1));
    }

    #[tokio::test]
    async fn only_the_messages_that_are_named_come_again() {
        let function = Scripted::new(|event| {
            let bad = event["Records"].as_array().unwrap().iter().filter(|record| record["body"] == "bad");
            Ok(json!({"batchItemFailures": bad.map(|r| json!({"itemIdentifier": r["messageId"]})).collect::<Vec<_>>()}))
        });
        let (source, queues) = source(&TestClock::new(), function);
        for body in ["good", "bad", "good"] {
            queues.send(QUEUE, body).unwrap();
        }
        source.poll().await.unwrap();
        let left = queues.messages(QUEUE, 10).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].body, "bad");
        assert_eq!(left[0].receive_count, 1);
    }

    #[tokio::test]
    async fn a_message_that_never_succeeds_ends_as_a_dead_letter_after_five_tries() {
        let function = Scripted::new(|_| Err(failed()));
        let (source, queues) = source(&TestClock::new(), function.clone());
        queues.send(QUEUE, "bad").unwrap();
        while source.poll().await.unwrap() > 0 {}
        assert_eq!(function.events.lock().unwrap().len(), 5);
        assert_eq!(queues.depth(QUEUE).unwrap(), Depth { visible: 0, hidden: 0, dead: 1 });
    }

    #[test]
    fn replies_are_read_as_lambda_reads_them() {
        let clock = TestClock::new();
        let queues = queues(&clock, QueueSettings::default());
        let id = queues.send(QUEUE, "a").unwrap();
        let batch = queues.receive(QUEUE, 10).unwrap();
        let none = Failures::These(Vec::new());
        for reply in ["", "null", "{}", r#""done""#, r#"{"batchItemFailures":null}"#, r#"{"batchItemFailures":[]}"#] {
            assert_eq!(failures(reply.as_bytes(), &batch), none, "{reply}");
        }
        for reply in [
            "not json",
            r#"{"batchItemFailures":"all"}"#,
            r#"{"batchItemFailures":[{}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"unknown"}]}"#,
        ] {
            assert_eq!(failures(reply.as_bytes(), &batch), Failures::All, "{reply}");
        }
        let reply = json!({"batchItemFailures": [{"itemIdentifier": id}]}).to_string();
        assert_eq!(failures(reply.as_bytes(), &batch), Failures::These(vec![id]));
    }
}
