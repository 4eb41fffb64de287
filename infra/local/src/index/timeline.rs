//! The timeline of an episode: lost, told, clicked, returned, and how it ended. It is made of recorded facts: the state of
//! the account or the grant, its events with their receipts, and its reauthorizations.

use jiff::{SignedDuration, Timestamp};
use reauth_core::store::{GrantState, StoredEvent};
use reauth_domain::{
    Account, EpisodeId, EventDetail, EventId, FailureCode, ReauthorizationId, Status, Target, UserVia, Via,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
};

/// The table keeps a reauthorization for 30 days. Half a day is for its lifetime.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24 - 12);

/// One episode of an account or a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// `None` for an account that is being verified without an episode: the application asked for its reauthorization
    /// while it was active.
    pub(crate) episode_id: Option<EpisodeId>,
    pub(crate) lost: Option<Lost>,
    /// The event that announced the episode first.
    pub(crate) announced_by: Option<EventId>,
    /// When the topic accepted that event.
    pub(crate) told_at: Option<Timestamp>,
    /// Oldest first.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) end: End,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) at: Timestamp,
    pub(crate) cause: String,
}

/// A reauthorization, as it concerns one account or grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) id: ReauthorizationId,
    pub(crate) created_at: Timestamp,
    /// When the button of a link was pressed. `None` if the application created the URL.
    pub(crate) clicked_at: Option<Timestamp>,
    pub(crate) returned_at: Option<Timestamp>,
    /// When the outcome became known.
    pub(crate) completed_at: Option<Timestamp>,
    pub(crate) expires_at: Timestamp,
    pub(crate) outcome: AttemptOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    Pending,
    /// The user did not come back in time.
    Expired,
    /// The callback reported success, and digi.me has not confirmed it yet.
    Claimed,
    Succeeded,
    Failed(FailureCode),
}

/// How an episode ended, or that it is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Verifying {
        since: Timestamp,
    },
    Healed {
        at: Timestamp,
        how: How,
    },
    /// digi.me no longer lists the account.
    Removed {
        at: Timestamp,
    },
    /// The user no longer uses the account. A completed read or a reauthorization can still heal it.
    Dismissed {
        at: Timestamp,
    },
}

/// What ended an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// A reauthorization that digi.me, or a completed read, confirmed.
    Verified(Via),
    /// A reauthorization that nothing confirmed within a day.
    Unverified,
    /// No reauthorization of this service: a read completed, or the application accepted the login.
    Elsewhere(Via),
    /// A new token pair.
    NewPair(UserVia),
}

/// Where an open episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// The topic has not accepted the event yet.
    Lost,
    Told,
    /// A link's button was pressed, or the application created a URL, and the user is not back yet.
    Clicked,
    /// The user came back without success.
    Failed,
    Verifying,
}

impl Step {
    pub(crate) const ALL: [Self; 5] = [Self::Lost, Self::Told, Self::Clicked, Self::Failed, Self::Verifying];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Told => "told",
            Self::Clicked => "clicked",
            Self::Failed => "failed",
            Self::Verifying => "verifying",
        }
    }

    pub(crate) fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

impl Timeline {
    /// `None` if the episode is over.
    pub(crate) fn step(&self) -> Option<Step> {
        match self.end {
            End::Healed { .. } | End::Removed { .. } | End::Dismissed { .. } => return None,
            End::Verifying { .. } => return Some(Step::Verifying),
            End::Open => {}
        }
        let step = match self.decisive().map(|attempt| &attempt.outcome) {
            Some(AttemptOutcome::Failed(_)) => Step::Failed,
            Some(AttemptOutcome::Claimed) => Step::Verifying,
            Some(AttemptOutcome::Pending | AttemptOutcome::Succeeded) => Step::Clicked,
            // The user is needed again as before.
            Some(AttemptOutcome::Expired) | None if self.told_at.is_some() => Step::Told,
            Some(AttemptOutcome::Expired) | None => Step::Lost,
        };
        Some(step)
    }

