//! SNS: `Publish`.

use std::collections::BTreeMap;

use digime::ambient::Ambient;

use super::{
    protocol::{ApiError, xml_text},
    record::Needed,
};
use crate::{ids::uuid, topic::Topics};

const SIZE_LIMIT: usize = 256 * 1024;
const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

pub(super) fn answer(topics: &Topics, operation: &str, body: &str, ambient: &Ambient) -> Result<String, ApiError> {
    if operation != "Publish" {
        return Err(ApiError::unknown_operation());
    }
    let form = form(body);
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let topic = topics.by_arn(field("TopicArn"));
    let topic = topic.ok_or_else(|| ApiError::new(404, "NotFound", "Topic does not exist"))?;
    let message = field("Message");
    if message.is_empty() {
        return Err(ApiError::new(400, "InvalidParameter", "Invalid parameter: Empty message"));
    }
    let attributes = attributes(&form);
    let attribute_bytes: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    if message.len() + attribute_bytes > SIZE_LIMIT {
        return Err(ApiError::new(400, "InvalidParameter", "Invalid parameter: Message too long"));
    }
    let message_id = topic.publish(message, attributes).map_err(ApiError::internal)?;
    Ok(format!(
        r#"<PublishResponse xmlns="{NAMESPACE}"><PublishResult><MessageId>{}</MessageId></PublishResult><ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></PublishResponse>"#,
        xml_text(&message_id),
        uuid(ambient),
    ))
}

fn form(body: &str) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body.as_bytes()).into_owned().collect()
}

/// Reads the attributes from `MessageAttributes.entry.<n>.Name` and `.Value.StringValue`, with `n` from 1.
fn attributes(form: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    (1..)
        .map_while(|number| {
            let name = form.get(&format!("MessageAttributes.entry.{number}.Name"))?;
            let value = form.get(&format!("MessageAttributes.entry.{number}.Value.StringValue"));
            Some((name.clone(), value.cloned().unwrap_or_default()))
        })
        .collect()
}

/// The permission that this call needs.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let resource = form(body).remove("TopicArn").unwrap_or_default();
    vec![(format!("sns:{operation}"), resource)]
}
