//! SQS: `SendMessage` and `SendMessageBatch`.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Map, Value, json};

use super::{protocol::ApiError, record::Needed};
use crate::{
    names::Queue,
    queues::{NewMessage, Queues},
};

/// In bytes: the limit of one message, and of all messages of a batch together.
const SIZE_LIMIT: usize = 1024 * 1024;
const BATCH_LIMIT: usize = 10;
const DELAY_LIMIT: u64 = 900;

pub(super) fn answer(queues: &Queues, operation: &str, body: &str, caller: &str) -> Result<String, ApiError> {
    let request: Value = serde_json::from_str(body)
        .map_err(|_| ApiError::new(400, "SerializationException", "The request is not JSON."))?;
    match operation {
        "SendMessage" => {
            let queue = queue(&request)?;
            let message = message(&request, caller)?;
            if size(&message) > SIZE_LIMIT {
                return Err(invalid(
                    "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
                ));
            }
            Ok(send(queues, queue, &message)?.to_string())
        }
        "SendMessageBatch" => send_batch(queues, &request, caller),
        _ => Err(ApiError::unknown_operation()),
    }
}

fn send_batch(queues: &Queues, request: &Value, caller: &str) -> Result<String, ApiError> {
    let queue = queue(request)?;
    let entries = request["Entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ids: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["Id"].as_str()).collect();
    if entries.is_empty() {
        return Err(error("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", "The batch is empty."));
    }
    if entries.len() > BATCH_LIMIT {
        return Err(error(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10.",
        ));
    }
    if ids.len() != entries.len() {
        return Err(error(
            "BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id, or one has none.",
        ));
    }
    let messages: Vec<Result<NewMessage, ApiError>> = entries.iter().map(|entry| message(entry, caller)).collect();
    if messages.iter().flatten().map(size).sum::<usize>() > SIZE_LIMIT {
        return Err(error(
            "BatchRequestTooLong",
            "AWS.SimpleQueueService.BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes.",
        ));
    }
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, message) in entries.iter().zip(messages) {
        match message.and_then(|message| send(queues, queue, &message)) {
            Ok(mut sent) => {
                sent["Id"] = entry["Id"].clone();
                successful.push(sent);
            }
            Err(error) => failed.push(json!({
                "Id": entry["Id"], "SenderFault": error.status < 500, "Code": error.code, "Message": error.message,
            })),
        }
    }
    Ok(json!({"Successful": successful, "Failed": failed}).to_string())
}

fn send(queues: &Queues, queue: Queue, message: &NewMessage) -> Result<Value, ApiError> {
    let message_id = queues.send(queue, message).map_err(ApiError::internal)?;
    let mut sent = json!({
        "MessageId": message_id,
        "MD5OfMessageBody": format!("{:x}", md5::compute(&message.body)),
    });
    if !message.attributes.is_empty() {
        sent["MD5OfMessageAttributes"] = json!(md5_of_attributes(&message.attributes));
    }
    Ok(sent)
}

fn queue(request: &Value) -> Result<Queue, ApiError> {
    let url = request["QueueUrl"].as_str().unwrap_or_default();
    url.rsplit('/').next().and_then(Queue::by_name).ok_or_else(|| {
        error("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
    })
}

fn message(entry: &Value, caller: &str) -> Result<NewMessage, ApiError> {
    let body = entry["MessageBody"].as_str().unwrap_or_default();
    if body.is_empty() {
        return Err(error(
            "MissingParameter",
            "MissingParameter",
            "The request must contain the parameter MessageBody.",
        ));
    }
    if !body.chars().all(is_allowed) {
        return Err(error("InvalidMessageContents", "InvalidMessageContents", "Invalid characters found."));
    }
    let delay = entry["DelaySeconds"].as_u64().unwrap_or_default();
    if delay > DELAY_LIMIT {
        return Err(invalid(
            "Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ));
    }
    Ok(NewMessage {
        body: body.to_owned(),
        attributes: entry["MessageAttributes"].as_object().cloned().unwrap_or_default(),
        sender: caller.to_owned(),
        delay: Duration::from_secs(delay),
    })
}

/// Whether SQS accepts the character: a message may contain the characters of XML 1.0.
const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The size of the attributes: the bytes of their names, types and values.
fn size(message: &NewMessage) -> usize {
    let attributes = message.attributes.iter().map(|(name, attribute)| {
        let text = |field: &str| attribute[field].as_str().map_or(0, str::len);
        name.len() + text("DataType") + text("StringValue") + text("BinaryValue")
    });
    message.body.len() + attributes.sum::<usize>()
}

/// The MD5 digest of the attributes, as documented by SQS: for each attribute, in the order of names, the length and
/// the bytes of its name and its type, then 1, then the value.
fn md5_of_attributes(attributes: &Map<String, Value>) -> String {
    let mut bytes = Vec::new();
    let mut add = |text: &str, marker: Option<u8>| {
        bytes.extend(marker);
        bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    let sorted: std::collections::BTreeMap<_, _> = attributes.iter().collect();
    for (name, attribute) in sorted {
        add(name, None);
        add(attribute["DataType"].as_str().unwrap_or_default(), None);
        add(attribute["StringValue"].as_str().unwrap_or_default(), Some(1));
    }
    format!("{:x}", md5::compute(bytes))
}

fn invalid(message: &str) -> ApiError {
    error("InvalidParameterValue", "InvalidParameterValue", message)
}

fn error(code: &str, query_code: &'static str, message: &str) -> ApiError {
    ApiError { query_code: Some(query_code), ..ApiError::new(400, code, message) }
}

/// The permission that this call needs.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let resource = queue(&body).map_or_else(|_| "?".to_owned(), |queue| queue.name().to_owned());
    // One permission covers both operations.
    let action = if operation == "SendMessageBatch" { "SendMessage" } else { operation };
    vec![(format!("sqs:{action}"), resource)]
}
