//! The delivery of events to the webhook: when an event is posted again, and the health of the endpoint.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    time::{after, rfc3339},
    told_state::ToldState,
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// In seconds: the pauses after the posts of one event. Together 75.6 hours before their jitter, as Standard Webhooks 1.0.0
/// recommends.
const PAUSES: [u64; 11] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR, 10 * HOUR];
/// An event is posted this often before it becomes a dead letter.
pub const MAX_POSTS: usize = PAUSES.len() + 1;
/// SQS hides a message for at most 12 hours after its receipt. The minute is for the post itself.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * HOUR - MINUTE);
/// How much of a receiver's `Retry-After` counts.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(HOUR);
/// How long an event waits before the endpoint is looked at again while it is disabled. In 13 days, a message is then
/// received about 940 times: SQS moves it to the dead-letter queue after 1,000.
const DISABLED_PAUSE: Duration = Duration::from_secs(20 * MINUTE);
/// An endpoint without a success for this long is failing.
const FAILING_AFTER: Duration = Duration::from_secs(5 * MINUTE);
/// An endpoint without a success for this long is disabled.
const DISABLED_AFTER: Duration = Duration::from_secs(5 * DAY);
/// Longer than the longest pause, after which an event that waits is posted again. A failure after a longer time without a
/// post says nothing about that time.
const LONGEST_QUIET_TIME: Duration = Duration::from_secs(15 * HOUR);
/// The times of the last success and of the last failure are stored at most this often.
const TIMES_INTERVAL: Duration = Duration::from_secs(MINUTE);

/// The pause before an event is posted again that was posted `posts` times. `None` if it is not posted again. `random` is
/// in `0.0..1.0`: the pause differs by up to 20 % from the schedule, so that events that failed together are not all
/// posted again together. Pauses of 10 hours and more are at most what SQS allows, and so much less that they differ.
#[must_use]
pub fn pause_after(posts: usize, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
    let pause = Duration::from_secs(*PAUSES.get(posts.checked_sub(1)?)?);
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    Some(with_jitter(pause, random).max(asked))
}

/// The pause before an event is received again while the endpoint is disabled.
#[must_use]
pub fn pause_while_disabled(random: f64) -> Duration {
    with_jitter(DISABLED_PAUSE, random)
}

fn with_jitter(pause: Duration, random: f64) -> Duration {
    let (shortest, longest) = (pause.mul_f64(0.8), pause.mul_f64(1.2));
    let (shortest, longest) = if longest > LONGEST_PAUSE {
        // So near to the schedule that a receiver can be down for three days.
        (pause.min(LONGEST_PAUSE.mul_f64(0.96)), LONGEST_PAUSE)
    } else {
        (shortest, longest)
    };
    shortest + (longest - shortest).mul_f64(random)
}

/// The health of the webhook's endpoint, as posts show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookHealth {
    #[serde(flatten)]
    pub state: WebhookState,
    /// The first failed post since the last success, or since the last time of 15 hours without a failure.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// At most a minute older than the last failed post since the last success.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_failure_at: Option<Timestamp>,
    /// At most a minute older than the last success.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// When the endpoint was enabled by hand. Posts that began before it say nothing about the endpoint.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub enabled_at: Option<Timestamp>,
    /// What the operator was told.
    #[serde(flatten)]
    pub told: ToldState<WebhookStateName>,
}

/// Whether events are posted, and since when not or without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum WebhookState {
    #[default]
    Active,
    /// Events are posted, and none was accepted for some time.
    Failing {
        #[serde(with = "rfc3339")]
        since: Timestamp,
    },
    /// Events wait.
    Disabled {
        #[serde(with = "rfc3339")]
        since: Timestamp,
        reason: DisabledReason,
    },
}

/// The name of a [`WebhookState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookStateName {
    #[default]
    Active,
    Failing,
    Disabled,
}

/// Why an endpoint was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// It answered 410 Gone.
    Gone,
    /// It accepted no event for five days.
    NoSuccess,
}

