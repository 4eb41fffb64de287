//! An account and how its status changes: the one table of states and signals.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AccountId, ContractId, EpisodeId, EventDetail, EventId, FailureCode, ReauthorizationId, UserId, Via,
    verification::{ListedAccount, Refusal},
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
    /// The name of the account at the source, as digi.me shows it. A reauthorization must come back with this name.
    pub username: Option<String>,
    /// Whether digi.me's list of accounts has ever named it.
    pub listed: bool,
    /// Where the account stands.
    pub status: Status,
    /// The account came back from a reauthorization with another username, and nobody has settled that yet.
    pub identity_mismatch: Option<IdentityMismatch>,
    /// When its user last reauthorized it.
    pub reauthorized_at: Option<Timestamp>,
    /// The sequence number of its last event; 0 without one.
    pub sequence: u64,
}

/// Where an account stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nothing is known to be wrong.
    Active {
        /// Whether digi.me, or a read, confirmed the last reauthorization.
        verified: Option<bool>,
        /// When the source's authorization ends, where digi.me says so.
        authorization_expires_at: Option<Timestamp>,
    },
    /// The source withdrew its authorization: the user must reauthorize.
    ReauthRequired(Episode),
    /// A callback said success, and digi.me has not confirmed it yet.
    Verifying {
        /// The episode that the reauthorization is to end; none when an active account was reauthorized.
        episode: Option<Episode>,
        /// The reauthorizations that wait for the confirmation, oldest first.
        claims: Vec<Attempt>,
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
    /// The event that told of the episode. The store fills it in when it numbers the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// What an episode's reconnect link is derived from: the event that carried it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The event.
    pub event_id: EventId,
    /// The key that the link's token is made with.
    pub link_key_id: String,
    /// When the event happened: the link's lifetime begins then.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
}

/// The login that a reauthorization came back with, in place of [`Account::username`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityMismatch {
    /// The username that digi.me names now.
    pub found: String,
}

/// A reauthorization, as far as its account needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The reauthorization.
    pub id: ReauthorizationId,
    /// The failure that it stands at; none if it has not failed, or was overtaken by a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// The failures that were told. Each is told once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<FailureCode>,
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
        /// The username that digi.me's list names now; only asked for while there is an identity mismatch.
        username: Option<String>,
    },
    /// digi.me says that the account is authorized.
    Confirmed {
        /// Who asked.
        via: Via,
        /// The account in digi.me's list, where the list said it.
        listed: Option<ListedAccount>,
        /// The reauthorization whose callback was the reason to ask.
        attempt: Option<Attempt>,
    },
    /// A callback said success, and digi.me could not be asked or does not tell.
    Claimed {
        /// Whose callback.
        attempt: Attempt,
    },
    /// A callback said that a reauthorization failed.
    Failed {
        /// Whose callback.
        attempt: Attempt,
        /// What it said.
        code: FailureCode,
    },
    /// digi.me, asked after a callback that said success, says otherwise.
    Denied {
        /// The reauthorization whose callback was the reason to ask.
        attempt: Option<Attempt>,
        /// What follows from digi.me's answer.
        refusal: Refusal,
    },
    /// Nobody could confirm a claimed reauthorization for too long.
    NeverConfirmed,
    /// The application takes the login that digi.me names now.
    IdentityAccepted {
        /// The account in digi.me's list.
        listed: ListedAccount,
    },
    /// digi.me's list under the account's contract no longer names it.
    Unlisted,
}

/// What becomes of a reauthorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Its callback said success; digi.me's confirmation is awaited.
    Claimed,
    /// The account is authorized again.
    Succeeded {
        /// Whether digi.me or a read confirmed it.
        verified: bool,
    },
    /// It is not.
    Failed(FailureCode),
}

/// An event of an account, without what the store adds: its id, its time, its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub detail: EventDetail,
    /// The episode it belongs to.
    pub episode_id: Option<EpisodeId>,
}

