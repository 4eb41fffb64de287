//! An account and its status. [`Account::take`] is the whole state machine: each signal in each status.

use digime::{ListedAccount, read_result::AccountError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ContractId, EpisodeId, EventDetail, EventId, FailureCode, ReauthorizationId, UserId, Via, time::rfc3339,
    verification::Refusal,
};

/// How many reauthorizations of one account may wait for digi.me's confirmation at the same time. When there is one
/// more, the oldest one fails.
const MAX_CLAIMS: usize = 20;

/// An account of a user, as this service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user_id: UserId,
    /// digi.me's identifier of the account.
    pub account_id: AccountId,
    /// The contract under which the account was last read.
    pub contract_id: Option<ContractId>,
    /// The name of the source, such as `Instagram`.
    pub service_name: Option<String>,
    /// The name of the account at the source, as digi.me shows it. After a reauthorization the account must still have
    /// this name.
    pub username: Option<String>,
    /// Whether digi.me's list of accounts has ever contained the account. An account that was never listed is not
    /// removed when the list does not contain it.
    pub listed: bool,
    pub status: Status,
    /// Set when the account had another username after a reauthorization. Ends with a verified healing, or when the
    /// application accepts the new login.
    pub identity_mismatch: Option<IdentityMismatch>,
    /// When the user last reauthorized the account.
    pub reauthorized_at: Option<Timestamp>,
    /// The sequence number of the account's last event; 0 before the first event.
    pub sequence: u64,
}

/// The status of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// No problem is known.
    Active {
        /// Whether digi.me or a completed read confirmed the last reauthorization.
        verified: Option<bool>,
        /// When the source's authorization expires, if digi.me says so.
        authorization_expires_at: Option<Timestamp>,
    },
    /// The source no longer authorizes digi.me: the user must reauthorize.
    ReauthRequired(Episode),
    /// A callback reported success, and digi.me has not confirmed it yet.
    Verifying {
        /// The episode that the reauthorization is meant to end. `None` when an active account was reauthorized.
        episode: Option<Episode>,
        /// The reauthorizations that wait for digi.me's confirmation, oldest first.
        claims: Vec<Attempt>,
        /// When the last callback arrived.
        since: Timestamp,
    },
}

/// The time from an account's authorization error until it is active again. The application is notified once for each
/// episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    /// Identifies the episode in all of its events.
    pub episode_id: EpisodeId,
    /// When the failed read session was started.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// The error that the read returned.
    #[serde(default)]
    pub error: AccountError,
    /// The event that announced the episode. The store sets it when it numbers the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// The event that announced an episode. The episode's reconnect link is derived from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    pub event_id: EventId,
    /// The id of the key that the link's token is derived with.
    pub link_key_id: String,
    /// When the event happened. The link's lifetime begins then.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
}

/// The login that digi.me named after a reauthorization, different from [`Account::username`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityMismatch {
    pub found: String,
}

/// The part of a reauthorization that its account needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub id: ReauthorizationId,
    /// The failure with which the reauthorization currently ended. `None` if it has not failed, or a success came after
    /// the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureCode>,
    /// The failures that the application was notified of. It is notified of each failure once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<FailureCode>,
}

/// New information about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A read says that the user must reauthorize the account.
    AuthorizationLost {
        error: AccountError,
        /// When the read session was started.
        observed_at: Timestamp,
        /// The id of the new episode, if one begins.
        new_episode: EpisodeId,
    },
    /// A read of the account completed.
    ReadCompleted {
        /// When the read session was started.
        observed_at: Timestamp,
        /// The username in digi.me's list. It is only requested while there is an identity mismatch.
        username: Option<String>,
    },
    /// digi.me says that the account is authorized.
    Confirmed {
        /// How the confirmation was obtained.
        via: Via,
        /// The account in digi.me's list, if the list confirmed it.
        listed: Option<ListedAccount>,
        /// The reauthorization whose callback was verified.
        attempt: Option<Attempt>,
    },
    /// A callback reported success, and digi.me was not reachable or does not say whether the account is authorized.
    Claimed { attempt: Attempt },
    /// A callback reported that a reauthorization failed.
    Failed { attempt: Attempt, code: FailureCode },
    /// A callback reported success, and digi.me contradicts it.
    Denied {
        /// The reauthorization whose callback was verified.
        attempt: Option<Attempt>,
        /// Why the reauthorization did not succeed.
        refusal: Refusal,
    },
    /// A claimed reauthorization was not confirmed in time.
    NeverConfirmed,
    /// The application accepts the login that digi.me names now.
    IdentityAccepted { listed: ListedAccount },
    /// digi.me's list under the account's contract no longer contains the account.
    Unlisted,
}

