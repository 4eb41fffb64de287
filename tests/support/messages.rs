//! What the queues and the stream hold: read results, batches, stream records.

use std::fmt;

use jiff::Timestamp;
use local::names::{self, Queue};
use serde_json::{Value, json};

/// The demo user's bank account.
pub const BANK: &str = "1_demo-bank";

/// The accounts of a read result in which one account needs its user: digi.me's documented error.
#[must_use]
pub fn broken(account: &str) -> Value {
    json!({account: {"state": "partial", "error": {"code": "ServiceAuthorizationError",
        "error": {"message": "Service authorization required", "reauth": true}, "statusCode": 511}}})
}

/// The accounts of a read result in which one account was read completely.
#[must_use]
pub fn healthy(account: &str) -> Value {
    json!({account: {"state": "completed"}})
}

/// The body of a message on the queue of read results. Its text is JSON.
#[derive(Debug, Clone)]
pub struct ReadResult(Value);

impl ReadResult {
    /// A result without a contract and without a time of its own.
    #[must_use]
    pub fn new(user: &str, accounts: &Value) -> Self {
        Self(json!({"userId": user, "readResult": accounts}))
    }

    /// The contract of the read.
    #[must_use]
    pub fn contract(mut self, contract: &str) -> Self {
        self.0["contractId"] = json!(contract);
        self
    }

    /// When the read session was started.
    #[must_use]
    pub fn observed_at(mut self, at: impl fmt::Display) -> Self {
        self.0["observedAt"] = json!(at.to_string());
        self
    }

    #[must_use]
    pub fn json(&self) -> Value {
        self.0.clone()
    }
}

impl fmt::Display for ReadResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A message of a queue, as Lambda gives it to a function.
#[derive(Debug, Clone)]
pub struct SqsMessage {
    body: String,
    sent_at: Timestamp,
    id: String,
    receipt_handle: String,
    queue: Queue,
    receive_count: u32,
}

impl SqsMessage {
    /// A message of the queue of read results that is received for the first time.
    #[must_use]
    pub fn new(body: impl fmt::Display, sent_at: Timestamp) -> Self {
        let (id, receipt_handle) = ("m".to_owned(), "r".to_owned());
        Self { body: body.to_string(), sent_at, id, receipt_handle, queue: Queue::ReadResults, receive_count: 1 }
    }

    #[must_use]
    pub fn id(mut self, id: impl fmt::Display) -> Self {
        self.id = id.to_string();
        self
    }

    /// The handle of its receipt, with which its function can hide it.
    #[must_use]
    pub fn receipt_handle(mut self, handle: impl fmt::Display) -> Self {
        self.receipt_handle = handle.to_string();
        self
    }

    #[must_use]
    pub fn queue(mut self, queue: Queue) -> Self {
        self.queue = queue;
        self
    }

    /// How often the message was received, this time included.
    #[must_use]
    pub fn receive_count(mut self, count: u32) -> Self {
        self.receive_count = count;
        self
    }

    /// The batch that holds only this message.
    #[must_use]
    pub fn alone(self) -> Value {
        sqs_batch([self])
    }

    fn record(&self) -> Value {
        json!({
            "messageId": self.id,
            "receiptHandle": self.receipt_handle,
            "body": self.body,
            "attributes": {
                "SentTimestamp": self.sent_at.as_millisecond().to_string(),
                "ApproximateReceiveCount": self.receive_count.to_string(),
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": self.queue.arn(),
            "awsRegion": names::REGION,
        })
    }
}

/// The event that Lambda makes of a batch.
#[must_use]
pub fn sqs_batch(messages: impl IntoIterator<Item = SqsMessage>) -> Value {
    json!({"Records": messages.into_iter().map(|message| message.record()).collect::<Vec<_>>()})
}

/// The record of a new item in the table's stream.
#[must_use]
pub fn inserted(item: &Value) -> Value {
    json!({"eventName": "INSERT", "dynamodb": {"NewImage": item}})
}
