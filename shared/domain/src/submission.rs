//! Submitted read results: what an application hands in, and the messages of the `ReadResults` queue.

use digime::{ContractId, InvalidField, InvalidFields, InvalidValue, read_result::ReadResult};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    TraceParent, UserId,
    time::{rfc3339, whole_milliseconds},
};

/// A read result with more accounts is refused.
pub const MAX_ACCOUNTS: usize = 2_000;
/// The part of a message beside the accounts is shorter than this many bytes.
const MAX_ENVELOPE: usize = 512;

/// A read result as it is submitted: the body of a `ReadResults` message, without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    pub user_id: UserId,
    /// The contract of the read session.
    pub contract_id: Option<ContractId>,
    /// When the read session was started.
    pub observed_at: Option<Timestamp>,
    /// When the application submitted the read result over HTTP.
    pub submitted_at: Option<Timestamp>,
    /// The trace of the read session. `None` if the application passed none on.
    pub traceparent: Option<TraceParent>,
    pub read_result: ReadResult,
}

impl Submission {
    /// Parses `{"userId", "contractId"?, "observedAt"?, "submittedAt"?, "traceparent"?, "readResult"}`. A `traceparent`
    /// that is not valid is ignored, as W3C Trace Context requires.
    pub fn parse(value: &Value) -> Result<Self, InvalidFields> {
        let Some(fields) = value.as_object() else {
            return Err(InvalidField::new("", "must be a JSON object").into());
        };
        let mut wrong = InvalidFields::default();
        let user_id = wrong.check(required(fields, "userId"));
        let contract_id = wrong.check(text(fields, "contractId", str::parse));
        let observed_at = wrong.check(text(fields, "observedAt", timestamp));
        let submitted_at = wrong.check(text(fields, "submittedAt", timestamp));
        let traceparent = fields.get("traceparent").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let read_result = wrong.check(read_result(fields));
        wrong.finish(|| {
            Some(Self {
                user_id: user_id?,
                contract_id: contract_id?,
                observed_at: observed_at?,
                submitted_at: submitted_at?,
                traceparent,
                read_result: read_result?,
            })
        })
    }

    /// The submission as `ReadResults` messages of at most `max_length` bytes each, unless a single account is longer.
    /// The messages contain only what was parsed from `completed` entries and entries that need the user.
    #[must_use]
    pub fn messages(&self, max_length: usize) -> Vec<String> {
        let mut messages = Vec::new();
        let mut part = Map::new();
        let mut length = 0;
        for (id, entry) in &self.read_result.entries {
            let Some(entry) = entry.to_json() else { continue };
            let added = id.as_str().len() + entry.to_string().len() + 4;
            if length + added > max_length.saturating_sub(MAX_ENVELOPE) && !part.is_empty() {
                messages.push(self.message(std::mem::take(&mut part)));
                length = 0;
            }
            length += added;
            part.insert(id.to_string(), entry);
        }
        if !part.is_empty() {
            messages.push(self.message(part));
        }
        messages
    }

    fn message(&self, accounts: Map<String, Value>) -> String {
        // The bare map cannot be used: an account with the id `status` or `details` would be misread.
        let mut message = json!({"userId": self.user_id, "readResult": {"status": {"details": accounts}}});
        if let Some(contract_id) = &self.contract_id {
            message["contractId"] = json!(contract_id);
        }
        for (name, time) in [("observedAt", self.observed_at), ("submittedAt", self.submitted_at)] {
            if let Some(time) = time {
                message[name] = json!(rfc3339::text(time));
            }
        }
        if let Some(traceparent) = &self.traceparent {
            message["traceparent"] = json!(traceparent);
        }
        message.to_string()
    }
}

fn required<T: std::str::FromStr<Err = InvalidValue>>(
    fields: &Map<String, Value>,
    name: &'static str,
) -> Result<T, InvalidField> {
    text(fields, name, str::parse)?.ok_or_else(|| InvalidField::new(name, "is missing"))
}

fn text<T>(
    fields: &Map<String, Value>,
    name: &'static str,
    parse: impl FnOnce(&str) -> Result<T, InvalidValue>,
) -> Result<Option<T>, InvalidField> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => parse(text).map(Some).map_err(|InvalidValue(why)| InvalidField::new(name, why)),
        Some(_) => Err(InvalidField::new(name, "must be a string")),
    }
}

fn read_result(fields: &Map<String, Value>) -> Result<ReadResult, InvalidFields> {
    let read_result = fields.get("readResult").ok_or_else(|| InvalidField::new("readResult", "is missing"))?;
    let read_result = parse_read_result(read_result)?;
    if is_too_large(&read_result) {
        return Err(InvalidField::new("readResult", format!("holds more than {MAX_ACCOUNTS} accounts")).into());
    }
    Ok(read_result)
}

