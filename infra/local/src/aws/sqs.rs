//! SQS: `SendMessage`, `SendMessageBatch`, `ChangeMessageVisibility`, `GetQueueAttributes`.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value, json};

use super::{protocol::ApiError, record::Needed};
use crate::{
    names::Queue,
    queues::{QueueError, Queues, VisibilityError},
};

/// In bytes. The limit of one message with its attributes, and of a batch.
const SIZE_LIMIT: usize = 1024 * 1024;
const MAX_ATTRIBUTES: usize = 10;
const MAX_BATCH: usize = 10;
/// In seconds.
const LONGEST_VISIBILITY_TIMEOUT: u64 = 43_200;

/// The queue that the URL of a request names.
#[derive(Clone, Copy)]
enum Target {
    Queue(Queue),
    DeadLettersOf(Queue),
}

/// A message to send.
struct Outgoing<'a> {
    body: &'a str,
    attributes: BTreeMap<String, String>,
}

pub(super) fn answer(queues: &Queues, operation: &str, body: &str) -> Result<String, ApiError> {
    let request: Value = serde_json::from_str(body)
        .map_err(|_| ApiError::new(400, "SerializationException", "The request is not JSON."))?;
    let target = || {
        let unknown = || ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist.");
        Target::of(&request).ok_or_else(unknown)
    };
    let reply = match operation {
        "SendMessage" => send(queues, target()?, &request)?,
        "SendMessageBatch" => send_batch(queues, target()?, &request)?,
        "ChangeMessageVisibility" => change_visibility(queues, target()?, &request)?,
        "GetQueueAttributes" => attributes(queues, target()?, &request)?,
        _ => return Err(ApiError::unknown_operation()),
    };
    Ok(reply.to_string())
}

fn invalid(reason: &str) -> ApiError {
    ApiError::new(400, "InvalidParameterValue", format!("One or more parameters are invalid. Reason: {reason}"))
}

impl Target {
    fn of(request: &Value) -> Option<Self> {
        let name = request["QueueUrl"].as_str()?.rsplit('/').next()?;
        let dead_letters = || Queue::by_dead_letters_name(name).map(Self::DeadLettersOf);
        Queue::by_name(name).map(Self::Queue).or_else(dead_letters)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queue(queue) => queue.name(),
            Self::DeadLettersOf(queue) => queue.dead_letters_name(),
        }
    }

    fn send(self, queues: &Queues, message: &Outgoing<'_>) -> Result<String, QueueError> {
        match self {
            Self::Queue(queue) => queues.send_with(queue, message.body, &message.attributes),
            Self::DeadLettersOf(queue) => queues.send_dead_letter(queue, message.body, &message.attributes),
        }
    }
}

