//! Read results: what a read at digi.me said of each account.
//!
//! Source: digi.me's page on reauthorizing an account (the documented error) and the types of the official SDKs
//! (the other shape of the same error). Only the status map is looked at; tokens and files are never kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{AccountId, ContractId, InvalidValue, UserId, account::AccountError};
use crate::ambient::{rfc3339, whole_milliseconds};

/// What digi.me calls the error of an account that must be reauthorized.
const REAUTHORIZATION_CODE: &str = "ServiceAuthorizationError";
/// The status that goes with it.
const REAUTHORIZATION_STATUS: u64 = 511;
/// Texts of a stranger are kept up to this many characters.
const MAX_TEXT: usize = 1_000;
/// What a message holds beside the accounts is shorter than this.
const MAX_ENVELOPE: usize = 512;

/// A field that is missing or has the wrong form. The message says what is wrong, never what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct InvalidField {
    /// Where, such as `readResult.status.details`.
    pub field: String,
    /// What is wrong.
    pub message: &'static str,
}

impl InvalidField {
    /// A message about a field.
    pub fn new(field: impl Into<String>, message: &'static str) -> Self {
        Self { field: field.into(), message }
    }
}

/// A read result as it is handed in: the body of a `ReadResults` message without its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The user who was read.
    pub user_id: UserId,
    /// The contract that was read under.
    pub contract_id: Option<ContractId>,
    /// When the read session was started.
    pub observed_at: Option<Timestamp>,
    /// What was read.
    pub read_result: ReadResult,
}

impl Submission {
    /// Reads `{"userId", "contractId"?, "observedAt"?, "readResult"}`.
    ///
    /// # Errors
    /// [`InvalidField`] names the field.
    pub fn parse(value: &Value) -> Result<Self, InvalidField> {
        let Some(fields) = value.as_object() else {
            return Err(InvalidField::new("", "must be a JSON object"));
        };
        let read_result = fields.get("readResult").ok_or_else(|| InvalidField::new("readResult", "is missing"))?;
        Ok(Self {
            user_id: text(fields, "userId")?.ok_or_else(|| InvalidField::new("userId", "is missing"))?,
            contract_id: text(fields, "contractId")?,
            observed_at: observed_at(fields)?,
            read_result: ReadResult::parse(read_result)?,
        })
    }
}

impl Submission {
    /// The submission as `ReadResults` messages of at most `max_length` bytes each, as long as no account's own text is
    /// longer. They hold what was understood of the accounts that decide something, and nothing else that was sent.
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
        let mut message = json!({"userId": self.user_id, "readResult": accounts});
        if let Some(contract_id) = &self.contract_id {
            message["contractId"] = json!(contract_id);
        }
        if let Some(observed_at) = self.observed_at {
            message["observedAt"] = json!(rfc3339::text(observed_at));
        }
        message.to_string()
    }
}

fn text<T: std::str::FromStr<Err = InvalidValue>>(
    fields: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, InvalidField> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(Some).map_err(|InvalidValue(why)| InvalidField::new(name, why)),
        Some(_) => Err(InvalidField::new(name, "must be a string")),
    }
}

/// Reads the optional field `observedAt`, RFC 3339 with any offset.
///
/// # Errors
/// When it is not a timestamp.
pub fn observed_at(fields: &Map<String, Value>) -> Result<Option<Timestamp>, InvalidField> {
    let wrong = || InvalidField::new("observedAt", "must be an RFC 3339 timestamp");
    match fields.get("observedAt") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => text.parse().map(|time| Some(whole_milliseconds(time))).map_err(|_| wrong()),
        Some(_) => Err(wrong()),
    }
}

/// What a read said of each account that it named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadResult {
    /// The accounts, by digi.me's identifier.
    pub entries: BTreeMap<AccountId, Entry>,
}

/// What a read said of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It was read to the end: its authorization works.
    Completed,
    /// The source wants the user.
    NeedsUser(AccountError),
    /// Nothing that would change its status: still running, another error, or a form that is not known yet.
    Undecided,
}

impl ReadResult {
    /// Reads a whole file list (`{status, fileList}`), its `status` object, or the bare map of accounts.
    ///
    /// # Errors
    /// When it is none of them. An odd entry is not an error: it decides nothing.
    pub fn parse(value: &Value) -> Result<Self, InvalidField> {
        let entries = status_map(value)?.into_iter().flatten();
        let entries = entries.filter_map(|(id, entry)| Some((id.parse().ok()?, Entry::read(entry)))).collect();
        Ok(Self { entries })
    }
}

