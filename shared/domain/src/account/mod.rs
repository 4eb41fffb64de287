//! An account and its status, the signals about it, and what a signal changes. [`Account::take`] is the state machine.

mod take;

pub use self::take::POSTPONED_DAYS;

use std::time::Duration;

use digime::{ListedAccount, read_result::AccountError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, ContractId, EpisodeId, EventId, ExpiryBasis, FailureCode, NewEvent, ReauthorizationId, UserId, Via,
    notices::is_same_expiry,
    time::{after, rfc3339},
    verification::Refusal,
};

/// How long before its end an authorization can be renewed on the page where the user reconnects.
const RENEWAL: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An account of a user, as this service knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user_id: UserId,
    /// digi.me's identifier of the account.
    pub account_id: AccountId,
    /// The contract of the account's last read or list; before either, that of its first reauthorization.
    pub contract_id: Option<ContractId>,
    /// The name of the source, such as `Instagram`.
    pub service_name: Option<String>,
    /// The name of the account at the source, as digi.me shows it. After a reauthorization the account must still have
    /// this name.
    pub username: Option<String>,
    /// The URL of the source's logo, as digi.me names it.
    pub service_logo: Option<String>,
    /// When the user linked the account, as digi.me says it.
    pub created_at: Option<Timestamp>,
    /// Whether digi.me's list of accounts has ever contained the account. An account that was never listed is not
    /// removed when the list does not contain it.
    pub listed: bool,
    pub status: Status,
    /// Set when the account had another username after a reauthorization. Ends with a verified healing, or when the
    /// application accepts the new login.
    pub identity_mismatch: Option<IdentityMismatch>,
    /// When the user last reauthorized the account.
    pub reauthorized_at: Option<Timestamp>,
    /// The expiry of the authorization that the user is warned of.
    pub warned: Option<Warned>,
    /// When the sweep looks at the account for reminders and warnings.
    pub notices: NoticePlan,
    /// The sequence number of the account's last event; 0 before the first event.
    pub sequence: u64,
}

/// When the sweep looks at an account for its next reminder or warning. Only the sweep knows the schedule and the user's time
/// zone: every other write leaves the planning to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoticePlan {
    /// Never, until another write changes that.
    #[default]
    Nothing,
    /// As soon as possible: what the plan depends on has changed.
    Unplanned,
    At(Timestamp),
}

/// An expiry that the user is warned of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warned {
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
    /// The last warning: it was sent, or its time had passed when the expiry became known. Earlier warnings are not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_left: Option<u32>,
    /// The event of the last warning that was sent. The store sets it when it numbers the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

impl Warned {
    /// Whether this is the expiry that the user is warned of.
    #[must_use]
    pub fn is_of(&self, expires_at: Timestamp) -> bool {
        is_same_expiry(self.expires_at, expires_at)
    }
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
    /// The user no longer uses the account: the episode is open, and nobody is reminded of it. A completed read or a
    /// reauthorization brings the account back.
    Dismissed { episode: Episode, dismissed_at: Timestamp },
    /// A callback reported success, and digi.me has not confirmed it yet.
    Verifying {
        /// The episode that the reauthorization is meant to end. `None` when an active account was reauthorized.
        episode: Option<Episode>,
        /// When the user dismissed the episode. A reauthorization that fails leaves it dismissed.
        dismissed_at: Option<Timestamp>,
        /// The reauthorizations that wait for digi.me's confirmation, oldest first.
        claims: Vec<Attempt>,
        /// When the last callback arrived.
        since: Timestamp,
        /// What was known of the active account that was reauthorized. A reauthorization that fails changes none of it.
        before: ActiveBefore,
    },
}

/// What was known of an account that was reauthorized while it was active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActiveBefore {
    pub verified: Option<bool>,
    pub authorization_expires_at: Option<Timestamp>,
}