    /// The attempt that tells where the episode stands: the one that ended it, else the last one that the user acted in.
    pub(crate) fn decisive(&self) -> Option<&Attempt> {
        self.attempts.iter().max_by_key(|attempt| {
            let rank = match attempt.outcome {
                AttemptOutcome::Succeeded => 3,
                AttemptOutcome::Claimed => 2,
                AttemptOutcome::Pending | AttemptOutcome::Failed(_) => 1,
                AttemptOutcome::Expired => 0,
            };
            (rank, attempt.acted_at())
        })
    }

    /// The other attempts, newest first.
    pub(crate) fn others(&self) -> impl Iterator<Item = &Attempt> {
        let decisive = self.decisive().map(|attempt| attempt.id.clone());
        self.attempts.iter().rev().filter(move |attempt| Some(&attempt.id) != decisive.as_ref())
    }

    /// Whether the reauthorizations of an episode that is over are no longer kept.
    pub(crate) fn is_forgotten(&self, now: Timestamp) -> bool {
        match self.end {
            End::Healed { at, .. } | End::Removed { at } => at + KEPT <= now,
            End::Open | End::Verifying { .. } | End::Dismissed { .. } => false,
        }
    }

    /// Since when the user is needed.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        match (&self.lost, &self.end) {
            (Some(lost), _) => Some(lost.at),
            (None, End::Verifying { since }) => Some(*since),
            (None, _) => None,
        }
    }
}

/// The episodes of one account or grant, newest first, and the reauthorizations that belong to none, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Timelines {
    pub(crate) episodes: Vec<Timeline>,
    pub(crate) others: Vec<Attempt>,
}

impl Timelines {
    /// `events` are in order, and `reauthorizations` by the time of their creation. Those that have expired at `now` say so.
    pub(crate) fn of_account<'a>(
        account: Option<&Account>,
        events: impl Iterator<Item = &'a StoredEvent>,
        reauthorizations: impl Iterator<Item = &'a Reauthorization>,
        now: Timestamp,
    ) -> Self {
        let mut episodes = from_events(events);
        if let Some(account) = account {
            if let Some(episode) = account.episode() {
                let cause = episode.error.code.clone().unwrap_or_else(|| "authorization error".to_owned());
                let open = open(&mut episodes, &episode.episode_id, Lost { at: episode.since, cause });
                let notice = episode.notice.as_ref().map(|notice| notice.event_id.clone());
                open.announced_by = open.announced_by.take().or(notice);
            }
            if let Status::Verifying { episode, since, .. } = &account.status {
                if episode.is_none() {
                    episodes.push(Timeline::new(None, None));
                }
                if let Some(last) = episodes.last_mut() {
                    last.end = End::Verifying { since: *since };
                }
            }
        }
        Self::with_attempts(episodes, reauthorizations.map(|one| Attempt::of(one, false, now)), now)
    }

    /// As [`Timelines::of_account`].
    pub(crate) fn of_grant<'a>(
        grant: Option<&GrantState>,
        events: impl Iterator<Item = &'a StoredEvent>,
        reauthorizations: impl Iterator<Item = &'a Reauthorization>,
        now: Timestamp,
    ) -> Self {
        let mut episodes = from_events(events);
        if let Some(episode) = grant.and_then(|grant| grant.episode.as_ref()) {
            open(
                &mut episodes,
                &episode.episode_id,
                Lost { at: episode.since, cause: grant_cause(episode.recoverable) },
            );
        }
        Self::with_attempts(episodes, reauthorizations.map(|one| Attempt::of(one, true, now)), now)
    }

    /// The open episode.
    pub(crate) fn open(&self) -> Option<&Timeline> {
        self.episodes.first().filter(|episode| episode.step().is_some())
    }

    /// The episodes that ended with a working account. One that nothing confirmed is not known to work.
    pub(crate) fn healed(&self) -> usize {
        let is_healed = |end: &End| matches!(end, End::Healed { how, .. } if *how != How::Unverified);
        self.episodes.iter().filter(|episode| is_healed(&episode.end)).count()
    }

    /// Gives each episode its reauthorizations: those that ended in it, and the open episode those that can still mend it. A
    /// URL may be older than the episode that it mends. `episodes` are oldest first.
    fn with_attempts(mut episodes: Vec<Timeline>, attempts: impl Iterator<Item = Attempt>, now: Timestamp) -> Self {
        let mut others = Vec::new();
        for attempt in attempts {
            let ended_in = attempt.completed_at.and_then(|at| position(&episodes, at));
            let open = episodes.len().checked_sub(1).filter(|last| episodes[*last].step().is_some());
            let place = match attempt.outcome {
                AttemptOutcome::Pending | AttemptOutcome::Claimed => open,
                AttemptOutcome::Succeeded | AttemptOutcome::Failed(_) => ended_in,
                AttemptOutcome::Expired => None,
            };
            match place.or_else(|| position(&episodes, attempt.created_at)) {
                Some(place) => episodes[place].attempts.push(attempt),
                None => others.push(attempt),
            }
        }
        episodes.iter_mut().filter(|episode| !episode.is_forgotten(now)).for_each(Timeline::name_elsewhere);
        episodes.reverse();
        others.reverse();
        Self { episodes, others }
    }
}

