//! Grants: the application and this service share one token pair.

use std::time::Duration;

use http::StatusCode;
use reauth_core::{
    access::retry_conflicts,
    ambient::after,
    domain::{ContractId, TokenPair, UserId},
    lambda::Trigger,
    store::{Grant, StoreError, Versioned},
    web::{Problem, Request, Response},
};

use crate::Accounts;

/// A user's accounts that were not read for as long are read when his grant is stored.
const ACCOUNTS_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long that may take: storing the grant does not wait longer for it.
const LISTING_TIME: Duration = Duration::from_secs(2);

impl Accounts {
    /// `PUT /users/{userId}/grants/{contractId}`.
    pub(crate) async fn put_grant(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user_id, contract_id) = (input.path::<UserId>("userId"), input.path::<ContractId>("contractId"));
        let replace = input.switch("replace");
        let tokens = input.json().and_then(|body| input.check(TokenPair::parse(&body)));
        let (user_id, contract_id, tokens) = input.finish(|| Some((user_id?, contract_id?, tokens?)))?;
        let (user, contract, tokens) = (&user_id, &contract_id, &tokens);
        let stored = retry_conflicts(&self.ambient, request.trigger, || async move {
            self.store_grant(user, contract, tokens, replace, request.trigger).await
        });
        let Some(grant) = stored.await? else { return Err(stale()) };
        self.list_if_old(grant, request.trigger).await;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }

    /// Stores the pair; none if the stored one lasts longer and is not to be replaced.
    async fn store_grant(
        &self,
        user: &UserId,
        contract: &ContractId,
        tokens: &TokenPair,
        replace: bool,
        trigger: Trigger,
    ) -> Result<Option<Versioned<Grant>>, StoreError> {
        let known = self.access.store.grant(user, contract).await?;
        if let Some(known) = &known
            && tokens.access.expires_at < known.value.tokens.access.expires_at
            && !replace
        {
            return Ok(None);
        }
        let read_version = known.as_ref().map_or(0, |known| known.version);
        let grant = Grant {
            user_id: user.clone(),
            contract_id: contract.clone(),
            tokens: tokens.clone(),
            refresh_dead: false,
            leased_until: None,
            accounts_listed_at: known.and_then(|known| known.value.accounts_listed_at),
        };
        let version = self.access.store.put_grant(&grant, read_version, trigger.at).await?;
        Ok(Some(Versioned { value: grant, version }))
    }

    /// Reads the user's accounts, so that their names are known before one breaks. The grant is stored without it too.
    async fn list_if_old(&self, grant: Versioned<Grant>, trigger: Trigger) {
        let now = self.ambient.now();
        let old = grant.value.accounts_listed_at.is_none_or(|at| after(at, ACCOUNTS_LIFETIME) <= now);
        if !old {
            return;
        }
        let trigger = Trigger { at: trigger.at, deadline: trigger.deadline.within(now, LISTING_TIME) };
        if let Err(error) = self.access.list_accounts(grant, trigger).await {
            tracing::info!(%error, "The accounts of a new grant could not be read");
        }
    }

    /// `GET /users/{userId}/grants/{contractId}`.
    pub(crate) async fn show_grant(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user_id, contract_id) = (input.path::<UserId>("userId"), input.path::<ContractId>("contractId"));
        let (user_id, contract_id) = input.finish(|| Some((user_id?, contract_id?)))?;
        let Some(grant) = self.access.store.grant(&user_id, &contract_id).await? else {
            let known = self.access.store.knows(&user_id).await?;
            let mut problem = if known { Problem::grant_not_found() } else { Problem::user_not_found() };
            problem.status = StatusCode::NOT_FOUND;
            return Err(problem);
        };
        let grant = self.access.fresh(grant, request.trigger).await?;
        Ok(Response::json(StatusCode::OK, &grant.value.tokens.to_node_form()))
    }
}

fn stale() -> Problem {
    let detail = "The stored access token expires later. Use ?replace=true to store this one all the same.";
    Problem::new(StatusCode::CONFLICT, "grant_stale", "A newer grant is stored.", detail)
}