/// The time from an account's authorization error until it is active again. The application is notified once for each
/// episode, and reminded by the schedule.
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
    /// When the episode was recorded. An episode of an earlier version of this service has none.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// The number of reminders that were sent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reminders: u32,
    /// When the last reminder was sent.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub reminded_at: Option<Timestamp>,
    /// Until when the user wants no reminder.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub postponed_until: Option<Timestamp>,
    /// The event that announced the episode, or the last reminder of it. The store sets it when it numbers the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Episode {
    /// A new episode that is recorded at `told_at`.
    #[must_use]
    pub fn new(episode_id: EpisodeId, since: Timestamp, error: AccountError, told_at: Timestamp) -> Self {
        Self {
            episode_id,
            since,
            error,
            told_at: Some(told_at),
            reminders: 0,
            reminded_at: None,
            postponed_until: None,
            notice: None,
        }
    }

    /// When the application was notified of the episode: the time from which reminders are counted.
    #[must_use]
    pub fn told_at(&self) -> Timestamp {
        self.told_at.unwrap_or(self.since)
    }
}

/// The event that announced an episode, or reminded of it, or warned of an expiry. A reconnect link is derived from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    pub event_id: EventId,
    /// The id of the key that the link's token is derived with.
    pub link_key_id: String,
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
        /// The account in digi.me's list, if the list was requested: see [`Account::needs_list`].
        listed: Option<ListedAccount>,
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
    /// The user no longer uses the account.
    Dismissed,
    /// The user does not want to reauthorize the account now: no reminder for seven days.
    Postponed,
    /// The time of the next reminder has come.
    ReminderDue,
    /// The time has come to warn of the expiry of the authorization.
    ExpiryDue(ExpiryWarning),
    /// The application accepts the login that digi.me names now.
    IdentityAccepted { listed: ListedAccount },
    /// digi.me's list under the account's contract no longer contains the account.
    Unlisted,
}

/// What the user is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiryWarning {
    pub expires_at: Timestamp,
    /// In whole days of the user's calendar.
    pub days_left: u32,
    pub basis: ExpiryBasis,
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
    /// When the episode began that the change ends.
    pub ended_episode_since: Option<Timestamp>,
}

