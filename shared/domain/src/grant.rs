//! A grant: a user's token pair under a contract. Its episode runs from a dead refresh token until a new pair is stored.

use digime::TokenPair;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Attempt, ContractId, EpisodeId, EventDetail, FailureCode, NewEvent, UserId, UserVia,
    account::{Notice, Warned},
    event::next_sequence,
    time::rfc3339,
};

/// A user's token pair under a contract.
#[derive(Debug, Clone)]
pub struct Grant {
    pub user_id: UserId,
    pub contract_id: ContractId,
    /// The last pair. It is kept when its refresh token is dead: digi.me recognizes the user by the access token, even by
    /// an expired one.
    pub tokens: TokenPair,
    /// Set while the refresh token is known to be dead.
    pub episode: Option<GrantEpisode>,
    /// The expiry of the refresh token that the user is warned of.
    pub warned: Option<Warned>,
    /// The sequence number of the grant's last event; 0 before the first event.
    pub sequence: u64,
    /// Until when an invocation holds the lease to refresh the grant.
    pub leased_until: Option<Timestamp>,
    /// When the user's accounts were last listed at digi.me with this grant.
    pub accounts_listed_at: Option<Timestamp>,
}

/// The time from when a refresh token is found dead until a new pair is stored. The application is notified once, and
/// once more if the user cannot authorize again on digi.me's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantEpisode {
    /// Identifies the episode in all of its events.
    pub episode_id: EpisodeId,
    /// When the refresh token expired, or when digi.me refused it.
    #[serde(with = "rfc3339")]
    pub since: Timestamp,
    /// Whether the user can authorize again on digi.me's user reauthorization page. `false` after digi.me refused the
    /// access token there: the application must authorize the user from scratch.
    pub recoverable: bool,
    /// Whether digi.me refused the access token too. If not, it may work until it expires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub access_refused: bool,
    /// The event that announced the episode. The store sets it when it numbers the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// The status of a grant in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GrantStatus {
    Active,
    /// The refresh token is dead: only the user can authorize a new pair.
    UserReauthorizationRequired,
}

/// A change of a grant, and the events that must be written in the same transaction.
#[derive(Debug, Clone)]
pub struct GrantChange {
    /// The grant after the change. Its `sequence` is that of the last event.
    pub grant: Grant,
    /// The new events. Their sequence numbers have no gap and end at the grant's `sequence`.
    pub events: Vec<NewEvent>,
}

impl Grant {
    /// Whether the refresh token has expired, and no episode is open yet.
    #[must_use]
    pub fn has_expired_unnoticed(&self, now: Timestamp) -> bool {
        self.episode.is_none() && self.tokens.refresh.expires_at <= now
    }

    /// The refresh token is dead: it expired, or digi.me refused it, perhaps after it had refused the access token. Opens an
    /// episode, with the event `user.reauthorization_required`. `None` if an episode is open.
    #[must_use]
    pub fn refresh_token_died(
        self,
        new_episode: EpisodeId,
        access_refused: bool,
        now: Timestamp,
    ) -> Option<GrantChange> {
        if self.episode.is_some() {
            return None;
        }
        let since = self.tokens.refresh.expires_at.min(now);
        let episode = GrantEpisode { episode_id: new_episode, since, recoverable: true, access_refused, notice: None };
        Some(self.told(episode, now))
    }

    /// digi.me refused the access token for its user reauthorization page. The application is notified that the user
    /// cannot authorize again there. `None` if it was notified before.
    #[must_use]
    pub fn access_token_died(self, new_episode: EpisodeId, now: Timestamp) -> Option<GrantChange> {
        let open = self.episode.clone();
        if open.as_ref().is_some_and(|episode| !episode.recoverable) {
            return None;
        }
        let (episode_id, since) = open.map_or((new_episode, now), |open| (open.episode_id, open.since));
        let episode = GrantEpisode { episode_id, since, recoverable: false, access_refused: true, notice: None };
        Some(self.told(episode, now))
    }

    fn told(mut self, episode: GrantEpisode, now: Timestamp) -> GrantChange {
        let GrantEpisode { since, recoverable, .. } = episode;
        let detail = EventDetail::UserReauthorizationRequired { since, recoverable };
        let events = vec![NewEvent { detail, episode_id: Some(episode.episode_id.clone()) }];
        self.episode = Some(episode);
        self.change(events, now)
    }

