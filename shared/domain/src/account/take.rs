//! The state machine of an account: each signal in each status.

use std::time::Duration;

use digime::ListedAccount;
use jiff::Timestamp;

use super::{
    Account, ActiveBefore, Attempt, Change, Episode, ExpiryWarning, IdentityMismatch, NoticePlan, Outcome, Settlement,
    Signal, Status, Warned,
};
use crate::{
    EpisodeId, EventDetail, FailureCode, NewEvent, ReauthorizationId, Via,
    event::next_sequence,
    time::after,
    verification::{Refusal, is_acceptable},
};

/// How many reauthorizations of one account may wait for digi.me's confirmation at the same time. When there is one
/// more, the oldest one fails.
pub(super) const MAX_CLAIMS: usize = 20;
/// In days: how long the user is not reminded after *not now*.
pub const POSTPONED_DAYS: u32 = 7;
const POSTPONEMENT: Duration = Duration::from_secs(POSTPONED_DAYS as u64 * 24 * 60 * 60);

impl Account {
    /// Applies a signal at the time `now`.
    #[must_use]
    pub fn take(self, signal: Signal, now: Timestamp) -> Outcome {
        match signal {
            Signal::AuthorizationLost { error, observed_at, new_episode } => {
                self.lost(Episode::new(new_episode, observed_at, error, now), now)
            }
            Signal::ReadCompleted { observed_at, listed } => {
                let username = listed.as_ref().and_then(|listed| listed.username.as_ref());
                let identified = self.read_can_heal() || (username.is_some() && username == self.username.as_ref());
                if identified && !matches!(self.status, Status::Active { .. }) {
                    let expires_at = listed.and_then(|listed| listed.authorization_expires_at);
                    let healing = Healing { at: observed_at, expires_at, ..Healing::new(Via::ReadResult, now) };
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
                Status::Verifying { before, .. } => {
                    let expires_at = before.authorization_expires_at;
                    self.healed(Healing { verified: false, expires_at, ..Healing::new(Via::Sweep, now) }, None, now)
                }
                Status::Active { .. } | Status::ReauthRequired(_) | Status::Dismissed { .. } => {
                    Outcome::Unchanged(self)
                }
            },
            Signal::Dismissed => self.dismissed(now),
            Signal::Postponed => self.postponed(now),
            Signal::ReminderDue => self.reminded(now),
            Signal::ExpiryDue(warning) => self.warned_of(warning, now),
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
                self.set_status(needing(new, None));
                Outcome::Changed(self.change(events, Vec::new(), now))
            }
            status @ (Status::ReauthRequired(_) | Status::Dismissed { .. }) => {
                self.status = status;
                Outcome::Unchanged(self)
            }
            Status::Verifying { episode, dismissed_at, claims, .. } => {
                let was_notified = episode.is_some();
                let episode = episode.unwrap_or(new);
                let (mut events, settled) = failures(claims, &FailureCode::NotAuthorized, Some(&episode.episode_id));
                if !was_notified {
                    events.push(required_event(&episode));
                }
                self.set_status(needing(episode, dismissed_at));
                Outcome::Changed(self.change(events, settled, now))
            }
        }
    }

    /// Changes the status. What the sweep planned before does not hold any more.
    fn set_status(&mut self, status: Status) {
        self.notices = match status {
            Status::Active { .. } | Status::ReauthRequired(_) => NoticePlan::Unplanned,
            Status::Dismissed { .. } | Status::Verifying { .. } => NoticePlan::Nothing,
        };
        self.status = status;
    }

    /// The user no longer uses the account. The application is notified, and nobody is reminded any more.
    fn dismissed(mut self, now: Timestamp) -> Outcome {
        match std::mem::replace(&mut self.status, ACTIVE) {
            Status::ReauthRequired(episode) => {
                let detail = EventDetail::Dismissed { since: episode.since };
                let event = NewEvent { detail, episode_id: Some(episode.episode_id.clone()) };
                self.set_status(Status::Dismissed { episode, dismissed_at: now });
                Outcome::Changed(self.change(vec![event], Vec::new(), now))
            }
            status => {
                self.status = status;
                Outcome::Unchanged(self)
            }
        }
    }

