//! Reauthorizations: one attempt of a user to authorize digi.me again, at a source or as a whole.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, Attempt, Change, ContractId, FailureCode, Locale, ReauthorizationId, ReturnUrl, TraceParent, UserId,
    account::{Notice, Settlement},
};

/// One attempt to reauthorize an account, or a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reauthorization {
    /// The identifier, which is also the first part of the callback's `state`.
    pub id: ReauthorizationId,
    pub user_id: UserId,
    /// The contract whose key and tokens were used to create the URL.
    pub contract_id: ContractId,
    pub flow: Flow,
    pub progress: Progress,
    /// The failures that the application was notified of. It is notified of each failure once.
    pub told: Vec<FailureCode>,
    /// The URL to which the browser returns at the end.
    pub return_url: Option<ReturnUrl>,
    /// The language of digi.me's pages.
    pub locale: Option<Locale>,
    /// The event of the reconnect link that started the reauthorization.
    pub link: Option<Notice>,
    /// The trace of the link's event, or of the application's request.
    pub traceparent: Option<TraceParent>,
    pub created_at: Timestamp,
    /// When the user pressed the button of a reconnect link. `None` if the application created the reauthorization: when its
    /// user opens the URL is not known.
    pub clicked_at: Option<Timestamp>,
    /// When the browser first came back through the callback.
    pub returned_at: Option<Timestamp>,
    /// When the callback stops being accepted.
    pub expires_at: Timestamp,
}

/// The pages of digi.me that the user goes through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// The page that reauthorizes one account.
    Account { account_id: AccountId },
    /// The page on which the user authorizes the application again. If there is an account, its page follows.
    User {
        exchange: Exchange,
        /// The account that the reauthorization was created for; else, once the new pair is stored, the one that the user
        /// goes on to.
        account_id: Option<AccountId>,
    },
}

/// The exchange of the code from the user reauthorization page for a new token pair. A code can be exchanged once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "exchange", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Exchange {
    /// No code has arrived.
    Open,
    /// A callback exchanges its code, or did so without success.
    Started {
        /// If there is no result by then, the process of that callback has ended without one.
        #[serde(with = "crate::time::rfc3339")]
        until: Timestamp,
    },
    /// The new pair is stored.
    Done,
}

/// The page of digi.me to which the user is sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The page that reauthorizes one account.
    Account,
    /// The page on which the user authorizes the application again.
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
    /// `success=true` with a `code`, from the user reauthorization page.
    SuccessWithCode,
    /// Anything else, with its `errorCode`.
    Failure(FailureCode),
}

/// What to do after a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Exchange the code for a new token pair.
    Exchange,
    /// Wait until the callback that exchanges the code has a result, and decide again.
    Wait,
    /// The new pair is stored. Go on to the account.
    Continue,
    /// Ask digi.me whether the account is authorized.
    Verify,
    /// Record the failure of the user page.
    FailUser(FailureCode),
    /// Record the failure of the account page.
    FailAccount(FailureCode),
    /// Change nothing and answer as before.
    Repeat,
}

impl Reauthorization {
    /// What to do after a callback, depending on the progress. Success is final. A failure can be followed by a
    /// success. The application is not notified twice of the same outcome.
    #[must_use]
    pub fn on_callback(&self, claim: UnverifiedClaim, now: Timestamp) -> Step {
        match &self.flow {
            Flow::Account { .. } => self.on_account_page(claim),
            Flow::User { exchange: Exchange::Open, .. } => self.on_user_page(claim),
            Flow::User { exchange: Exchange::Started { until }, .. } => match &self.progress {
                Progress::Pending if now < *until => Step::Wait,
                // The code may have been used: the user must start again.
                Progress::Pending => Step::FailUser(FailureCode::ServerError),
                Progress::Claimed | Progress::Succeeded { .. } | Progress::Failed { .. } => Step::Repeat,
            },
            Flow::User { exchange: Exchange::Done, account_id: None } => Step::Repeat,
            Flow::User { exchange: Exchange::Done, account_id: Some(_) } => match (&self.progress, claim) {
                // The callback of the user page came again, before the user has finished the account's page.
                (Progress::Pending | Progress::Failed { .. }, UnverifiedClaim::SuccessWithCode) => Step::Continue,
                (Progress::Claimed, UnverifiedClaim::SuccessWithCode) => Step::Repeat,
                (_, claim) => self.on_account_page(claim),
            },
        }
    }

    fn on_account_page(&self, claim: UnverifiedClaim) -> Step {
        match (&self.progress, claim) {
            (Progress::Succeeded { .. }, _)
            | (Progress::Failed { .. } | Progress::Claimed, UnverifiedClaim::Failure(_)) => Step::Repeat,
            (
                Progress::Pending | Progress::Claimed | Progress::Failed { .. },
                UnverifiedClaim::Success | UnverifiedClaim::SuccessWithCode,
            ) => Step::Verify,
            (Progress::Pending, UnverifiedClaim::Failure(code)) => Step::FailAccount(code),
        }
    }

    fn on_user_page(&self, claim: UnverifiedClaim) -> Step {
        match (&self.progress, claim) {
            (Progress::Pending | Progress::Failed { .. }, UnverifiedClaim::SuccessWithCode) => Step::Exchange,
            // Without a code there is no new token pair.
            (Progress::Pending, UnverifiedClaim::Success) => Step::FailUser(FailureCode::NotAuthorized),
            (Progress::Pending, UnverifiedClaim::Failure(code)) => Step::FailUser(code),
            (Progress::Claimed | Progress::Succeeded { .. } | Progress::Failed { .. }, _) => Step::Repeat,
        }
    }