    /// A pair arrived, in place of the stored one. It ends an open episode, with the event `user.reauthorized`, unless its
    /// refresh token is the dead one or has expired. Another access token may be accepted though the last one was refused.
    #[must_use]
    pub fn renewed(mut self, tokens: TokenPair, via: UserVia, now: Timestamp) -> GrantChange {
        if !tokens.same_tokens(&self.tokens)
            && let Some(episode) = &mut self.episode
        {
            (episode.access_refused, episode.recoverable) = (false, true);
        }
        let is_alive = !tokens.same_refresh_token(&self.tokens) && now < tokens.refresh.expires_at;
        // A warning of the former expiry is no longer true.
        self.warned.take_if(|warned| !warned.is_of(tokens.refresh.expires_at));
        self.tokens = tokens;
        self.leased_until = None;
        let ended = self.episode.take_if(|_| is_alive);
        let reauthorized = |ended: GrantEpisode| NewEvent {
            detail: EventDetail::UserReauthorized { via },
            episode_id: Some(ended.episode_id),
        };
        self.change(ended.map(reauthorized).into_iter().collect(), now)
    }

    /// A user reauthorization ended without success. The application is notified of each failure of an attempt once.
    #[must_use]
    pub fn attempt_failed(self, attempt: Attempt, code: &FailureCode, now: Timestamp) -> GrantChange {
        let episode_id = self.episode.as_ref().map(|episode| episode.episode_id.clone());
        let event = NewEvent {
            detail: EventDetail::UserReauthorizationFailed {
                reauthorization_id: attempt.id,
                error_code: code.clone(),
                retryable: code.retryable(),
            },
            episode_id,
        };
        let is_new = !attempt.told.contains(code);
        self.change(is_new.then_some(event).into_iter().collect(), now)
    }

    /// The time has come to warn of the expiry of the refresh token. `None` if the token is known to be dead.
    #[must_use]
    pub fn warned_of(mut self, days_left: u32, now: Timestamp) -> Option<GrantChange> {
        if self.episode.is_some() {
            return None;
        }
        let expires_at = self.tokens.refresh.expires_at;
        self.warned = Some(Warned { expires_at, days_left: Some(days_left), notice: None });
        let detail = EventDetail::UserAuthorizationExpiring { expires_at, days_left };
        Some(self.change(vec![NewEvent { detail, episode_id: None }], now))
    }

    /// Records the event that announced the current episode, or else warned of an expiry.
    pub fn set_notice(&mut self, notice: Notice) {
        match (&mut self.episode, &mut self.warned) {
            (Some(episode), _) => episode.notice = Some(notice),
            (None, Some(warned)) => warned.notice = Some(notice),
            (None, None) => {}
        }
    }

    /// The grant as it is, with no event.
    #[must_use]
    pub fn unchanged(self) -> GrantChange {
        GrantChange { grant: self, events: Vec::new() }
    }

