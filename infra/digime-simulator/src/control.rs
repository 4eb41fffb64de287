//! The control API for callers in the same process.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::faults::{ActiveFaults, Failure, full_path};
use crate::keys::{self, KeyError, KeyForm, SigningKey};
use crate::model::{Account, Contract, ErrorShape, TokenPair};
use crate::observer::Observer;
use crate::settings::{AccessTokenStatus, Settings, SettingsChange};
use crate::shared::Shared;

/// Controls the behavior of the simulated digi.me. Clones control the same simulator.
///
/// Methods that take an account or a user return `false` (or 0) and change nothing if it does not exist. A path that
/// begins with `/` is a full path. Any other path is relative to the API: `oauth/token` is `/v1.7/oauth/token`.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

/// Contracts, users, accounts.
impl Control {
    /// Registers a contract, or replaces the contract with the same id.
    pub fn register_contract(&self, contract: Contract) -> Result<(), KeyError> {
        keys::parse_public_key(&contract.public_key_pem)?;
        self.shared.change(|state| {
            state.contracts.insert(contract.contract_id.clone(), contract);
        });
        Ok(())
    }

    /// Removes a contract: digi.me refuses its requests. Tokens that were issued under it stay.
    pub fn remove_contract(&self, contract_id: &str) -> bool {
        self.shared.change(|state| state.contracts.remove(contract_id).is_some())
    }

    /// Adds a user. Does nothing if the user exists.
    pub fn add_user(&self, user_id: &str) {
        self.shared.change(|state| {
            state.users.entry(user_id.to_owned()).or_default();
        });
    }

    /// The ids of all users.
    pub fn users(&self) -> Vec<String> {
        self.shared.read(|state| state.users.keys().cloned().collect())
    }

    /// Adds an account, and the user if the user does not exist. Replaces the user's account with the same id by an
    /// authorized one. Returns `false` if the id belongs to another user's account.
    pub fn add_account(&self, user_id: &str, account: Account) -> bool {
        let reference = self.shared.random_id();
        let now = self.shared.now();
        self.shared.change(|state| state.add_account(user_id, account, reference, now))
    }

    /// The user's accounts, in the order of their addition.
    pub fn accounts(&self, user_id: &str) -> Vec<Account> {
        self.shared.read(|state| {
            let stored = state.accounts_of(user_id);
            stored.iter().map(|stored| stored.account.clone()).collect()
        })
    }

    /// Removes an account, as if the user had deleted it at digi.me.
    pub fn remove_account(&self, account_id: &str) -> bool {
        self.shared.change(|state| state.remove_account(account_id))
    }
}

/// The state of an account.
impl Control {
    /// Withdraws the account's authorization: reads end with the 511 error in the given shape, and the list of accounts
    /// says `authorized: false`.
    pub fn break_account(&self, account_id: &str, shape: ErrorShape) -> bool {
        self.change_account(account_id, |stored| stored.broken = Some(shape))
    }

    /// Restores the authorization, as a reauthorization does, and clears any other read error.
    pub fn mend_account(&self, account_id: &str) -> bool {
        let now = self.shared.now();
        self.shared.change(|state| {
            if let Some(stored) = state.accounts.get_mut(account_id) {
                stored.read_error = None;
            }
            state.reauthorize(account_id, now)
        })
    }

    /// Whether digi.me has an account with this id.
    pub fn knows_account(&self, account_id: &str) -> bool {
        self.shared.read(|state| state.accounts.contains_key(account_id))
    }

    /// Whether the account has lost its authorization.
    pub fn is_broken(&self, account_id: &str) -> bool {
        self.shared.read(|state| {
            let stored = state.accounts.get(account_id);
            stored.is_some_and(|stored| stored.broken.is_some())
        })
    }

    /// Makes reads of the account end with the given `error` without changing the authorization, for example with a
    /// rate limit. `None` ends this.
    pub fn set_account_error(&self, account_id: &str, error: Option<Value>) -> bool {
        self.change_account(account_id, |stored| stored.read_error = error)
    }

    /// Sets the account's username at the service. `None` means that the service does not say it.
    pub fn set_username(&self, account_id: &str, username: Option<String>) -> bool {
        self.change_account(account_id, |stored| {
            stored.account.username = username;
            stored.own_username = None;
        })
    }

    /// Sets `accessTokenStatus.expiresAt`. It is sent unchanged, because digi.me does not document its unit. The
    /// default is in milliseconds, 90 days after the account was added or reauthorized.
    pub fn set_account_expires_at(&self, account_id: &str, expires_at: Option<i64>) -> bool {
        self.change_account(account_id, |stored| stored.expires_at = expires_at)
    }

    /// Sets `providerLogo`, the URL of the service's logo. By default, there is none.
    pub fn set_account_logo(&self, account_id: &str, logo: Option<String>) -> bool {
        self.change_account(account_id, |stored| stored.logo = logo)
    }

    fn change_account(&self, account_id: &str, change: impl FnOnce(&mut crate::model::StoredAccount)) -> bool {
        let now_ms = self.shared.now().as_millisecond();
        self.shared.change(|state| {
            let Some(stored) = state.accounts.get_mut(account_id) else {
                return false;
            };
            change(stored);
            stored.updated_ms = now_ms;
            true
        })
    }
}

/// Tokens.
impl Control {
    /// Issues a token pair without the consent page. Adds the user if the user does not exist.
    pub fn issue_tokens(&self, user_id: &str, contract_id: &str) -> TokenPair {
        let fresh = self.shared.fresh_pair();
        let now = self.shared.now();
        self.shared.change(|state| state.issue_pair(user_id, contract_id, fresh, now))
    }

