//! An account and how its status changes: the one table of states and signals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccountId, ContractId, EpisodeId, EventDetail, FailureCode, ReauthorizationId, UserId, Via,
    verification::ListedAccount,
};
use crate::ambient::rfc3339;

/// How many reauthorizations of one account may wait for digi.me's confirmation at once. The oldest gives way.
const MAX_CLAIMS: usize = 20;

/// An account of a user, as this service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user whose account it is.
    pub user_id: UserId,
    /// digi.me's identifier of the account.
    pub account_id: AccountId,
    /// The contract it was last read under.
    pub contract_id: Option<ContractId>,
    /// The name of the source, such as `Instagram`.
    pub service_name: Option<String>,
    /// The name of the account at the source, as digi.me shows it.
    pub username: Option<String>,
    /// Where the account stands.
    pub status: Status,
    /// When its user last reauthorized it.
    pub reauthorized_at: Option<Timestamp>,
    /// Whether digi.me, or a read, confirmed the last reauthorization.
    pub verified: Option<bool>,
    /// When the source's authorization ends, where digi.me says so.
    pub authorization_expires_at: Option<Timestamp>,
    /// How many events the account has had; the last event's sequence number.
    pub sequence: u64,
}

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known to be wrong.
    Active,
    /// The source withdrew its authorization: the user must reauthorize.
    ReauthRequired(Episode),
    /// A callback said success, and digi.me has not confirmed it yet.
    Verifying {
        /// The episode that the reauthorization is to end; none when an active account was reauthorized.
        episode: Option<Episode>,
        /// The reauthorizations that wait for the confirmation, oldest first.
        claims: Vec<ReauthorizationId>,
        /// When the last of them came back.
        since: Timestamp,
    },
}

/// The time from the error to the healing, told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    /// Names the episode in every event of it.
    pub episode_id: EpisodeId,
    /// When the read session that failed was started.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// What the read said.
    #[serde(default)]
    pub error: AccountError,
}

/// The error of an account, as far as the read result told it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountError {
    /// digi.me's code, such as `ServiceAuthorizationError`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// digi.me's status, such as 511.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// What digi.me wrote for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is learned about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A read says that the source wants its user.
    AuthorizationLost {
        /// What it said.
        error: AccountError,
        /// When the read session was started.
        observed_at: Timestamp,
        /// Names the episode, if one begins.
        new_episode: EpisodeId,
    },
    /// A read of the account completed.
    ReadCompleted {
        /// When the read session was started.
        observed_at: Timestamp,
    },
    /// digi.me says that the account is authorized.
    Confirmed {
        /// Who asked.
        via: Via,
        /// The reauthorization whose callback was the reason to ask.
        reauthorization: Option<ReauthorizationId>,
    },
    /// A callback said success, and digi.me could not be asked or does not tell.
    Claimed {
        /// Whose callback.
        reauthorization: ReauthorizationId,
    },
    /// A callback said that a reauthorization failed.
    Failed {
        /// Whose callback.
        reauthorization: ReauthorizationId,
        /// What it said.
        code: FailureCode,
    },
    /// digi.me, asked after a callback that said success, says otherwise.
    Denied {
        /// The reauthorization whose callback was the reason to ask.
        reauthorization: Option<ReauthorizationId>,
        /// What follows from digi.me's answer.
        code: FailureCode,
    },
    /// Nobody could confirm a claimed reauthorization for too long.
    NeverConfirmed,
}

/// How a reauthorization ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The account is authorized again.
    Succeeded {
        /// Whether digi.me or a read confirmed it.
        verified: bool,
    },
    /// It is not.
    Failed(FailureCode),
}

/// A change of an account: the account afterwards, and all that must be written with it in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The account afterwards; `sequence` counts the events.
    pub account: Account,
    /// What is to be told, with the episode it belongs to.
    pub events: Vec<(EventDetail, Option<EpisodeId>)>,
    /// The reauthorizations that this settles, the callback's own among them.
    pub settled: Vec<(ReauthorizationId, Settlement)>,
}

/// What a signal does to an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: it is known already.
    Unchanged(Account),
    /// This.
    Changed(Change),
}

/// A signal that cannot come in this state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an account that is {status} cannot take the signal {signal}")]
pub struct InvalidTransition {
    /// The account's status.
    pub status: &'static str,
    /// The signal's name.
    pub signal: &'static str,
}

