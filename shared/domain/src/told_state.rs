//! Which state of something the operator was told last, so that each change is told once.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::{after, rfc3339};

/// How long one sweep has for telling the operator. Publishing takes a few seconds.
const NOTICE_TIME: Duration = Duration::from_secs(2 * 60);

/// The state that the operator was told last, and whether a sweep is telling a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldState<S: Default> {
    /// The state that the operator was told last.
    #[serde(default)]
    pub notified_state: S,
    /// A sweep is telling the operator until then.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub notice_claimed_until: Option<Timestamp>,
}

impl<S: Copy + Default + PartialEq> ToldState<S> {
    /// As if nobody was telling a state. Whatever the operator was told last still counts.
    #[must_use]
    pub fn unclaimed(self) -> Self {
        Self { notice_claimed_until: None, ..self }
    }

    /// Claimed by a sweep, which then tells the operator of `state`. `None` if the operator knows the state, or another sweep
    /// is telling it. A sweep that began to tell and did not end may have told another state.
    #[must_use]
    pub fn claimed(self, state: S, now: Timestamp) -> Option<Self> {
        let is_claimed = self.notice_claimed_until.is_some_and(|until| now < until);
        let is_due = !is_claimed && self.must_tell(state);
        is_due.then(|| Self { notice_claimed_until: Some(after(now, NOTICE_TIME)), ..self })
    }

    /// Whether the operator must be told, or may have to be told again because a sweep did not end.
    #[must_use]
    pub fn must_tell(self, state: S) -> bool {
        state != self.notified_state || self.notice_claimed_until.is_some()
    }

    /// After the operator was told of `state`.
    #[must_use]
    pub fn sent(self, state: S) -> Self {
        Self { notified_state: state, notice_claimed_until: None }
    }
}
