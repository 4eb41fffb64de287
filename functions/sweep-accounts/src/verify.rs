//! Verifies accounts whose reauthorization digi.me has not confirmed yet. Asks for digi.me's list again; if the list
//! does not say whether the account is authorized, a read of that account shows it.

use std::time::Duration;

use digime::{self, Client, Contract, ReadResult, TokenPair, ambient::Deadline, read_result::Entry};
use jiff::Timestamp;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    lambda::RequestContext,
    store::{AccountChange, Commit, DueItem, StoreError, Versioned},
};
use reauth_domain::{
    Account, AccountId, FailureCode, Outcome, Signal, Status, Target,
    time::after,
    verification::{Answer, Verdict},
};
use tracing::instrument;

use crate::{SweepAccounts, SweepError, summary::SweepOutcome};

/// After this time without an answer, the account becomes active and unverified.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest pause between two verifications of one account.
const MIN_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between two verifications of one account.
const MAX_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How often the sweep polls a read session before it gives up until the next verification.
const POLLS: u32 = 5;
const POLL_PAUSE: Duration = Duration::from_millis(400);

impl SweepAccounts {
    #[instrument(skip_all, fields(trace_id = %context.traceparent.trace_id(), user_id = %item.user_id, account_id = item.account_id(), contract_id = item.contract_id()))]
    pub(crate) async fn verify(&self, item: &DueItem, context: RequestContext) -> Result<SweepOutcome, SweepError> {
        let Some(Target::Account(account_id)) = &item.target else { return Ok(SweepOutcome::Open) };
        let Some(account) = self.authorized.store.account(&item.user_id, account_id).await? else {
            return Ok(SweepOutcome::Open);
        };
        // The index is eventually consistent: the account may have changed since.
        let Status::Verifying { since, .. } = &account.value.status else { return Ok(SweepOutcome::Open) };
        let since = *since;
        if after(since, GIVE_UP_AFTER) <= context.triggered_at {
            return self.apply(account, Signal::NeverConfirmed, context).await;
        }
        if !self.authorized.store.reschedule_item(item, next_verification(since, context.triggered_at)).await? {
            return Ok(SweepOutcome::Lost);
        }
        match self.ask(&account.value, context).await?.after_sweep() {
            Some(signal) => self.apply(account, signal, context).await,
            None => Ok(SweepOutcome::Open),
        }
    }

    async fn ask(&self, account: &Account, context: RequestContext) -> Result<Answer, AuthorizedClientError> {
        let grants = self.authorized.store.grants(&account.user_id).await?;
        let wanted = account.contract_id.as_ref();
        let Some(grant) = grants.into_iter().find(|grant| wanted.is_none_or(|id| *id == grant.value.contract_id))
        else {
            return Ok(Answer::UNKNOWN);
        };
        let client = &self.authorized.client;
        let ask = |contract: std::sync::Arc<Contract>, tokens: std::sync::Arc<TokenPair>| async move {
            let token = &tokens.access.value;
            let mut answer = Answer::of_list(account, client.accounts(&contract, token, context.deadline).await?);
            if answer.verdict == Verdict::Unknown && account.read_can_heal() {
                answer.verdict = self.read(client, &contract, &tokens, &account.account_id, context.deadline).await?;
            }
            Ok(answer)
        };
        self.authorized.with_token(grant, context, ask).await
    }

    /// Reads this account only. A completed read proves that the account is authorized.
    async fn read(
        &self,
        client: &Client,
        contract: &Contract,
        tokens: &TokenPair,
        account: &AccountId,
        deadline: Deadline,
    ) -> Result<Verdict, digime::Error> {
        let token = &tokens.access.value;
        let session = client.trigger(contract, token, std::slice::from_ref(account), deadline).await?;
        for _ in 0..POLLS {
            let result = client.query(contract, token, &session, deadline).await?;
            let result = ReadResult::parse(&result)
                .map_err(|_| digime::Error::InvalidAnswer("it is not a read result".into()))?;
            match result.entries.get(account) {
                Some(Entry::Completed) => return Ok(Verdict::Authorized),
                Some(Entry::NeedsUser(_)) => return Ok(Verdict::Refused(FailureCode::NotAuthorized.into())),
                Some(Entry::Undecided) | None => tokio::time::sleep(POLL_PAUSE).await,
            }
        }
        Ok(Verdict::Unknown)
    }

    async fn apply(
        &self,
        read: Versioned<Account>,
        signal: Signal,
        context: RequestContext,
    ) -> Result<SweepOutcome, SweepError> {
        let Outcome::Changed(change) = read.value.take(signal, self.ambient.now()) else {
            return Ok(SweepOutcome::Open);
        };
        let commit = Commit {
            user_id: change.account.user_id.clone(),
            changes: vec![AccountChange { change, read_version: read.version, read: None }],
            last_reads: None,
            reauthorization: None,
            context,
        };
        match self.authorized.store.commit(commit).await {
            Ok(()) => Ok(SweepOutcome::Verified),
            // Another write settled the account, or the account is due again later.
            Err(StoreError::Conflict(_)) => Ok(SweepOutcome::Open),
            Err(error) => Err(error.into()),
        }
    }
}

/// The next verification: after a pause as long as the time since the callback, but not shorter than
/// `MIN_PAUSE` or longer than `MAX_PAUSE`.
fn next_verification(since: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    after(now, elapsed.clamp(MIN_PAUSE, MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifications_become_rarer() {
        let since = Timestamp::from_second(0).unwrap();
        let pause = |elapsed: u64| {
            let now = after(since, Duration::from_secs(elapsed));
            Duration::try_from(next_verification(since, now).duration_since(now)).unwrap().as_secs()
        };
        assert_eq!((pause(0), pause(60), pause(600), pause(7_200)), (60, 60, 600, 3_600));
    }
}
