//! The routes for grants. A grant holds the token pair that the application and this service share.

use std::time::Duration;

use digime::TokenPair;
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    lambda::RequestContext,
    retry::retry_on_conflict,
    secrets::SecretError,
    store::{GrantCondition, StoreError, Versioned},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{ContractId, Grant, GrantChange, GrantStatus, UserId, UserVia, time::after};
use tracing::instrument;

use crate::{Accounts, grant_input::GrantInput, replies::GrantBody};

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
        let body = input.json().and_then(|body| input.check(GrantInput::parse(body)));
        let (user, contract, body) = input.finish(|| Some((user?, contract?, body?)))?;
        let GrantInput { tokens, contact: contact_input } = &body;

        let stored = retry_on_conflict(&self.ambient, request.context().deadline, || async {
            let store = &self.authorized.store;
            let (known, key, contact) = tokio::join!(
                store.grant_to_replace(&user, &contract),
                self.authorized.check_contract(&contract),
                self.contact_change(&user, &contract, contact_input),
            );
            if let Err(SecretError::Unknown) = key {
                return Ok::<_, StoreError>(Err(GrantRefusal::ContractNotConfigured(contract.clone())));
            }
            let (known, contact) = (known?, contact?);
            let read = GrantCondition::Version(known.as_ref().map_or(0, |known| known.version));
            let known = known.map(|known| known.value);
            let change = match next_grant(known, &user, &contract, tokens, replace, self.ambient.now()) {
                Ok(change) => change,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let value = change.grant.clone();
            let version = store.put_grant_and_contact(change, read, contact.as_ref(), request.context()).await?;
            Ok(Ok((Versioned { version, value }, key)))
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
        let grant = self.current(grant, request.context()).await?;
        let status = match grant.episode {
            Some(_) => GrantStatus::UserReauthorizationRequired,
            None => GrantStatus::Active,
        };
        let body = GrantBody { tokens: grant.tokens.to_node_form(), status };
        Ok(response::json(StatusCode::OK, &body))
    }

    /// Returns the grant, refreshed if its access token is about to expire and the refresh token still works.
    async fn current(&self, stored: Versioned<Grant>, context: RequestContext) -> Result<Grant, AuthorizedClientError> {
        let stored = self.authorized.notice_expiry(stored, context).await?;
        if stored.value.episode.is_some() {
            return Ok(stored.value);
        }
        match self.authorized.refresh_if_about_to_expire(stored.clone(), context).await {
            Ok(grant) => Ok(grant.value),
            // The application's SDK needs the last pair to start its own user reauthorization.
            Err(AuthorizedClientError::UserReauthorizationRequired) => {
                let Grant { user_id, contract_id, .. } = &stored.value;
                let read = self.authorized.store.grant(user_id, contract_id).await?;
                Ok(read.ok_or(StoreError::Erased)?.value)
            }
            Err(error) if self.ambient.now() < stored.value.tokens.access.expires_at => {
                let Grant { user_id, contract_id, .. } = &stored.value;
                tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "show-grant: could not refresh an access token that is about to expire");
                Ok(stored.value)
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

/// The change that stores the new token pair. Returns a refusal if the stored pair must stay.
fn next_grant(
    known: Option<Grant>,
    user: &UserId,
    contract: &ContractId,
    tokens: &TokenPair,
    replace: bool,
    now: Timestamp,
) -> Result<GrantChange, GrantRefusal> {
    let Some(known) = known else {
        let grant = Grant {
            user_id: user.clone(),
            contract_id: contract.clone(),
            tokens: tokens.clone(),
            episode: None,
            warned: None,
            sequence: 0,
            leased_until: None,
            accounts_listed_at: None,
        };
        return Ok(grant.unchanged());
    };
    if !replace {
        if let (Some(known), Some(new)) = (&known.tokens.user, &tokens.user)
            && known != new
        {
            return Err(GrantRefusal::OfAnotherUser);
        }
        if tokens.access.expires_at < known.tokens.access.expires_at {
            return Err(GrantRefusal::Stale);
        }
    }
    Ok(known.renewed(tokens.clone(), UserVia::Grant, now))
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