    /// The page of digi.me to which the user is sent first.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.flow {
            Flow::Account { .. } => Kind::Account,
            Flow::User { .. } => Kind::User,
        }
    }

    /// The account to reauthorize, if there is one.
    #[must_use]
    pub fn account_id(&self) -> Option<&AccountId> {
        match &self.flow {
            Flow::Account { account_id } => Some(account_id),
            Flow::User { account_id, .. } => account_id.as_ref(),
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

    const CREATED: &str = "2026-11-23T09:00:00Z";
    const EXPIRES: &str = "2026-11-23T10:00:00Z";

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn account() -> AccountId {
        "1_a".parse().unwrap()
    }

    fn at(flow: Flow, progress: Progress) -> Reauthorization {
        Reauthorization {
            id: ReauthorizationId::from([1; 16]),
            user_id: "u".parse().unwrap(),
            contract_id: "c".parse().unwrap(),
            flow,
            progress,
            told: Vec::new(),
            return_url: None,
            locale: None,
            link: None,
            traceparent: None,
            created_at: time(CREATED),
            clicked_at: None,
            returned_at: None,
            expires_at: time(EXPIRES),
        }
    }

    fn of_account(progress: Progress) -> Reauthorization {
        at(Flow::Account { account_id: account() }, progress)
    }

    fn of_user(exchange: Exchange, account_id: Option<AccountId>, progress: Progress) -> Reauthorization {
        at(Flow::User { exchange, account_id }, progress)
    }

    fn succeeded() -> Progress {
        Progress::Succeeded { verified: true, completed_at: Timestamp::UNIX_EPOCH }
    }

    fn failed() -> Progress {
        Progress::Failed { error_code: FailureCode::OnboardError, completed_at: Timestamp::UNIX_EPOCH }
    }

    /// The steps after a success with a code, a success without one, and a cancellation.
    fn steps(reauthorization: &Reauthorization, now: &str) -> [Step; 3] {
        let cancel = UnverifiedClaim::Failure(FailureCode::UserCancel);
        [UnverifiedClaim::SuccessWithCode, UnverifiedClaim::Success, cancel]
            .map(|claim| reauthorization.on_callback(claim, time(now)))
    }

    #[test]
    fn the_whole_table_of_an_account_reauthorization() {
        let cancelled = || Step::FailAccount(FailureCode::UserCancel);
        for (progress, expected) in [
            (Progress::Pending, [Step::Verify, Step::Verify, cancelled()]),
            (Progress::Claimed, [Step::Verify, Step::Verify, Step::Repeat]),
            (succeeded(), [Step::Repeat, Step::Repeat, Step::Repeat]),
            (failed(), [Step::Verify, Step::Verify, Step::Repeat]),
        ] {
            let reauthorization = of_account(progress);
            assert_eq!(steps(&reauthorization, CREATED), expected, "{reauthorization:?}");
        }
    }

    #[test]
    fn the_whole_table_of_a_user_reauthorization() {
        let until = time("2026-11-23T09:30:00Z");
        let (started, cancel, repeat) =
            (Exchange::Started { until }, FailureCode::UserCancel, [const { Step::Repeat }; 3]);
        let lost = || Step::FailUser(FailureCode::ServerError);
        let no_code = Step::FailUser(FailureCode::NotAuthorized);
        for (exchange, with_account, progress, now, expected) in [
            (
                Exchange::Open,
                false,
                Progress::Pending,
                CREATED,
                [Step::Exchange, no_code, Step::FailUser(cancel.clone())],
            ),
            (Exchange::Open, true, failed(), CREATED, [Step::Exchange, Step::Repeat, Step::Repeat]),
            (started, true, Progress::Pending, "2026-11-23T09:29:59Z", [Step::Wait, Step::Wait, Step::Wait]),
            (started, true, Progress::Pending, "2026-11-23T09:30:00Z", [lost(), lost(), lost()]),
            (started, true, failed(), CREATED, repeat.clone()),
            (Exchange::Done, false, succeeded(), CREATED, repeat.clone()),
            (
                Exchange::Done,
                true,
                Progress::Pending,
                CREATED,
                [Step::Continue, Step::Verify, Step::FailAccount(cancel)],
            ),
            (Exchange::Done, true, Progress::Claimed, CREATED, [Step::Repeat, Step::Verify, Step::Repeat]),
            (Exchange::Done, true, failed(), CREATED, [Step::Continue, Step::Verify, Step::Repeat]),
            (Exchange::Done, true, succeeded(), CREATED, repeat.clone()),
        ] {
            let reauthorization = of_user(exchange, with_account.then(account), progress);
            assert_eq!(steps(&reauthorization, now), expected, "{reauthorization:?}");
        }
    }

    #[test]
    fn only_a_pending_one_expires() {
        assert_eq!(of_account(Progress::Pending).status(time(EXPIRES)), ReauthorizationStatus::Expired);
        assert_eq!(of_account(Progress::Claimed).status(time(EXPIRES)), ReauthorizationStatus::Pending);
        assert!(of_account(Progress::Claimed).expired(time(EXPIRES)));
    }
}
