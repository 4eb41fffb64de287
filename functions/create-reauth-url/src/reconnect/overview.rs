//! What the user of a reconnect link has to mend, what ends soon, and what is done already.

use std::time::Duration;

use jiff::Timestamp;
use reauth_core::store::{GrantState, Link};
use reauth_domain::{Account, AccountId, ContractId, GrantStatus, Status, Target, time::after};

/// How long before its end the connection to digi.me can be renewed on the page. Reads prolong it: the first warning comes 14
/// days ahead.
const DIGIME_RENEWAL: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Everything that the page of a link shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overview {
    /// The connections to digi.me that have ended, one for each contract, and the link's own if it ends soon.
    pub(super) connections: Vec<Connection>,
    /// The accounts that need the user, are being checked or end soon. The one that the link or the request names is the first.
    pub(super) accounts: Vec<ShownAccount>,
    /// What was mended since the link was sent.
    pub(super) done: Vec<Done>,
}

/// A connection to digi.me.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) contract_id: ContractId,
    pub(super) state: ConnectionState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionState {
    /// It has ended, and the user can renew it on digi.me's page.
    Ended,
    /// It has ended, and cannot be renewed from the page.
    DeadEnd,
    /// It ends soon.
    Ends(Timestamp),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShownAccount {
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
    /// It works until this time.
    Ends(Timestamp),
    /// The user no longer uses it.
    Dismissed,
}

/// Something that was mended, or that has no problem any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Account(Box<Account>),
    Connection,
}

impl AccountState {
    /// Whether the user can and must reauthorize the account.
    pub(super) fn is_in_need(self) -> bool {
        matches!(self, Self::InNeed | Self::InNeedAfterConnection)
    }

    pub(super) fn is_checking(self) -> bool {
        matches!(self, Self::Checking | Self::CheckingOnly)
    }

    /// In need, then what is checked, then what ends soon, then what the user no longer uses.
    fn rank(self) -> u8 {
        match self {
            Self::InNeed | Self::InNeedAfterConnection | Self::DeadEnd => 0,
            Self::Checking | Self::CheckingOnly => 1,
            Self::Ends(_) => 2,
            Self::Dismissed => 3,
        }
    }
}

impl Overview {
    /// `named` is the account that the request is about, if it names one: the page says what has become of it.
    pub(super) fn new(
        link: &Link,
        named: Option<&AccountId>,
        accounts: Vec<Account>,
        grants: &[GrantState],
        now: Timestamp,
    ) -> Self {
        let connections: Vec<Connection> = grants.iter().filter_map(|grant| connection(link, grant, now)).collect();
        let (mut shown, mut done) = (Vec::new(), Vec::new());
        if matches!(&link.target, Target::Grant(contract) if connections.iter().all(|one| one.contract_id != *contract))
        {
            done.push(Done::Connection);
        }
        let is_named = |account: &Account| {
            named == Some(&account.account_id) || link.target == Target::Account(account.account_id.clone())
        };
        for account in accounts {
            match state(link, &account, is_named(&account), &connections, now) {
                Shown::As(state) => shown.push(ShownAccount { account, state }),
                Shown::Done => done.push(Done::Account(Box::new(account))),
                Shown::Not => {}
            }
        }
        let since = |one: &ShownAccount| one.account.episode().map(|episode| episode.since);
        let ends = |one: &ShownAccount| one.account.authorization_ends_at();
        // An account that is not used any more is shown beside others, or on the page of its own link.
        if shown.iter().all(|one| one.state == AccountState::Dismissed && !is_named(&one.account)) {
            shown.clear();
        }
        shown.sort_by_key(|one| (!is_named(&one.account), one.state.rank(), since(one), ends(one)));
        Self { connections, accounts: shown, done }
    }

    /// Whether there is nothing to show but what is done.
    pub(super) fn is_all_set(&self) -> bool {
        self.connections.is_empty() && self.accounts.is_empty()
    }

    /// Whether there is one thing to show besides what is done.
    pub(super) fn is_alone(&self) -> bool {
        self.connections.len() + self.accounts.len() == 1
    }

