//! Calls to digi.me for a user, with the contract's key and a valid access token.

use std::{sync::Arc, time::Duration};

use digime::{Client, Contract, ListedAccount, TokenPair, ambient::Ambient};
use jiff::Timestamp;
use reauth_domain::{Account, AccountId, Change, ContractId, Outcome, Signal, UserId, time::after};

use crate::{
    aws::Aws,
    config::ConfigError,
    error::Chain,
    lambda::RequestContext,
    retry::{Conflict, retry_on_conflict},
    secrets::{Contracts, SecretError},
    services,
    store::{AccountChange, Commit, Grant, Lease, Store, StoreError, UserAccounts, Versioned},
};

/// An access token that expires sooner is refreshed first. The call, and the user's way to the page, take time.
pub const REFRESH_MARGIN: Duration = Duration::from_secs(60);
/// An invocation that waits for another one's refresh reads the grant again after this time, plus up to as much jitter.
const WAIT: Duration = Duration::from_millis(150);
/// The part of the invocation's time that is reserved for storing the answer of a refresh.
const REFRESH_RESERVE: Duration = Duration::from_secs(1);
/// A refresh is not started with less time left. If the invocation ended before the answer was stored, the new pair
/// would be lost.
const REFRESH_TIME: Duration = Duration::from_secs(6);
/// How often a write is attempted when concurrent writes change its items first.
const MAX_ATTEMPTS: u32 = 8;

/// Why a call to digi.me for a user failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorizedClientError {
    #[error("the key of contract {contract_id} is not available")]
    Contract { contract_id: ContractId, source: SecretError },
    /// The refresh token is dead: only the user can authorize a new pair.
    #[error("the refresh token is dead: the user must authorize again")]
    UserReauthorizationRequired,
    /// The token must be refreshed, and there is not enough time: another invocation holds the lease, or too little of
    /// this invocation is left.
    #[error("not enough time is left to refresh the token")]
    Busy,
    #[error(transparent)]
    Digime(#[from] digime::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Conflict for AuthorizedClientError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

/// The store, the digi.me client and the contracts' keys. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AuthorizedClient {
    pub store: Store,
    pub client: Client,
    contracts: Contracts,
    ambient: Ambient,
}

impl AuthorizedClient {
    pub fn new(aws: &Aws<'_>, ambient: &Ambient) -> Result<Self, ConfigError> {
        Ok(Self {
            store: services::store(aws, ambient)?,
            client: services::digime_client(aws, ambient)?,
            contracts: services::contracts(aws, ambient)?,
            ambient: ambient.clone(),
        })
    }

    /// Reads what a call for an account needs: the account, and either all of the user's grants or only the grant to
    /// use. That is the grant under the `wanted` contract, else under the account's contract. The recently used
    /// contracts serve as a guess: if the guess is right, one DynamoDB call is enough.
    pub async fn grants_and_account(
        &self,
        user: &UserId,
        account: &AccountId,
        wanted: Option<&ContractId>,
    ) -> Result<(Vec<Versioned<Grant>>, Option<Versioned<Account>>), StoreError> {
        if let Some(wanted) = wanted {
            let contracts = std::slice::from_ref(wanted);
            if let Some(read) = self.store.grants_under_and_account(user, contracts, account).await? {
                return Ok(read);
            }
            let (grant, account) = tokio::try_join!(self.store.grant(user, wanted), self.store.account(user, account))?;
            return Ok((grant.into_iter().collect(), account));
        }
        let likely = self.contracts.recent().await;
        if !likely.is_empty()
            && let Some((mut grants, account)) = self.store.grants_under_and_account(user, &likely, account).await?
        {
            let of_account = account.as_ref().and_then(|account| account.value.contract_id.as_ref());
            grants.retain(|grant| of_account == Some(&grant.value.contract_id));
            if !grants.is_empty() {
                return Ok((grants, account));
            }
        }
        self.store.grants_and_account(user, account).await
    }

    /// The user's accounts and their last reads. They are read again if the query saw only a part of a transaction.
    pub async fn user_accounts(&self, user: &UserId, context: RequestContext) -> Result<UserAccounts, StoreError> {
        retry_on_conflict(&self.ambient, context.deadline, || self.store.user_accounts(user)).await
    }

    /// Checks that the contract's key can be used.
    pub async fn check_contract(&self, id: &ContractId) -> Result<(), SecretError> {
        self.contracts.contract(id).await.map(drop)
    }

    /// Makes a call with a contract's key. If digi.me refuses the client, the key is fetched again, at most once a
    /// minute, and the call is repeated once.
    pub async fn with_contract<T, F: Future<Output = Result<T, digime::Error>>>(
        &self,
        id: &ContractId,
        call: impl Fn(Arc<Contract>) -> F,
    ) -> Result<T, AuthorizedClientError> {
        let unavailable = |source| AuthorizedClientError::Contract { contract_id: id.clone(), source };
        let contract = self.contracts.contract(id).await.map_err(unavailable)?;
        match call(Arc::clone(&contract)).await {
            Err(error) if error.refuses_client() => match self.contracts.replacement(&contract).await {
                Some(replacement) => Ok(call(replacement).await?),
                None => Err(error.into()),
            },
            result => Ok(result?),
        }
    }