impl<'a> Outgoing<'a> {
    /// A message as the fields of a request describe it. Attributes of other types than text are not used here.
    fn of(fields: &'a Value) -> Result<Self, ApiError> {
        let body = fields["MessageBody"].as_str().unwrap_or_default();
        let attributes: BTreeMap<String, String> = fields["MessageAttributes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), value["StringValue"].as_str().unwrap_or_default().to_owned()))
            .collect();
        if body.is_empty() {
            return Err(ApiError::new(400, "MissingParameter", "The request must contain the parameter MessageBody."));
        }
        if attributes.len() > MAX_ATTRIBUTES {
            return Err(invalid("The number of message attributes exceeds the limit of 10."));
        }
        let message = Self { body, attributes };
        if message.size() > SIZE_LIMIT {
            return Err(invalid("Message must be shorter than 1048576 bytes."));
        }
        if !body.chars().all(is_allowed) {
            return Err(ApiError::new(400, "InvalidMessageContents", "Invalid characters found."));
        }
        Ok(message)
    }

    fn size(&self) -> usize {
        let of_attribute = |(name, value): (&String, &String)| name.len() + "String".len() + value.len();
        self.body.len() + self.attributes.iter().map(of_attribute).sum::<usize>()
    }

    fn md5(&self) -> String {
        format!("{:x}", md5::compute(self.body))
    }
}

fn send(queues: &Queues, target: Target, request: &Value) -> Result<Value, ApiError> {
    let message = Outgoing::of(request)?;
    let message_id = target.send(queues, &message).map_err(ApiError::internal)?;
    Ok(json!({"MessageId": message_id, "MD5OfMessageBody": message.md5()}))
}

/// A message that SQS refuses does not affect the others.
fn send_batch(queues: &Queues, target: Target, request: &Value) -> Result<Value, ApiError> {
    let entries = request["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return Err(ApiError::new(400, "EmptyBatchRequest", "There should be at least one entry in the request."));
    }
    if entries.len() > MAX_BATCH {
        let message = "Maximum number of entries per request are 10.";
        return Err(ApiError::new(400, "TooManyEntriesInBatchRequest", message));
    }
    let messages: Vec<_> = entries.iter().map(Outgoing::of).collect();
    if messages.iter().flatten().map(Outgoing::size).sum::<usize>() > SIZE_LIMIT {
        let message = "Batch requests cannot be longer than 1048576 bytes.";
        return Err(ApiError::new(400, "BatchRequestTooLong", message));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, message) in entries.iter().zip(messages) {
        match message {
            Ok(message) => {
                let message_id = target.send(queues, &message).map_err(ApiError::internal)?;
                successful.push(json!({"Id": entry["Id"], "MessageId": message_id, "MD5OfMessageBody": message.md5()}));
            }
            Err(error) => {
                failed.push(
                    json!({"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": true}),
                );
            }
        }
    }
    Ok(json!({"Successful": successful, "Failed": failed}))
}

fn change_visibility(queues: &Queues, target: Target, request: &Value) -> Result<Value, ApiError> {
    let seconds = request["VisibilityTimeout"].as_u64().filter(|seconds| *seconds <= LONGEST_VISIBILITY_TIMEOUT);
    let Some(seconds) = seconds else {
        return Err(invalid("VisibilityTimeout must be between 0 and 43200 seconds."));
    };
    // Nothing receives from a dead-letter queue, so no receipt handle is one of its messages.
    let Target::Queue(queue) = target else { return Err(refused(&VisibilityError::UnknownHandle)) };
    let handle = request["ReceiptHandle"].as_str().unwrap_or_default();
    queues.change_visibility(queue, handle, Duration::from_secs(seconds)).map_err(|error| refused(&error))?;
    Ok(json!({}))
}

fn refused(error: &VisibilityError) -> ApiError {
    match error {
        VisibilityError::UnknownHandle => {
            ApiError::new(404, "ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
        }
        VisibilityError::NotInFlight => {
            invalid("Message does not exist or is not available for visibility timeout change.")
        }
        VisibilityError::TooLong => {
            invalid("Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")
        }
        VisibilityError::Queue(error) => ApiError::internal(error),
    }
}

/// The numbers of messages. The others of a queue's attributes are not used here.
fn attributes(queues: &Queues, target: Target, request: &Value) -> Result<Value, ApiError> {
    let (Target::Queue(queue) | Target::DeadLettersOf(queue)) = target;
    let depth = queues.depth(queue).map_err(ApiError::internal)?;
    let (visible, hidden) = match target {
        Target::Queue(_) => (depth.visible, depth.hidden),
        Target::DeadLettersOf(_) => (depth.dead, 0),
    };
    let counts = [
        ("ApproximateNumberOfMessages", visible),
        ("ApproximateNumberOfMessagesNotVisible", hidden),
        ("ApproximateNumberOfMessagesDelayed", 0),
    ];
    let names = request["AttributeNames"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_asked_for = |name: &str| names.iter().any(|asked| asked == name || asked == "All");
    let asked = counts.into_iter().filter(|(name, _)| is_asked_for(name));
    let attributes: Map<String, Value> =
        asked.map(|(name, count)| (name.to_owned(), json!(count.to_string()))).collect();
    Ok(json!({"Attributes": attributes}))
}

/// Whether SQS accepts the character: a message may contain the characters of XML 1.0.
const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The permission that this call needs. That of a batch is that of a message.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let resource = Target::of(&body).map_or("?", Target::name);
    vec![(format!("sqs:{}", operation.trim_end_matches("Batch")), resource.to_owned())]
}
