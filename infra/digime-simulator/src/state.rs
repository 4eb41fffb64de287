//! The whole state, which is behind one lock, and the changes to it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::{
    Account, AccountReference, Code, Contract, Grant, KeyRing, ReadSession, StoredAccount, Token, TokenPair, User,
};
use crate::settings::Settings;

pub(crate) const ACCESS_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
pub(crate) const REFRESH_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
pub(crate) const CODE_LIFETIME: SignedDuration = SignedDuration::from_mins(15);
pub(crate) const SESSION_LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// The lifetime of an authorization, as reported in `accessTokenStatus.expiresAt`.
const AUTHORIZATION_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Used and expired codes are kept this long, so that their pages can still redirect the browser with `INVALID_CODE`.
const CODE_MEMORY: SignedDuration = SignedDuration::from_hours(1);
const PURGE_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
/// The largest number of token pairs of a user. A new pair beyond it replaces the oldest pair.
const MAX_PAIRS_PER_USER: usize = 32;

#[derive(Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) version: u32,
    pub(crate) keys: KeyRing,
    pub(crate) settings: Settings,
    pub(crate) contracts: BTreeMap<String, Contract>,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) accounts: BTreeMap<String, StoredAccount>,
    /// By access token.
    pub(crate) grants: BTreeMap<String, Grant>,
    /// Access token by refresh token.
    pub(crate) refresh_index: BTreeMap<String, String>,
    pub(crate) codes: BTreeMap<String, Code>,
    pub(crate) references: BTreeMap<String, AccountReference>,
    pub(crate) sessions: BTreeMap<String, ReadSession>,
    pub(crate) purged_at: Timestamp,
}

/// The version of the state file's format.
pub(crate) const VERSION: u32 = 1;

/// The random values for a new token pair. Not all of them are always used.
pub(crate) struct FreshPair {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) consent: String,
}