    /// Makes a call with an access token. The token is refreshed first when it is about to expire, and once more if
    /// digi.me refuses it.
    pub async fn with_token<T, F: Future<Output = Result<T, digime::Error>>>(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
        call: impl Fn(Arc<Contract>, Arc<TokenPair>) -> F,
    ) -> Result<T, AuthorizedClientError> {
        let grant = self.ensure_valid_token(grant, context).await?;
        match Box::pin(self.call(&grant, &call)).await {
            Err(AuthorizedClientError::Digime(error)) if error.refuses_access_token() => {
                let grant = Box::pin(self.refresh_or_wait(grant, context)).await?;
                Box::pin(self.call(&grant, &call)).await
            }
            result => result,
        }
    }

    async fn call<T, F: Future<Output = Result<T, digime::Error>>>(
        &self,
        grant: &Versioned<Grant>,
        call: &impl Fn(Arc<Contract>, Arc<TokenPair>) -> F,
    ) -> Result<T, AuthorizedClientError> {
        let tokens = Arc::new(grant.value.tokens.clone());
        self.with_contract(&grant.value.contract_id, |contract| call(contract, Arc::clone(&tokens))).await
    }

    /// The grant with an access token that is valid for more than a minute. If the refresh fails and the current token
    /// is still valid, the grant is returned unchanged.
    pub async fn ensure_valid_token(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let expires_at = grant.value.tokens.access.expires_at;
        let now = self.ambient.now();
        if after(now, REFRESH_MARGIN) < expires_at {
            return Ok(grant);
        }
        match Box::pin(self.refresh_or_wait(grant.clone(), context)).await {
            Err(error) if now < expires_at => {
                let Grant { user_id, contract_id, .. } = &grant.value;
                tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "refresh: could not refresh an access token that is about to expire");
                Ok(grant)
            }
            result => result,
        }
    }

    /// The grant with another access token than `refused`: one that another invocation stored, or a refreshed one.
    async fn refresh_or_wait(
        &self,
        refused: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let mut grant = refused.clone();
        loop {
            if !grant.value.tokens.same_tokens(&refused.value.tokens) {
                return Ok(grant);
            }
            if grant.value.refresh_dead {
                return Err(AuthorizedClientError::UserReauthorizationRequired);
            }
            if self.ambient.remaining(context.deadline) < REFRESH_TIME {
                return Err(AuthorizedClientError::Busy);
            }
            let leased = grant.value.leased_until.is_some_and(|until| self.ambient.now() < until);
            if leased {
                tokio::time::sleep(WAIT + self.ambient.jitter(WAIT)).await;
            } else {
                // A refresh is only sent when the key set is cached.
                let (lease, keys) = tokio::join!(self.store.lease(&grant), self.client.warm_keys(context.deadline));
                match lease {
                    Ok(lease) => return self.refresh_under_lease(grant.value, lease, keys, context).await,
                    Err(StoreError::Conflict(_)) => tokio::time::sleep(self.ambient.jitter(WAIT)).await,
                    Err(error) => return Err(error.into()),
                }
            }
            grant = self.read_again(&grant.value).await?;
        }
    }

    async fn read_again(&self, grant: &Grant) -> Result<Versioned<Grant>, AuthorizedClientError> {
        // The grant was deleted because its user was erased.
        let read = self.store.grant(&grant.user_id, &grant.contract_id).await?;
        read.ok_or(AuthorizedClientError::Store(StoreError::Erased))
    }

    /// Refreshes the pair under the lease. The new pair is stored before it is used.
    async fn refresh_under_lease(
        &self,
        grant: Grant,
        lease: Lease,
        keys: Result<(), digime::Error>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let deadline = context.deadline.less(REFRESH_RESERVE);
        let refresh_token = &grant.tokens.refresh.value;
        let refresh = async {
            keys?;
            // Taking the lease and fetching the key set took time.
            if self.ambient.remaining(context.deadline) < REFRESH_TIME {
                return Err(AuthorizedClientError::Busy);
            }
            let call =
                |contract: Arc<Contract>| async move { self.client.refresh(&contract, refresh_token, deadline).await };
            self.with_contract(&grant.contract_id, call).await
        };
        match refresh.await {
            Ok(tokens) => self.store_refreshed(grant, tokens, &lease, context).await,
            Err(AuthorizedClientError::Digime(error)) if error.refuses_refresh_token() => {
                match self.store.release(&grant, &lease, true).await {
                    // The application replaced the grant meanwhile. The refused token is no longer the stored one.
                    Err(StoreError::Conflict(Some(_))) => self.read_again(&grant).await,
                    Err(error) => Err(error.into()),
                    Ok(()) => Err(AuthorizedClientError::UserReauthorizationRequired),
                }
            }
            Err(error) => {
                if let Err(error) = self.store.release(&grant, &lease, false).await {
                    let Grant { user_id, contract_id, .. } = &grant;
                    tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "refresh: could not release the lease, which will expire");
                }
                Err(error)
            }
        }
    }

    /// Stores a refreshed pair before it is used. It replaces the pair that it was refreshed from, even if the
    /// application stored that pair again meanwhile, because those tokens no longer work. If the application stored
    /// another pair meanwhile, the pair whose access token expires later is kept.
    async fn store_refreshed(
        &self,
        mut grant: Grant,
        tokens: TokenPair,
        lease: &Lease,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let before = std::mem::replace(&mut grant.tokens, tokens);
        grant.tokens.user = grant.tokens.user.take().or_else(|| before.user.clone());
        grant.tokens.consent_id = grant.tokens.consent_id.take().or_else(|| before.consent_id.clone());
        (grant.refresh_dead, grant.leased_until) = (false, None);
        let mut written = self.store.put_refreshed(&grant, lease).await;
        for _ in 0..MAX_ATTEMPTS {
            let Err(StoreError::Conflict(_) | StoreError::Unavailable(_)) = &written else {
                break;
            };
            tokio::time::sleep(self.ambient.jitter(WAIT)).await;
            let stored = match self.read_again(&grant).await {
                Ok(stored) => stored,
                Err(error @ AuthorizedClientError::Store(StoreError::Erased)) => return Err(error),
                Err(_) => continue,
            };
            let is_dead = stored.value.tokens.same_refresh_token(&before);
            if !is_dead && stored.value.tokens.access.expires_at >= grant.tokens.access.expires_at {
                return Ok(stored);
            }
            written = self.store.put_grant(&grant, stored.version, context.triggered_at).await;
        }
        Ok(Versioned { version: written?, value: grant })
    }

    /// Lists the user's accounts at digi.me and stores the data of the list. An account that the list no longer
    /// contains is removed, with an event. No other status changes.
    pub async fn list_accounts(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Vec<ListedAccount>, AuthorizedClientError> {
        let owner = grant.value.clone();
        let listed = self
            .with_token(grant, context, |contract, tokens| async move {
                self.client.accounts(&contract, &tokens.access.value, context.deadline).await
            })
            .await?;
        self.merge_list(&owner.user_id, &owner.contract_id, &listed, context).await?;
        self.store.mark_accounts_listed(&owner).await?;
        Ok(listed)
    }

    async fn merge_list(
        &self,
        user: &UserId,
        contract: &ContractId,
        listed: &[ListedAccount],
        context: RequestContext,
    ) -> Result<(), StoreError> {
        retry_on_conflict(&self.ambient, context.deadline, || async {
            let known = self.store.user_accounts(user).await?;
            let described = listed.iter().filter_map(|listed| describe(&known, user, contract, listed));
            let changes: Vec<_> = described.chain(removals(&known, contract, listed, self.ambient.now())).collect();
            if changes.is_empty() {
                return Ok(());
            }
            let (user_id, last_reads) = (user.clone(), Some(known.last_reads));
            let commit =
                Commit { user_id, changes, last_reads, reauthorization: None, triggered_at: context.triggered_at };
            self.store.commit(commit).await
        })
        .await
    }
}