    fn change(mut self, events: Vec<NewEvent>, now: Timestamp) -> GrantChange {
        self.sequence = next_sequence(self.sequence, events.len(), now);
        GrantChange { grant: self, events }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ReauthorizationId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pair(name: &str, refresh_expires_at: i64) -> TokenPair {
        let pair = json!({"accessToken": {"value": format!("{name}-access"), "expiry": 50},
            "refreshToken": {"value": format!("{name}-refresh"), "expiry": refresh_expires_at}});
        TokenPair::parse(&pair).unwrap()
    }

    fn grant() -> Grant {
        Grant {
            user_id: "u".parse().unwrap(),
            contract_id: "c".parse().unwrap(),
            tokens: pair("old", 100),
            episode: None,
            warned: None,
            sequence: 0,
            leased_until: None,
            accounts_listed_at: None,
        }
    }

    fn episode(number: u8) -> EpisodeId {
        EpisodeId::from([number; 16])
    }

    fn dead() -> Grant {
        grant().refresh_token_died(episode(1), false, at(60)).unwrap().grant
    }

    fn details(change: &GrantChange) -> Vec<EventDetail> {
        change.events.iter().map(|event| event.detail.clone()).collect()
    }

    #[test]
    fn a_dead_refresh_token_is_told_once_for_each_episode() {
        let change = grant().refresh_token_died(episode(1), false, at(60)).unwrap();
        assert_eq!(details(&change), [EventDetail::UserReauthorizationRequired { since: at(60), recoverable: true }]);
        assert_eq!(change.grant.sequence, 60_000);
        assert!(change.grant.refresh_token_died(episode(2), false, at(61)).is_none());
        let expired = grant().refresh_token_died(episode(1), false, at(500)).unwrap();
        assert_eq!(expired.grant.episode.unwrap().since, at(100), "the token died when it expired");
    }

    #[test]
    fn a_user_who_cannot_authorize_again_is_told_once_more() {
        let change = dead().access_token_died(episode(2), at(70)).unwrap();
        assert_eq!(details(&change), [EventDetail::UserReauthorizationRequired { since: at(60), recoverable: false }]);
        assert_eq!(change.grant.episode.as_ref().unwrap().episode_id, episode(1));
        assert!(change.grant.access_token_died(episode(3), at(71)).is_none());
        let at_once = grant().access_token_died(episode(2), at(70)).unwrap();
        assert_eq!(at_once.grant.episode.unwrap().since, at(70));
    }

    #[test]
    fn only_a_pair_with_a_living_refresh_token_ends_the_episode() {
        let change = dead().renewed(pair("new", 200), UserVia::Callback, at(80));
        assert_eq!(details(&change), [EventDetail::UserReauthorized { via: UserVia::Callback }]);
        assert_eq!((change.events[0].episode_id.clone(), change.grant.episode), (Some(episode(1)), None));
        let same = dead().renewed(pair("old", 200), UserVia::Grant, at(80));
        assert!(same.events.is_empty() && same.grant.episode.is_some(), "the dead refresh token came again");
        let mut refused = dead().access_token_died(episode(2), at(70)).unwrap().grant;
        refused.tokens.access.value = "refused-access".into();
        let fresh_access = refused.renewed(pair("old", 200), UserVia::Grant, at(80)).grant.episode.unwrap();
        assert!(fresh_access.recoverable && !fresh_access.access_refused);
        let expired = dead().renewed(pair("new", 80), UserVia::Grant, at(80));
        assert!(expired.events.is_empty() && expired.grant.episode.is_some());
        assert!(grant().renewed(pair("new", 200), UserVia::Grant, at(80)).events.is_empty());
    }

    #[test]
    fn a_warning_ends_with_the_expiry_that_it_is_about() {
        const DAY: i64 = 24 * 60 * 60;
        let renewed = |expires_at| {
            let warned = grant().warned_of(14, at(60)).unwrap().grant;
            warned.renewed(pair("new", expires_at), UserVia::Grant, at(80)).grant.warned
        };
        assert_eq!(renewed(100 + 30 * DAY), None);
        assert_eq!(renewed(100).unwrap().days_left, Some(14), "the expiry is the same");
    }

    #[test]
    fn each_failure_of_an_attempt_is_told_once() {
        let id = ReauthorizationId::from([3; 16]);
        let attempt = |told: &[FailureCode]| Attempt { id: id.clone(), failure: None, told: told.to_vec() };
        let change = dead().attempt_failed(attempt(&[]), &FailureCode::WrongUser, at(80));
        let expected = EventDetail::UserReauthorizationFailed {
            reauthorization_id: id.clone(),
            error_code: FailureCode::WrongUser,
            retryable: true,
        };
        assert_eq!((details(&change), &change.events[0].episode_id), (vec![expected], &Some(episode(1))));
        let again = dead().attempt_failed(attempt(&[FailureCode::WrongUser]), &FailureCode::WrongUser, at(80));
        assert!(again.events.is_empty());
    }

    #[test]
    fn an_expired_refresh_token_is_unnoticed_until_an_episode_is_open() {
        assert!(!grant().has_expired_unnoticed(at(99)) && grant().has_expired_unnoticed(at(100)));
        assert!(!dead().has_expired_unnoticed(at(100)));
    }
}