impl Account {
    /// An account of which only its identity is known.
    #[must_use]
    pub fn new(user_id: UserId, account_id: AccountId) -> Self {
        Self {
            user_id,
            account_id,
            contract_id: None,
            service_name: None,
            username: None,
            status: Status::Active,
            reauthorized_at: None,
            verified: None,
            authorization_expires_at: None,
            sequence: 0,
        }
    }

    /// The episode that is going on.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        match &self.status {
            Status::Active => None,
            Status::ReauthRequired(episode) => Some(episode),
            Status::Verifying { episode, .. } => episode.as_ref(),
        }
    }

    /// Enough of the account's name for its owner to know it, and too little for others to learn it: `alex.morgan` is
    /// `a…n`, `ann@example.org` is `a…@e…g`.
    #[must_use]
    pub fn masked_username(&self) -> Option<String> {
        let mask = |part: &str| {
            let mut characters = part.chars();
            let first = characters.next().map(String::from).unwrap_or_default();
            let last = characters.next_back().filter(|_| part.chars().count() > 3);
            format!("{first}…{}", last.map(String::from).unwrap_or_default())
        };
        let username = self.username.as_deref()?;
        Some(username.split('@').map(mask).collect::<Vec<_>>().join("@"))
    }

    /// When its user last went through the reauthorization page, as far as a callback or a read told.
    #[must_use]
    pub fn last_reauthorization(&self) -> Option<Timestamp> {
        match &self.status {
            Status::Verifying { since, .. } => self.reauthorized_at.max(Some(*since)),
            Status::Active | Status::ReauthRequired(_) => self.reauthorized_at,
        }
    }

    /// The account with what digi.me's list says of it. The username of an account that waits for its user stays: it
    /// is what the callback is held against.
    #[must_use]
    pub fn described(mut self, listed: &ListedAccount) -> Self {
        let settled = matches!(self.status, Status::Active);
        if let Some(username) = &listed.username
            && (settled || self.username.is_none())
        {
            self.username = Some(username.clone());
        }
        if listed.service_name.is_some() {
            self.service_name.clone_from(&listed.service_name);
        }
        if listed.authorization_expires_at.is_some() {
            self.authorization_expires_at = listed.authorization_expires_at;
        }
        self
    }

    /// Takes a signal at the time `now`.
    ///
    /// # Errors
    /// [`InvalidTransition`] names the state and the signal when they do not go together.
    pub fn take(self, signal: Signal, now: Timestamp) -> Result<Outcome, InvalidTransition> {
        match signal {
            Signal::AuthorizationLost { error, observed_at, new_episode } => {
                Ok(self.lost(Episode { episode_id: new_episode, since: observed_at, error }))
            }
            Signal::ReadCompleted { observed_at } => Ok(match &self.status {
                Status::Active => Outcome::Unchanged(self),
                Status::ReauthRequired(_) | Status::Verifying { .. } => {
                    self.healed(Via::ReadResult, true, None, observed_at)
                }
            }),
            Signal::Confirmed { via, reauthorization } => Ok(self.healed(via, true, reauthorization, now)),
            Signal::Claimed { reauthorization } => Ok(self.claimed(reauthorization, now)),
            Signal::Failed { reauthorization, code } => Ok(self.failed(reauthorization, code)),
            Signal::Denied { reauthorization, code } => Ok(self.denied(reauthorization, &code)),
            Signal::NeverConfirmed => match &self.status {
                Status::Verifying { .. } => Ok(self.healed(Via::Sweep, false, None, now)),
                status => Err(InvalidTransition { status: status.name(), signal: "NeverConfirmed" }),
            },
        }
    }

    fn lost(mut self, new: Episode) -> Outcome {
        let required = |episode: &Episode| {
            let detail = EventDetail::ReauthorizationRequired {
                error: episode.error.clone(),
                since: episode.since,
                reminder: 0,
            };
            (detail, Some(episode.episode_id.clone()))
        };
        match std::mem::replace(&mut self.status, Status::Active) {
            Status::Active => {
                let events = vec![required(&new)];
                self.status = Status::ReauthRequired(new);
                self.changed(events, Vec::new())
            }
            Status::ReauthRequired(episode) => {
                self.status = Status::ReauthRequired(episode);
                Outcome::Unchanged(self)
            }
            Status::Verifying { episode, claims, .. } => {
                let told = episode.is_some();
                let episode = episode.unwrap_or(new);
                let mut events = refusals(&claims, &FailureCode::NotAuthorized, Some(&episode.episode_id));
                if !told {
                    events.push(required(&episode));
                }
                self.status = Status::ReauthRequired(episode);
                let settled = all(claims, &Settlement::Failed(FailureCode::NotAuthorized));
                self.changed(events, settled)
            }
        }
    }

    /// `at` is when the user reauthorized it, unless a callback that waits for confirmation knows better.
    fn healed(mut self, via: Via, verified: bool, own: Option<ReauthorizationId>, at: Timestamp) -> Outcome {
        let at = match &self.status {
            Status::Verifying { since, .. } if via != Via::Callback => *since,
            _ => at,
        };
        let episode = self.episode().map(|episode| episode.episode_id.clone());
        let mut settled = all(self.take_claims(), &Settlement::Succeeded { verified });
        settle(&mut settled, own, Settlement::Succeeded { verified });
        self.status = Status::Active;
        self.reauthorized_at = Some(at);
        self.verified = Some(verified);
        self.changed(vec![(EventDetail::Reauthorized { via, verified }, episode)], settled)
    }

    fn claimed(mut self, reauthorization: ReauthorizationId, now: Timestamp) -> Outcome {
        if matches!(&self.status, Status::Verifying { claims, .. } if claims.contains(&reauthorization)) {
            return Outcome::Unchanged(self);
        }
        let (episode, mut claims) = match std::mem::replace(&mut self.status, Status::Active) {
            Status::Active => (None, Vec::new()),
            Status::ReauthRequired(episode) => (Some(episode), Vec::new()),
            Status::Verifying { episode, claims, .. } => (episode, claims),
        };
        let mut settled = Vec::new();
        if claims.len() == MAX_CLAIMS {
            settled.push((claims.remove(0), Settlement::Failed(FailureCode::Unknown)));
        }
        claims.push(reauthorization);
        self.status = Status::Verifying { episode, claims, since: now };
        self.changed(Vec::new(), settled)
    }

    fn failed(self, reauthorization: ReauthorizationId, code: FailureCode) -> Outcome {
        let episode = self.episode().map(|episode| episode.episode_id.clone());
        let events = refusals(std::slice::from_ref(&reauthorization), &code, episode.as_ref());
        self.changed(events, vec![(reauthorization, Settlement::Failed(code))])
    }

    fn denied(mut self, own: Option<ReauthorizationId>, code: &FailureCode) -> Outcome {
        let episode = self.episode().map(|episode| episode.episode_id.clone());
        let was_verifying = matches!(self.status, Status::Verifying { .. });
        let mut settled = all(self.take_claims(), &Settlement::Failed(code.clone()));
        settle(&mut settled, own, Settlement::Failed(code.clone()));
        let ended: Vec<_> = settled.iter().map(|(id, _)| id.clone()).collect();
        let events = refusals(&ended, code, episode.as_ref());
        if events.is_empty() && !was_verifying {
            return Outcome::Unchanged(self);
        }
        self.changed(events, settled)
    }

    /// Ends a wait for confirmation: gives the claims, and leaves the status that was before them.
    fn take_claims(&mut self) -> Vec<ReauthorizationId> {
        match std::mem::replace(&mut self.status, Status::Active) {
            Status::Verifying { episode, claims, .. } => {
                self.status = episode.map_or(Status::Active, Status::ReauthRequired);
                claims
            }
            status => {
                self.status = status;
                Vec::new()
            }
        }
    }

    fn changed(
        mut self,
        events: Vec<(EventDetail, Option<EpisodeId>)>,
        settled: Vec<(ReauthorizationId, Settlement)>,
    ) -> Outcome {
        self.sequence += events.len() as u64;
        Outcome::Changed(Change { account: self, events, settled })
    }
}

fn all(claims: Vec<ReauthorizationId>, settlement: &Settlement) -> Vec<(ReauthorizationId, Settlement)> {
    claims.into_iter().map(|claim| (claim, settlement.clone())).collect()
}

fn settle(settled: &mut Vec<(ReauthorizationId, Settlement)>, own: Option<ReauthorizationId>, settlement: Settlement) {
    if let Some(own) = own
        && settled.iter().all(|(id, _)| *id != own)
    {
        settled.push((own, settlement));
    }
}

fn refusals(
    ended: &[ReauthorizationId],
    code: &FailureCode,
    episode: Option<&EpisodeId>,
) -> Vec<(EventDetail, Option<EpisodeId>)> {
    let refusal = |id: &ReauthorizationId| EventDetail::ReauthorizationFailed {
        reauthorization_id: id.clone(),
        error_code: code.clone(),
        retryable: code.retryable(),
    };
    ended.iter().map(|id| (refusal(id), episode.cloned())).collect()
}

impl Status {
    /// The status on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReauthRequired(_) => "reauth_required",
            Self::Verifying { .. } => "verifying",
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