/// The map of accounts in a read result of any form; none if the result names no accounts yet.
///
/// # Errors
/// When the value is not a read result.
pub fn status_map(value: &Value) -> Result<Option<&Map<String, Value>>, InvalidField> {
    const SHAPE: &str = "must be a file list, its status object, or a map of accounts";
    let fields = value.as_object().ok_or_else(|| InvalidField::new("readResult", SHAPE))?;
    match fields.get("status") {
        Some(Value::Object(status)) => return details(status, "readResult.status.details"),
        Some(_) => return Err(InvalidField::new("readResult.status", "must be an object")),
        None if fields.contains_key("fileList") => {
            return Err(InvalidField::new("readResult.status", "is missing"));
        }
        None => {}
    }
    if fields.get("state").is_some_and(Value::is_string) {
        return details(fields, "readResult.details");
    }
    let bare_map = fields.is_empty() || fields.values().any(Value::is_object);
    if bare_map { Ok(Some(fields)) } else { Err(InvalidField::new("readResult", SHAPE)) }
}

fn details<'a>(
    status: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Option<&'a Map<String, Value>>, InvalidField> {
    match status.get("details") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(details)) => Ok(Some(details)),
        Some(_) => Err(InvalidField::new(field, "must be an object")),
    }
}

impl Entry {
    /// The entry in digi.me's form; none if it decides nothing.
    fn to_json(&self) -> Option<Value> {
        match self {
            Self::Completed => Some(json!({"state": "completed"})),
            Self::NeedsUser(error) => {
                let mut error = json!(error);
                error["reauth"] = json!(true);
                Some(json!({"state": "partial", "error": error}))
            }
            Self::Undecided => None,
        }
    }

    fn read(entry: &Value) -> Self {
        if let Some(error) = entry.get("error").filter(|error| error.is_object()) {
            return if needs_user(error) { Self::NeedsUser(describe(error)) } else { Self::Undecided };
        }
        match entry.get("state").and_then(Value::as_str) {
            Some("completed") => Self::Completed,
            _ => Self::Undecided,
        }
    }
}

/// The documented shape nests `reauth` and `message` in an `error` of its own; the SDKs' shape does not.
fn either<'a, T>(error: &'a Value, name: &str, read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
    let at = |error: &'a Value| error.get(name).and_then(&read);
    at(error).or_else(|| error.get("error").and_then(at))
}

fn needs_user(error: &Value) -> bool {
    let flags = [error.get("reauth"), error.get("error").and_then(|inner| inner.get("reauth"))];
    let flags: Vec<bool> = flags.into_iter().flatten().filter_map(Value::as_bool).collect();
    if !flags.is_empty() {
        return flags.contains(&true);
    }
    let passes_by_itself = either(error, "retryAfter", |value| (!value.is_null()).then_some(())).is_some();
    let code = either(error, "code", Value::as_str);
    let status = either(error, "statusCode", Value::as_u64);
    !passes_by_itself && (code == Some(REAUTHORIZATION_CODE) || status == Some(REAUTHORIZATION_STATUS))
}