/// Parses the field `readResult`.
///
/// # Errors
/// All invalid fields, with names that begin with `readResult`.
pub fn parse_read_result(value: &Value) -> Result<ReadResult, InvalidFields> {
    ReadResult::parse(value).map_err(|wrong| wrong.under("readResult"))
}

/// Whether a read result has more than [`MAX_ACCOUNTS`] entries.
#[must_use]
pub fn is_too_large(result: &ReadResult) -> bool {
    result.entries.len() + result.ignored.len() > MAX_ACCOUNTS
}

/// Parses the time of a read result: RFC 3339 with any offset.
pub fn timestamp(text: &str) -> Result<Timestamp, InvalidValue> {
    text.parse().map(whole_milliseconds).map_err(|_| InvalidValue("must be an RFC 3339 timestamp"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use digime::read_result::Entry;

    use super::*;

    /// The error as digi.me's page documents it.
    fn documented() -> Value {
        json!({"state": "partial", "error": {"code": "ServiceAuthorizationError",
            "error": {"message": "Service authorization required", "reauth": true}, "statusCode": 511}})
    }

    fn names<T: std::fmt::Debug>(result: Result<T, InvalidFields>) -> String {
        result.unwrap_err().0.iter().map(InvalidField::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_submission_names_the_bad_field() {
        let good =
            json!({"userId": "u", "contractId": "c", "observedAt": "2026-11-23T10:00:00+01:00", "readResult": {}});
        let submission = Submission::parse(&good).unwrap();
        assert_eq!(submission.observed_at, Some("2026-11-23T09:00:00Z".parse().unwrap()));
        for (field, value) in [
            ("userId", json!(null)),
            ("userId", json!(1)),
            ("userId", json!("a b")),
            ("contractId", json!("")),
            ("observedAt", json!("yesterday")),
            ("observedAt", json!(1_700_000_000)),
            ("readResult", json!(null)),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            assert_eq!(names(Submission::parse(&bad)), field, "{bad}");
        }
        let all = json!({"userId": "", "contractId": "", "observedAt": "", "submittedAt": 7, "readResult": {"a": 1}});
        let expected = "userId contractId observedAt submittedAt readResult.a";
        assert_eq!(names(Submission::parse(&all)), expected);
    }

    #[test]
    fn a_message_of_too_many_accounts_is_refused() {
        let accounts = |number| (0..number).map(|n| (format!("{n}_a"), documented())).collect::<Map<_, _>>();
        let message = |number| json!({"userId": "u", "readResult": {"details": accounts(number)}});
        assert!(Submission::parse(&message(MAX_ACCOUNTS)).is_ok());
        assert_eq!(names(Submission::parse(&message(MAX_ACCOUNTS + 1))), "readResult");
    }

    #[test]
    fn a_message_keeps_accounts_of_any_name() {
        let names = ["status", "details", "state", "fileList", "error"];
        let details: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), documented())).collect();
        let sent = json!({"userId": "u", "readResult": {"status": {"details": details}}});
        let submission = Submission::parse(&sent).unwrap();
        let messages = submission.messages(100_000);
        assert_eq!(Submission::parse(&serde_json::from_str(&messages[0]).unwrap()), Ok(submission));
    }

    #[test]
    fn messages_hold_what_was_understood_and_fit() {
        let mut accounts = Map::new();
        for n in 0..100 {
            accounts.insert(format!("{n}_a"), documented());
            accounts.insert(format!("{n}_b"), json!({"state": "completed", "token": "secret"}));
            accounts.insert(format!("{n}_c"), json!({"state": "running"}));
        }
        let sent = json!({"userId": "u", "contractId": "c", "observedAt": "2026-11-23T09:00:00Z",
            "submittedAt": "2026-11-23T09:00:01Z", "readResult": {"status": {"details": accounts}, "userAccessToken": {"value": "secret"}, "fileList": []}});
        let submission = Submission::parse(&sent).unwrap();
        let messages = submission.messages(4_000);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() <= 4_000));
        assert!(messages.iter().all(|message| !message.contains("secret") && !message.contains("running")));
        let mut entries = BTreeMap::new();
        for message in messages {
            let part = Submission::parse(&serde_json::from_str(&message).unwrap()).unwrap();
            assert_eq!((part.contract_id, part.observed_at), (submission.contract_id.clone(), submission.observed_at));
            assert_eq!(part.submitted_at, submission.submitted_at);
            entries.extend(part.read_result.entries);
        }
        let mut decided = submission.read_result.entries;
        decided.retain(|_, entry| *entry != Entry::Undecided);
        assert_eq!(entries, decided);
    }
}