    /// The user to whom an access token belongs. `None` if digi.me does not know the token, as after a refresh.
    pub fn user_of_token(&self, access_token: &str) -> Option<String> {
        self.shared.read(|state| state.grants.get(access_token).map(|grant| grant.user_id.clone()))
    }

    /// Expires all access tokens of the user now, and returns their number. The expiry that clients have stored does
    /// not change.
    pub fn expire_access_tokens(&self, user_id: &str) -> usize {
        let now = self.shared.now().as_second();
        self.shared.change(|state| state.for_each_pair(user_id, |grant| grant.pair.access_token.expires_on = now))
    }

    /// Expires all refresh tokens of the user now, and returns their number. Access tokens stay valid, and the expiry
    /// that clients have stored does not change.
    pub fn expire_refresh_tokens(&self, user_id: &str) -> usize {
        let now = self.shared.now().as_second();
        self.shared.change(|state| state.for_each_pair(user_id, |grant| grant.pair.refresh_token.expires_on = now))
    }

    /// Invalidates all refresh tokens of the user, and returns their number. Access tokens stay valid.
    pub fn kill_refresh_tokens(&self, user_id: &str) -> usize {
        self.shared.change(|state| state.for_each_pair(user_id, |grant| grant.refresh_dead = true))
    }

    /// Makes digi.me forget all token pairs of the user, and returns their number. Every call with one of their tokens
    /// is refused as invalid, also where an expired access token is accepted.
    pub fn revoke_tokens(&self, user_id: &str) -> usize {
        self.shared.change(|state| state.drop_pairs(user_id))
    }

    /// Replaces the signing key. The previous key stays in the key set, and older keys are removed. Takes a noticeable
    /// fraction of a second.
    pub fn rotate_signing_key(&self, form: KeyForm) -> Result<(), KeyError> {
        let key = SigningKey::generate(self.shared.random_id(), form)?;
        self.shared.change(|state| {
            let previous = std::mem::replace(&mut state.keys.current, key);
            state.keys.previous = Some(previous);
        });
        Ok(())
    }
}

/// How digi.me behaves.
impl Control {
    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.shared.read(|state| state.settings.clone())
    }

    /// Changes the given settings. Returns the settings then in force.
    pub fn change_settings(&self, change: SettingsChange) -> Settings {
        self.shared.change(|state| {
            state.settings.change(change);
            state.settings.clone()
        })
    }

    /// Sets whether listed accounts contain `accessTokenStatus`.
    pub fn set_access_token_status(&self, status: AccessTokenStatus) {
        self.change_settings(SettingsChange { access_token_status: Some(status), ..Default::default() });
    }

    /// Sets whether the callback of an account reauthorization contains `state`. The callbacks of other pages always
    /// contain it.
    pub fn echo_state(&self, echo: bool) {
        self.change_settings(SettingsChange { echo_state: Some(echo), ..Default::default() });
    }

    /// Sets whether a redirect URI may have query parameters beyond the registered ones.
    pub fn allow_redirect_query(&self, allow: bool) {
        self.change_settings(SettingsChange { allow_redirect_query: Some(allow), ..Default::default() });
    }

    /// Sets how many polls of a read session answer `running` before the result.
    pub fn read_delay_polls(&self, polls: u32) {
        self.change_settings(SettingsChange { read_delay_polls: Some(polls), ..Default::default() });
    }

    /// Delays every request of the API and the pages whose path has the given prefix. `None` delays all of them. The
    /// delay is at most one minute; zero ends the delay of this prefix, and no other. Lost at a restart.
    pub fn set_latency(&self, path_prefix: Option<&str>, latency: Duration) {
        self.shared.faults().set_latency(path_prefix, latency);
    }

    /// Ends the delays of all prefixes.
    pub fn clear_latencies(&self) {
        self.shared.faults().clear_latencies();
    }

    /// What delays requests or lets them fail now.
    pub fn active_faults(&self) -> ActiveFaults {
        self.shared.faults().active()
    }

    /// Makes requests for a path fail. A `*` at its end makes the path a prefix. Lost at a restart.
    pub fn fail(&self, path: &str, failure: Failure) {
        self.shared.faults().fail(path, failure);
    }

    /// Sets the observer of all requests. The observer can delay a request. Lost at a restart.
    pub fn observe(&self, observer: Option<Observer>) {
        *self.shared.observer.lock().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    /// Removes all failures that are still to happen.
    pub fn clear_failures(&self) {
        self.shared.faults().clear_failures();
    }
}

/// Forged answers. A client must refuse them, and must not follow a foreign `jku`. Lost at a restart.
impl Control {
    /// Sets the `jku` in the header of answer tokens.
    pub fn set_forged_jku(&self, jku: Option<&str>) {
        self.shared.faults().forged_jku = jku.map(str::to_owned);
    }

    /// Sets the `kid` in the header of answer tokens.
    pub fn set_forged_kid(&self, kid: Option<&str>) {
        self.shared.faults().forged_kid = kid.map(str::to_owned);
    }

    /// Sets whether the signatures of answer tokens are wrong.
    pub fn set_bad_signatures(&self, bad: bool) {
        self.shared.faults().bad_signatures = bad;
    }

    /// Sets forged claims for the answer tokens of an API path such as `oauth/token`.
    pub fn set_answer_claims(&self, path: &str, claims: Option<Value>) {
        let answers = &mut self.shared.faults().answer_claims;
        match claims {
            Some(claims) => answers.insert(full_path(path), claims),
            None => answers.remove(&full_path(path)),
        };
    }
}
