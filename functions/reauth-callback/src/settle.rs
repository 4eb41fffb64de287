//! Settles a reauthorization after its callback: decides what the callback means, asks digi.me about the account, and
//! writes the outcome in one transaction.

use std::time::Duration;

use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    lambda::RequestContext,
    metrics,
    retry::{Conflict, retry_on_conflict},
    store::{AccountChange, Commit, StoreError, StoredReauthorization, Versioned},
};
use reauth_domain::{
    Account, AccountId, FailureCode, Grant, Outcome, Signal,
    reauthorization::{Progress, Reauthorization, Step},
    verification::Answer,
};
use tokio::sync::OnceCell;
use url::Url;

use crate::{ReauthCallback, Visit};

/// How often a callback looks whether another callback has exchanged the code.
const POLL_PAUSE: Duration = Duration::from_millis(150);
/// The time that is left for the answer after waiting for another callback.
const WAIT_RESERVE: Duration = Duration::from_secs(8);

/// The status of a reauthorization after its callback.
#[derive(Debug)]
pub(crate) enum CallbackOutcome {
    Succeeded,
    Verifying,
    Failed(FailureCode),
}

/// Where the browser goes after a callback.
#[derive(Debug)]
pub(crate) enum Next {
    /// The reauthorization ends here, as far as the browser is concerned.
    End(CallbackOutcome),
    /// The connection to digi.me is renewed. The account's page of digi.me follows.
    AccountPage(Url),
    /// The same in another browser than the one that started the reauthorization: the account's page does not follow.
    OneStepLeft,
    /// digi.me was asked too often for this reauthorization. It can be asked again after this duration.
    TooManyAttempts(Duration),
}

/// A callback that was carried out.
#[derive(Debug)]
pub(crate) struct Settled {
    /// The account of the reauthorization, if it has one.
    pub(crate) account_id: Option<AccountId>,
    pub(crate) next: Next,
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
        visit: &Visit,
        stored: StoredReauthorization,
    ) -> Result<Settled, AuthorizedClientError> {
        let answer = &OnceCell::new();
        let id = stored.reauthorization.id.clone();
        let first = Box::pin(self.try_to_settle(visit, stored, answer)).await;
        if !first.as_ref().is_err_and(Conflict::is_conflict) {
            return first;
        }
        let id = &id;
        retry_on_conflict(&self.ambient, visit.context.deadline, || async move {
            let stored = self.authorized.store.reauthorization(id).await?.ok_or(StoreError::Erased)?;
            self.try_to_settle(visit, stored, answer).await
        })
        .await
    }

    async fn try_to_settle(
        &self,
        visit: &Visit,
        mut stored: StoredReauthorization,
        answer: &OnceCell<Answer>,
    ) -> Result<Settled, AuthorizedClientError> {
        loop {
            let reauthorization = &stored.reauthorization;
            let account_id = reauthorization.account_id().cloned();
            let end = |outcome| Settled { account_id: account_id.clone(), next: Next::End(outcome) };
            return match reauthorization.on_callback(visit.claim.clone(), self.ambient.now()) {
                Step::Repeat => Ok(end(CallbackOutcome::of(&reauthorization.progress))),
                Step::Wait => {
                    if self.ambient.remaining(visit.context.deadline) < WAIT_RESERVE {
                        return Err(AuthorizedClientError::Busy);
                    }
                    tokio::time::sleep(POLL_PAUSE).await;
                    let id = &reauthorization.id;
                    stored = self.authorized.store.reauthorization(id).await?.ok_or(StoreError::Erased)?;
                    continue;
                }
                Step::Exchange => Box::pin(self.exchange(visit, stored)).await,
                Step::Continue => Box::pin(self.go_on(visit, stored)).await,
                Step::FailUser(code) => {
                    self.fail_user(&stored, code.clone(), visit.context).await?;
                    Ok(end(CallbackOutcome::Failed(code)))
                }
                Step::Verify => Ok(end(Box::pin(self.verify(&stored, answer, None, visit.context)).await?)),
                Step::FailAccount(code) => {
                    Ok(end(Box::pin(self.verify(&stored, answer, Some(code), visit.context)).await?))
                }
            };
        }
    }

    /// Settles the reauthorization of an account: with the failure that the callback reported, or with digi.me's answer.
    async fn verify(
        &self,
        stored: &StoredReauthorization,
        answer: &OnceCell<Answer>,
        failure: Option<FailureCode>,
        context: RequestContext,
    ) -> Result<CallbackOutcome, AuthorizedClientError> {
        let reauthorization = &stored.reauthorization;
        let Reauthorization { user_id, contract_id, .. } = reauthorization;
        let Some(account_id) = reauthorization.account_id() else {
            return Ok(CallbackOutcome::of(&reauthorization.progress));
        };
        let asks = failure.is_none() && answer.get().is_none();
        let may_ask = async {
            let may_ask = asks && self.authorized.store.record_verification(stored).await?.is_ok();
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
    pub(crate) async fn ask(
        &self,
        reauthorization: &Reauthorization,
        account: &Account,
        grant: Option<Versioned<Grant>>,
        context: RequestContext,
    ) -> Result<Answer, StoreError> {
        let (Reauthorization { id, user_id, .. }, account_id) = (reauthorization, &account.account_id);
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
    pub(crate) async fn write(
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
            context,
        };
        self.authorized.store.commit(commit).await?;
        count_return(reauthorization);
        Ok(outcome)
    }
}

/// Counts the return of the user, after its outcome was written. A later callback of the same reauthorization is not
/// counted.
pub(crate) fn count_return(before: &Reauthorization) {
    if before.progress == Progress::Pending {
        metrics::reauthorization_returned();
    }
}
