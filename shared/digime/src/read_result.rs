//! Read results: the state of each account after a read.
//!
//! Source: digi.me's page on reauthorizing an account (the documented error) and the types of the official SDKs (the
//! other shape of the same error). Only the status map is used, never tokens and files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{AccountId, InvalidField, InvalidFields, InvalidValue, invalid::cut};

/// digi.me's error code for an account that must be reauthorized.
const REAUTHORIZATION_CODE: &str = "ServiceAuthorizationError";
/// digi.me's status code for the same error.
const REAUTHORIZATION_STATUS: u64 = 511;
/// Texts from a read result are cut to this many characters.
const MAX_TEXT: usize = 1_000;

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
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IgnoredEntry {
    /// The entry's key. A long key is cut.
    #[cfg_attr(feature = "schemars", schemars(length(max = 65)))]
    pub account_id: String,
    /// Why it is not an account.
    pub reason: &'static str,
}

/// The error of an account, with the fields that the read result contained.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AccountError {
    /// digi.me's code, such as `ServiceAuthorizationError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// digi.me's status, such as 511.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// digi.me's message for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
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
}

/// The map of accounts in a read result of any form. `None` if the result contains no accounts yet.
fn status_map(value: &Value) -> Result<Option<&Map<String, Value>>, InvalidFields> {
    let Some(fields) = value.as_object() else {
        let shape = "must be a file list, its status object, or a map of accounts";
        return Err(InvalidField::new("", shape).into());
    };
    match fields.get("status") {
        Some(Value::Object(status)) if is_status(status) => return details(status, "status.details"),
        Some(Value::Object(status)) if status.contains_key("details") => {
            return Err(InvalidField::new("status.details", "must be an object").into());
        }
        Some(_) => return Err(InvalidField::new("status", "must be an object with a state").into()),
        None if fields.contains_key("fileList") => {
            return Err(InvalidField::new("status", "is missing").into());
        }
        None => {}
    }
    if !is_status(fields) {
        return bare_map(fields).map(Some);
    }
    let has_details = fields.get("details").is_some_and(|details| !details.is_null());
    if fields.contains_key("error") && !has_details {
        let message = "is the entry of one account: pass a map of accounts, {\"<accountId>\": {\"state\", …}}";
        return Err(InvalidField::new("", message).into());
    }
    details(fields, "details")
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
    let wrong = others.map(|(id, _)| InvalidField::below("", id, "must be an object with a string state"));
    InvalidFields(wrong.collect()).finish(|| Some(fields))
}

impl Entry {
    /// The entry in digi.me's documented form. `None` for [`Entry::Undecided`].
    #[must_use]
    pub fn to_json(&self) -> Option<Value> {
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
    let is_temporary = either(error, "retryAfter", |value| (!value.is_null()).then_some(())).is_some();
    let code = either(error, "code", Value::as_str);
    let status = either(error, "statusCode", Value::as_u64);
    !is_temporary && (code == Some(REAUTHORIZATION_CODE) || status == Some(REAUTHORIZATION_STATUS))
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
    fn without_the_flag_code_or_status_decide_unless_the_error_is_temporary() {
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
        assert_eq!(names(&json!([])), "");
        assert_eq!(names(&json!("text")), "");
        assert_eq!(names(&json!({"hello": "world"})), "hello");
        assert_eq!(names(&json!({"1_a": documented(), "b": 7, "c": {"state": 7}})), "b c");
        assert_eq!(names(&documented()), "");
        assert_eq!(names(&json!({"status": "partial"})), "status");
        assert_eq!(names(&json!({"status": {}})), "status");
        assert_eq!(names(&json!({"fileList": []})), "status");
        assert_eq!(names(&json!({"status": {"details": []}})), "status.details");
        assert_eq!(names(&json!({"state": "partial", "details": "x"})), "details");
    }

    fn names<T: std::fmt::Debug>(result: Result<T, InvalidFields>) -> String {
        result.unwrap_err().0.iter().map(InvalidField::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn long_texts_are_cut() {
        let Entry::NeedsUser(error) = with_error(&json!({"reauth": true, "message": "x".repeat(5_000)})) else {
            panic!("needs its user")
        };
        assert_eq!(error.message.unwrap().len(), MAX_TEXT);
    }
}
