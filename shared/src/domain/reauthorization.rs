//! A reauthorization: one attempt of a user to let a source in again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccountId, Attempt, ContractId, FailureCode, ReauthorizationId, ReturnUrl, UserId, account::Settlement};

/// One attempt to reauthorize an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reauthorization {
    /// Its identifier; also the first part of the callback's `state`.
    pub id: ReauthorizationId,
    /// The user.
    pub user_id: UserId,
    /// The account.
    pub account_id: AccountId,
    /// The contract whose key and tokens were used.
    pub contract_id: ContractId,
    /// Which page of digi.me the user is sent to.
    pub kind: Kind,
    /// Where it stands.
    pub progress: Progress,
    /// The failures of it that were told. Each is told once.
    pub told: Vec<FailureCode>,
    /// Whether the account's username was known when it was made. Without it, the callback cannot tell whether the user
    /// signed in with another account.
    pub identity_known: bool,
    /// Where the browser goes at the end.
    pub return_url: Option<ReturnUrl>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when its callback is taken.
    pub expires_at: Timestamp,
}

/// Which page of digi.me helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The reauthorization of one account.
    Account,
    /// The user's, when the refresh token is dead.
    User,
}

/// Where a reauthorization stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Progress {
    /// The user has not come back yet.
    Pending,
    /// The callback said success; digi.me's confirmation is awaited.
    Claimed,
    /// The account is authorized again.
    Succeeded {
        /// Whether digi.me or a read confirmed it.
        verified: bool,
        /// When that was known.
        #[serde(with = "crate::ambient::rfc3339")]
        completed_at: Timestamp,
    },
    /// It ended without success.
    Failed {
        /// Why.
        error_code: FailureCode,
        /// When that was known.
        #[serde(with = "crate::ambient::rfc3339")]
        completed_at: Timestamp,
    },
}

impl Progress {
    /// The end that a settlement brings.
    #[must_use]
    pub fn settled(settlement: Settlement, completed_at: Timestamp) -> Self {
        match settlement {
            Settlement::Claimed => Self::Claimed,
            Settlement::Succeeded { verified } => Self::Succeeded { verified, completed_at },
            Settlement::Failed(error_code) => Self::Failed { error_code, completed_at },
        }
    }
}

/// What a browser said at the callback. Anyone who holds the URL can say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnverifiedClaim {
    /// `success=true`.
    Success,
    /// Anything else, with its `errorCode`.
    Failure(FailureCode),
}

/// What to do with a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask digi.me whether the account is authorized.
    Verify,
    /// Write down the failure.
    Fail(FailureCode),
    /// Nothing changes: answer as before.
    Repeat,
}

impl Reauthorization {
    /// What a callback asks for, given where the reauthorization stands: success is final, a failure may still be
    /// overtaken by a success, and nothing is told twice.
    #[must_use]
    pub fn on_callback(&self, claim: UnverifiedClaim) -> Step {
        match (&self.progress, claim) {
            (Progress::Succeeded { .. }, _)
            | (Progress::Failed { .. } | Progress::Claimed, UnverifiedClaim::Failure(_)) => Step::Repeat,
            (Progress::Pending | Progress::Claimed | Progress::Failed { .. }, UnverifiedClaim::Success) => Step::Verify,
            (Progress::Pending, UnverifiedClaim::Failure(code)) => Step::Fail(code),
        }
    }

    /// What its account needs to know of it.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        let failure = match &self.progress {
            Progress::Failed { error_code, .. } => Some(error_code.clone()),
            Progress::Pending | Progress::Claimed | Progress::Succeeded { .. } => None,
        };
        Attempt { id: self.id.clone(), failure, told: self.told.clone() }
    }

    /// Whether its callback comes too late.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// The status in the API: `pending`, `succeeded`, `failed` or `expired`. One that waits for confirmation is
    /// `pending`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> &'static str {
        match self.progress {
            Progress::Pending if self.expired(now) => "expired",
            Progress::Pending | Progress::Claimed => "pending",
            Progress::Succeeded { .. } => "succeeded",
            Progress::Failed { .. } => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(progress: Progress) -> Reauthorization {
        Reauthorization {
            id: ReauthorizationId::from([1; 16]),
            user_id: "u".parse().unwrap(),
            account_id: "1_a".parse().unwrap(),
            contract_id: "c".parse().unwrap(),
            kind: Kind::Account,
            progress,
            told: Vec::new(),
            identity_known: true,
            return_url: None,
            created_at: "2026-11-23T09:00:00Z".parse().unwrap(),
            expires_at: "2026-11-23T10:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn the_whole_table_of_progress_and_claims() {
        let end = Timestamp::UNIX_EPOCH;
        let cancel = || UnverifiedClaim::Failure(FailureCode::UserCancel);
        let succeeded = Progress::Succeeded { verified: true, completed_at: end };
        let failed = Progress::Failed { error_code: FailureCode::OnboardError, completed_at: end };
        for (progress, on_success, on_failure) in [
            (Progress::Pending, Step::Verify, Step::Fail(FailureCode::UserCancel)),
            (Progress::Claimed, Step::Verify, Step::Repeat),
            (succeeded, Step::Repeat, Step::Repeat),
            (failed, Step::Verify, Step::Repeat),
        ] {
            let reauthorization = at(progress);
            assert_eq!(reauthorization.on_callback(UnverifiedClaim::Success), on_success, "{reauthorization:?}");
            assert_eq!(reauthorization.on_callback(cancel()), on_failure, "{reauthorization:?}");
        }
    }

    #[test]
    fn only_a_pending_one_expires() {
        let late = "2026-11-23T10:00:00Z".parse().unwrap();
        assert_eq!(at(Progress::Pending).status(late), "expired");
        assert_eq!(at(Progress::Claimed).status(late), "pending");
        assert!(at(Progress::Claimed).expired(late));
    }
}
