//! A user access token: an access token and the refresh token that renews it.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::{InvalidField, InvalidFields};

/// digi.me's tokens are shorter. Longer values are refused.
const MAX_TOKEN_LENGTH: usize = 16 * 1_024;

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token itself.
    pub value: SecretString,
    /// When the token expires, in whole seconds.
    pub expires_at: Timestamp,
}

/// A token pair, which digi.me calls a user access token. Its `Debug` output contains no token.
#[derive(Debug, Clone)]
pub struct TokenPair {
    /// The token for reading the user's data.
    pub access: Token,
    /// The token that is exchanged for the next pair.
    pub refresh: Token,
    /// digi.me's identifier of the user.
    pub user: Option<String>,
    /// digi.me's identifier of the consent.
    pub consent_id: Option<String>,
}

/// A token pair in the Node SDK's form, for JSON. It contains the tokens in plain text, so that it has no `Debug`
/// output.
#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NodeForm<'a> {
    access_token: NodeToken<'a>,
    refresh_token: NodeToken<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<NodeUser<'a>>,
    #[serde(rename = "consentid", skip_serializing_if = "Option::is_none")]
    consent_id: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
struct NodeToken<'a> {
    #[cfg_attr(feature = "schemars", schemars(length(min = 1, max = 16_384)))]
    value: &'a str,
    /// Seconds since the epoch.
    #[cfg_attr(feature = "schemars", schemars(range(min = 1, max = 253_402_207_200_i64)))]
    expiry: i64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
struct NodeUser<'a> {
    id: &'a str,
}

impl<'a> From<&'a Token> for NodeToken<'a> {
    fn from(token: &'a Token) -> Self {
        Self { value: token.value.expose_secret(), expiry: token.expires_at.as_second() }
    }
}

/// One of the two JSON forms of a token pair.
struct Form {
    access: &'static str,
    refresh: &'static str,
    expiry: &'static str,
    /// The path of digi.me's identifier of the user.
    user: &'static [&'static str],
}

/// The form that the Node SDK gives to an application.
const NODE: Form = Form { access: "accessToken", refresh: "refreshToken", expiry: "expiry", user: &["user", "id"] };
/// The form of digi.me's API and of the mobile SDKs.
const API: Form = Form { access: "access_token", refresh: "refresh_token", expiry: "expires_on", user: &["sub"] };

impl TokenPair {
    /// Parses a pair in either form.
    ///
    /// # Errors
    /// All invalid fields, with names such as `accessToken.expiry`.
    pub fn parse(value: &Value) -> Result<Self, InvalidFields> {
        if !value.is_object() {
            return Err(InvalidField::new("", "must be a user access token: a JSON object").into());
        }
        let has = |form: &Form| value.get(form.access).is_some() || value.get(form.refresh).is_some();
        let form = if has(&API) && !has(&NODE) { API } else { NODE };
        let mut wrong = InvalidFields::default();
        let access = wrong.check(token(value, form.access, form.expiry));
        let refresh = wrong.check(token(value, form.refresh, form.expiry));
        let user = wrong.check(optional_text(form.user.iter().try_fold(value, |at, name| at.get(name)), form.user));
        let consent_id = wrong.check(optional_text(value.get("consentid"), &["consentid"]));
        wrong.finish(|| Some(Self { access: access?, refresh: refresh?, user: user?, consent_id: consent_id? }))
    }

    /// The pair in the Node SDK's form. The output contains the tokens in plain text.
    #[must_use]
    pub fn to_node_form(&self) -> NodeForm<'_> {
        NodeForm {
            access_token: (&self.access).into(),
            refresh_token: (&self.refresh).into(),
            user: self.user.as_deref().map(|id| NodeUser { id }),
            consent_id: self.consent_id.as_deref(),
        }
    }

    /// The pair with the identifiers of an earlier pair of the same user, where this one has none.
    #[must_use]
    pub fn with_ids_of(mut self, earlier: &Self) -> Self {
        self.user = self.user.or_else(|| earlier.user.clone());
        self.consent_id = self.consent_id.or_else(|| earlier.consent_id.clone());
        self
    }

    /// Whether both pairs have the same access token and the same refresh token.
    #[must_use]
    pub fn same_tokens(&self, other: &Self) -> bool {
        self.access.value.expose_secret() == other.access.value.expose_secret() && self.same_refresh_token(other)
    }

    /// Whether both pairs have the same refresh token.
    #[must_use]
    pub fn same_refresh_token(&self, other: &Self) -> bool {
        self.refresh.value.expose_secret() == other.refresh.value.expose_secret()
    }
}

