//! Calls to digi.me for a user, with the contract's key and a valid access token.

mod list;
mod pages;
mod refresh;

use std::sync::Arc;

use digime::{Client, Contract, TokenPair, ambient::Ambient};
use reauth_domain::{Account, AccountId, ContractId, Grant, UserId};

pub use self::pages::PageUrl;

use crate::{
    aws::Aws,
    config::ConfigError,
    lambda::{NO_DEADLINE, RequestContext},
    metrics,
    retry::{Conflict, retry_on_conflict},
    secrets::{Contracts, SecretError},
    services,
    store::{Store, StoreError, UserAccounts, Versioned},
    warm_up::Step,
};

/// Why a call to digi.me for a user failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuthorizedClientError {
    #[error("the key of contract {contract_id} is not available")]
    Contract { contract_id: ContractId, source: SecretError },
    /// The refresh token is dead: only the user can authorize a new pair.
    #[error("the refresh token is dead: the user must authorize again")]
    UserReauthorizationRequired,
    /// digi.me does not recognize the user by the access token any more: the application must authorize the user from
    /// scratch.
    #[error("digi.me refuses the access token for the user reauthorization page")]
    UserAuthorizationRequired,
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

    /// Opens the connections of DynamoDB, Secrets Manager and digi.me, and fetches the service secret and digi.me's key
    /// set. Over HTTP/1.1, a second connection to digi.me is opened, because two of its calls overlap.
    #[must_use]
    pub fn warm_up(&self) -> Vec<Step<'_>> {
        let mut steps = self.store.warm_up();
        steps.push(Step::new("connect to digi.me", self.client.warm_up(NO_DEADLINE)));
        steps
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
        let unavailable = |source: SecretError| {
            // The contract of a stored grant had a secret once.
            if matches!(source, SecretError::Unknown) {
                metrics::secret_error();
            }
            AuthorizedClientError::Contract { contract_id: id.clone(), source }
        };
        let contract = self.contracts.contract(id).await.map_err(unavailable)?;
        match call(Arc::clone(&contract)).await {
            Err(error) if error.refuses_client() => match self.contracts.replacement(&contract).await {
                Some(replacement) => {
                    let again = call(replacement).await;
                    if again.as_ref().is_err_and(digime::Error::refuses_client) {
                        metrics::contract_refused();
                    }
                    Ok(again?)
                }
                None => {
                    metrics::contract_refused();
                    Err(error.into())
                }
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
                let grant = Box::pin(self.refresh_or_wait(grant, true, context)).await?;
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
}