/// The new progress of a reauthorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The callback reported success, and digi.me has not confirmed it yet.
    Claimed,
    /// The account is authorized again.
    Succeeded {
        /// Whether digi.me or a completed read confirmed it.
        verified: bool,
    },
    /// The account is not authorized.
    Failed(FailureCode),
}

/// An event of an account, without the fields that the store adds: the event id, the timestamp and the sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub detail: EventDetail,
    pub episode_id: Option<EpisodeId>,
}

/// A change of an account: the account after the change, and everything that must be written in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The account after the change. Its `sequence` is that of the last event.
    pub account: Account,
    /// Whether the account is deleted instead of written.
    pub removes: bool,
    /// The new events. Their sequence numbers have no gap and end at the account's `sequence`.
    pub events: Vec<NewEvent>,
    /// The new progress of reauthorizations, including that of the current callback.
    pub settled: Vec<(ReauthorizationId, Settlement)>,
}

/// The effect of a signal on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The signal contains nothing new.
    Unchanged(Account),
    Changed(Change),
}

impl Account {
    /// An account of which only the ids are known.
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

    /// The current episode.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        match &self.status {
            Status::Active { .. } => None,
            Status::ReauthRequired(episode) => Some(episode),
            Status::Verifying { episode, .. } => episode.as_ref(),
        }
    }

    /// Records the event that announced the current episode.
    pub fn set_notice(&mut self, notice: Notice) {
        match &mut self.status {
            Status::ReauthRequired(episode) | Status::Verifying { episode: Some(episode), .. } => {
                episode.notice = Some(notice);
            }
            Status::Active { .. } | Status::Verifying { episode: None, .. } => {}
        }
    }

    #[must_use]
    pub fn masked_username(&self) -> Option<String> {
        self.username.as_deref().map(mask)
    }

    /// When the user last completed the reauthorization page, according to callbacks and reads.
    #[must_use]
    pub fn last_reauthorization(&self) -> Option<Timestamp> {
        match &self.status {
            Status::Verifying { since, .. } => self.reauthorized_at.max(Some(*since)),
            Status::Active { .. } | Status::ReauthRequired(_) => self.reauthorized_at,
        }
    }

    /// The account with the data of its entry in digi.me's list. A known username does not change while the account is
    /// not `active` or has an identity mismatch: the next reauthorization is compared with it.
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

    /// Applies a signal at the time `now`.
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
        // The callback that waits for confirmation is closer to the time when the user reauthorized the account.
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

    /// Ends the wait for confirmation: returns the claims, and restores the status from before the first claim.
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

    /// Sequence numbers grow by one, and are at least the milliseconds of the event's time. An account that is erased
    /// and created again, or a restored table, does not use a number twice.
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

/// The status of an active account of which nothing else is known.
const ACTIVE: Status = Status::Active { verified: None, authorization_expires_at: None };

/// How an account becomes active again.
struct Healing {
    via: Via,
    verified: bool,
    /// When the user reauthorized the account.
    at: Timestamp,
    /// When the new authorization expires, if digi.me says so.
    expires_at: Option<Timestamp>,
}

impl Healing {
    fn verified(via: Via, at: Timestamp) -> Self {
        Self { via, verified: true, at, expires_at: None }
    }
}

/// Masks a username. The owner recognizes it, and others do not learn it: `alex.morgan` becomes `al•••••an`,
/// `ann@example.org` becomes `a•••••@ex•••••rg`. The number of dots does not tell the length.
#[must_use]
pub fn mask(username: &str) -> String {
    let mask = |part: &str| {
        let characters: Vec<char> = part.chars().collect();
        let (shown_before, shown_after) = match characters.len() {
            0..=3 => (1, 0),
            4..=7 => (1, 1),
            _ => (2, 2),
        };
        let before = characters.iter().take(shown_before);
        let after = characters.iter().skip(characters.len() - shown_after);
        before.copied().chain("•••••".chars()).chain(after.copied()).collect::<String>()
    };
    username.split('@').map(mask).collect::<Vec<_>>().join("@")
}

fn required(episode: &Episode) -> NewEvent {
    let detail =
        EventDetail::ReauthorizationRequired { error: episode.error.clone(), since: episode.since, reminder: 0 };
    NewEvent { detail, episode_id: Some(episode.episode_id.clone()) }
}

/// The claims, and the attempt of the current callback if it is not among them.
fn with(mut claims: Vec<Attempt>, own: Option<Attempt>) -> Vec<Attempt> {
    if let Some(own) = own
        && claims.iter().all(|claim| claim.id != own.id)
    {
        claims.push(own);
    }
    claims
}

/// Ends attempts with the same failure. An attempt that already ended with this failure does not change. The
/// application is notified of each failure of an attempt once.
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
    /// The status in the API and in the table.
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
