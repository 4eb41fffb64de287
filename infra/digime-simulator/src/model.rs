//! The simulator's data: contracts, users, accounts, token pairs, codes and read sessions.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::settings::AccessTokenStatus;

/// An application's contract, as digi.me knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// The contract id, which is the second half of `client_id`.
    pub contract_id: String,
    /// The application id, which is the first half of `client_id`.
    pub application_id: String,
    /// The contract's public key in PEM, as SPKI or PKCS#1.
    pub public_key_pem: String,
    /// The registered callback URLs.
    pub redirect_uris: Vec<String>,
}

/// An account that a user has linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The account id. It is unique across all users and is the key in read results.
    pub id: String,
    /// The name of the service, `serviceTypeName` in the API.
    pub service_name: String,
    /// `serviceTypeId` and `sourceId` in the API.
    #[serde(default = "default_service_type_id")]
    pub service_type_id: u32,
    /// `serviceGroupId` in the API.
    #[serde(default = "default_service_group_id")]
    pub service_group_id: u32,
    /// `serviceGroupName` in the API.
    #[serde(default = "default_service_group_name")]
    pub service_group_name: String,
    /// `type` in the API, such as `USER` or `BANK`.
    #[serde(default = "default_account_type")]
    pub account_type: String,
    /// The username at the service, if the service says it.
    #[serde(default)]
    pub username: Option<String>,
}

impl Account {
    /// An account of type `USER` in the service group "Social".
    pub fn new(id: impl Into<String>, service_name: impl Into<String>, username: Option<&str>) -> Self {
        Self {
            id: id.into(),
            service_name: service_name.into(),
            service_type_id: default_service_type_id(),
            service_group_id: default_service_group_id(),
            service_group_name: default_service_group_name(),
            account_type: default_account_type(),
            username: username.map(str::to_owned),
        }
    }
}

fn default_service_type_id() -> u32 {
    1
}

fn default_service_group_id() -> u32 {
    1
}

fn default_service_group_name() -> String {
    "Social".to_owned()
}

fn default_account_type() -> String {
    "USER".to_owned()
}

/// The shape in which a read result reports a lost authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorShape {
    /// As digi.me's documentation shows it: `reauth` and `message` in an inner `error`.
    #[default]
    Documented,
    /// As the SDKs type it: `reauth` and `message` beside `code`.
    Sdk,
}

impl ErrorShape {
    pub(crate) fn error(self) -> Value {
        let message = "Service authorization required";
        match self {
            Self::Documented => json!({
                "code": "ServiceAuthorizationError",
                "error": { "message": message, "reauth": true },
                "statusCode": 511,
            }),
            Self::Sdk => json!({
                "code": "ServiceAuthorizationError",
                "statusCode": 511,
                "message": message,
                "reauth": true,
            }),
        }
    }
}

/// A token with its expiry, in the form of the API.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The bearer value.
    pub value: String,
    /// The expiry, in seconds since 1970.
    pub expires_on: i64,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(expires_on: {})", self.expires_on)
    }
}

/// A user's access token and refresh token. Serializes to the form of the API and of the mobile SDKs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPair {
    pub access_token: Token,
    /// The refresh token. It can be used for one refresh.
    pub refresh_token: Token,
    /// The digi.me user.
    pub sub: String,
    /// The consent under which the pair was issued. A refresh does not change it.
    pub consentid: String,
}

/// An account as the simulator keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredAccount {
    pub(crate) account: Account,
    pub(crate) user_id: String,
    pub(crate) reference: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) broken: Option<ErrorShape>,
    /// `providerLogo` in the API.
    #[serde(default)]
    pub(crate) logo: Option<String>,
    /// Another error that reads of this account end with.
    pub(crate) read_error: Option<Value>,
    /// The account's own username, while its user is signed in with another account of the service.
    #[serde(default)]
    pub(crate) own_username: Option<OwnUsername>,
    /// Sent unchanged: digi.me does not document the unit of `accessTokenStatus.expiresAt`.
    pub(crate) expires_at: Option<i64>,
}

/// The username of an account's own user. `None`: the service does not say it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OwnUsername {
    pub(crate) username: Option<String>,
}

impl StoredAccount {
    /// The user signs in with another account of the service. The account's own username is kept.
    pub(crate) fn sign_in_as(&mut self, username: String) {
        let before = self.account.username.replace(username);
        self.own_username.get_or_insert(OwnUsername { username: before });
    }

