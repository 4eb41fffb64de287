//! The callback of the user reauthorization page: exchanges the code once, checks whose pair it is, stores the pair before
//! anything else, and goes on to the account.

use std::time::Duration;

use digime::TokenPair;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{
        Condition, GrantCondition, ReauthorizationChange, StoreError, StoredReauthorization, UserAccounts, Versioned,
    },
};
use reauth_domain::{
    Account, AccountId, ContractId, FailureCode, Grant, Person, Status,
    account::Settlement,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
    time::after,
    verification::Verdict,
};

use crate::{
    ReauthCallback, Visit,
    settle::{CallbackOutcome, Next, Settled, count_return},
};

/// Longer than an exchange can take with its retries, the check of the person and the write of the pair.
const EXCHANGE: Duration = Duration::from_secs(30);
/// An exchange is not started with less time left. If the invocation ended before the answer was stored, the pair would be
/// lost.
const EXCHANGE_TIME: Duration = Duration::from_secs(12);
/// The part of the invocation's time that is reserved for storing the pair.
const STORE_RESERVE: Duration = Duration::from_secs(2);

impl ReauthCallback {
    /// Exchanges the code for a new token pair, stores the pair, and goes on to the account.
    pub(crate) async fn exchange(
        &self,
        visit: &Visit,
        mut stored: StoredReauthorization,
    ) -> Result<Settled, AuthorizedClientError> {
        let (store, context) = (&self.authorized.store, visit.context);
        let Reauthorization { user_id, contract_id, .. } = stored.reauthorization.clone();
        // The exchange is only begun when its answer can be checked.
        let keys = async { Ok::<_, AuthorizedClientError>(self.authorized.client.warm_keys(context.deadline).await?) };
        let grant = async { Ok(store.grant(&user_id, &contract_id).await?.ok_or(StoreError::Erased)?) };
        let known = async { Ok(self.authorized.user_accounts(&user_id, context).await?) };
        let (grant, known, ()) = tokio::try_join!(grant, known, keys)?;
        if self.ambient.remaining(context.deadline) < EXCHANGE_TIME {
            return Err(AuthorizedClientError::Busy);
        }
        let until = after(self.ambient.now(), EXCHANGE);
        let (verifier, version) = store.begin_exchange(&stored, until).await?;
        stored.version = version;
        let code = visit.code.clone().unwrap_or_default();
        let deadline = context.deadline.less(STORE_RESERVE);
        let pair = self
            .authorized
            .with_contract(&contract_id, |contract| {
                let (code, verifier) = (&code, &verifier);
                async move { self.authorized.client.exchange_code(&contract, code, verifier, deadline).await }
            })
            .await;
        let pair = match pair {
            Ok(pair) => pair,
            Err(error) => {
                let id = &stored.reauthorization.id;
                tracing::warn!(error = %Chain(&error), reauthorization_id = %id, %user_id, %contract_id, "reauth-callback: could not exchange the code");
                return self.end_with_failure(&stored, refusal(&error), context).await;
            }
        };
        if let Some(failure) = Box::pin(self.refuse_person(visit, &stored, &grant.value, &pair, &known)).await {
            return self.end_with_failure(&stored, failure, context).await;
        }
        let account_id = stored.reauthorization.account_id().cloned().or_else(|| first_in_need(&known, &contract_id));
        let settlement = account_id.is_none().then_some(Settlement::Succeeded { verified: true });
        let progress = ReauthorizationChange {
            id: stored.reauthorization.id.clone(),
            read_version: Some(version),
            settlement,
            exchange: Some(Exchange::Done),
            account_id: account_id.clone(),
            returned: true,
        };
        let is_recorded = Box::pin(self.authorized.store_exchanged(grant, pair, &progress, context)).await?;
        if !is_recorded {
            // Another callback gave the exchange up, because it took too long. The user starts again, with the new pair.
            return Ok(Settled { account_id, next: Next::End(CallbackOutcome::Failed(FailureCode::ServerError)) });
        }
        if account_id.is_none() {
            count_return(&stored.reauthorization);
            return Ok(Settled { account_id, next: Next::End(CallbackOutcome::Succeeded) });
        }
        stored.version += 1;
        stored.reauthorization.progress = Progress::Pending;
        stored.reauthorization.flow = Flow::User { exchange: Exchange::Done, account_id };
        Box::pin(self.go_on(visit, stored)).await
    }

    /// Why the pair is not stored, if it is not of the person to whom the grant belonged. Where digi.me's identifier of the
    /// user was not known, the user's accounts tell. Where nothing tells, the browser must be the one that started the
    /// reauthorization.
    async fn refuse_person(
        &self,
        visit: &Visit,
        stored: &StoredReauthorization,
        grant: &Grant,
        pair: &TokenPair,
        known: &UserAccounts,
    ) -> Option<FailureCode> {
        let person = match Person::by_id(&grant.tokens, pair) {
            Person::Unknown => {
                let deadline = visit.context.deadline.less(STORE_RESERVE);
                let listed = self.authorized.with_contract(&grant.contract_id, |contract| async move {
                    self.authorized.client.accounts(&contract, &pair.access.value, deadline).await
                });
                match listed.await {
                    Ok(listed) => Person::by_accounts(accounts_under(known, &grant.contract_id), &listed),
                    Err(error) => {
                        let Reauthorization { id, user_id, .. } = &stored.reauthorization;
                        tracing::warn!(error = %Chain(&error), reauthorization_id = %id, %user_id, "reauth-callback: could not check whose token pair it is");
                        return Some(FailureCode::ServerError);
                    }
                }
            }
            person => person,
        };
        match person {
            Person::Same => None,
            Person::Unknown if visit.same_browser => None,
            Person::Unknown | Person::Another => Some(FailureCode::WrongUser),
        }
    }

