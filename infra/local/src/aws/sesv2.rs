//! SES v2: `SendEmail` with `Content.Simple`.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{protocol::ApiError, record::Needed};
use crate::{
    mails::{Mails, SentMail},
    names,
};

/// In characters.
const MAX_HEADER_NAME: usize = 126;
const MAX_HEADER_VALUE: usize = 870;
const MAX_TAG: usize = 256;

pub(super) const SEND_EMAIL: &str = "SendEmail";
pub(super) const SEND_EMAIL_PATH: &str = "/v2/email/outbound-emails";

pub(super) fn answer(mails: &Mails, operation: &str, body: &str) -> Result<String, ApiError> {
    if operation != SEND_EMAIL {
        return Err(ApiError::unknown_operation());
    }
    let request: Value = serde_json::from_str(body).map_err(|_| bad("the request is not JSON"))?;
    let mail = mail(&request)?;
    if mail.configuration_set != names::EMAIL_CONFIGURATION_SET {
        let message = format!("Configuration set <{}> does not exist.", mail.configuration_set);
        return Err(ApiError::new(404, "NotFoundException", message));
    }
    let message_id = mails.send(mail).map_err(ApiError::internal)?;
    Ok(json!({"MessageId": message_id}).to_string())
}

fn bad(message: &str) -> ApiError {
    ApiError::new(400, "BadRequestException", message)
}

fn mail(request: &Value) -> Result<SentMail, ApiError> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = |value: &Value| value.as_array().map(Vec::as_slice).unwrap_or_default().to_vec();
    let simple = &request["Content"]["Simple"];
    let data = |content: &Value| text(&content["Data"]).ok_or_else(|| bad("Content data is missing"));
    let to = list(&request["Destination"]["ToAddresses"]);
    let [to] = to.as_slice() else { return Err(bad("this stand-in takes one recipient")) };
    let pair = |one: &Value| Some((text(&one["Name"])?, text(&one["Value"])?));
    let pairs = |value: &Value| list(value).iter().map(pair).collect::<Option<Vec<_>>>();
    let headers = pairs(&simple["Headers"]).ok_or_else(|| bad("A header has no name or no value"))?;
    let printable = |value: &str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let is_header = |(name, value): &(String, String)| {
        name.len() <= MAX_HEADER_NAME && value.len() <= MAX_HEADER_VALUE && printable(value) && !name.contains(':')
    };
    if !headers.iter().all(is_header) {
        return Err(bad("A header is too long or holds other characters"));
    }
    let tags = pairs(&request["EmailTags"]).ok_or_else(|| bad("A tag has no name or no value"))?;
    let is_word = |text: &str| {
        text.len() <= MAX_TAG && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if !tags.iter().all(|(name, value)| is_word(name) && is_word(value)) {
        return Err(bad("Invalid tag"));
    }
    let from = text(&request["FromEmailAddress"]).filter(|from| from.is_ascii() && from.contains('@'));
    Ok(SentMail {
        message_id: String::new(),
        sent_at: Timestamp::UNIX_EPOCH,
        from: from.ok_or_else(|| bad("Missing or invalid FromEmailAddress"))?,
        to: text(to)
            .filter(|to| to.is_ascii() && to.contains('@'))
            .ok_or_else(|| bad("Local address contains control or whitespace"))?,
        reply_to: list(&request["ReplyToAddresses"]).iter().filter_map(text).collect(),
        subject: data(&simple["Subject"])?,
        text: data(&simple["Body"]["Text"])?,
        html: data(&simple["Body"]["Html"])?,
        headers,
        tags,
        configuration_set: text(&request["ConfigurationSetName"]).unwrap_or_default(),
    })
}

/// The permissions that this call needs: for the identity of the sender, and for the configuration set.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let action = format!("ses:{operation}");
    let set = body["ConfigurationSetName"].as_str().map(|set| (action.clone(), format!("configuration-set/{set}")));
    std::iter::once((action.clone(), "identity".to_owned())).chain(set).collect()
}
