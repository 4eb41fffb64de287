//! The control API for callers in the same process.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::faults::{Failure, full_path};
use crate::keys::{self, KeyError, KeyForm, SigningKey};
use crate::model::{AccessTokenStatus, Account, Contract, ErrorShape, Settings, TokenPair};
use crate::observer::Observer;
use crate::shared::Shared;

/// A handle on what the simulated digi.me does. Clones act on the same simulator.
///
/// Methods that name an account or a user answer `false` (or 0) and change nothing when there is
/// no such thing. A path in a action is the full one when it begins with `/`, else one of the API:
/// `oauth/token` is `/v1.7/oauth/token`.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

/// Contracts, users, accounts.
impl Control {
    /// Registers a contract, or replaces the one of that id.
    ///
    /// # Errors
    /// When the public key cannot be used.
    pub fn register_contract(&self, contract: Contract) -> Result<(), KeyError> {
        keys::parse_public_key(&contract.public_key_pem)?;
        self.shared.change(|state| {
            state.contracts.insert(contract.contract_id.clone(), contract);
        });
        Ok(())
    }

    /// The registered contracts.
    pub fn contracts(&self) -> Vec<Contract> {
        self.shared.read(|state| state.contracts.values().cloned().collect())
    }

    /// Adds a user; nothing happens when there is one of that id.
    pub fn add_user(&self, user_id: &str) {
        self.shared.change(|state| {
            state.users.entry(user_id.to_owned()).or_default();
        });
    }

    /// The ids of all users.
    pub fn users(&self) -> Vec<String> {
        self.shared.read(|state| state.users.keys().cloned().collect())
    }

    /// Adds an account (and the user, where he is new), or replaces the user's account of that id
    /// by a mended one. False when another user has an account of that id.
    pub fn add_account(&self, user_id: &str, account: Account) -> bool {
        let reference = self.shared.random_id();
        let now = self.shared.now();
        self.shared.change(|state| state.add_account(user_id, account, reference, now))
    }

    /// The user's accounts, in the order in which they were added.
    pub fn accounts(&self, user_id: &str) -> Vec<Account> {
        self.shared.read(|state| {
            let stored = state.accounts_of(user_id);
            stored.iter().map(|stored| stored.account.clone()).collect()
        })
    }

    /// Removes an account, as when the user has deleted it at digi.me.
    pub fn remove_account(&self, account_id: &str) -> bool {
        self.shared.change(|state| state.remove_account(account_id))
    }
}

/// The state of an account.
impl Control {
    /// Takes the account's authorization away: reads end with the 511 error in that shape, and
    /// the account reports `authorized: false`.
    pub fn break_account(&self, account_id: &str, shape: ErrorShape) -> bool {
        self.change_account(account_id, |stored| stored.broken = Some(shape))
    }

    /// Gives the authorization back, as a reauthorization does, and clears any other read error.
    pub fn mend_account(&self, account_id: &str) -> bool {
        let now = self.shared.now();
        self.shared.change(|state| {
            if let Some(stored) = state.accounts.get_mut(account_id) {
                stored.read_error = None;
            }
            state.reauthorize(account_id, now)
        })
    }

    /// Whether the account has lost its authorization.
    pub fn is_broken(&self, account_id: &str) -> bool {
        self.shared.read(|state| {
            let stored = state.accounts.get(account_id);
            stored.is_some_and(|stored| stored.broken.is_some())
        })
    }

    /// Lets reads of the account end with this `error`, which takes no authorization away
    /// (a rate limit, say); `None` ends that.
    pub fn set_account_error(&self, account_id: &str, error: Option<Value>) -> bool {
        self.change_account(account_id, |stored| stored.read_error = error)
    }

    /// Who the user is at the service; `None` when the service does not tell.
    pub fn set_username(&self, account_id: &str, username: Option<String>) -> bool {
        self.change_account(account_id, |stored| stored.account.username = username)
    }

