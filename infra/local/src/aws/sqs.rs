//! SQS: `SendMessage`.

use serde_json::{Value, json};

use super::{protocol::ApiError, record::Needed};
use crate::{names::Queue, queues::Queues};

/// In bytes. The limit of one message.
const SIZE_LIMIT: usize = 1024 * 1024;

pub(super) fn answer(queues: &Queues, operation: &str, body: &str) -> Result<String, ApiError> {
    if operation != "SendMessage" {
        return Err(ApiError::unknown_operation());
    }
    let request: Value = serde_json::from_str(body)
        .map_err(|_| ApiError::new(400, "SerializationException", "The request is not JSON."))?;
    let queue = queue(&request)
        .ok_or_else(|| ApiError::new(400, "QueueDoesNotExist", "The specified queue does not exist."))?;
    let message = request["MessageBody"].as_str().unwrap_or_default();
    if message.len() > SIZE_LIMIT {
        let reason = "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.";
        return Err(ApiError::new(400, "InvalidParameterValue", reason));
    }
    if !message.chars().all(is_allowed) {
        return Err(ApiError::new(400, "InvalidMessageContents", "Invalid characters found."));
    }
    let message_id = queues.send(queue, message).map_err(ApiError::internal)?;
    Ok(json!({"MessageId": message_id, "MD5OfMessageBody": format!("{:x}", md5::compute(message))}).to_string())
}

/// The queue that the URL of a request names.
fn queue(request: &Value) -> Option<Queue> {
    request["QueueUrl"].as_str()?.rsplit('/').next().and_then(Queue::by_name)
}

/// Whether SQS accepts the character: a message may contain the characters of XML 1.0.
const fn is_allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The permission that this call needs.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let resource = queue(&body).map_or("?", Queue::name);
    vec![(format!("sqs:{operation}"), resource.to_owned())]
}
