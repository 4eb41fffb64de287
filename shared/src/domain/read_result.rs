//! Read results: the state of each account after a read at digi.me.
//!
//! Source: digi.me's page on reauthorizing an account (the documented error) and the types of the official SDKs (the
//! other shape of the same error). Only the status map is used. Tokens and files are never stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    AccountId, ContractId, InvalidField, InvalidFields, InvalidValue, UserId, account::AccountError, invalid::cut,
};
use crate::ambient::{rfc3339, whole_milliseconds};

/// A read result with more accounts is refused.
pub const MAX_ACCOUNTS: usize = 2_000;

/// digi.me's error code for an account that must be reauthorized.
const REAUTHORIZATION_CODE: &str = "ServiceAuthorizationError";
/// digi.me's status code for the same error.
const REAUTHORIZATION_STATUS: u64 = 511;
/// Texts from a read result are cut to this many characters.
const MAX_TEXT: usize = 1_000;
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
    pub read_result: ReadResult,
}

impl Submission {
    /// Parses `{"userId", "contractId"?, "observedAt"?, "submittedAt"?, "readResult"}`.
    pub fn parse(value: &Value) -> Result<Self, InvalidFields> {
        let Some(fields) = value.as_object() else {
            return Err(InvalidField::new("", "must be a JSON object").into());
        };
        let mut wrong = InvalidFields::default();
        let user_id = wrong.check(required(fields, "userId"));
        let contract_id = wrong.check(text(fields, "contractId", str::parse));
        let observed_at = wrong.check(text(fields, "observedAt", timestamp));
        let submitted_at = wrong.check(text(fields, "submittedAt", timestamp));
        let read_result = wrong.check(read_result(fields));
        wrong.finish(|| {
            Some(Self {
                user_id: user_id?,
                contract_id: contract_id?,
                observed_at: observed_at?,
                submitted_at: submitted_at?,
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
    let read_result = ReadResult::parse(read_result)?;
    if read_result.too_large() {
        return Err(InvalidField::new("readResult", format!("holds more than {MAX_ACCOUNTS} accounts")).into());
    }
    Ok(read_result)
}

/// Parses the time of a read result: RFC 3339 with any offset.
pub fn timestamp(text: &str) -> Result<Timestamp, InvalidValue> {
    text.parse().map(whole_milliseconds).map_err(|_| InvalidValue("must be an RFC 3339 timestamp"))
}

/// The state of each account in a read result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadResult {
    /// The accounts by their digi.me id.
    pub entries: BTreeMap<AccountId, Entry>,
    /// Entries that are not accounts.
    pub ignored: Vec<IgnoredEntry>,
}

/// An entry of a read result whose key is not an account id, or whose value is not an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IgnoredEntry {
    /// The entry's key. A long key is cut.
    pub account_id: String,
    pub reason: &'static str,
}

/// The state of one account in a read result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// The read of the account completed, so that its authorization works.
    Completed,
    /// The user must reauthorize the account.
    NeedsUser(AccountError),
    /// The entry does not change the account's status: the read is still running, there is another error, or the form
    /// is unknown.
    Undecided,
}

impl ReadResult {
    /// Parses a whole file list (`{status, fileList}`), its `status` object, or the bare map of accounts.
    pub fn parse(value: &Value) -> Result<Self, InvalidFields> {
        let mut result = Self::default();
        for (id, entry) in status_map(value)?.into_iter().flatten() {
            let account_id = if entry.is_object() { id.parse() } else { Err(InvalidValue("must be an object")) };
            match account_id {
                Ok(account_id) => drop(result.entries.insert(account_id, Entry::read(entry))),
                Err(InvalidValue(reason)) => result.ignored.push(IgnoredEntry { account_id: cut(id), reason }),
            }
        }
        Ok(result)
    }

    /// Whether the read result has more than [`MAX_ACCOUNTS`] entries.
    #[must_use]
    pub fn too_large(&self) -> bool {
        self.entries.len() + self.ignored.len() > MAX_ACCOUNTS
    }
}

/// The map of accounts in a read result of any form. `None` if the result contains no accounts yet.
fn status_map(value: &Value) -> Result<Option<&Map<String, Value>>, InvalidFields> {
    let Some(fields) = value.as_object() else {
        let shape = "must be a file list, its status object, or a map of accounts";
        return Err(InvalidField::new("readResult", shape).into());
    };
    match fields.get("status") {
        Some(Value::Object(status)) if is_status(status) => return details(status, "readResult.status.details"),
        Some(Value::Object(status)) if status.contains_key("details") => {
            return Err(InvalidField::new("readResult.status.details", "must be an object").into());
        }
        Some(_) => return Err(InvalidField::new("readResult.status", "must be an object with a state").into()),
        None if fields.contains_key("fileList") => {
            return Err(InvalidField::new("readResult.status", "is missing").into());
        }
        None => {}
    }
    if !is_status(fields) {
        return bare_map(fields).map(Some);
    }
    let has_details = fields.get("details").is_some_and(|details| !details.is_null());
    if fields.contains_key("error") && !has_details {
        let message = "is the entry of one account: hand in a map of accounts, {\"<accountId>\": {\"state\", …}}";
        return Err(InvalidField::new("readResult", message).into());
    }
    details(fields, "readResult.details")
}

/// Whether an object is the `status` of a file list.
fn is_status(fields: &Map<String, Value>) -> bool {
    fields.get("state").is_some_and(Value::is_string) || fields.get("details").is_some_and(Value::is_object)
}

fn details<'a>(
    status: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Option<&'a Map<String, Value>>, InvalidFields> {
    match status.get("details") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(details)) => Ok(Some(details)),
        Some(_) => Err(InvalidField::new(field, "must be an object").into()),
    }
}

