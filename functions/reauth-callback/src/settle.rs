//! From a claim to its end: digi.me is asked, and what it says is written in one transaction.

use reauth_core::{
    access::AccessError,
    domain::{
        Account, FailureCode, Outcome, ReauthorizationId, Signal, Via,
        reauthorization::{Progress, Reauthorization, Step, UnverifiedClaim},
        verification::{ListedAccount, Verdict, verdict},
    },
    lambda::Trigger,
    store::{Commit, Grant, StoreError, StoredReauthorization, Versioned},
    web::Problem,
};

use crate::ReauthCallback;

/// How often a settlement that another write was faster than is tried.
const MAX_ATTEMPTS: u32 = 8;

/// What digi.me said of the account, and what follows from it.
struct Answer {
    verdict: Verdict,
    listed: Option<ListedAccount>,
}

/// How a reauthorization stands after its callback.
#[derive(Debug)]
pub(crate) enum Ending {
    Succeeded,
    Verifying,
    Failed(FailureCode),
}

impl Ending {
    /// The `status` of the return URL.
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
    /// Settles the reauthorization. When another write is faster, everything is read and decided again, but digi.me,
    /// whose answer is a moment old, is not asked again.
    pub(crate) async fn settle(
        &self,
        claim: UnverifiedClaim,
        mut stored: StoredReauthorization,
        trigger: Trigger,
    ) -> Result<Ending, Problem> {
        let mut answer = None;
        for retry in 1..=MAX_ATTEMPTS {
            let reauthorization = &stored.reauthorization;
            let step = reauthorization.on_callback(claim.clone());
            if step == Step::Repeat {
                return Ok(Ending::of(&reauthorization.progress));
            }
            let Reauthorization { user_id, account_id, contract_id, .. } = reauthorization;
            let (grants, account) = self.access.grants_and_account(user_id, account_id, Some(contract_id)).await?;
            let account = account.unwrap_or_else(|| Versioned {
                value: Account::new(reauthorization.user_id.clone(), reauthorization.account_id.clone()),
                version: 0,
            });
            let signal = match step {
                Step::Fail(code) => Signal::Failed { reauthorization: reauthorization.id.clone(), code },
                Step::Verify | Step::Repeat => {
                    if answer.is_none() {
                        let grant =
                            grants.into_iter().find(|grant| grant.value.contract_id == reauthorization.contract_id);
                        answer = Some(self.ask(reauthorization, &account.value, grant, trigger).await?);
                    }
                    signal(
                        &reauthorization.id,
                        answer.as_ref().map_or(Verdict::Unknown, |answer| answer.verdict.clone()),
                    )
                }
            };
            let account = Versioned { value: described(account.value, &signal, answer.as_ref()), ..account };
            match self.write(&stored, account, signal, trigger).await {
                Err(StoreError::Conflict(_)) if retry < MAX_ATTEMPTS => {
                    tokio::time::sleep(self.ambient.jitter(std::time::Duration::from_millis(20) * retry)).await;
                    let again = self.access.store.reauthorization(&stored.reauthorization.id).await?;
                    stored = again.ok_or(StoreError::Forgotten)?;
                }
                result => return Ok(Ending::of(&result?)),
            }
        }
        Err(StoreError::Conflict(None).into())
    }

    /// Asks digi.me for the account. What keeps it from being asked leaves the question open.
    async fn ask(
        &self,
        reauthorization: &Reauthorization,
        account: &Account,
        grant: Option<Versioned<Grant>>,
        trigger: Trigger,
    ) -> Result<Answer, Problem> {
        let Some(grant) = grant else {
            tracing::warn!("A callback cannot be verified: the grant is gone");
            return Ok(Answer { verdict: Verdict::Unknown, listed: None });
        };
        let client = &self.access.client;
        let listed = self
            .access
            .with_token(grant, trigger, |contract, tokens| async move {
                client.accounts(&contract, &tokens.access.value, trigger.deadline).await
            })
            .await;
        match listed {
            Ok(listed) => {
                let listed = listed.into_iter().find(|listed| listed.id == reauthorization.account_id);
                Ok(Answer { verdict: verdict(account.username.as_deref(), listed.as_ref()), listed })
            }
            Err(AccessError::Store(error)) => Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "A callback cannot be verified now");
                Ok(Answer { verdict: Verdict::Unknown, listed: None })
            }
        }
    }

    /// Writes what the signal does, and where the reauthorization stands with it.
    async fn write(
        &self,
        stored: &StoredReauthorization,
        account: Versioned<Account>,
        signal: Signal,
        trigger: Trigger,
    ) -> Result<Progress, StoreError> {
        let reauthorization = &stored.reauthorization;
        let now = self.ambient.now();
        let progress = match &signal {
            Signal::Confirmed { .. } => Progress::Succeeded { verified: true, completed_at: now },
            Signal::Failed { code, .. } | Signal::Denied { code, .. } => {
                Progress::Failed { error_code: code.clone(), completed_at: now }
            }
            _ => Progress::Claimed,
        };
        let outcome = account.value.take(signal, now).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let id = reauthorization.id.clone();
        match outcome {
            Outcome::Unchanged(_) => {
                let store = &self.access.store;
                store.set_progress(&reauthorization.user_id, &id, &progress, stored.version, trigger.at).await?;
            }
            Outcome::Changed(mut change) => {
                change.account.contract_id.get_or_insert_with(|| reauthorization.contract_id.clone());
                let commit = Commit {
                    change,
                    read_version: account.version,
                    read: None,
                    callback: Some((id, progress.clone(), stored.version)),
                    triggered_at: trigger.at,
                };
                self.access.store.commit(commit).await?;
            }
        }
        Ok(progress)
    }
}

/// The account with what digi.me says of it, such as when its new authorization ends, if it is the right one.
fn described(account: Account, signal: &Signal, answer: Option<&Answer>) -> Account {
    match (signal, answer.and_then(|answer| answer.listed.as_ref())) {
        (Signal::Confirmed { .. }, Some(listed)) => account.described(listed),
        _ => account,
    }
}

fn signal(id: &ReauthorizationId, verdict: Verdict) -> Signal {
    match verdict {
        Verdict::Authorized => Signal::Confirmed { via: Via::Callback, reauthorization: Some(id.clone()) },
        Verdict::Refused(code) => Signal::Denied { reauthorization: Some(id.clone()), code },
        Verdict::Unknown => Signal::Claimed { reauthorization: id.clone() },
    }
}
