//! Settles a reauthorization after its callback: asks digi.me about the account, and writes the outcome in one
//! transaction.

use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    lambda::RequestContext,
    retry::{Conflict, retry_on_conflict},
    store::{AccountChange, Commit, Grant, StoreError, StoredReauthorization, Versioned},
};
use reauth_domain::{
    Account, FailureCode, Outcome, Signal,
    reauthorization::{Progress, Reauthorization, Step, UnverifiedClaim},
    verification::Answer,
};
use tokio::sync::OnceCell;

use crate::ReauthCallback;

/// The status of a reauthorization after its callback.
#[derive(Debug)]
pub(crate) enum CallbackOutcome {
    Succeeded,
    Verifying,
    Failed(FailureCode),
}

impl CallbackOutcome {
    /// The `status` parameter of the return URL.
    pub(crate) fn status(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Verifying => "verifying",
            Self::Failed(_) => "failed",
        }
    }

    pub(crate) fn error_code(&self) -> Option<&FailureCode> {
        match self {
            Self::Failed(code) => Some(code),
            Self::Succeeded | Self::Verifying => None,
        }
    }

    fn of(progress: &Progress) -> Self {
        match progress {
            Progress::Pending | Progress::Claimed => Self::Verifying,
            Progress::Succeeded { .. } => Self::Succeeded,
            Progress::Failed { error_code, .. } => Self::Failed(error_code.clone()),
        }
    }
}

impl ReauthCallback {
    /// Settles the reauthorization. After a conflict with a concurrent write, it reads and decides again. It reuses the
    /// answer of digi.me, which is only moments old.
    pub(crate) async fn settle(
        &self,
        claim: UnverifiedClaim,
        stored: StoredReauthorization,
        context: RequestContext,
    ) -> Result<CallbackOutcome, AuthorizedClientError> {
        let (claim, answer) = (&claim, &OnceCell::new());
        let first = self.try_to_settle(claim, &stored, answer, context).await;
        if !first.as_ref().is_err_and(Conflict::is_conflict) {
            return first;
        }
        let id = &stored.reauthorization.id;
        retry_on_conflict(&self.ambient, context.deadline, || async move {
            let stored = self.authorized.store.reauthorization(id).await?.ok_or(StoreError::Erased)?;
            self.try_to_settle(claim, &stored, answer, context).await
        })
        .await
    }

    async fn try_to_settle(
        &self,
        claim: &UnverifiedClaim,
        stored: &StoredReauthorization,
        answer: &OnceCell<Answer>,
        context: RequestContext,
    ) -> Result<CallbackOutcome, AuthorizedClientError> {
        let reauthorization = &stored.reauthorization;
        let failure = match reauthorization.on_callback(claim.clone()) {
            Step::Repeat => return Ok(CallbackOutcome::of(&reauthorization.progress)),
            Step::Fail(code) => Some(code),
            Step::Verify => None,
        };
        let asks = failure.is_none() && answer.get().is_none();
        let Reauthorization { user_id, account_id, contract_id, .. } = reauthorization;
        let may_ask = async {
            let may_ask = asks && self.authorized.store.record_verification(stored).await?;
            Ok::<_, StoreError>(may_ask)
        };
        let read = self.authorized.grants_and_account(user_id, account_id, Some(contract_id));
        let (may_ask, (grants, account)) = tokio::try_join!(may_ask, read)?;
        if asks && !may_ask {
            let id = &reauthorization.id;
            tracing::warn!(reauthorization_id = %id, %user_id, %account_id, "reauth-callback: reached the limit of verifications, did not ask digi.me");
            if !reauthorization.accepts_claim_without_asking() {
                return Ok(CallbackOutcome::of(&reauthorization.progress));
            }
        }
        let account = account
            .unwrap_or_else(|| Versioned { value: Account::new(user_id.clone(), account_id.clone()), version: 0 });
        if may_ask {
            let grant = grants.into_iter().find(|grant| grant.value.contract_id == *contract_id);
            answer.get_or_try_init(|| self.ask(reauthorization, &account.value, grant, context)).await?;
        }
        let attempt = reauthorization.attempt();
        let signal = match failure {
            Some(code) => Signal::Failed { attempt, code },
            None => answer.get().cloned().unwrap_or(Answer::UNKNOWN).after_callback(attempt),
        };
        Ok(self.write(stored, account, signal, context).await?)
    }

    /// Asks digi.me about the account. If the grant is missing or digi.me cannot be asked, the verdict is `Unknown`.
    async fn ask(
        &self,
        reauthorization: &Reauthorization,
        account: &Account,
        grant: Option<Versioned<Grant>>,
        context: RequestContext,
    ) -> Result<Answer, StoreError> {
        let Reauthorization { id, user_id, account_id, .. } = reauthorization;
        let Some(grant) = grant else {
            tracing::warn!(reauthorization_id = %id, %user_id, %account_id, "reauth-callback: could not verify an account, there is no grant");
            return Ok(Answer::UNKNOWN);
        };
        let client = &self.authorized.client;
        let listed = self
            .authorized
            .with_token(grant, context, |contract, tokens| async move {
                client.accounts(&contract, &tokens.access.value, context.deadline).await
            })
            .await;
        match listed {
            Ok(listed) => Ok(Answer::of_list(account, listed)),
            Err(AuthorizedClientError::Store(error)) => Err(error),
            Err(error) => {
                tracing::warn!(reauthorization_id = %id, %user_id, %account_id, error = %Chain(&error), "reauth-callback: could not verify an account");
                Ok(Answer::UNKNOWN)
            }
        }
    }

    /// Applies the signal to the account and writes the change.
    async fn write(
        &self,
        stored: &StoredReauthorization,
        account: Versioned<Account>,
        signal: Signal,
        context: RequestContext,
    ) -> Result<CallbackOutcome, StoreError> {
        let reauthorization = &stored.reauthorization;
        let now = self.ambient.now();
        let Outcome::Changed(mut change) = account.value.take(signal, now) else {
            return Ok(CallbackOutcome::of(&reauthorization.progress));
        };
        change.account.contract_id.get_or_insert_with(|| reauthorization.contract_id.clone());
        let outcome = CallbackOutcome::of(&reauthorization.progress_after(&change, now));
        let commit = Commit {
            user_id: reauthorization.user_id.clone(),
            changes: vec![AccountChange { change, read_version: account.version, read: None }],
            last_reads: None,
            reauthorization: Some((reauthorization.id.clone(), stored.version)),
            triggered_at: context.triggered_at,
        };
        self.authorized.store.commit(commit).await?;
        Ok(outcome)
    }
}
