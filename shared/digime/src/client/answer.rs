//! Parsing of digi.me's answers. A field that is missing, empty or of the wrong type is an error.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::Error;
use crate::ListedAccount;

/// The unit of `accessTokenStatus.expiresAt` is not documented. Larger numbers are read as milliseconds, smaller ones
/// as seconds.
const FIRST_MILLISECONDS: f64 = 1e11;

pub(super) fn json(body: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(body).map_err(|_| Error::InvalidAnswer("it is not JSON".into()))
}

pub(super) fn text<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, Error> {
    let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Error::InvalidAnswer(format!("it has no {name}").into()))
}

pub(super) fn seconds(value: &Value, name: &'static str) -> Result<Timestamp, Error> {
    let seconds = value.get(name).and_then(Value::as_f64).filter(|seconds| *seconds > 0.0);
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is no timestamp")]
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    time.ok_or_else(|| Error::InvalidAnswer("it does not say when it expires".into()))
}

/// Parses the array of accounts. If an id occurs more than once, its last entry counts.
pub(super) fn accounts(value: &Value) -> Result<Vec<ListedAccount>, Error> {
    let list = value.as_array().ok_or_else(|| Error::InvalidAnswer("it is not a list of accounts".into()))?;
    let by_id: BTreeMap<_, _> = list.iter().filter_map(account).map(|account| (account.id.clone(), account)).collect();
    Ok(by_id.into_values().collect())
}

/// In characters. Names of accounts and services are stored and shown; longer ones are cut.
const MAX_NAME: usize = 300;
/// In characters. A longer URL of a logo is left out.
const MAX_LOGO_URL: usize = 2_048;

fn account(value: &Value) -> Option<ListedAccount> {
    let text = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())?;
        Some(text.chars().take(MAX_NAME).collect::<String>())
    };
    let status = value.get("accessTokenStatus");
    let field = |name: &str| status.and_then(|status| status.get(name));
    Some(ListedAccount {
        id: value.get("id")?.as_str()?.parse().ok()?,
        username: text("username"),
        service_name: text("serviceTypeName").or_else(|| text("serviceGroupName")),
        service_logo: logo(value, "providerLogo").or_else(|| logo(value, "providerFavIcon")),
        created_at: value.get("createdDate").and_then(Value::as_f64).and_then(milliseconds),
        authorized: field("authorized").and_then(Value::as_bool),
        authorization_expires_at: field("expiresAt").and_then(Value::as_f64).and_then(moment),
    })
}

/// The URL of a logo, unless it is too long or neither https nor of this machine, where a simulator has its logos.
fn logo(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str().filter(|text| text.len() <= MAX_LOGO_URL)?;
    let is_here = |url: &url::Url| matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let allowed = |url: &url::Url| url.scheme() == "https" || url.scheme() == "http" && is_here(url);
    let url = url::Url::parse(text).ok().filter(allowed)?;
    Some(url.into()).filter(|url: &String| url.len() <= MAX_LOGO_URL)
}

fn moment(number: f64) -> Option<Timestamp> {
    milliseconds(if number > FIRST_MILLISECONDS { number } else { number * 1_000.0 })
}

#[expect(clippy::cast_possible_truncation, reason = "what does not fit is no timestamp")]
fn milliseconds(number: f64) -> Option<Timestamp> {
    if number > 0.0 { Timestamp::from_millisecond(number as i64).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_odd_account_never_fails_the_list() {
        let list = json!([
            {"id": "40_abc", "username": "ann", "serviceTypeName": "Instagram", "type": "NEW",
             "createdDate": 1_700_000_000_000_i64, "providerLogo": "http://logo.example/", "providerFavIcon": "https://icon.example/i.png",
             "accessTokenStatus": {"authorized": true, "expiresAt": 1_800_000_000}},
            {"id": 7}, "text", null, {"id": "not an id!"}, {"id": "41_x", "username": "before"},
            {"id": "41_x", "username": 5, "createdDate": "yesterday", "providerLogo": format!("https://logo.example/{}", "a".repeat(MAX_LOGO_URL)),
             "accessTokenStatus": {"authorized": "yes", "expiresAt": 1_800_000_000_000_i64}}
        ]);
        let accounts = accounts(&list).unwrap();
        assert_eq!(accounts.len(), 2);
        assert_eq!(accounts[0].authorized, Some(true));
        assert_eq!(accounts[0].service_name.as_deref(), Some("Instagram"));
        assert_eq!((accounts[1].authorized, accounts[1].username.as_deref()), (None, None));
        assert_eq!(accounts[0].authorization_expires_at, accounts[1].authorization_expires_at);
        assert_eq!(accounts[0].created_at, Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(accounts[0].service_logo.as_deref(), Some("https://icon.example/i.png"));
        assert_eq!((accounts[1].created_at, accounts[1].service_logo.as_deref()), (None, None));
    }

    #[test]
    fn absent_empty_and_mistyped_fields_are_errors() {
        for value in [json!({}), json!({"id": ""}), json!({"id": 1}), json!({"id": null}), json!([])] {
            assert!(text(&value, "id").is_err(), "{value}");
        }
        for value in [json!({}), json!({"expires_on": "1"}), json!({"expires_on": 0}), json!({"expires_on": 1e300})] {
            assert!(seconds(&value, "expires_on").is_err(), "{value}");
        }
        assert!(accounts(&json!({})).is_err());
        assert!(json(b"<html>").is_err());
    }

    /// Every answer is either parsed or refused, and no generated text has a valid signature.
    #[test]
    fn fuzz_answers() {
        use crate::{ApiError, TokenPair, client::keys};

        let key = jsonwebtoken::DecodingKey::from_rsa_components("AQAB", "AQAB").unwrap();
        bolero::check!().for_each(|bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let _ = keys::key_hint(&text);
            assert!(keys::verify(&text, &key, Timestamp::UNIX_EPOCH).is_err());
            let error = ApiError::read(http::StatusCode::BAD_REQUEST, &http::HeaderMap::new(), bytes);
            assert!(error.code.chars().count() <= 500);
            let Ok(value) = json(bytes) else { return };
            let _ = (accounts(&value), super::text(&value, "token"), seconds(&value, "expires_on"));
            let _ = keys::read_keys(&value);
            if let Ok(pair) = TokenPair::parse(&value) {
                assert!(
                    TokenPair::parse(&serde_json::to_value(pair.to_node_form()).unwrap())
                        .is_ok_and(|again| again.same_tokens(&pair))
                );
            }
        });
    }
}