impl Change {
    /// A change that nobody is told of.
    #[must_use]
    pub fn without_events(account: Account) -> Self {
        Self { account, removes: false, events: Vec::new(), settled: Vec::new(), ended_episode_since: None }
    }
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
            service_logo: None,
            created_at: None,
            listed: false,
            status: Status::Active { verified: None, authorization_expires_at: None },
            identity_mismatch: None,
            reauthorized_at: None,
            warned: None,
            notices: NoticePlan::Nothing,
            sequence: 0,
        }
    }

    /// The current episode.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        match &self.status {
            Status::Active { .. } => None,
            Status::ReauthRequired(episode) | Status::Dismissed { episode, .. } => Some(episode),
            Status::Verifying { episode, .. } => episode.as_ref(),
        }
    }

    /// When the authorization of an active account ends: when the source says so, or when the user is warned of it, whichever
    /// is earlier.
    #[must_use]
    pub fn authorization_ends_at(&self) -> Option<Timestamp> {
        let Status::Active { authorization_expires_at, .. } = self.status else { return None };
        let warned = self.warned.as_ref().map(|warned| warned.expires_at);
        authorization_expires_at.into_iter().chain(warned).min()
    }

    /// When the authorization of an active account ends, if it ends soon enough to be renewed with the user's other accounts.
    #[must_use]
    pub fn renewable_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.authorization_ends_at().filter(|at| (now..=after(now, RENEWAL)).contains(at))
    }

    /// Whether the user is asked to reauthorize the account now: it has lost its authorization, and the user has not postponed it.
    #[must_use]
    pub fn needs_user(&self, now: Timestamp) -> bool {
        let Status::ReauthRequired(episode) = &self.status else { return false };
        episode.postponed_until.is_none_or(|until| until <= now)
    }

    /// Records the event that announced the current episode or reminded of it, or else warned of an expiry.
    pub fn set_notice(&mut self, notice: Notice) {
        match &mut self.status {
            Status::ReauthRequired(episode)
            | Status::Dismissed { episode, .. }
            | Status::Verifying { episode: Some(episode), .. } => episode.notice = Some(notice),
            Status::Active { .. } | Status::Verifying { episode: None, .. } => {
                if let Some(warned) = &mut self.warned {
                    warned.notice = Some(notice);
                }
            }
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
            Status::Active { .. } | Status::ReauthRequired(_) | Status::Dismissed { .. } => self.reauthorized_at,
        }
    }

    /// Whether the decision about a read needs digi.me's list. The list gives the service name and the username of an
    /// account that loses its authorization (`lost`) before any list has named it. For an account with an identity
    /// mismatch, the list shows whether the expected username is back. For an account that comes back and whose expiry was
    /// known, it shows the new expiry.
    #[must_use]
    pub fn needs_list(&self, lost: bool) -> bool {
        if lost {
            !self.listed && self.episode().is_none()
        } else {
            (!self.read_can_heal() || self.warned.is_some()) && !matches!(self.status, Status::Active { .. })
        }
    }

    /// Whether a completed read alone shows that the account works. With an identity mismatch it does not: a read does
    /// not show which login it uses.
    #[must_use]
    pub fn read_can_heal(&self) -> bool {
        self.identity_mismatch.is_none()
    }

    /// The account with the data of its entry in digi.me's list. A known username does not change while the account is
    /// not `active` or has an identity mismatch: the next reauthorization is compared with it.
    #[must_use]
    pub fn described(mut self, listed: &ListedAccount) -> Self {
        let before = self.expiry_inputs();
        self.listed = true;
        for (known, new) in
            [(&mut self.service_name, &listed.service_name), (&mut self.service_logo, &listed.service_logo)]
        {
            if new.is_some() {
                known.clone_from(new);
            }
        }
        self.created_at = listed.created_at.or(self.created_at);
        let identity_matches = self.identity_mismatch.is_none();
        if let Status::Active { authorization_expires_at, .. } = &mut self.status {
            let former = std::mem::replace(authorization_expires_at, listed.authorization_expires_at);
            let now = *authorization_expires_at;
            // The source has moved its expiry: a warning of the former one is no longer true.
            let is_of = |warned: &Warned, expiry: Option<Timestamp>| expiry.is_some_and(|at| warned.is_of(at));
            self.warned.take_if(|warned| is_of(warned, former) && !is_of(warned, now));
            if identity_matches && listed.username.is_some() {
                self.username.clone_from(&listed.username);
            }
        }
        if self.username.is_none() {
            self.username.clone_from(&listed.username);
        }
        // Without a plan, the account is new, or was stored by a version of this service that planned nothing.
        let has_no_plan = self.notices == NoticePlan::Nothing;
        if matches!(self.status, Status::Active { .. }) && (has_no_plan || before != self.expiry_inputs()) {
            self.notices = NoticePlan::Unplanned;
        }
        self
    }

    /// What the expiry of an active account's authorization depends on, besides its reads.
    fn expiry_inputs(&self) -> (Option<String>, [Option<Timestamp>; 3]) {
        let of_source = match self.status {
            Status::Active { authorization_expires_at, .. } => authorization_expires_at,
            Status::ReauthRequired(_) | Status::Dismissed { .. } | Status::Verifying { .. } => None,
        };
        (self.service_name.clone(), [of_source, self.created_at, self.reauthorized_at])
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

impl Status {
    /// The status in the API and in the table.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Active { .. } => "active",
            Self::ReauthRequired(_) => "reauth_required",
            Self::Dismissed { .. } => "dismissed",
            Self::Verifying { .. } => "verifying",
        }
    }
}

#[cfg(test)]
mod tests;
