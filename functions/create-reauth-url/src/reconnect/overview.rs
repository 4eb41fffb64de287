//! What the user of a reconnect link has to mend, and what is done already.

use jiff::Timestamp;
use reauth_core::store::{GrantState, Link};
use reauth_domain::{Account, ContractId, GrantStatus, Status, Target};

/// Everything that the page of a link shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overview {
    /// The connections to digi.me that have ended, one for each contract.
    pub(super) connections: Vec<Connection>,
    /// The accounts that need the user or are being checked. The link's own is the first.
    pub(super) accounts: Vec<AccountToMend>,
    /// The names of what was mended since the link was sent; `None` is the connection to digi.me.
    pub(super) done: Vec<Option<String>>,
}

/// A connection to digi.me that has ended: a dead refresh token.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) contract_id: ContractId,
    /// Whether the user can renew it on digi.me's page.
    pub(super) recoverable: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct AccountToMend {
    pub(super) account: Account,
    pub(super) state: AccountState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccountState {
    /// The user must reauthorize it.
    InNeed,
    /// The user must reauthorize it, and the connection to digi.me must be renewed first.
    InNeedAfterConnection,
    /// It cannot be reauthorized, because the connection to digi.me cannot be renewed.
    DeadEnd,
    /// digi.me has not confirmed the last reauthorization yet. The user can repeat it.
    Checking,
    /// digi.me has not confirmed the last reauthorization yet, and the account had not lost its authorization before.
    CheckingOnly,
}

impl AccountState {
    /// Whether the user can and must reauthorize the account.
    pub(super) fn is_in_need(self) -> bool {
        matches!(self, Self::InNeed | Self::InNeedAfterConnection)
    }

    pub(super) fn is_checking(self) -> bool {
        matches!(self, Self::Checking | Self::CheckingOnly)
    }
}

impl Overview {
    pub(super) fn new(link: &Link, accounts: Vec<Account>, grants: Vec<GrantState>, now: Timestamp) -> Self {
        let dead = grants.iter().filter(|grant| grant.status(now) == GrantStatus::UserReauthorizationRequired);
        let connections: Vec<_> = dead
            .map(|grant| Connection {
                contract_id: grant.contract_id.clone(),
                recoverable: grant.episode.as_ref().is_none_or(|episode| episode.recoverable),
            })
            .collect();
        let is_own = |account: &Account| link.target == Target::Account(account.account_id.clone());
        let (mut to_mend, mut done) = (Vec::new(), Vec::new());
        if matches!(&link.target, Target::Grant(contract) if connections.iter().all(|one| one.contract_id != *contract))
        {
            done.push(None);
        }
        for account in accounts {
            let connection = connections.iter().find(|one| account.contract_id.as_ref() == Some(&one.contract_id));
            let state = match &account.status {
                Status::ReauthRequired(_) => match connection {
                    None => AccountState::InNeed,
                    Some(Connection { recoverable: true, .. }) => AccountState::InNeedAfterConnection,
                    Some(Connection { recoverable: false, .. }) => AccountState::DeadEnd,
                },
                Status::Verifying { episode: Some(_), .. } => AccountState::Checking,
                Status::Verifying { episode: None, .. } if is_own(&account) => AccountState::CheckingOnly,
                Status::Verifying { episode: None, .. } => continue,
                Status::Dismissed { .. } => continue,
                Status::Active { .. } => {
                    let since_link = account.reauthorized_at.is_some_and(|at| link.created_at <= at);
                    if since_link || is_own(&account) {
                        done.push(Some(account.service_name.unwrap_or_else(|| "Your account".to_owned())));
                    }
                    continue;
                }
            };
            to_mend.push(AccountToMend { account, state });
        }
        let since = |one: &AccountToMend| one.account.episode().map(|episode| episode.since);
        to_mend.sort_by_key(|one| (!is_own(&one.account), since(one)));
        Self { connections, accounts: to_mend, done }
    }

    /// Whether there is nothing to show but what is done.
    pub(super) fn is_all_set(&self) -> bool {
        self.connections.is_empty() && self.accounts.is_empty()
    }

    /// Whether nothing of it can be mended from the page.
    pub(super) fn is_dead_end(&self) -> bool {
        let is_dead_end = |one: &AccountToMend| one.state == AccountState::DeadEnd;
        !self.connections.is_empty()
            && !self.connections.iter().any(|one| one.recoverable)
            && self.accounts.iter().all(is_dead_end)
    }

    /// Whether the user can mend something that is not being checked yet.
    pub(super) fn is_in_need(&self) -> bool {
        self.connections.iter().any(|one| one.recoverable) || self.accounts.iter().any(|one| one.state.is_in_need())
    }

    /// Whether the user has something to mend. A reauthorization that is being checked is nothing to mend.
    pub(super) fn has_work(&self) -> bool {
        let waits = |one: &AccountToMend| one.state == AccountState::CheckingOnly;
        !self.connections.is_empty() || !self.accounts.iter().all(waits)
    }
}
