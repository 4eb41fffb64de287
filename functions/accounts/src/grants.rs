//! The routes for grants. A grant holds the token pair that the application and this service share.

use std::time::Duration;

use digime::TokenPair;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    lambda::RequestContext,
    retry::retry_on_conflict,
    secrets::SecretError,
    store::{Grant, StoreError, Versioned},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{ContractId, UserId, time::after};
use tracing::instrument;

use crate::{
    Accounts,
    replies::{GrantBody, GrantStatus},
};

/// When a grant is stored and the user's accounts were last listed longer ago than this, they are listed again.
const ACCOUNTS_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a token pair is not stored.
enum GrantRefusal {
    /// Secrets Manager holds no key for the contract.
    ContractNotConfigured(ContractId),
    /// The stored pair belongs to another digi.me user.
    OfAnotherUser,
    /// The stored access token expires later than the new one.
    Stale,
}

impl Accounts {
    /// `PUT /users/{userId}/grants/{contractId}`.
    #[instrument(skip_all)]
    pub(crate) async fn put_grant(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user, contract) = (input.path::<UserId>("userId"), input.path::<ContractId>("contractId"));
        let replace = input.switch("replace");
        let tokens = input.json().and_then(|body| input.check(TokenPair::parse(&body)));
        let (user, contract, tokens) = input.finish(|| Some((user?, contract?, tokens?)))?;

        let stored = retry_on_conflict(&self.ambient, request.context().deadline, || async {
            let store = &self.authorized.store;
            let (known, key) = tokio::join!(store.grant(&user, &contract), self.authorized.check_contract(&contract));
            if let Err(SecretError::Unknown) = key {
                return Ok::<_, StoreError>(Err(GrantRefusal::ContractNotConfigured(contract.clone())));
            }
            let grant = match next_grant(known?, &user, &contract, &tokens, replace) {
                Ok(grant) => grant,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let version = store.put_grant(&grant.value, grant.version, request.context().triggered_at).await?;
            Ok(Ok((Versioned { version, ..grant }, key)))
        });
        let (grant, key) = stored.await??;
        match key {
            Ok(()) => self.list_if_old(grant, request.context()).await,
            Err(error) => {
                let (user_id, contract_id) = (&user, &contract);
                tracing::warn!(%user_id, %contract_id, error = %Chain(&error), "put-grant: stored the grant, but could not use the contract's key");
            }
        }
        Ok(response::empty(StatusCode::NO_CONTENT))
    }

    /// Lists the user's accounts at digi.me, so that the service names and usernames are stored before an account loses
    /// its authorization. A failure is logged only: the grant is already stored.
    async fn list_if_old(&self, grant: Versioned<Grant>, context: RequestContext) {
        let now = self.ambient.now();
        let old = grant.value.accounts_listed_at.is_none_or(|at| after(at, ACCOUNTS_LIFETIME) <= now);
        if !old {
            return;
        }
        let user_id = grant.value.user_id.clone();
        if let Err(error) = self.authorized.list_accounts_quickly(grant, context).await {
            tracing::info!(%user_id, error = %Chain(&error), "put-grant: could not list the user's accounts at digi.me");
        }
    }

    /// `GET /users/{userId}/grants/{contractId}`.
    #[instrument(skip_all)]
    pub(crate) async fn show_grant(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user, contract) = (input.path::<UserId>("userId"), input.path::<ContractId>("contractId"));
        let (user, contract) = input.finish(|| Some((user?, contract?)))?;
        let Some(grant) = self.authorized.store.grant(&user, &contract).await? else {
            return Err(self.no_grant(&user, &contract).await?);
        };
        let grant = self.current(&grant, request.context()).await?;
        let body = GrantBody { tokens: grant.tokens.to_node_form(), status: self.status(&grant) };
        Ok(response::json(StatusCode::OK, &body))
    }

    fn status(&self, grant: &Grant) -> GrantStatus {
        if grant.refresh_dead || grant.tokens.refresh.expires_at <= self.ambient.now() {
            GrantStatus::UserReauthorizationRequired
        } else {
            GrantStatus::Active
        }
    }

    /// Returns the grant, refreshed if its access token is about to expire and the refresh token still works.
    async fn current(
        &self,
        stored: &Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Grant, AuthorizedClientError> {
        if let GrantStatus::UserReauthorizationRequired = self.status(&stored.value) {
            return Ok(stored.value.clone());
        }
        match self.authorized.refresh_if_about_to_expire(stored.clone(), context).await {
            Ok(grant) => Ok(grant.value),
            // The application's SDK needs the last pair to start its own user reauthorization.
            Err(AuthorizedClientError::UserReauthorizationRequired) => {
                Ok(Grant { refresh_dead: true, ..stored.value.clone() })
            }
            Err(error) if self.ambient.now() < stored.value.tokens.access.expires_at => {
                let Grant { user_id, contract_id, .. } = &stored.value;
                tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "show-grant: could not refresh an access token that is about to expire");
                Ok(stored.value.clone())
            }
            Err(error) => Err(error),
        }
    }

    /// The 404 problem for a grant that is not stored: the user is unknown, or has no grant under this contract.
    async fn no_grant(&self, user: &UserId, contract: &ContractId) -> Result<Problem, StoreError> {
        let known: Vec<_> =
            self.authorized.store.grants(user).await?.into_iter().map(|grant| grant.value.contract_id).collect();
        if known.is_empty() && !self.authorized.store.user_exists(user).await? {
            return Ok(Problem::user_not_found());
        }
        Ok(Problem::unknown_grant(contract, &known))
    }
}

/// Builds the grant to store from the new token pair, with the version of the stored grant that it replaces (0 if there
/// is none). Returns a refusal if the stored pair must stay.
fn next_grant(
    known: Option<Versioned<Grant>>,
    user: &UserId,
    contract: &ContractId,
    tokens: &TokenPair,
    replace: bool,
) -> Result<Versioned<Grant>, GrantRefusal> {
    if let Some(Versioned { value: known, .. }) = known.as_ref().filter(|_| !replace) {
        if let (Some(known), Some(new)) = (&known.tokens.user, &tokens.user)
            && known != new
        {
            return Err(GrantRefusal::OfAnotherUser);
        }
        if tokens.access.expires_at < known.tokens.access.expires_at {
            return Err(GrantRefusal::Stale);
        }
    }
    let version = known.as_ref().map_or(0, |known| known.version);
    let grant = Grant {
        user_id: user.clone(),
        contract_id: contract.clone(),
        tokens: tokens.clone(),
        refresh_dead: false,
        leased_until: None,
        accounts_listed_at: known.and_then(|known| known.value.accounts_listed_at),
    };
    Ok(Versioned { value: grant, version })
}

impl From<GrantRefusal> for Problem {
    fn from(refusal: GrantRefusal) -> Self {
        let (code, title, detail) = match refusal {
            GrantRefusal::ContractNotConfigured(contract) => {
                return Self::contract_not_configured(&contract);
            }
            GrantRefusal::OfAnotherUser => (
                "grant_of_another_user",
                "The stored grant is of another digi.me user.",
                "The pair names another digi.me user than the stored one: check the userId. If the user has moved to \
                 another digi.me account, store the pair with ?replace=true.",
            ),
            GrantRefusal::Stale => (
                "grant_stale",
                "A newer grant is stored.",
                "The stored access token expires later. GET the grant first: the stored pair is the newer one.",
            ),
        };
        Self::new(StatusCode::CONFLICT, code, title, detail)
    }
}