fn describe(error: &Value) -> AccountError {
    let text = |name| either(error, name, Value::as_str).map(|text| text.chars().take(MAX_TEXT).collect());
    AccountError {
        code: text("code"),
        status_code: either(error, "statusCode", Value::as_u64).and_then(|status| status.try_into().ok()),
        message: text("message"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// digi.me's own page: the documented error.
    fn documented() -> Value {
        json!({"state": "partial", "error": {"code": "ServiceAuthorizationError",
            "error": {"message": "Service authorization required", "reauth": true}, "statusCode": 511}})
    }

    fn entry_of(value: &Value) -> Entry {
        let result = ReadResult::parse(&json!({"1_a": value})).unwrap();
        result.entries.into_values().next().unwrap()
    }

    fn with_error(error: &Value) -> Entry {
        entry_of(&json!({"state": "partial", "error": error}))
    }

    #[test]
    fn all_three_forms_of_a_read_result_are_taken() {
        let map = json!({"1_a": documented(), "2_b": {"state": "completed"}});
        let forms = [
            map.clone(),
            json!({"state": "partial", "details": map}),
            json!({"status": {"state": "partial", "details": map}, "fileList": []}),
            json!({"status": {"state": "partial", "details": map}, "fileList": [{"name": "x"}],
                "userAccessToken": {"accessToken": {"value": "secret"}}}),
        ];
        for form in forms {
            let result = ReadResult::parse(&form).unwrap();
            assert_eq!(result.entries.len(), 2, "{form}");
            assert!(matches!(result.entries[&"1_a".parse().unwrap()], Entry::NeedsUser(_)), "{form}");
            assert_eq!(result.entries[&"2_b".parse().unwrap()], Entry::Completed, "{form}");
        }
    }

    #[test]
    fn both_shapes_of_the_error_are_described_alike() {
        let sdk = json!({"code": "ServiceAuthorizationError", "statusCode": 511, "reauth": true,
            "message": "Service authorization required", "objectTypeErrors": []});
        assert_eq!(with_error(&sdk), entry_of(&documented()));
        let Entry::NeedsUser(error) = with_error(&sdk) else { panic!("needs its user") };
        assert_eq!(error.status_code, Some(511));
        assert_eq!(error.message.as_deref(), Some("Service authorization required"));
    }

    #[test]
    fn the_reauth_flag_decides_where_it_stands() {
        assert!(matches!(with_error(&json!({"reauth": true, "retryAfter": 1})), Entry::NeedsUser(_)));
        assert!(matches!(with_error(&json!({"error": {"reauth": true}})), Entry::NeedsUser(_)));
        assert_eq!(with_error(&json!({"reauth": false, "statusCode": 511})), Entry::Undecided);
        assert_eq!(
            with_error(&json!({"error": {"reauth": false}, "code": "ServiceAuthorizationError"})),
            Entry::Undecided
        );
    }

    #[test]
    fn without_the_flag_code_or_status_decide_unless_it_passes_by_itself() {
        assert!(matches!(with_error(&json!({"code": "ServiceAuthorizationError"})), Entry::NeedsUser(_)));
        assert!(matches!(with_error(&json!({"statusCode": 511})), Entry::NeedsUser(_)));
        assert_eq!(with_error(&json!({"statusCode": 511, "retryAfter": 1_700_000_000_000_u64})), Entry::Undecided);
        assert_eq!(with_error(&json!({"code": "RateLimit", "statusCode": 429})), Entry::Undecided);
    }

    #[test]
    fn entries_of_unknown_form_decide_nothing() {
        for entry in [
            json!({"state": "running"}),
            json!({"state": "pending"}),
            json!({"state": "new"}),
            json!({"state": 7}),
            json!({"state": "partial", "error": "text"}),
            json!({}),
        ] {
            assert_eq!(entry_of(&entry), Entry::Undecided, "{entry}");
        }
        let result = ReadResult::parse(&json!({"1_a": 5, "2_b": {"state": "completed"}, "no id!": {}})).unwrap();
        assert_eq!(result.entries.len(), 2);
    }

    #[test]
    fn a_result_without_accounts_is_a_result() {
        for form in [json!({}), json!({"state": "running"}), json!({"status": {"state": "pending"}, "fileList": []})] {
            assert!(ReadResult::parse(&form).unwrap().entries.is_empty(), "{form}");
        }
    }

    #[test]
    fn what_is_no_read_result_is_refused_by_field() {
        let field = |value: &Value| ReadResult::parse(value).unwrap_err().field;
        assert_eq!(field(&json!([])), "readResult");
        assert_eq!(field(&json!("text")), "readResult");
        assert_eq!(field(&json!({"hello": "world"})), "readResult");
        assert_eq!(field(&json!({"status": "partial"})), "readResult.status");
        assert_eq!(field(&json!({"fileList": []})), "readResult.status");
        assert_eq!(field(&json!({"status": {"details": []}})), "readResult.status.details");
        assert_eq!(field(&json!({"state": "partial", "details": "x"})), "readResult.details");
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
            assert_eq!(Submission::parse(&bad).unwrap_err().field, field, "{bad}");
        }
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
            "readResult": {"status": {"details": accounts}, "userAccessToken": {"value": "secret"}, "fileList": []}});
        let submission = Submission::parse(&sent).unwrap();
        let messages = submission.messages(4_000);
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() <= 4_000));
        assert!(messages.iter().all(|message| !message.contains("secret") && !message.contains("running")));
        let mut entries = BTreeMap::new();
        for message in messages {
            let part = Submission::parse(&serde_json::from_str(&message).unwrap()).unwrap();
            assert_eq!((part.contract_id, part.observed_at), (submission.contract_id.clone(), submission.observed_at));
            entries.extend(part.read_result.entries);
        }
        let mut decided = submission.read_result.entries;
        decided.retain(|_, entry| *entry != Entry::Undecided);
        assert_eq!(entries, decided);
    }

    #[test]
    fn long_texts_are_cut() {
        let Entry::NeedsUser(error) = with_error(&json!({"reauth": true, "message": "x".repeat(5_000)})) else {
            panic!("needs its user")
        };
        assert_eq!(error.message.unwrap().len(), MAX_TEXT);
    }
}