/// The change of one account by its entry in digi.me's list, if the entry contains something new.
fn describe(
    known: &UserAccounts,
    user: &UserId,
    contract: &ContractId,
    listed: &ListedAccount,
) -> Option<AccountChange> {
    let Versioned { value: before, version: read_version } = known.account(user, &listed.id);
    let mut account = before.clone().described(listed);
    account.contract_id = Some(contract.clone());
    let change = Change { account, removes: false, events: Vec::new(), settled: Vec::new() };
    (read_version == 0 || change.account != before).then_some(AccountChange { change, read_version, read: None })
}

/// The accounts under a contract that digi.me's list contained before and no longer contains.
fn removals(
    known: &UserAccounts,
    contract: &ContractId,
    listed: &[ListedAccount],
    now: Timestamp,
) -> impl Iterator<Item = AccountChange> {
    let is_gone = |account: &Account| {
        account.listed
            && account.contract_id.as_ref() == Some(contract)
            && listed.iter().all(|listed| listed.id != account.account_id)
    };
    let gone = known.accounts.values().filter(move |account| is_gone(&account.value));
    gone.filter_map(move |account| match account.value.clone().take(Signal::Unlisted, now) {
        Outcome::Changed(change) => Some(AccountChange { change, read_version: account.version, read: None }),
        Outcome::Unchanged(_) => None,
    })
}