/// What a post shows of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointSignal {
    Accepted,
    /// The answer is 410 Gone.
    Gone,
    /// Any other answer, or none.
    Failed,
}

impl WebhookState {
    #[must_use]
    pub fn name(self) -> WebhookStateName {
        match self {
            Self::Active => WebhookStateName::Active,
            Self::Failing { .. } => WebhookStateName::Failing,
            Self::Disabled { .. } => WebhookStateName::Disabled,
        }
    }

    #[must_use]
    pub fn since(self) -> Option<Timestamp> {
        match self {
            Self::Active => None,
            Self::Failing { since } | Self::Disabled { since, .. } => Some(since),
        }
    }

    #[must_use]
    pub fn reason(self) -> Option<DisabledReason> {
        match self {
            Self::Disabled { reason, .. } => Some(reason),
            Self::Active | Self::Failing { .. } => None,
        }
    }

    #[must_use]
    pub fn is_disabled(self) -> bool {
        matches!(self, Self::Disabled { .. })
    }
}

impl WebhookHealth {
    /// The health after a post that began at `began_at` and ended at `now`. `None` if it is the same.
    #[must_use]
    pub fn after_post(&self, signal: EndpointSignal, began_at: Timestamp, now: Timestamp) -> Option<Self> {
        let is_outdated = self.enabled_at.is_some_and(|enabled_at| began_at < enabled_at);
        if self.state.is_disabled() || is_outdated {
            return None;
        }
        match signal {
            EndpointSignal::Accepted => self.after_success(now),
            EndpointSignal::Gone => Some(self.disabled(DisabledReason::Gone, now)),
            EndpointSignal::Failed => self.after_failure(began_at, now),
        }
    }

    fn after_success(&self, now: Timestamp) -> Option<Self> {
        // The failure came later, though it was stored first.
        if self.failing_since.is_some_and(|since| since > now) {
            return None;
        }
        let is_recent = self.last_success_at.is_some_and(|last| now < after(last, TIMES_INTERVAL));
        if self.state == WebhookState::Active && self.failing_since.is_none() && is_recent {
            return None;
        }
        let last_success_at = self.last_success_at.max(Some(now));
        let state = WebhookState::Active;
        Some(Self { state, failing_since: None, last_failure_at: None, last_success_at, ..self.clone() })
    }

    /// An endpoint that is failing stays so after a long time without a post: it has accepted nothing since.
    fn after_failure(&self, began_at: Timestamp, now: Timestamp) -> Option<Self> {
        let continues = self.last_failure_at.is_some_and(|last| began_at < after(last, LONGEST_QUIET_TIME));
        let failed = Self { last_failure_at: self.last_failure_at.max(Some(now)), ..self.clone() };
        let Some(since) = self.failing_since.filter(|_| continues) else {
            return Some(Self { failing_since: self.last_success_at.max(Some(began_at)), ..failed });
        };
        if now >= after(since, DISABLED_AFTER) {
            return Some(failed.disabled(DisabledReason::NoSuccess, now));
        }
        let is_recent = self.last_failure_at.is_some_and(|last| now < after(last, TIMES_INTERVAL));
        failed.failing(now).or_else(|| (!is_recent).then_some(failed))
    }

    /// The health of an active endpoint that has had no success for too long. `None` of others.
    fn failing(&self, now: Timestamp) -> Option<Self> {
        let since = self.failing_since.filter(|since| now >= after(*since, FAILING_AFTER))?;
        let is_active = self.state == WebhookState::Active;
        is_active.then(|| Self { state: WebhookState::Failing { since }, ..self.clone() })
    }

    fn disabled(&self, reason: DisabledReason, now: Timestamp) -> Self {
        Self { state: WebhookState::Disabled { since: now, reason }, ..self.clone() }
    }

    /// The health after the endpoint was enabled by hand. `None` if it is not disabled.
    #[must_use]
    pub fn enabled(&self, now: Timestamp) -> Option<Self> {
        let (state, enabled_at) = (WebhookState::Active, Some(now));
        let enabled = Self { state, failing_since: None, last_failure_at: None, enabled_at, ..self.clone() };
        self.state.is_disabled().then_some(enabled)
    }