impl State {
    pub(crate) fn new(keys: KeyRing, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            keys,
            settings: Settings::default(),
            contracts: BTreeMap::new(),
            users: BTreeMap::new(),
            accounts: BTreeMap::new(),
            grants: BTreeMap::new(),
            refresh_index: BTreeMap::new(),
            codes: BTreeMap::new(),
            references: BTreeMap::new(),
            sessions: BTreeMap::new(),
            purged_at: now,
        }
    }

    /// Removes expired codes, references and read sessions, at most once a minute.
    pub(crate) fn purge(&mut self, now: Timestamp) {
        if now.duration_since(self.purged_at).abs() < PURGE_INTERVAL {
            return;
        }
        self.purged_at = now;
        self.codes.retain(|_, code| code.expires_at + CODE_MEMORY > now);
        self.references.retain(|_, entry| entry.expires_at > now);
        self.sessions.retain(|_, session| session.expires_at > now);
    }

    /// Adds the account, or replaces the user's account with the same id. Returns `false` and changes nothing if the id
    /// belongs to another user's account.
    pub(crate) fn add_account(&mut self, user_id: &str, account: Account, reference: String, now: Timestamp) -> bool {
        let known = self.accounts.get(&account.id);
        if known.is_some_and(|stored| stored.user_id != user_id) {
            return false;
        }
        let id = account.id.clone();
        let now_ms = now.as_millisecond();
        let stored = StoredAccount {
            account,
            user_id: user_id.to_owned(),
            reference: known.map_or(reference, |stored| stored.reference.clone()),
            created_ms: known.map_or(now_ms, |stored| stored.created_ms),
            updated_ms: now_ms,
            broken: None,
            logo: None,
            read_error: None,
            own_username: None,
            expires_at: Some((now + AUTHORIZATION_LIFETIME).as_millisecond()),
        };
        self.accounts.insert(id.clone(), stored);
        let account_ids = &mut self.users.entry(user_id.to_owned()).or_default().account_ids;
        if !account_ids.contains(&id) {
            account_ids.push(id);
        }
        true
    }

    pub(crate) fn remove_account(&mut self, account_id: &str) -> bool {
        let Some(stored) = self.accounts.remove(account_id) else {
            return false;
        };
        if let Some(user) = self.users.get_mut(&stored.user_id) {
            user.account_ids.retain(|id| id != account_id);
        }
        true
    }

    /// Removes the user and all of the user's data. The user's codes count as used, so that an open page can still
    /// redirect the browser.
    pub(crate) fn remove_user(&mut self, user_id: &str) {
        self.drop_pairs(user_id);
        let Some(user) = self.users.remove(user_id) else {
            return;
        };
        for account_id in &user.account_ids {
            self.accounts.remove(account_id);
        }
        self.sessions.retain(|_, session| session.user_id.as_deref() != Some(user_id));
        for code in self.codes.values_mut().filter(|code| code.user_id.as_deref() == Some(user_id)) {
            code.used = true;
        }
    }

    /// Authorizes the account again, as the service does after the user's consent.
    pub(crate) fn reauthorize(&mut self, account_id: &str, now: Timestamp) -> bool {
        let Some(stored) = self.accounts.get_mut(account_id) else {
            return false;
        };
        stored.broken = None;
        stored.updated_ms = now.as_millisecond();
        stored.expires_at = Some((now + AUTHORIZATION_LIFETIME).as_millisecond());
        true
    }

    pub(crate) fn accounts_of(&self, user_id: &str) -> Vec<&StoredAccount> {
        self.users
            .get(user_id)
            .into_iter()
            .flat_map(|user| &user.account_ids)
            .filter_map(|id| self.accounts.get(id))
            .collect()
    }

    /// Issues a token pair. If the user has too many pairs, the oldest is removed.
    pub(crate) fn issue_pair(
        &mut self,
        user_id: &str,
        contract_id: &str,
        fresh: FreshPair,
        now: Timestamp,
    ) -> TokenPair {
        let user = self.users.entry(user_id.to_owned()).or_default();
        let consent = user.consents.entry(contract_id.to_owned()).or_insert(fresh.consent).clone();
        let pair = TokenPair {
            access_token: Token { value: fresh.access.clone(), expires_on: (now + ACCESS_TOKEN_LIFETIME).as_second() },
            refresh_token: Token {
                value: fresh.refresh.clone(),
                expires_on: (now + REFRESH_TOKEN_LIFETIME).as_second(),
            },
            sub: user_id.to_owned(),
            consentid: consent,
        };
        user.access_tokens.push(fresh.access.clone());
        let surplus = (user.access_tokens.len() > MAX_PAIRS_PER_USER).then(|| user.access_tokens[0].clone());
        if let Some(oldest) = surplus {
            self.drop_pair(&oldest);
        }
        self.refresh_index.insert(fresh.refresh, fresh.access.clone());
        self.grants.insert(
            fresh.access,
            Grant {
                user_id: user_id.to_owned(),
                contract_id: contract_id.to_owned(),
                pair: pair.clone(),
                refresh_dead: false,
            },
        );
        pair
    }

    /// Removes a token pair, so that both of its tokens are unknown.
    pub(crate) fn drop_pair(&mut self, access_token: &str) {
        let Some(grant) = self.grants.remove(access_token) else {
            return;
        };
        self.refresh_index.remove(&grant.pair.refresh_token.value);
        if let Some(user) = self.users.get_mut(&grant.user_id) {
            user.access_tokens.retain(|value| value != access_token);
        }
    }

    /// Removes all of the user's token pairs. Returns their number.
    pub(crate) fn drop_pairs(&mut self, user_id: &str) -> usize {
        let access_tokens = self.users.get(user_id).map(|user| user.access_tokens.clone()).unwrap_or_default();
        for access_token in &access_tokens {
            self.drop_pair(access_token);
        }
        access_tokens.len()
    }

    /// Applies `change` to each of the user's token pairs. Returns their number.
    pub(crate) fn for_each_pair(&mut self, user_id: &str, change: impl Fn(&mut Grant)) -> usize {
        let Some(user) = self.users.get(user_id) else {
            return 0;
        };
        for value in &user.access_tokens {
            if let Some(grant) = self.grants.get_mut(value) {
                change(grant);
            }
        }
        user.access_tokens.len()
    }
}