/// A change of an account: the account afterwards, and all that must be written with it in one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The account afterwards; its `sequence` is that of the last event.
    pub account: Account,
    /// Whether the account is deleted rather than written.
    pub removes: bool,
    /// What is to be told, numbered without a gap up to the account's `sequence`.
    pub events: Vec<NewEvent>,
    /// What becomes of reauthorizations, the callback's own among them.
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
            listed: false,
            status: Status::Active { verified: None, authorization_expires_at: None },
            identity_mismatch: None,
            reauthorized_at: None,
            sequence: 0,
        }
    }

    /// The episode that is going on.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        match &self.status {
            Status::Active { .. } => None,
            Status::ReauthRequired(episode) => Some(episode),
            Status::Verifying { episode, .. } => episode.as_ref(),
        }
    }

    /// Notes which event told of the episode.
    pub fn set_notice(&mut self, notice: Notice) {
        match &mut self.status {
            Status::ReauthRequired(episode) | Status::Verifying { episode: Some(episode), .. } => {
                episode.notice = Some(notice);
            }
            Status::Active { .. } | Status::Verifying { episode: None, .. } => {}
        }
    }

    /// The account's username, masked by [`mask`].
    #[must_use]
    pub fn masked_username(&self) -> Option<String> {
        self.username.as_deref().map(mask)
    }

    /// When its user last went through the reauthorization page, as far as a callback or a read told.
    #[must_use]
    pub fn last_reauthorization(&self) -> Option<Timestamp> {
        match &self.status {
            Status::Verifying { since, .. } => self.reauthorized_at.max(Some(*since)),
            Status::Active { .. } | Status::ReauthRequired(_) => self.reauthorized_at,
        }
    }

    /// The account with what digi.me's list says of it. The username stays while the account waits for its user, and
    /// while there is an identity mismatch: it is what a reauthorization is compared with.
    #[must_use]
    pub fn described(mut self, listed: &ListedAccount) -> Self {
        self.listed = true;
        if listed.service_name.is_some() {
            self.service_name.clone_from(&listed.service_name);
        }
        let settled = self.identity_mismatch.is_none();
        if let Status::Active { authorization_expires_at, .. } = &mut self.status {
            *authorization_expires_at = listed.authorization_expires_at;
            if settled && listed.username.is_some() {
                self.username.clone_from(&listed.username);
            }
        }
        if self.username.is_none() {
            self.username.clone_from(&listed.username);
        }
        self
    }

    /// Takes a signal at the time `now`.
    #[must_use]
    pub fn take(self, signal: Signal, now: Timestamp) -> Outcome {
        match signal {
            Signal::AuthorizationLost { error, observed_at, new_episode } => {
                self.lost(Episode { episode_id: new_episode, since: observed_at, error, notice: None }, now)
            }
            Signal::ReadCompleted { observed_at, username } => {
                let identified = self.identity_mismatch.is_none() || (username.is_some() && username == self.username);
                if identified && !matches!(self.status, Status::Active { .. }) {
                    let healing = Healing { at: observed_at, ..Healing::verified(Via::ReadResult, now) };
                    self.healed(healing, None, now)
                } else {
                    Outcome::Unchanged(self)
                }
            }
            Signal::Confirmed { via, listed, attempt } => {
                let expires_at = listed.as_ref().and_then(|listed| listed.authorization_expires_at);
                let account = listed.iter().fold(self, |account, listed| account.described(listed));
                account.healed(Healing { expires_at, ..Healing::verified(via, now) }, attempt, now)
            }
            Signal::Claimed { attempt } => self.claimed(attempt, now),
            Signal::Failed { attempt, code } => self.failed(attempt, code, now),
            Signal::Denied { attempt, refusal } => self.denied(attempt, refusal, now),
            Signal::NeverConfirmed => match &self.status {
                Status::Verifying { .. } => {
                    self.healed(Healing { verified: false, ..Healing::verified(Via::Sweep, now) }, None, now)
                }
                Status::Active { .. } | Status::ReauthRequired(_) => Outcome::Unchanged(self),
            },
            Signal::IdentityAccepted { listed } => self.identity_accepted(&listed, now),
            Signal::Unlisted => self.unlisted(now),
        }
    }

    fn lost(mut self, new: Episode, now: Timestamp) -> Outcome {
        match std::mem::replace(&mut self.status, ACTIVE) {
            Status::Active { .. } => {
                let events = vec![required(&new)];
                self.status = Status::ReauthRequired(new);
                self.changed(events, Vec::new(), now)
            }
            Status::ReauthRequired(episode) => {
                self.status = Status::ReauthRequired(episode);
                Outcome::Unchanged(self)
            }
            Status::Verifying { episode, claims, .. } => {
                let told = episode.is_some();
                let episode = episode.unwrap_or(new);
                let (mut events, settled) = failures(claims, &FailureCode::NotAuthorized, Some(&episode.episode_id));
                if !told {
                    events.push(required(&episode));
                }
                self.status = Status::ReauthRequired(episode);
                self.changed(events, settled, now)
            }
        }
    }

    fn healed(mut self, healing: Healing, own: Option<Attempt>, now: Timestamp) -> Outcome {
        let Healing { via, verified, at, expires_at } = healing;
        // A callback that waits for confirmation knows better when the user was there.
        let at = match &self.status {
            Status::Verifying { since, .. } if via != Via::Callback => *since,
            _ => at,
        };
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let succeeded = Settlement::Succeeded { verified };
        let settled = with(self.take_claims(), own).into_iter().map(|attempt| (attempt.id, succeeded.clone()));
        let settled = settled.collect();
        self.status = Status::Active { verified: Some(verified), authorization_expires_at: expires_at };
        self.reauthorized_at = Some(at);
        if verified {
            self.identity_mismatch = None;
        }
        let event = NewEvent { detail: EventDetail::Reauthorized { via, verified }, episode_id };
        self.changed(vec![event], settled, now)
    }

    fn claimed(mut self, attempt: Attempt, now: Timestamp) -> Outcome {
        let (episode, mut claims) = match std::mem::replace(&mut self.status, ACTIVE) {
            Status::Active { .. } => (None, Vec::new()),
            Status::ReauthRequired(episode) => (Some(episode), Vec::new()),
            Status::Verifying { episode, claims, since } => {
                if claims.iter().any(|claim| claim.id == attempt.id) {
                    self.status = Status::Verifying { episode, claims, since };
                    return Outcome::Unchanged(self);
                }
                (episode, claims)
            }
        };
        let mut settled = vec![(attempt.id.clone(), Settlement::Claimed)];
        if claims.len() == MAX_CLAIMS {
            settled.push((claims.remove(0).id, Settlement::Failed(FailureCode::Unknown)));
        }
        claims.push(Attempt { failure: None, ..attempt });
        self.status = Status::Verifying { episode, claims, since: now };
        self.changed(Vec::new(), settled, now)
    }

    fn failed(self, attempt: Attempt, code: FailureCode, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let (events, settled) = failures(vec![attempt], &code, episode_id.as_ref());
        if events.is_empty() && settled.is_empty() {
            return Outcome::Unchanged(self);
        }
        self.changed(events, settled, now)
    }

    fn denied(mut self, own: Option<Attempt>, refusal: Refusal, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let was_verifying = matches!(self.status, Status::Verifying { .. });
        let mismatch = refusal.found.map(|found| IdentityMismatch { found });
        let mismatched = mismatch.is_some() && mismatch != self.identity_mismatch;
        if mismatched {
            self.identity_mismatch = mismatch;
        }
        let (events, settled) = failures(with(self.take_claims(), own), &refusal.code, episode_id.as_ref());
        if !was_verifying && !mismatched && events.is_empty() && settled.is_empty() {
            return Outcome::Unchanged(self);
        }
        self.changed(events, settled, now)
    }

    fn identity_accepted(mut self, listed: &ListedAccount, now: Timestamp) -> Outcome {
        self.identity_mismatch = None;
        self.username.clone_from(&listed.username);
        let healing = Healing {
            verified: listed.authorized == Some(true),
            expires_at: listed.authorization_expires_at,
            ..Healing::verified(Via::Application, now)
        };
        self.described(listed).healed(healing, None, now)
    }

    fn unlisted(mut self, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let (mut events, settled) = failures(self.take_claims(), &FailureCode::AccountNotFound, episode_id.as_ref());
        events.push(NewEvent { detail: EventDetail::Removed {}, episode_id });
        match self.changed(events, settled, now) {
            Outcome::Changed(change) => Outcome::Changed(Change { removes: true, ..change }),
            unchanged @ Outcome::Unchanged(_) => unchanged,
        }
    }

    /// Ends a wait for confirmation: gives the claims, and leaves the status that was before them.
    fn take_claims(&mut self) -> Vec<Attempt> {
        match std::mem::replace(&mut self.status, ACTIVE) {
            Status::Verifying { episode, claims, .. } => {
                self.status = episode.map_or(ACTIVE, Status::ReauthRequired);
                claims
            }
            status => {
                self.status = status;
                Vec::new()
            }
        }
    }

    /// The events' numbers grow by one, and never fall behind the milliseconds of their time: an account that is erased
    /// and comes back, or a table that is restored, does not use a number twice.
    fn changed(
        mut self,
        events: Vec<NewEvent>,
        settled: Vec<(ReauthorizationId, Settlement)>,
        now: Timestamp,
    ) -> Outcome {
        if !events.is_empty() {
            let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
            self.sequence = (self.sequence + 1).max(milliseconds) + events.len() as u64 - 1;
        }
        Outcome::Changed(Change { account: self, removes: false, events, settled })
    }
}