    /// The health of another endpoint of which nothing is known. The operator is told of its state.
    #[must_use]
    pub fn of_new_endpoint(&self) -> Self {
        Self { told: self.told.unclaimed(), ..Self::default() }
    }

    /// The health with the mark that a sweep tells the operator of the state. `None` if the operator knows the state, or
    /// another sweep is telling it. A sweep that began to tell and did not end may have told another state.
    ///
    /// An endpoint becomes failing here too: its next post can be later.
    #[must_use]
    pub fn with_claimed_notice(&self, now: Timestamp) -> Option<Self> {
        let health = self.failing(now).unwrap_or_else(|| self.clone());
        let state = if health.is_known() { health.state.name() } else { self.told.notified_state };
        let told = self.told.claimed(state, now)?;
        Some(Self { told, ..health })
    }

    /// Whether something shows the state. An endpoint that was not posted to is active, but not recovered.
    fn is_known(&self) -> bool {
        self.state != WebhookState::Active || self.last_success_at.is_some() || self.enabled_at.is_some()
    }

    /// The health after the operator was told of `state`.
    #[must_use]
    pub fn with_sent_notice(&self, state: WebhookStateName) -> Self {
        Self { told: self.told.sent(state), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        after("2026-11-23T09:00:00Z".parse().unwrap(), Duration::from_secs(seconds))
    }

    fn failing_since(seconds: u64) -> WebhookHealth {
        let since = Some(at(seconds));
        WebhookHealth { failing_since: since, last_failure_at: since, ..WebhookHealth::default() }
    }

    fn failed(health: &WebhookHealth, seconds: u64) -> WebhookHealth {
        let after = health.after_post(EndpointSignal::Failed, at(seconds), at(seconds));
        after.unwrap_or_else(|| health.clone())
    }

    fn disabled() -> WebhookHealth {
        WebhookHealth::default().after_post(EndpointSignal::Gone, at(0), at(1)).unwrap()
    }

    #[test]
    fn the_schedule_takes_75_6_hours_and_then_ends() {
        let pauses: Vec<_> = (1..MAX_POSTS).map(|posts| pause_after(posts, None, 0.5).unwrap().as_secs()).collect();
        assert_eq!(pauses[..5], [5, 300, 1_800, 7_200, 18_000]);
        assert_eq!(PAUSES.iter().sum::<u64>(), 272_105);
        assert_eq!((pause_after(MAX_POSTS, None, 0.5), pause_after(0, None, 0.5)), (None, None));
    }

    #[test]
    fn a_pause_differs_by_a_fifth_and_is_at_most_what_sqs_can_hide() {
        assert_eq!(pause_after(2, None, 0.0), Some(Duration::from_secs(240)));
        assert!(pause_after(2, None, 0.999).unwrap() > Duration::from_secs(359));
        for posts in 6..MAX_POSTS {
            let pauses = [0.0, 0.25, 0.5, 0.75, 0.999].map(|random| pause_after(posts, None, random).unwrap());
            assert!(
                pauses.is_sorted_by(|a, b| *b > *a + Duration::from_secs(7 * MINUTE)),
                "they stay apart: {pauses:?}"
            );
            assert!(pauses[4] <= LONGEST_PAUSE, "{pauses:?}");
        }
        assert_eq!(pause_while_disabled(0.5), DISABLED_PAUSE);
    }

    #[test]
    fn the_last_post_is_at_least_three_days_after_the_first_one() {
        let total = |random| (1..MAX_POSTS).map(|posts| pause_after(posts, None, random).unwrap()).sum::<Duration>();
        assert!(total(0.0) >= Duration::from_secs(3 * DAY), "{:?}", total(0.0));
        assert!(total(0.999) <= Duration::from_secs(82 * HOUR), "{:?}", total(0.999));
    }

    #[test]
    fn a_receiver_can_ask_for_more_time_up_to_an_hour() {
        let pause = |posts, seconds| pause_after(posts, Some(Duration::from_secs(seconds)), 0.5).unwrap().as_secs();
        assert_eq!((pause(1, 120), pause(1, 1), pause(1, 1_000_000), pause(5, 120)), (120, 5, 3_600, 18_000));
    }

    #[test]
    fn an_endpoint_without_a_success_for_five_minutes_is_failing_until_one() {
        let first = WebhookHealth::default().after_post(EndpointSignal::Failed, at(0), at(1)).unwrap();
        assert_eq!((first.state, first.failing_since), (WebhookState::Active, Some(at(0))));
        assert_eq!(failed(&first, 299).state, WebhookState::Active);
        let failing = first.after_post(EndpointSignal::Failed, at(299), at(300)).unwrap();
        assert_eq!(failing.state, WebhookState::Failing { since: at(0) });
        assert_eq!(
            failing.after_post(EndpointSignal::Failed, at(300), at(359)),
            None,
            "the time is stored once a minute"
        );
        let later = failing.after_post(EndpointSignal::Failed, at(400), at(401));
        assert_eq!(later, Some(WebhookHealth { last_failure_at: Some(at(401)), ..failing.clone() }));
        let healed = failing.after_post(EndpointSignal::Accepted, at(500), at(501)).unwrap();
        let expected = WebhookHealth { last_success_at: Some(at(501)), ..WebhookHealth::default() };
        assert_eq!(healed, expected);
    }

    #[test]
    fn an_endpoint_without_a_success_for_five_days_is_disabled() {
        let until = 5 * DAY;
        let health = (1..10).map(|number| number * 12 * HOUR).fold(failing_since(0), |health, at| failed(&health, at));
        assert!(!failed(&health, until - 1).state.is_disabled());
        let disabled = failed(&health, until);
        assert_eq!(disabled.state, WebhookState::Disabled { since: at(until), reason: DisabledReason::NoSuccess });
    }

    /// One event becomes a dead letter after three days. Another one fails on the sixth day.
    #[test]
    fn a_failure_after_a_long_time_without_posts_begins_anew() {
        let mut seconds = 0;
        let mut health = failed(&WebhookHealth::default(), 0);
        for pause in PAUSES {
            seconds += pause;
            health = failed(&health, seconds);
        }
        assert_eq!(health.state, WebhookState::Failing { since: at(0) });
        let later = failed(&health, 6 * DAY);
        assert_eq!((later.state, later.failing_since), (health.state, Some(at(6 * DAY))));
        let disabled = (1..=10).fold(later, |health, number| failed(&health, 6 * DAY + number * 12 * HOUR));
        assert!(disabled.state.is_disabled());
        // The longest pause is no such time.
        assert_eq!(failed(&failing_since(0), 12 * HOUR).state, WebhookState::Failing { since: at(0) });
        // A failure that nothing followed does not make the next one an endpoint that fails.
        assert_eq!(failed(&failing_since(0), DAY).state, WebhookState::Active);
    }

    #[test]
    fn a_success_ends_only_the_failures_before_it() {
        let health = failing_since(10);
        assert_eq!(health.after_post(EndpointSignal::Accepted, at(0), at(9)), None);
        assert!(health.after_post(EndpointSignal::Accepted, at(0), at(10)).unwrap().failing_since.is_none());
        let accepted = WebhookHealth { last_success_at: Some(at(5)), ..WebhookHealth::default() };
        let failed = accepted.after_post(EndpointSignal::Failed, at(0), at(15)).unwrap();
        assert_eq!(failed.failing_since, Some(at(5)), "there was a success meanwhile");
    }

    #[test]
    fn a_disabled_endpoint_stays_disabled_until_it_is_enabled() {
        let disabled = disabled();
        assert_eq!(disabled.state, WebhookState::Disabled { since: at(1), reason: DisabledReason::Gone });
        for result in [EndpointSignal::Accepted, EndpointSignal::Gone, EndpointSignal::Failed] {
            assert_eq!(disabled.after_post(result, at(2), at(3)), None, "{result:?}");
        }
        let enabled = disabled.enabled(at(10)).unwrap();
        assert_eq!((enabled.state, enabled.failing_since), (WebhookState::Active, None));
        assert_eq!(enabled.enabled(at(11)), None);
    }

    #[test]
    fn a_post_that_began_before_the_endpoint_was_enabled_says_nothing() {
        let enabled = disabled().enabled(at(10)).unwrap();
        assert_eq!(enabled.after_post(EndpointSignal::Gone, at(9), at(12)), None);
        assert!(enabled.after_post(EndpointSignal::Gone, at(10), at(12)).unwrap().state.is_disabled());
    }

    #[test]
    fn successes_are_stored_once_a_minute() {
        let health = WebhookHealth::default().after_post(EndpointSignal::Accepted, at(0), at(0)).unwrap();
        assert_eq!(health.after_post(EndpointSignal::Accepted, at(59), at(59)), None);
        let later = health.after_post(EndpointSignal::Accepted, at(60), at(60)).unwrap();
        assert_eq!(later.last_success_at, Some(at(60)));
    }

    #[test]
    fn the_operator_is_told_of_each_new_state_by_one_sweep() {
        assert_eq!(WebhookHealth::default().with_claimed_notice(at(0)), None);
        let telling = disabled().with_claimed_notice(at(60)).unwrap();
        assert_eq!(telling.with_claimed_notice(at(61)), None);
        assert!(telling.with_claimed_notice(at(180)).is_some(), "the sweep that was telling did not end");
        let told = telling.with_sent_notice(WebhookStateName::Disabled);
        assert_eq!(told.with_claimed_notice(at(200)), None);
        assert!(told.enabled(at(300)).unwrap().with_claimed_notice(at(301)).is_some());
    }

    #[test]
    fn the_operator_is_told_of_a_recovery_though_the_sweep_that_told_the_failure_did_not_end() {
        let telling = disabled().with_claimed_notice(at(60)).unwrap();
        let enabled = telling.enabled(at(61)).unwrap();
        assert_eq!(enabled.with_claimed_notice(at(62)), None);
        assert_eq!(
            enabled
                .with_claimed_notice(at(180))
                .unwrap()
                .with_sent_notice(WebhookStateName::Active)
                .with_claimed_notice(at(400)),
            None
        );
    }

    #[test]
    fn the_operator_is_told_of_a_failing_endpoint_though_no_post_says_so() {
        let health = failing_since(0);
        assert_eq!(health.with_claimed_notice(at(299)), None);
        assert_eq!(health.with_claimed_notice(at(300)).unwrap().state, WebhookState::Failing { since: at(0) });
    }

    #[test]
    fn another_endpoint_is_told_as_recovered_only_after_its_first_success() {
        let other = disabled().with_sent_notice(WebhookStateName::Disabled).of_new_endpoint();
        let failed = failed(&other, 0);
        assert_eq!((other.with_claimed_notice(at(1)), failed.with_claimed_notice(at(1))), (None, None));
        assert_eq!(failed.with_claimed_notice(at(300)).unwrap().state, WebhookState::Failing { since: at(0) });
        let accepted = other.after_post(EndpointSignal::Accepted, at(0), at(1)).unwrap();
        assert_eq!(accepted.with_claimed_notice(at(2)).unwrap().state, WebhookState::Active);
    }

    #[test]
    fn a_short_failure_that_nobody_was_told_of_ends_untold() {
        let failing = failing_since(0).after_post(EndpointSignal::Failed, at(300), at(300)).unwrap();
        let healed = failing.after_post(EndpointSignal::Accepted, at(310), at(310)).unwrap();
        assert_eq!(healed.with_claimed_notice(at(311)), None);
    }

    #[test]
    fn health_reads_back_what_it_wrote() {
        for health in [WebhookHealth::default(), failing_since(3), disabled(), disabled().enabled(at(9)).unwrap()] {
            let json = serde_json::to_value(&health).unwrap();
            assert_eq!(serde_json::from_value::<WebhookHealth>(json).unwrap(), health);
        }
    }
}
