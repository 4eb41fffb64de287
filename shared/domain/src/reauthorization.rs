//! Reauthorizations: one attempt of a user to authorize digi.me at a source again.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, Attempt, Change, ContractId, FailureCode, ReauthorizationId, ReturnUrl, UserId, account::Settlement,
};

/// One attempt to reauthorize an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reauthorization {
    /// The identifier, which is also the first part of the callback's `state`.
    pub id: ReauthorizationId,
    pub user_id: UserId,
    pub account_id: AccountId,
    /// The contract whose key and tokens were used to create the URL.
    pub contract_id: ContractId,
    pub kind: Kind,
    pub progress: Progress,
    /// The failures that the application was notified of. It is notified of each failure once.
    pub told: Vec<FailureCode>,
    /// The URL to which the browser returns at the end.
    pub return_url: Option<ReturnUrl>,
    pub created_at: Timestamp,
    /// When the callback stops being accepted.
    pub expires_at: Timestamp,
}

/// The page of digi.me to which the user is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The page that reauthorizes one account.
    Account,
    /// The page on which the user authorizes the application again. Reserved: this version creates only `Account`.
    User,
}

/// The status of a reauthorization in the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReauthorizationStatus {
    /// No outcome is known yet. A success that digi.me has not confirmed is pending too.
    Pending,
    Succeeded,
    Failed,
    /// No callback came in time.
    Expired,
}

/// The progress of a reauthorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Progress {
    /// No callback has arrived yet.
    Pending,
    /// The callback reported success, and digi.me has not confirmed it yet.
    Claimed,
    /// The account is authorized again.
    Succeeded {
        /// Whether digi.me or a completed read confirmed it.
        verified: bool,
        /// When the outcome became known.
        #[serde(with = "crate::time::rfc3339")]
        completed_at: Timestamp,
    },
    /// The reauthorization ended without success.
    Failed {
        error_code: FailureCode,
        /// When the outcome became known.
        #[serde(with = "crate::time::rfc3339")]
        completed_at: Timestamp,
    },
}

impl Progress {
    /// The progress after a settlement.
    #[must_use]
    pub fn settled(settlement: Settlement, completed_at: Timestamp) -> Self {
        match settlement {
            Settlement::Claimed => Self::Claimed,
            Settlement::Succeeded { verified } => Self::Succeeded { verified, completed_at },
            Settlement::Failed(error_code) => Self::Failed { error_code, completed_at },
        }
    }
}

/// The outcome that a callback claims. Anyone who has the callback URL can send it, so that it is not trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnverifiedClaim {
    /// `success=true`.
    Success,
    /// Anything else, with its `errorCode`.
    Failure(FailureCode),
}

/// What to do after a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask digi.me whether the account is authorized.
    Verify,
    /// Record the failure.
    Fail(FailureCode),
    /// Change nothing and answer as before.
    Repeat,
}

impl Reauthorization {
    /// What to do after a callback, depending on the progress. Success is final. A failure can be followed by a
    /// success. The application is not notified twice of the same outcome.
    #[must_use]
    pub fn on_callback(&self, claim: UnverifiedClaim) -> Step {
        match (&self.progress, claim) {
            (Progress::Succeeded { .. }, _)
            | (Progress::Failed { .. } | Progress::Claimed, UnverifiedClaim::Failure(_)) => Step::Repeat,
            (Progress::Pending | Progress::Claimed | Progress::Failed { .. }, UnverifiedClaim::Success) => Step::Verify,
            (Progress::Pending, UnverifiedClaim::Failure(code)) => Step::Fail(code),
        }
    }

    /// Whether a reported success is recorded although digi.me was not asked, because the limit of verifications was
    /// reached. It is recorded only as the first result.
    #[must_use]
    pub fn accepts_claim_without_asking(&self) -> bool {
        self.progress == Progress::Pending
    }

    /// The progress after a change of its account.
    #[must_use]
    pub fn progress_after(&self, change: &Change, now: Timestamp) -> Progress {
        let own = change.settled.iter().find(|(id, _)| *id == self.id);
        own.map_or_else(|| self.progress.clone(), |(_, settlement)| Progress::settled(settlement.clone(), now))
    }

    /// The part of the reauthorization that its account needs.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        let failure = match &self.progress {
            Progress::Failed { error_code, .. } => Some(error_code.clone()),
            Progress::Pending | Progress::Claimed | Progress::Succeeded { .. } => None,
        };
        Attempt { id: self.id.clone(), failure, told: self.told.clone() }
    }

    /// Whether the callback is no longer accepted.
    #[must_use]
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// The status in the API.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> ReauthorizationStatus {
        match self.progress {
            Progress::Pending if self.expired(now) => ReauthorizationStatus::Expired,
            Progress::Pending | Progress::Claimed => ReauthorizationStatus::Pending,
            Progress::Succeeded { .. } => ReauthorizationStatus::Succeeded,
            Progress::Failed { .. } => ReauthorizationStatus::Failed,
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
        assert_eq!(at(Progress::Pending).status(late), ReauthorizationStatus::Expired);
        assert_eq!(at(Progress::Claimed).status(late), ReauthorizationStatus::Pending);
        assert!(at(Progress::Claimed).expired(late));
    }
}
