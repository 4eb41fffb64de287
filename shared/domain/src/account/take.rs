//! The state machine of an account: each signal in each status.

use digime::ListedAccount;
use jiff::Timestamp;

use super::{Account, Attempt, Change, Episode, IdentityMismatch, Outcome, Settlement, Signal, Status};
use crate::{
    EpisodeId, EventDetail, FailureCode, NewEvent, ReauthorizationId, Via,
    event::next_sequence,
    verification::{Refusal, is_acceptable},
};

/// How many reauthorizations of one account may wait for digi.me's confirmation at the same time. When there is one
/// more, the oldest one fails.
pub(super) const MAX_CLAIMS: usize = 20;

impl Account {
    /// Applies a signal at the time `now`.
    #[must_use]
    pub fn take(self, signal: Signal, now: Timestamp) -> Outcome {
        match signal {
            Signal::AuthorizationLost { error, observed_at, new_episode } => {
                self.lost(Episode { episode_id: new_episode, since: observed_at, error, notice: None }, now)
            }
            Signal::ReadCompleted { observed_at, username } => {
                let identified = self.read_can_heal() || (username.is_some() && username == self.username);
                if identified && !matches!(self.status, Status::Active { .. }) {
                    let healing = Healing { at: observed_at, ..Healing::new(Via::ReadResult, now) };
                    self.healed(healing, None, now)
                } else {
                    Outcome::Unchanged(self)
                }
            }
            Signal::Confirmed { via, listed, attempt } => {
                let expires_at = listed.as_ref().and_then(|listed| listed.authorization_expires_at);
                let account = listed.iter().fold(self, |account, listed| account.described(listed));
                account.healed(Healing { expires_at, ..Healing::new(via, now) }, attempt, now)
            }
            Signal::Claimed { attempt } => self.claimed(attempt, now),
            Signal::Failed { attempt, code } => self.failed(attempt, code, now),
            Signal::Denied { attempt, refusal } => self.denied(attempt, refusal, now),
            Signal::NeverConfirmed => match &self.status {
                Status::Verifying { .. } => {
                    self.healed(Healing { verified: false, ..Healing::new(Via::Sweep, now) }, None, now)
                }
                Status::Active { .. } | Status::ReauthRequired(_) => Outcome::Unchanged(self),
            },
            Signal::IdentityAccepted { listed } => self.identity_accepted(&listed, now),
            Signal::Unlisted => self.unlisted(now),
        }
    }

    /// A read needs the user. An account that was `active` begins an episode, with the event
    /// `account.reauthorization_required`. In an episode that the application was notified of, nothing changes.
    fn lost(mut self, new: Episode, now: Timestamp) -> Outcome {
        match std::mem::replace(&mut self.status, ACTIVE) {
            Status::Active { .. } => {
                let events = vec![required_event(&new)];
                self.status = Status::ReauthRequired(new);
                Outcome::Changed(self.change(events, Vec::new(), now))
            }
            Status::ReauthRequired(episode) => {
                self.status = Status::ReauthRequired(episode);
                Outcome::Unchanged(self)
            }
            Status::Verifying { episode, claims, .. } => {
                let was_notified = episode.is_some();
                let episode = episode.unwrap_or(new);
                let (mut events, settled) = failures(claims, &FailureCode::NotAuthorized, Some(&episode.episode_id));
                if !was_notified {
                    events.push(required_event(&episode));
                }
                self.status = Status::ReauthRequired(episode);
                Outcome::Changed(self.change(events, settled, now))
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
        let ended_episode_since = self.episode().map(|episode| episode.since);
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let succeeded = Settlement::Succeeded { verified };
        let settled = with_own(self.take_claims(), own).into_iter().map(|attempt| (attempt.id, succeeded.clone()));
        let settled = settled.collect();
        self.status = Status::Active { verified: Some(verified), authorization_expires_at: expires_at };
        self.reauthorized_at = Some(at);
        if verified {
            self.identity_mismatch = None;
        }
        let event = NewEvent { detail: EventDetail::Reauthorized { via, verified }, episode_id };
        Outcome::Changed(Change { ended_episode_since, ..self.change(vec![event], settled, now) })
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
        Outcome::Changed(self.change(Vec::new(), settled, now))
    }

    fn failed(self, attempt: Attempt, code: FailureCode, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let (events, settled) = failures(vec![attempt], &code, episode_id.as_ref());
        if events.is_empty() && settled.is_empty() {
            return Outcome::Unchanged(self);
        }
        Outcome::Changed(self.change(events, settled, now))
    }

    fn denied(mut self, own: Option<Attempt>, refusal: Refusal, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let was_verifying = matches!(self.status, Status::Verifying { .. });
        let mismatch = refusal.found.map(|found| IdentityMismatch { found });
        let mismatched = mismatch.is_some() && mismatch != self.identity_mismatch;
        if mismatched {
            self.identity_mismatch = mismatch;
        }
        let (events, settled) = failures(with_own(self.take_claims(), own), &refusal.code, episode_id.as_ref());
        if !was_verifying && !mismatched && events.is_empty() && settled.is_empty() {
            return Outcome::Unchanged(self);
        }
        Outcome::Changed(self.change(events, settled, now))
    }

    fn identity_accepted(mut self, listed: &ListedAccount, now: Timestamp) -> Outcome {
        if self.identity_mismatch.is_none() || !is_acceptable(listed) {
            return Outcome::Unchanged(self);
        }
        self.identity_mismatch = None;
        self.username.clone_from(&listed.username);
        let healing = Healing {
            verified: listed.authorized == Some(true),
            expires_at: listed.authorization_expires_at,
            ..Healing::new(Via::Application, now)
        };
        self.described(listed).healed(healing, None, now)
    }

    fn unlisted(mut self, now: Timestamp) -> Outcome {
        let episode_id = self.episode().map(|episode| episode.episode_id.clone());
        let (mut events, settled) = failures(self.take_claims(), &FailureCode::AccountNotFound, episode_id.as_ref());
        events.push(NewEvent { detail: EventDetail::Removed {}, episode_id });
        Outcome::Changed(Change { removes: true, ..self.change(events, settled, now) })
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

    fn change(
        mut self,
        events: Vec<NewEvent>,
        settled: Vec<(ReauthorizationId, Settlement)>,
        now: Timestamp,
    ) -> Change {
        self.sequence = next_sequence(self.sequence, events.len(), now);
        Change { events, settled, ..Change::without_events(self) }
    }
}

/// The status of an active account of which nothing else is known.
pub(super) const ACTIVE: Status = Status::Active { verified: None, authorization_expires_at: None };

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
    /// A verified healing. The callers that know more change its fields.
    fn new(via: Via, at: Timestamp) -> Self {
        Self { via, verified: true, at, expires_at: None }
    }
}

fn required_event(episode: &Episode) -> NewEvent {
    let detail =
        EventDetail::ReauthorizationRequired { error: episode.error.clone(), since: episode.since, reminder: 0 };
    NewEvent { detail, episode_id: Some(episode.episode_id.clone()) }
}

/// The claims, and the attempt of the current callback if it is not among them.
fn with_own(mut claims: Vec<Attempt>, own: Option<Attempt>) -> Vec<Attempt> {
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