/// An active account of which nothing more is known.
const ACTIVE: Status = Status::Active { verified: None, authorization_expires_at: None };

/// How an account is healed.
struct Healing {
    via: Via,
    verified: bool,
    /// When the user reauthorized it.
    at: Timestamp,
    /// When the new authorization ends, where digi.me says so.
    expires_at: Option<Timestamp>,
}

impl Healing {
    fn verified(via: Via, at: Timestamp) -> Self {
        Self { via, verified: true, at, expires_at: None }
    }
}

/// Enough of an account's name for its owner to know it, and too little for others to learn it: `alex.morgan` is `a…n`,
/// `ann@example.org` is `a…@e…g`.
#[must_use]
pub fn mask(username: &str) -> String {
    let mask = |part: &str| {
        let mut characters = part.chars();
        let first = characters.next().map(String::from).unwrap_or_default();
        let last = characters.next_back().filter(|_| part.chars().count() > 3);
        format!("{first}…{}", last.map(String::from).unwrap_or_default())
    };
    username.split('@').map(mask).collect::<Vec<_>>().join("@")
}

fn required(episode: &Episode) -> NewEvent {
    let detail =
        EventDetail::ReauthorizationRequired { error: episode.error.clone(), since: episode.since, reminder: 0 };
    NewEvent { detail, episode_id: Some(episode.episode_id.clone()) }
}