/// A bare map is only recognized by its values: each must be an object with a string `state`.
fn bare_map(fields: &Map<String, Value>) -> Result<&Map<String, Value>, InvalidFields> {
    let is_entry = |value: &Value| value.get("state").is_some_and(Value::is_string);
    let others = fields.iter().filter(|(_, value)| !is_entry(value));
    let wrong = others.map(|(id, _)| InvalidField::below("readResult", id, "must be an object with a string state"));
    InvalidFields(wrong.collect()).finish(|| Some(fields))
}

impl Entry {
    /// The entry in digi.me's form. `None` if it does not change the account's status.
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

/// The documented shape has `reauth` and `message` in a nested `error` object. The SDKs' shape has them directly in the
/// error.
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

    /// The error as digi.me's page documents it.
    fn documented() -> Value {
        json!({"state": "partial", "error": {"code": "ServiceAuthorizationError",
            "error": {"message": "Service authorization required", "reauth": true}, "statusCode": 511}})
    }

    fn entry_of(value: &Value) -> Entry {
        let result = ReadResult::parse(&json!({"status": {"details": {"1_a": value}}})).unwrap();
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
    }

    #[test]
    fn what_is_no_account_among_the_details_is_ignored_by_name() {
        let long = "x".repeat(5_000);
        let details =
            json!({"1_a": 5, "2_b": {"state": "completed"}, "no id!": {}, &*long: {}, "3_c": [], "4_d": null});
        let result = ReadResult::parse(&json!({"details": details})).unwrap();
        assert_eq!(result.entries.keys().map(AccountId::as_str).collect::<Vec<_>>(), ["2_b"]);
        let ignored: Vec<_> = result.ignored.iter().map(|entry| entry.account_id.as_str()).collect();
        assert_eq!(ignored[..4], ["1_a", "3_c", "4_d", "no id!"]);
        assert!(ignored[4].len() < 100);
        // A bare map of accounts is only recognized by its values.
        let result = ReadResult::parse(&json!({"2_b": {"state": "completed"}, "no id!": {"state": "new"}})).unwrap();
        assert_eq!((result.entries.len(), result.ignored.len()), (1, 1));
    }

    #[test]
    fn a_result_without_accounts_is_a_result() {
        for form in [json!({}), json!({"state": "running"}), json!({"status": {"state": "pending"}, "fileList": []})] {
            assert!(ReadResult::parse(&form).unwrap().entries.is_empty(), "{form}");
        }
    }

    #[test]
    fn what_is_no_read_result_is_refused_by_field() {
        let names = |value: &Value| names(ReadResult::parse(value));
        assert_eq!(names(&json!([])), "readResult");
        assert_eq!(names(&json!("text")), "readResult");
        assert_eq!(names(&json!({"hello": "world"})), "readResult.hello");
        assert_eq!(names(&json!({"1_a": documented(), "b": 7, "c": {"state": 7}})), "readResult.b readResult.c");
        assert_eq!(names(&documented()), "readResult");
        assert_eq!(names(&json!({"status": "partial"})), "readResult.status");
        assert_eq!(names(&json!({"status": {}})), "readResult.status");
        assert_eq!(names(&json!({"fileList": []})), "readResult.status");
        assert_eq!(names(&json!({"status": {"details": []}})), "readResult.status.details");
        assert_eq!(names(&json!({"state": "partial", "details": "x"})), "readResult.details");
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

    #[test]
    fn long_texts_are_cut() {
        let Entry::NeedsUser(error) = with_error(&json!({"reauth": true, "message": "x".repeat(5_000)})) else {
            panic!("needs its user")
        };
        assert_eq!(error.message.unwrap().len(), MAX_TEXT);
    }
}
