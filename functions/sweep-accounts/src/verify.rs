//! Accounts whose reauthorization nobody has confirmed yet: digi.me is asked again; where its list does not tell, a
//! read of that one account does.

use std::time::Duration;

use jiff::Timestamp;
use reauth_core::{
    ambient::{Deadline, after},
    authorized_client::AuthorizedClientError,
    digime::{self, Client, Contract},
    domain::{
        Account, AccountId, FailureCode, Outcome, Signal, Status, TokenPair, UserId, Via,
        read_result::{Entry, ReadResult},
        verification::{ListedAccount, Verdict, verdict},
    },
    lambda::RequestContext,
    store::{AccountChange, Commit, DueItem, StoreError, Versioned},
};

use crate::{SweepAccounts, SweepError, SweepOutcome};

/// After this, an account that nobody could ask about counts as reauthorized, unverified.
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest and the longest pause between two questions.
const PAUSES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));
/// How often a read session is asked before it is left.
const POLLS: u32 = 5;
/// The pause between two polls.
const POLL_PAUSE: Duration = Duration::from_millis(400);

/// What digi.me said of an account.
struct Answer {
    verdict: Verdict,
    listed: Option<ListedAccount>,
}

impl SweepAccounts {
    pub(crate) async fn verify(
        &self,
        item: &DueItem,
        user: &UserId,
        account: &AccountId,
        context: RequestContext,
    ) -> Result<SweepOutcome, SweepError> {
        let Some(account) = self.authorized.store.account(user, account).await? else { return Ok(SweepOutcome::Open) };
        // The index may be a moment behind.
        let Status::Verifying { since, .. } = &account.value.status else { return Ok(SweepOutcome::Open) };
        let since = *since;
        if after(since, GIVE_UP_AFTER) <= context.at {
            return self.settle(account, Signal::NeverConfirmed, context).await;
        }
        if !self.authorized.store.reschedule_account(item, next_look(since, context.at)).await? {
            return Ok(SweepOutcome::Open);
        }
        let Answer { verdict, listed } = self.ask(&account.value, context).await?;
        match verdict {
            Verdict::Authorized => {
                let signal = Signal::Confirmed { via: Via::Sweep, listed, attempt: None };
                self.settle(account, signal, context).await
            }
            Verdict::Refused(refusal) => self.settle(account, Signal::Denied { attempt: None, refusal }, context).await,
            Verdict::Unknown => Ok(SweepOutcome::Open),
        }
    }

    async fn ask(&self, account: &Account, context: RequestContext) -> Result<Answer, AuthorizedClientError> {
        let grants = self.authorized.store.grants(&account.user_id).await?;
        let wanted = account.contract_id.as_ref();
        let Some(grant) = grants.into_iter().find(|grant| wanted.is_none_or(|id| *id == grant.value.contract_id))
        else {
            return Ok(Answer { verdict: Verdict::Unknown, listed: None });
        };
        let client = &self.authorized.client;
        let ask = |contract: std::sync::Arc<Contract>, tokens: std::sync::Arc<TokenPair>| async move {
            let token = &tokens.access.value;
            let listed = client.accounts(&contract, token, context.deadline).await?;
            let listed = listed.into_iter().find(|listed| listed.id == account.account_id);
            let verdict = match verdict(account.username.as_deref(), listed.as_ref()) {
                // A read shows that the account works, and not whose it is.
                Verdict::Unknown if account.identity_mismatch.is_none() => {
                    self.read(client, &contract, &tokens, &account.account_id, context.deadline).await?
                }
                verdict => verdict,
            };
            Ok(Answer { verdict, listed })
        };
        self.authorized.with_token(grant, context, ask).await
    }

    /// Reads the one account: whether that works is what its authorization is for.
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
            let result =
                ReadResult::parse(&result).map_err(|_| digime::Error::InvalidAnswer("it is no read result"))?;
            match result.entries.get(account) {
                Some(Entry::Completed) => return Ok(Verdict::Authorized),
                Some(Entry::NeedsUser(_)) => return Ok(Verdict::Refused(FailureCode::NotAuthorized.into())),
                Some(Entry::Undecided) | None => tokio::time::sleep(POLL_PAUSE).await,
            }
        }
        Ok(Verdict::Unknown)
    }

    async fn settle(
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
            triggered_at: context.at,
        };
        match self.authorized.store.commit(commit).await {
            Ok(()) => Ok(SweepOutcome::Settled),
            // Something else settled it, or it is due again.
            Err(StoreError::Conflict(_)) => Ok(SweepOutcome::Open),
            Err(error) => Err(error.into()),
        }
    }
}

/// As long from now as the callback is ago, within bounds: often at first, then less and less.
fn next_look(since: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    after(now, elapsed.clamp(PAUSES.0, PAUSES.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rarer() {
        let since = Timestamp::from_second(0).unwrap();
        let pause = |elapsed: u64| {
            let now = after(since, Duration::from_secs(elapsed));
            Duration::try_from(next_look(since, now).duration_since(now)).unwrap().as_secs()
        };
        assert_eq!((pause(0), pause(60), pause(600), pause(7_200)), (60, 60, 600, 3_600));
    }
}