    /// *Not now*: the reminders pause.
    fn postponed(mut self, now: Timestamp) -> Outcome {
        let Status::ReauthRequired(episode) = &mut self.status else { return Outcome::Unchanged(self) };
        episode.postponed_until = Some(after(now, POSTPONEMENT));
        self.notices = NoticePlan::Unplanned;
        Outcome::Changed(self.change(Vec::new(), Vec::new(), now))
    }

    fn reminded(mut self, now: Timestamp) -> Outcome {
        let Status::ReauthRequired(episode) = &mut self.status else { return Outcome::Unchanged(self) };
        episode.reminders += 1;
        episode.reminded_at = Some(now);
        let event = required_event(episode);
        self.notices = NoticePlan::Unplanned;
        Outcome::Changed(self.change(vec![event], Vec::new(), now))
    }

    fn warned_of(mut self, warning: ExpiryWarning, now: Timestamp) -> Outcome {
        let Status::Active { .. } = self.status else { return Outcome::Unchanged(self) };
        let ExpiryWarning { expires_at, days_left, basis } = warning;
        self.warned = Some(Warned { expires_at, days_left: Some(days_left), notice: None });
        self.notices = NoticePlan::Unplanned;
        let detail = EventDetail::AuthorizationExpiring { expires_at, days_left, basis };
        Outcome::Changed(self.change(vec![NewEvent { detail, episode_id: None }], Vec::new(), now))
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
        self.set_status(Status::Active { verified: Some(verified), authorization_expires_at: expires_at });
        self.reauthorized_at = Some(at);
        // A warning of the former expiry is no longer true.
        self.warned.take_if(|warned| !expires_at.is_some_and(|at| warned.is_of(at)));
        if verified {
            self.identity_mismatch = None;
        }
        let event = NewEvent { detail: EventDetail::Reauthorized { via, verified }, episode_id };
        Outcome::Changed(Change { ended_episode_since, ..self.change(vec![event], settled, now) })
    }

    fn claimed(mut self, attempt: Attempt, now: Timestamp) -> Outcome {
        if matches!(&self.status, Status::Verifying { claims, .. } if claims.iter().any(|claim| claim.id == attempt.id))
        {
            return Outcome::Unchanged(self);
        }
        let none = ActiveBefore::default();
        let (episode, dismissed_at, before, mut claims) = match std::mem::replace(&mut self.status, ACTIVE) {
            Status::Active { verified, authorization_expires_at } => {
                (None, None, ActiveBefore { verified, authorization_expires_at }, Vec::new())
            }
            Status::ReauthRequired(episode) => (Some(episode), None, none, Vec::new()),
            Status::Dismissed { episode, dismissed_at } => (Some(episode), Some(dismissed_at), none, Vec::new()),
            Status::Verifying { episode, dismissed_at, before, claims, .. } => (episode, dismissed_at, before, claims),
        };
        let mut settled = vec![(attempt.id.clone(), Settlement::Claimed)];
        if claims.len() == MAX_CLAIMS {
            settled.push((claims.remove(0).id, Settlement::Failed(FailureCode::Unknown)));
        }
        claims.push(Attempt { failure: None, ..attempt });
        self.set_status(Status::Verifying { episode, dismissed_at, claims, since: now, before });
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
            Status::Verifying { episode, dismissed_at, claims, before, .. } => {
                let ActiveBefore { verified, authorization_expires_at } = before;
                let active = Status::Active { verified, authorization_expires_at };
                self.set_status(episode.map_or(active, |episode| needing(episode, dismissed_at)));
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

/// The status of an account in an episode that nobody is verifying.
fn needing(episode: Episode, dismissed_at: Option<Timestamp>) -> Status {
    match dismissed_at {
        None => Status::ReauthRequired(episode),
        Some(dismissed_at) => Status::Dismissed { episode, dismissed_at },
    }
}

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

/// The event that announces the episode or reminds of it.
fn required_event(episode: &Episode) -> NewEvent {
    let Episode { error, since, reminders, .. } = episode;
    let detail = EventDetail::ReauthorizationRequired { error: error.clone(), since: *since, reminder: *reminders };
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