    /// The username of the account's own user.
    pub(crate) fn owner(&self) -> Option<&String> {
        match &self.own_username {
            Some(own) => own.username.as_ref(),
            None => self.account.username.as_ref(),
        }
    }

    /// The account's own user signs in again.
    pub(crate) fn sign_in_as_owner(&mut self) {
        if let Some(own) = self.own_username.take() {
            self.account.username = own.username;
        }
    }

    /// This account as `GET permission-access/accounts` lists it.
    pub(crate) fn to_api(&self, status: AccessTokenStatus) -> Value {
        let account = &self.account;
        let mut listed = json!({
            "id": account.id,
            "reference": self.reference,
            "type": account.account_type,
            "createdDate": self.created_ms,
            "updatedDate": self.updated_ms,
            "serviceGroupId": account.service_group_id,
            "serviceGroupName": account.service_group_name,
            "serviceTypeId": account.service_type_id,
            "serviceTypeName": account.service_name,
            "serviceTypeReference": service_reference(&account.service_name),
            "sourceId": account.service_type_id,
        });
        if let Some(logo) = &self.logo {
            listed["providerLogo"] = json!(logo);
        }
        if let Some(username) = &account.username {
            listed["username"] = json!(username);
        }
        if status == AccessTokenStatus::Reported {
            listed["accessTokenStatus"] = json!({ "authorized": self.broken.is_none() });
            if let Some(expires_at) = self.expires_at {
                listed["accessTokenStatus"]["expiresAt"] = json!(expires_at);
            }
        }
        listed
    }

    /// The entry of this account in a finished read result.
    pub(crate) fn read_entry(&self) -> Value {
        let error = match (self.broken, &self.read_error) {
            (Some(shape), _) => shape.error(),
            (None, Some(error)) => error.clone(),
            (None, None) => return json!({ "state": "completed" }),
        };
        json!({ "state": "partial", "error": error })
    }
}

/// `Riverside Bank` becomes `riversidebank`.
fn service_reference(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) account_ids: Vec<String>,
    /// The access tokens of the user's pairs, oldest first.
    pub(crate) access_tokens: Vec<String>,
    /// Consent ids by contract.
    pub(crate) consents: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) user_id: String,
    pub(crate) contract_id: String,
    pub(crate) pair: TokenPair,
    pub(crate) refresh_dead: bool,
}

/// The purpose of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// The first authorization page.
    Authorize,
    /// A page for a user with valid tokens: it reauthorizes an account, or adds a service.
    #[serde(alias = "ReauthorizeAccount")]
    Reference,
    /// The user reauthorization page.
    ReauthorizeUser,
    /// The page on which a permission is withdrawn.
    Revoke,
    /// `POST oauth/token`, after a page has ended with success.
    Exchange,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) purpose: Purpose,
    pub(crate) contract_id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    pub(crate) code_challenge: Option<String>,
    /// The read session that was given with the code.
    #[serde(default)]
    pub(crate) session_key: Option<String>,
    pub(crate) expires_at: Timestamp,
    pub(crate) used: bool,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccountReference {
    pub(crate) account_id: String,
    pub(crate) expires_at: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ReadSession {
    /// `None` until a new user has completed the first authorization page.
    pub(crate) user_id: Option<String>,
    pub(crate) contract_id: String,
    /// The requested accounts. `None` for all accounts of the user.
    pub(crate) account_ids: Option<Vec<String>>,
    pub(crate) expires_at: Timestamp,
    pub(crate) polls: u32,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeyRing {
    pub(crate) current: SigningKey,
    /// Stays in the key set, so that answers signed just before a rotation still verify.
    pub(crate) previous: Option<SigningKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_file_of_an_earlier_version_can_be_read() {
        let code = json!({
            "purpose": "ReauthorizeAccount",
            "contract_id": "c",
            "user_id": "u",
            "redirect_uri": "https://app.example/",
            "state": null,
            "code_challenge": null,
            "expires_at": "2026-11-23T09:00:00Z",
            "used": false,
        });
        let code: Code = serde_json::from_value(code).unwrap();
        assert_eq!((code.purpose, code.session_key), (Purpose::Reference, None));
        let expires_at = "2026-11-23T09:00:00Z";
        let session = json!({
            "user_id": "u", "contract_id": "c", "account_ids": null, "expires_at": expires_at, "polls": 0,
        });
        let session: ReadSession = serde_json::from_value(session).unwrap();
        assert_eq!(session.user_id.as_deref(), Some("u"));
    }
}