    /// Whether nothing of it can be mended from the page.
    pub(super) fn is_dead_end(&self) -> bool {
        !self.connections.is_empty()
            && self.connections.iter().all(|one| one.state == ConnectionState::DeadEnd)
            && self.accounts.iter().all(|one| matches!(one.state, AccountState::DeadEnd | AccountState::Dismissed))
    }

    /// Whether the user must mend something, and can.
    pub(super) fn is_in_need(&self) -> bool {
        self.connections.iter().any(|one| one.state == ConnectionState::Ended)
            || self.accounts.iter().any(|one| one.state.is_in_need())
    }

    /// Whether something ends soon.
    pub(super) fn ends_soon(&self) -> bool {
        self.connections.iter().any(|one| matches!(one.state, ConnectionState::Ends(_)))
            || self.accounts.iter().any(|one| matches!(one.state, AccountState::Ends(_)))
    }

    pub(super) fn is_checking(&self) -> bool {
        self.accounts.iter().any(|one| one.state.is_checking())
    }

    /// Whether the page is for something to mend. A reauthorization that is being checked is nothing to mend.
    pub(super) fn has_work(&self) -> bool {
        let waits = |one: &ShownAccount| one.state == AccountState::CheckingOnly;
        !self.connections.is_empty() || !self.accounts.iter().all(waits)
    }

    /// The accounts that the user can be reminded of.
    pub(super) fn in_need(&self) -> impl Iterator<Item = &Account> {
        let in_need = self.accounts.iter().filter(|one| matches!(one.account.status, Status::ReauthRequired(_)));
        in_need.map(|one| &one.account)
    }
}

/// Whether and how an account is shown.
enum Shown {
    As(AccountState),
    Done,
    Not,
}

fn connection(link: &Link, grant: &GrantState, now: Timestamp) -> Option<Connection> {
    let is_own = link.target == Target::Grant(grant.contract_id.clone());
    let state = match grant.status(now) {
        GrantStatus::UserReauthorizationRequired => {
            if grant.is_recoverable() {
                ConnectionState::Ended
            } else {
                ConnectionState::DeadEnd
            }
        }
        // Reads prolong the other connections.
        GrantStatus::Active if is_own => ConnectionState::Ends(grant.expires_at().filter(|at| is_renewable(*at, now))?),
        GrantStatus::Active => return None,
    };
    Some(Connection { contract_id: grant.contract_id.clone(), state })
}

fn state(link: &Link, account: &Account, is_named: bool, connections: &[Connection], now: Timestamp) -> Shown {
    let connection = connections.iter().find(|one| account.contract_id.as_ref() == Some(&one.contract_id));
    match &account.status {
        Status::ReauthRequired(_) => Shown::As(match connection.map(|one| one.state) {
            None | Some(ConnectionState::Ends(_)) => AccountState::InNeed,
            Some(ConnectionState::Ended) => AccountState::InNeedAfterConnection,
            Some(ConnectionState::DeadEnd) => AccountState::DeadEnd,
        }),
        Status::Verifying { episode: Some(_), .. } => Shown::As(AccountState::Checking),
        Status::Verifying { episode: None, .. } if is_named => Shown::As(AccountState::CheckingOnly),
        Status::Verifying { episode: None, .. } => Shown::Not,
        Status::Dismissed { .. } => Shown::As(AccountState::Dismissed),
        Status::Active { .. } => {
            let since_link = account.reauthorized_at.is_some_and(|at| link.created_at <= at);
            match account.renewable_until(now) {
                _ if since_link => Shown::Done,
                Some(ends_at) => Shown::As(AccountState::Ends(ends_at)),
                None if is_named => Shown::Done,
                None => Shown::Not,
            }
        }
    }
}

/// Whether the connection to digi.me has ended, or ends soon enough to be renewed from the page.
pub(super) fn is_renewable(refresh_expires_at: Timestamp, now: Timestamp) -> bool {
    refresh_expires_at <= after(now, DIGIME_RENEWAL)
}