impl Timeline {
    fn new(episode_id: Option<EpisodeId>, lost: Option<Lost>) -> Self {
        Self { episode_id, lost, announced_by: None, told_at: None, attempts: Vec::new(), end: End::Open }
    }

    fn was_open(&self, at: Timestamp) -> bool {
        let begun = self.since().is_some_and(|since| since <= at);
        let ended = match self.end {
            End::Healed { at: end, .. } | End::Removed { at: end } => end < at,
            End::Open | End::Verifying { .. } | End::Dismissed { .. } => false,
        };
        begun && !ended
    }

    /// An episode that ended without a successful reauthorization was mended elsewhere.
    fn name_elsewhere(&mut self) {
        let succeeded = self.attempts.iter().any(|attempt| attempt.outcome == AttemptOutcome::Succeeded);
        if let End::Healed { how, .. } = &mut self.end
            && let How::Verified(via) = *how
            && !succeeded
            && via != Via::Callback
        {
            *how = How::Elsewhere(via);
        }
    }

    fn take(&mut self, event: &StoredEvent) {
        let at = event.event.timestamp;
        // The first event of an episode may be the failure of a reauthorization that was under way when it began.
        self.lost = self.lost.take().or_else(|| lost(event));
        match &event.event.detail {
            EventDetail::ReauthorizationRequired { .. } | EventDetail::UserReauthorizationRequired { .. } => {
                if self.announced_by.is_none() {
                    self.announced_by = Some(event.event.subject.event_id.clone());
                    self.told_at = event.published_at;
                }
            }
            EventDetail::Reauthorized { via, verified } => {
                let how = if *verified { How::Verified(*via) } else { How::Unverified };
                self.end = End::Healed { at, how };
            }
            EventDetail::UserReauthorized { via } => self.end = End::Healed { at, how: How::NewPair(*via) },
            EventDetail::Removed {} => self.end = End::Removed { at },
            EventDetail::Dismissed { .. } => self.end = End::Dismissed { at },
            EventDetail::ReauthorizationFailed { .. }
            | EventDetail::AuthorizationExpiring { .. }
            | EventDetail::UserReauthorizationFailed { .. }
            | EventDetail::UserAuthorizationExpiring { .. }
            | EventDetail::UserEmailsStopped { .. } => {}
        }
    }
}

/// The newest episode that was open at a time.
fn position(episodes: &[Timeline], at: Timestamp) -> Option<usize> {
    episodes.iter().rposition(|episode| episode.was_open(at))
}