fn token(pair: &Value, name: &'static str, expiry: &str) -> Result<Token, InvalidFields> {
    let token = match pair.get(name) {
        None | Some(Value::Null) => return Err(InvalidField::new(name, "is missing").into()),
        Some(Value::Object(token)) => token,
        Some(_) => return Err(InvalidField::new(name, "must be an object").into()),
    };
    let value = match token.get("value") {
        Some(Value::String(text)) if (1..=MAX_TOKEN_LENGTH).contains(&text.len()) => Ok(text.clone().into()),
        Some(Value::String(_)) => Err("is empty or too long"),
        None => Err("is missing"),
        Some(_) => Err("must be a string"),
    };
    // The expiry is stored in whole seconds and must still be valid when it is read back, so that values below 1 are
    // refused.
    let seconds = token.get(expiry).and_then(Value::as_f64).filter(|seconds| *seconds >= 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "what does not fit is no timestamp and is refused below")]
    let expires_at = seconds.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    let mut wrong = InvalidFields::default();
    let value = wrong.check(value.map_err(|message| InvalidField::new(format!("{name}.value"), message)));
    let message = "must be seconds since the epoch";
    let expires_at = wrong.check(expires_at.ok_or_else(|| InvalidField::new(format!("{name}.{expiry}"), message)));
    wrong.finish(|| Some(Token { value: value?, expires_at: expires_at? }))
}

fn optional_text(value: Option<&Value>, path: &[&str]) -> Result<Option<String>, InvalidField> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_TOKEN_LENGTH => Ok(Some(text.clone())),
        Some(_) => Err(InvalidField::new(path.join("."), "must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> Value {
        json!({"accessToken": {"value": "a", "expiry": 1_800_000_000}, "refreshToken": {"value": "r", "expiry": 1_900_000_000},
            "user": {"id": "s"}, "consentid": "k"})
    }

    fn api() -> Value {
        json!({"access_token": {"value": "a", "expires_on": 1_800_000_000}, "sub": "s", "consentid": "k",
            "refresh_token": {"value": "r", "expires_on": 1_900_000_000}, "token_type": "Bearer", "identifier": {"id": "i"}})
    }

    #[test]
    fn both_forms_are_the_same_pair() {
        let (node_pair, api_pair) = (TokenPair::parse(&node()).unwrap(), TokenPair::parse(&api()).unwrap());
        assert!(node_pair.same_tokens(&api_pair));
        assert_eq!(serde_json::to_value(api_pair.to_node_form()).unwrap(), node());
        assert_eq!(node_pair.access.expires_at.as_second(), 1_800_000_000);
    }

    fn wrong(pair: &Value) -> String {
        let fields = TokenPair::parse(pair).unwrap_err().0;
        fields.iter().map(InvalidField::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_bad_pair_names_all_its_wrong_fields() {
        let bad = json!({"accessToken": {}, "refreshToken": 7, "user": {"id": 7}, "consentid": 7});
        assert_eq!(wrong(&bad), "accessToken.value accessToken.expiry refreshToken user.id consentid");
        assert_eq!(wrong(&json!({"refresh_token": {"value": "r", "expires_on": 1}, "sub": 7})), "access_token sub");
    }

    #[test]
    fn a_bad_pair_names_its_field() {
        let cases = [
            ("accessToken", json!(null), "accessToken"),
            ("accessToken", json!("a"), "accessToken"),
            ("accessToken", json!({"expiry": 1}), "accessToken.value"),
            ("accessToken", json!({}), "accessToken.value accessToken.expiry"),
            ("accessToken", json!({"value": "", "expiry": 1}), "accessToken.value"),
            ("accessToken", json!({"value": 1, "expiry": 1}), "accessToken.value"),
            ("refreshToken", json!({"value": "r"}), "refreshToken.expiry"),
            ("refreshToken", json!({"value": "r", "expiry": "soon"}), "refreshToken.expiry"),
            ("refreshToken", json!({"value": "r", "expiry": -1}), "refreshToken.expiry"),
            ("refreshToken", json!({"value": "r", "expiry": 1e300}), "refreshToken.expiry"),
            ("consentid", json!(1), "consentid"),
        ];
        for (field, value, expected) in cases {
            let mut pair = node();
            pair[field] = value;
            assert_eq!(wrong(&pair), expected, "{pair}");
        }
        let mut pair = api();
        pair["access_token"]["expires_on"] = json!(null);
        assert_eq!(wrong(&pair), "access_token.expires_on");
    }

    #[test]
    fn what_is_taken_reads_back() {
        for expiry in [json!(1), json!(1.5), json!(253_402_207_200_i64), json!(1_800_000_000.999)] {
            let mut pair = node();
            pair["accessToken"]["expiry"] = expiry;
            let written = serde_json::to_value(TokenPair::parse(&pair).unwrap().to_node_form()).unwrap();
            assert!(TokenPair::parse(&written).is_ok(), "{written}");
        }
        for expiry in [json!(0), json!(0.5), json!(1e-300)] {
            let mut pair = node();
            pair["accessToken"]["expiry"] = expiry;
            assert_eq!(wrong(&pair), "accessToken.expiry", "{pair}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let mut pair = node();
        pair["accessToken"]["value"] = json!("very-secret");
        assert!(!format!("{:?}", TokenPair::parse(&pair).unwrap()).contains("very-secret"));
    }
}