    /// `accessTokenStatus.expiresAt`, sent as it is given: its unit is undocumented. The default
    /// is in milliseconds, 90 days after the account was added or reauthorized.
    pub fn set_account_expires_at(&self, account_id: &str, expires_at: Option<i64>) -> bool {
        self.change_account(account_id, |stored| stored.expires_at = expires_at)
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
    /// Issues a pair without the consent page (and adds the user, where he is new).
    pub fn issue_tokens(&self, user_id: &str, contract_id: &str) -> TokenPair {
        let fresh = self.shared.fresh_pair();
        let now = self.shared.now();
        self.shared.change(|state| state.issue_pair(user_id, contract_id, fresh, now))
    }

    /// Lets all access tokens of the user expire now; how many he has. What is known elsewhere of
    /// their expiry stays as it was.
    pub fn expire_access_tokens(&self, user_id: &str) -> usize {
        let now = self.shared.now().as_second();
        self.shared.change(|state| state.for_each_pair(user_id, |grant| grant.pair.access_token.expires_on = now))
    }

    /// Makes all refresh tokens of the user invalid; how many he has. Access tokens live on.
    pub fn kill_refresh_tokens(&self, user_id: &str) -> usize {
        self.shared.change(|state| state.for_each_pair(user_id, |grant| grant.refresh_dead = true))
    }

    /// Signs with a new key from now on. The key before it stays in the key set, any older one
    /// leaves it. Takes a noticeable fraction of a second.
    ///
    /// # Errors
    /// When the key cannot be generated.
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

    /// Replaces all settings.
    pub fn set_settings(&self, settings: Settings) {
        self.shared.change(|state| state.settings = settings);
    }

    /// Whether accounts carry `accessTokenStatus`.
    pub fn set_access_token_status(&self, status: AccessTokenStatus) {
        self.shared.change(|state| state.settings.access_token_status = status);
    }

    /// Whether the callback of an account reauthorization gets its `state` back. (The other
    /// pages always give it back.)
    pub fn echo_state(&self, echo: bool) {
        self.shared.change(|state| state.settings.echo_state = echo);
    }

    /// Whether a redirect URI may have a query beyond the registered one.
    pub fn allow_redirect_query(&self, allow: bool) {
        self.shared.change(|state| state.settings.allow_redirect_query = allow);
    }

    /// How many polls of a read session say `running` before the result is there.
    pub fn read_delay_polls(&self, polls: u32) {
        self.shared.change(|state| state.settings.read_delay_polls = polls);
    }

    /// Delays every request whose path begins so (all of them without a prefix); at most a
    /// minute, and zero ends it. Lost at a restart.
    pub fn set_latency(&self, path_prefix: Option<&str>, latency: Duration) {
        self.shared.faults().set_latency(path_prefix, latency);
    }

    /// Lets requests for a path fail; a `*` at its end makes it a prefix. Lost at a restart.
    pub fn fail(&self, path: &str, failure: Failure) {
        self.shared.faults().fail(path, failure);
    }

    /// Has every request watched, and held up where the observer wants that. Lost at a restart.
    pub fn observe(&self, observer: Option<Observer>) {
        *self.shared.observer.lock().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    /// Ends all failures that are left.
    pub fn clear_failures(&self) {
        self.shared.faults().clear_failures();
    }
}

/// Forged answers, which a client must refuse (or, with a foreign `jku`, must not follow).
/// Lost at a restart.
impl Control {
    /// The `jku` in the header of answer tokens.
    pub fn set_forged_jku(&self, jku: Option<&str>) {
        self.shared.faults().forged_jku = jku.map(str::to_owned);
    }

    /// The `kid` in the header of answer tokens.
    pub fn set_forged_kid(&self, kid: Option<&str>) {
        self.shared.faults().forged_kid = kid.map(str::to_owned);
    }

    /// Whether the signatures of answer tokens are wrong.
    pub fn set_bad_signatures(&self, bad: bool) {
        self.shared.faults().bad_signatures = bad;
    }

    /// What the answer token of an API path (`oauth/token`, say) claims instead of the truth.
    pub fn set_answer_claims(&self, path: &str, claims: Option<Value>) {
        let answers = &mut self.shared.faults().answer_claims;
        match claims {
            Some(claims) => answers.insert(full_path(path), claims),
            None => answers.remove(&full_path(path)),
        };
    }
}