    async fn end_with_failure(
        &self,
        stored: &StoredReauthorization,
        code: FailureCode,
        context: RequestContext,
    ) -> Result<Settled, AuthorizedClientError> {
        self.fail_user(stored, code.clone(), context).await?;
        let account_id = stored.reauthorization.account_id().cloned();
        Ok(Settled { account_id, next: Next::End(CallbackOutcome::Failed(code)) })
    }

    /// Records the failure of the user page, with its event.
    pub(crate) async fn fail_user(
        &self,
        stored: &StoredReauthorization,
        code: FailureCode,
        context: RequestContext,
    ) -> Result<(), AuthorizedClientError> {
        let (reauthorization, code) = (&stored.reauthorization, &code);
        let Reauthorization { id, user_id, contract_id, .. } = reauthorization;
        let progress = &ReauthorizationChange::settled(id, Some(stored.version), &Settlement::Failed(code.clone()));
        let written = retry_on_conflict(&self.ambient, context.deadline, || async move {
            let store = &self.authorized.store;
            let grant = store.grant(user_id, contract_id).await?.ok_or(StoreError::Erased)?;
            let change = grant.value.attempt_failed(reauthorization.attempt(), code, self.ambient.now());
            let condition = GrantCondition::Version(grant.version);
            match store.put_grant(change, condition, Some(progress), context).await {
                // The reauthorization has changed: the caller reads it again.
                Err(conflict @ StoreError::Conflict(Some(Condition::Reauthorization))) => Ok(Err(conflict)),
                written => written.map(|_| Ok(())),
            }
        });
        written.await??;
        count_return(reauthorization);
        Ok(())
    }

    /// The new pair is stored. If digi.me says that the account is authorized, it is healed. Else the browser that started
    /// the reauthorization goes to the account's page, with the same state. Another browser can be that of another person,
    /// and gets no code.
    pub(crate) async fn go_on(
        &self,
        visit: &Visit,
        stored: StoredReauthorization,
    ) -> Result<Settled, AuthorizedClientError> {
        let (store, context, reauthorization) = (&self.authorized.store, visit.context, &stored.reauthorization);
        let Reauthorization { user_id, contract_id, .. } = reauthorization;
        let Flow::User { account_id: Some(account_id), .. } = &reauthorization.flow else {
            let next = Next::End(CallbackOutcome::Succeeded);
            return Ok(Settled { account_id: None, next });
        };
        let settled = |next| Settled { account_id: Some(account_id.clone()), next };
        let read = self.authorized.grants_and_account(user_id, account_id, Some(contract_id));
        let (may_ask, (grants, account)) = tokio::try_join!(store.record_verification(&stored), read)?;
        if let Err(wait) = may_ask {
            return Ok(settled(Next::TooManyAttempts(wait)));
        }
        let grant = grants.into_iter().next().ok_or(StoreError::Erased)?;
        let account = account
            .unwrap_or_else(|| Versioned { value: Account::new(user_id.clone(), account_id.clone()), version: 0 });
        let answer = Box::pin(self.ask(reauthorization, &account.value, Some(grant.clone()), context)).await?;
        let is_settled = match &answer.verdict {
            Verdict::Authorized => true,
            Verdict::Refused(refusal) => refusal.code == FailureCode::AccountNotFound,
            Verdict::Unknown => false,
        };
        if is_settled {
            let signal = answer.after_callback(reauthorization.attempt());
            let outcome = self.write(&stored, account, signal, context).await?;
            return Ok(settled(Next::End(outcome)));
        }
        if !visit.same_browser {
            return Ok(settled(Next::OneStepLeft));
        }
        let locale = reauthorization.locale.as_ref();
        let page = self.authorized.account_page(grant, account_id, &visit.redirect_uri, &visit.state, locale, context);
        Ok(settled(Next::AccountPage(Box::pin(page).await?.url)))
    }
}

/// The failure of a reauthorization whose code could not be exchanged. The code may have been used, so that the user must
/// start again.
fn refusal(error: &AuthorizedClientError) -> FailureCode {
    match error {
        AuthorizedClientError::Digime(error @ digime::Error::Api(_)) if !error.is_retryable() => {
            FailureCode::InvalidCode
        }
        _ => FailureCode::ServerError,
    }
}

fn accounts_under<'a>(known: &'a UserAccounts, contract: &ContractId) -> impl Iterator<Item = &'a Account> {
    let accounts = known.accounts.values().map(|account| &account.value);
    accounts.filter(move |account| account.contract_id.as_ref().is_none_or(|known| known == contract))
}

/// The account under the contract that needs the user the longest.
fn first_in_need(known: &UserAccounts, contract: &ContractId) -> Option<AccountId> {
    let in_need = accounts_under(known, contract).filter_map(|account| match &account.status {
        Status::ReauthRequired(episode) => Some((episode.since, account.account_id.clone())),
        Status::Active { .. } | Status::Dismissed { .. } | Status::Verifying { .. } => None,
    });
    in_need.min().map(|(_, account)| account)
}