impl Attempt {
    /// `of_grant`: whether the attempt is looked at for the grant, which is mended once the new pair is stored.
    fn of(reauthorization: &Reauthorization, of_grant: bool, now: Timestamp) -> Self {
        let exchanged = matches!(reauthorization.flow, Flow::User { exchange: Exchange::Done, .. });
        let outcome = match &reauthorization.progress {
            _ if of_grant && exchanged => AttemptOutcome::Succeeded,
            Progress::Pending if reauthorization.expired(now) => AttemptOutcome::Expired,
            Progress::Pending => AttemptOutcome::Pending,
            Progress::Claimed => AttemptOutcome::Claimed,
            Progress::Succeeded { .. } => AttemptOutcome::Succeeded,
            Progress::Failed { error_code, .. } => AttemptOutcome::Failed(error_code.clone()),
        };
        Self {
            id: reauthorization.id.clone(),
            created_at: reauthorization.created_at,
            clicked_at: reauthorization.clicked_at,
            returned_at: reauthorization.returned_at,
            completed_at: match &reauthorization.progress {
                Progress::Pending | Progress::Claimed => None,
                Progress::Succeeded { completed_at, .. } | Progress::Failed { completed_at, .. } => Some(*completed_at),
            },
            expires_at: reauthorization.expires_at,
            outcome,
        }
    }

    /// When the user, or the application, last did something.
    fn acted_at(&self) -> Timestamp {
        self.returned_at.or(self.clicked_at).unwrap_or(self.created_at)
    }
}

/// The episodes that events tell of, oldest first.
fn from_events<'a>(events: impl Iterator<Item = &'a StoredEvent>) -> Vec<Timeline> {
    let mut episodes: Vec<Timeline> = Vec::new();
    for event in events {
        let Some(id) = &event.event.subject.episode_id else { continue };
        let position = episodes.iter().rposition(|episode| episode.episode_id.as_ref() == Some(id));
        let episode = match position {
            Some(position) => &mut episodes[position],
            None => {
                episodes.push(Timeline::new(Some(id.clone()), None));
                episodes.last_mut().expect("it was pushed")
            }
        };
        episode.take(event);
    }
    episodes
}

fn lost(event: &StoredEvent) -> Option<Lost> {
    match &event.event.detail {
        EventDetail::ReauthorizationRequired { error, since, .. } => {
            let cause = error.code.clone().unwrap_or_else(|| "authorization error".to_owned());
            Some(Lost { at: *since, cause })
        }
        EventDetail::UserReauthorizationRequired { since, recoverable } => {
            Some(Lost { at: *since, cause: grant_cause(*recoverable) })
        }
        _ => None,
    }
}

fn grant_cause(recoverable: bool) -> String {
    let cause = if recoverable { "the refresh token expired or was refused" } else { "digi.me refuses all tokens" };
    cause.to_owned()
}

/// The open episode, which is the last one. Its event may not be in the index yet.
fn open<'a>(episodes: &'a mut Vec<Timeline>, id: &EpisodeId, lost: Lost) -> &'a mut Timeline {
    if episodes.last().is_none_or(|last| last.episode_id.as_ref() != Some(id)) {
        episodes.push(Timeline::new(Some(id.clone()), None));
    }
    let open = episodes.last_mut().expect("there is one");
    open.lost.get_or_insert(lost);
    open
}

/// The account or the grants that a reauthorization is about.
pub(super) fn targets(reauthorization: &Reauthorization) -> Vec<Target> {
    match &reauthorization.flow {
        Flow::Account { account_id } => vec![Target::Account(account_id.clone())],
        Flow::User { account_id, .. } => {
            let grant = Target::Grant(reauthorization.contract_id.clone());
            account_id.iter().cloned().map(Target::Account).chain([grant]).collect()
        }
    }
}

#[cfg(test)]
mod tests;
