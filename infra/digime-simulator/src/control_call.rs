//! The calls of the control API. The HTTP routes and the console's buttons are made from [`ControlCall`] alone.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::Control;
use crate::faults::Failure;
use crate::keys::{KeyError, KeyForm};
use crate::model::{Account, Contract, ErrorShape, StoredAccount};
use crate::settings::SettingsChange;
use crate::state::State;

/// Declares the calls, each with its HTTP route. The fields of a call are the route's parameters and the fields of the
/// request's JSON body.
macro_rules! control_calls {
    ($( $route:literal $name:ident $(($tuple:ty))? $({ $($fields:tt)* })?, )*) => {
        /// A call of the control API.
        #[derive(Debug, Clone, Deserialize)]
        #[serde(tag = "route", rename_all_fields = "camelCase")]
        pub enum ControlCall {
            $( #[serde(rename = $route)] $name $(($tuple))? $({ $($fields)* })?, )*
        }

        /// Method and path of every call of the control API. Paths are relative to `/_simulator`.
        pub const ROUTES: &[&str] = &[$( $route, )*];
    };
}

control_calls! {
    "GET /state" State,
    "PUT /contracts/{contractId}" RegisterContract(Contract),
    "DELETE /contracts/{contractId}" RemoveContract { contract_id: String },
    "PUT /users/{userId}" AddUser { user_id: String },
    "PUT /users/{userId}/accounts/{id}" AddAccount { user_id: String, #[serde(flatten)] account: Account },
    "POST /users/{userId}/tokens" IssueTokens { user_id: String, contract_id: String },
    "POST /users/{userId}/expire-access-tokens" ExpireAccessTokens { user_id: String },
    "POST /users/{userId}/expire-refresh-tokens" ExpireRefreshTokens { user_id: String },
    "POST /users/{userId}/kill-refresh-tokens" KillRefreshTokens { user_id: String },
    "POST /users/{userId}/revoke-tokens" RevokeTokens { user_id: String },
    "DELETE /accounts/{accountId}" RemoveAccount { account_id: String },
    "POST /accounts/{accountId}/break" BreakAccount { account_id: String, #[serde(default)] shape: ErrorShape },
    "POST /accounts/{accountId}/mend" MendAccount { account_id: String },
    "PUT /accounts/{accountId}/username" SetUsername { account_id: String, username: Option<String> },
    "PUT /accounts/{accountId}/expires-at" SetExpiresAt { account_id: String, expires_at: Option<i64> },
    "PUT /accounts/{accountId}/error" SetAccountError { account_id: String, error: Option<Value> },
    "GET /settings" Settings,
    "PATCH /settings" ChangeSettings(SettingsChange),
    "POST /signing-key/rotate" RotateSigningKey { #[serde(default)] form: KeyForm },
    "PUT /latency" SetLatency { path_prefix: Option<String>, milliseconds: u64 },
    "POST /failures" Fail { path: String, #[serde(default)] failure: Failure },
    "DELETE /failures" ClearFailures,
    "PUT /forgery" Forge(Forgery),
    "GET /requests" Requests,
    "DELETE /requests" ClearRequests,
}

/// How answer tokens are forged. A field that is absent ends its forgery.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Forgery {
    /// The `jku` in the header.
    pub jku: Option<String>,
    /// The `kid` in the header.
    pub kid: Option<String>,
    /// Whether the signatures are wrong.
    #[serde(default)]
    pub bad_signatures: bool,
}

/// Why a call changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no such {0}")]
    NotFound(&'static str),
    #[error("another user has an account of that id")]
    AccountOfAnotherUser,
    #[error(transparent)]
    ContractKey(KeyError),
    #[error(transparent)]
    SigningKey(KeyError),
}

impl Control {
    /// Carries out a call. Returns its result, or `null` if it has none.
    pub fn call(&self, call: ControlCall) -> Result<Value, ControlError> {
        match call {
            ControlCall::State => return Ok(self.shared.read(describe)),
            ControlCall::RegisterContract(contract) => {
                self.register_contract(contract).map_err(ControlError::ContractKey)?;
            }
            ControlCall::RemoveContract { contract_id } => found(self.remove_contract(&contract_id), "contract")?,
            ControlCall::AddUser { user_id } => self.add_user(&user_id),
            ControlCall::AddAccount { user_id, account } => {
                if !self.add_account(&user_id, account) {
                    return Err(ControlError::AccountOfAnotherUser);
                }
            }
            ControlCall::IssueTokens { user_id, contract_id } => {
                found(self.shared.read(|state| state.contracts.contains_key(&contract_id)), "contract")?;
                return Ok(json!(self.issue_tokens(&user_id, &contract_id)));
            }
            ControlCall::ExpireAccessTokens { user_id } => {
                return Ok(json!({ "expired": self.expire_access_tokens(&user_id) }));
            }
            ControlCall::ExpireRefreshTokens { user_id } => {
                return Ok(json!({ "expired": self.expire_refresh_tokens(&user_id) }));
            }
            ControlCall::KillRefreshTokens { user_id } => {
                return Ok(json!({ "killed": self.kill_refresh_tokens(&user_id) }));
            }
            ControlCall::RevokeTokens { user_id } => {
                return Ok(json!({ "revoked": self.revoke_tokens(&user_id) }));
            }
            ControlCall::RemoveAccount { account_id } => found(self.remove_account(&account_id), "account")?,
            ControlCall::BreakAccount { account_id, shape } => {
                found(self.break_account(&account_id, shape), "account")?;
            }
            ControlCall::MendAccount { account_id } => found(self.mend_account(&account_id), "account")?,
            ControlCall::SetUsername { account_id, username } => {
                found(self.set_username(&account_id, username), "account")?;
            }
            ControlCall::SetExpiresAt { account_id, expires_at } => {
                found(self.set_account_expires_at(&account_id, expires_at), "account")?;
            }
            ControlCall::SetAccountError { account_id, error } => {
                found(self.set_account_error(&account_id, error), "account")?;
            }
            ControlCall::Settings => return Ok(json!(self.settings())),
            ControlCall::ChangeSettings(change) => return Ok(json!(self.change_settings(change))),
            ControlCall::RotateSigningKey { form } => {
                self.rotate_signing_key(form).map_err(ControlError::SigningKey)?;
            }
            ControlCall::SetLatency { path_prefix, milliseconds } => {
                self.set_latency(path_prefix.as_deref(), Duration::from_millis(milliseconds));
            }
            ControlCall::Fail { path, failure } => self.fail(&path, failure),
            ControlCall::ClearFailures => self.clear_failures(),
            ControlCall::Forge(forgery) => {
                self.set_forged_jku(forgery.jku.as_deref());
                self.set_forged_kid(forgery.kid.as_deref());
                self.set_bad_signatures(forgery.bad_signatures);
            }
            ControlCall::Requests => return Ok(json!(self.shared.recorded())),
            ControlCall::ClearRequests => self.shared.clear_recorded(),
        }
        Ok(Value::Null)
    }
}

fn found(found: bool, what: &'static str) -> Result<(), ControlError> {
    if found { Ok(()) } else { Err(ControlError::NotFound(what)) }
}

fn describe(state: &State) -> Value {
    let account = |stored: &StoredAccount| {
        json!({
            "id": stored.account.id,
            "userId": stored.user_id,
            "serviceName": stored.account.service_name,
            "username": stored.account.username,
            "broken": stored.broken,
            "error": stored.read_error,
            "expiresAt": stored.expires_at,
        })
    };
    json!({
        "contracts": state.contracts.values().collect::<Vec<_>>(),
        "users": state.users.keys().collect::<Vec<_>>(),
        "accounts": state.accounts.values().map(account).collect::<Vec<_>>(),
        "settings": state.settings,
    })
}
