//! What a mail can tell a user: which connections have ended, which end soon, and which work again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reauth_core::store::{GrantState, UserAccounts, Versioned};
use reauth_domain::{
    Account, EpisodeId, Status, Target,
    account::{Notice, Warned},
    contact::ContactState,
    notices::{Lifetimes, expires_at},
};

/// A connection: of the user to a service, or to digi.me.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Connection {
    Service(Option<String>),
    Digime {
        /// Whether digi.me's page can renew it. If not, only the application can.
        recoverable: bool,
    },
}

/// A connection that the user is to do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) target: Target,
    /// The version of its item, on which the mail rests.
    pub(crate) version: u64,
    pub(crate) connection: Connection,
    /// When it ended, or when it ends.
    pub(crate) at: Timestamp,
    /// `None` of a connection that ends soon.
    pub(crate) episode: Option<EpisodeId>,
    /// The event whose reconnect link the mail can contain.
    pub(crate) notice: Option<Notice>,
}

impl Open {
    /// The name of the service, if it is one.
    pub(crate) fn service(&self) -> Option<&str> {
        match &self.connection {
            Connection::Service(name) => name.as_deref(),
            Connection::Digime { .. } => None,
        }
    }
}

/// Everything about a user that a mail can name, oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overview {
    pub(crate) ended: Vec<Open>,
    pub(crate) ends: Vec<Open>,
    /// Connections that an earlier mail named as ended, and that work again.
    pub(crate) connected: Vec<Open>,
    /// The episodes that an earlier mail named and that have not ended.
    pub(crate) still_told: BTreeMap<String, EpisodeId>,
    /// Whether an episode that no mail has named may go on: digi.me has not confirmed yet that its account works again.
    pub(crate) is_verifying: bool,
}

impl Overview {
    pub(crate) fn new(
        accounts: &UserAccounts,
        grants: &[GrantState],
        state: &ContactState,
        lifetimes: &Lifetimes,
        now: Timestamp,
    ) -> Self {
        let mut overview = Self::default();
        for account in accounts.accounts.values() {
            let last_read = accounts.last_reads.value.last_completed(&account.value.account_id);
            let expiry = expires_at(&account.value, last_read, lifetimes);
            overview.add_account(account, expiry.map(|expiry| expiry.at), state, now);
        }
        for grant in grants {
            overview.add_grant(grant, state, now);
        }
        for list in [&mut overview.ended, &mut overview.ends, &mut overview.connected] {
            list.sort_by(|a, b| (a.at, &a.target).cmp(&(b.at, &b.target)));
        }
        overview
    }

    /// An account that is postponed, dismissed or being verified is left alone.
    fn add_account(
        &mut self,
        read: &Versioned<Account>,
        expires_at: Option<Timestamp>,
        state: &ContactState,
        now: Timestamp,
    ) {
        let account = &read.value;
        let target = Target::Account(account.account_id.clone());
        let told = state.told.get(&target.to_string());
        let open = |at, episode, notice| Open {
            target: target.clone(),
            version: read.version,
            connection: Connection::Service(account.service_name.clone()),
            at,
            episode,
            notice,
        };
        match &account.status {
            Status::ReauthRequired(episode) => {
                self.keep_told(&target, told, &episode.episode_id);
                if episode.postponed_until.is_none_or(|until| until <= now) {
                    let id = Some(episode.episode_id.clone());
                    self.ended.push(open(episode.since, id, episode.notice.clone()));
                }
            }
            Status::Verifying { episode: Some(episode), .. } => {
                self.keep_told(&target, told, &episode.episode_id);
                self.is_verifying |= told != Some(&episode.episode_id);
            }
            Status::Active { .. } if told.is_some() => {
                self.connected.push(open(account.reauthorized_at.unwrap_or(now), None, None));
            }
            Status::Active { .. } => {
                if let Some((at, notice)) = warned_expiry(expires_at, account.warned.as_ref(), now) {
                    self.ends.push(open(at, None, Some(notice)));
                }
            }
            Status::Verifying { episode: None, .. } | Status::Dismissed { .. } => {}
        }
    }

    fn add_grant(&mut self, grant: &GrantState, state: &ContactState, now: Timestamp) {
        let target = Target::Grant(grant.contract_id.clone());
        let told = state.told.get(&target.to_string());
        let recoverable = grant.is_recoverable();
        let open = |at, episode, notice| Open {
            target: target.clone(),
            version: grant.version,
            connection: Connection::Digime { recoverable },
            at,
            episode,
            notice,
        };
        if let Some(episode) = &grant.episode {
            self.keep_told(&target, told, &episode.episode_id);
            self.ended.push(open(episode.since, Some(episode.episode_id.clone()), episode.notice.clone()));
        } else if told.is_some() {
            self.connected.push(open(now, None, None));
        } else if let Some((at, notice)) = warned_expiry(grant.expires_at(), grant.warned.as_ref(), now) {
            self.ends.push(open(at, None, Some(notice)));
        }
    }

    fn keep_told(&mut self, target: &Target, told: Option<&EpisodeId>, open: &EpisodeId) {
        if told == Some(open) {
            self.still_told.insert(target.to_string(), open.clone());
        }
    }

    /// What the user is to do something about.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Open> {
        self.ended.iter().chain(&self.ends)
    }

    /// Leaves out what the user is not to be asked for now.
    pub(crate) fn leave_out(&mut self, is_held: impl Fn(&Open) -> bool) {
        self.ended.retain(|open| !is_held(open));
        self.ends.retain(|open| !is_held(open));
    }

    pub(crate) fn asks(&self) -> bool {
        self.open().next().is_some()
    }

    /// Without what asks the user for something.
    pub(crate) fn only_connected(self) -> Self {
        Self { ended: Vec::new(), ends: Vec::new(), ..self }
    }

    /// The open episodes that the user knows of after a mail with this.
    pub(crate) fn told(&self) -> BTreeMap<String, EpisodeId> {
        let named = self.ended.iter().filter_map(|open| Some((open.target.to_string(), open.episode.clone()?)));
        self.still_told.clone().into_iter().chain(named).collect()
    }

    /// The versions on which a mail with this rests.
    pub(crate) fn versions(&self) -> Vec<(Target, u64)> {
        let named = self.ended.iter().chain(&self.ends).chain(&self.connected);
        named.map(|open| (open.target.clone(), open.version)).collect()
    }

    /// The notices of what is open, newest first. Ids of events sort by time.
    pub(crate) fn notices(&self) -> Vec<&Notice> {
        let mut notices: Vec<_> = self.open().filter_map(|open| open.notice.as_ref()).collect();
        notices.sort_by(|a, b| b.event_id.cmp(&a.event_id));
        notices
    }
}

/// The expiry, if it is to come and the application was warned of it. A warning of another expiry is no longer true: the
/// authorization was renewed since, or the account was read.
fn warned_expiry(
    expires_at: Option<Timestamp>,
    warned: Option<&Warned>,
    now: Timestamp,
) -> Option<(Timestamp, Notice)> {
    let at = expires_at.filter(|at| now < *at)?;
    let warned = warned.filter(|warned| warned.is_of(at))?;
    Some((at, warned.notice.clone()?))
}