/// The claims, and the callback's own attempt if it is not among them.
fn with(mut claims: Vec<Attempt>, own: Option<Attempt>) -> Vec<Attempt> {
    if let Some(own) = own
        && claims.iter().all(|claim| claim.id != own.id)
    {
        claims.push(own);
    }
    claims
}

/// Attempts that end with the same failure. One that stands at this failure already does not change; one that was told
/// before is not told again.
fn failures(
    attempts: Vec<Attempt>,
    code: &FailureCode,
    episode_id: Option<&EpisodeId>,
) -> (Vec<NewEvent>, Vec<(ReauthorizationId, Settlement)>) {
    let (mut events, mut settled) = (Vec::new(), Vec::new());
    for attempt in attempts {
        if !attempt.told.contains(code) {
            let detail = EventDetail::ReauthorizationFailed {
                reauthorization_id: attempt.id.clone(),
                error_code: code.clone(),
                retryable: code.retryable(),
            };
            events.push(NewEvent { detail, episode_id: episode_id.cloned() });
        }
        if attempt.failure.as_ref() != Some(code) {
            settled.push((attempt.id, Settlement::Failed(code.clone())));
        }
    }
    (events, settled)
}

impl Status {
    /// The status on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active { .. } => "active",
            Self::ReauthRequired(_) => "reauth_required",
            Self::Verifying { .. } => "verifying",
        }
    }
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
