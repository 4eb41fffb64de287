//! Creates a reauthorization. One read returns the grants and the account. Then the code of the URL (and for an account
//! its reference) is requested from digi.me while the reauthorization is written.

use digime::CodeVerifier;
use reauth_core::{
    authorized_client::{AuthorizedClientError, PageUrl},
    error::Chain,
    keyring::random_secret,
    lambda::RequestContext,
    metrics,
    store::{NewReauthorizationSecrets, StoreError, Versioned},
    web::{Problem, callback_url, state},
};
use reauth_domain::{
    Account, AccountId, ContractId, Grant, Locale, ReauthorizationId, ReturnUrl, UserId,
    account::Notice,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
    time::after,
};
use secrecy::SecretString;
use url::Url;

use crate::CreateReauthUrl;

#[derive(Debug)]
pub(crate) struct NewReauthorization {
    pub(crate) user_id: UserId,
    pub(crate) contract_id: Option<ContractId>,
    pub(crate) locale: Option<Locale>,
    pub(crate) return_url: Option<ReturnUrl>,
    pub(crate) public_base_url: Url,
    /// The cookie of the browser that starts the reauthorization. `None` when the application creates it.
    pub(crate) browser: Option<SecretString>,
    /// The event of the reconnect link that starts the reauthorization.
    pub(crate) link: Option<Notice>,
}

pub(crate) struct CreatedReauthorization {
    pub(crate) reauthorization: Reauthorization,
    /// The digi.me page that the user opens.
    pub(crate) page: PageUrl,
}

/// Why no reauthorization was created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error(transparent)]
    Authorized(#[from] AuthorizedClientError),
    #[error("the request is refused")]
    Problem(Problem),
}

impl From<Problem> for CreateError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreError> for CreateError {
    fn from(error: StoreError) -> Self {
        Self::Authorized(error.into())
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Authorized(error) => error.into(),
            CreateError::Problem(problem) => problem,
        }
    }
}

impl CreateReauthUrl {
    /// Creates a reauthorization of an account. When only the user reauthorization page helps, that page comes first.
    pub(crate) async fn create_reauthorization(
        &self,
        new: NewReauthorization,
        account_id: &AccountId,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let wanted = new.contract_id.as_ref();
        let (grants, account) = self.authorized.grants_and_account(&new.user_id, account_id, wanted).await?;
        self.create_from_read(new, account_id, grants, account, context).await
    }

    /// Creates a reauthorization of an account from grants and an account that the caller has already read.
    pub(crate) async fn create_from_read(
        &self,
        new: NewReauthorization,
        account_id: &AccountId,
        grants: Vec<Versioned<Grant>>,
        account: Option<Versioned<Account>>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let account = account.map(|account| account.value);
        if grants.is_empty() && account.is_none() && !self.authorized.store.user_exists(&new.user_id).await? {
            return Err(Problem::user_not_found().into());
        }
        let Some(grant) = choose(grants, new.contract_id.as_ref(), account.as_ref())? else {
            return Err(self.grant_not_found(&new).await?.into());
        };
        // Boxed, because the futures of digi.me's pages are large.
        let created = Box::pin(self.with_account_page(&new, account_id, grant.clone(), account, context)).await;
        let Err(CreateError::Authorized(AuthorizedClientError::UserReauthorizationRequired)) = created else {
            return created;
        };
        // The grant may have changed before it was found that only the user reauthorization page helps.
        let grant = if grant.value.episode.is_some() { grant } else { self.read_again(&grant.value).await? };
        Box::pin(self.with_user_page(&new, Some(account_id), grant, context)).await
    }

    /// Creates a user reauthorization without an account.
    pub(crate) async fn create_user_reauthorization(
        &self,
        new: NewReauthorization,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let store = &self.authorized.store;
        let grants = match &new.contract_id {
            Some(contract) => store.grant(&new.user_id, contract).await?.into_iter().collect(),
            None => store.grants(&new.user_id).await?,
        };
        if grants.is_empty() && !store.user_exists(&new.user_id).await? {
            return Err(Problem::user_not_found().into());
        }
        let Some(grant) = choose(grants, new.contract_id.as_ref(), None)? else {
            return Err(self.grant_not_found(&new).await?.into());
        };
        Box::pin(self.create_for_grant(&new, grant, context)).await
    }

    /// Creates a user reauthorization from a grant that the caller has already read.
    pub(crate) async fn create_for_grant(
        &self,
        new: &NewReauthorization,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let grant = self.authorized.notice_expiry(grant, context).await?;
        self.with_user_page(new, None, grant, context).await
    }

    async fn grant_not_found(&self, new: &NewReauthorization) -> Result<Problem, StoreError> {
        let known = self.authorized.store.grant_states(&new.user_id).await?;
        let known: Vec<_> = known.into_iter().map(|grant| grant.contract_id).collect();
        Ok(Problem::grant_not_found(new.contract_id.as_ref(), &known))
    }

    async fn read_again(&self, grant: &Grant) -> Result<Versioned<Grant>, StoreError> {
        // The grant was deleted because its user was erased.
        self.authorized.store.grant(&grant.user_id, &grant.contract_id).await?.ok_or(StoreError::Erased)
    }

    async fn with_account_page(
        &self,
        new: &NewReauthorization,
        account_id: &AccountId,
        grant: Versioned<Grant>,
        mut account: Option<Account>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let grant = self.authorized.ensure_valid_token(grant, context).await?;
        if account.as_ref().is_none_or(|account| !account.listed) {
            account = Box::pin(self.look_up(new, account_id, account, grant.clone(), context)).await?;
        }
        if account.is_none_or(|account| account.username.is_none()) {
            let user_id = &new.user_id;
            tracing::info!(%user_id, %account_id, "create-reauthorization: the username is not known, so the callback cannot detect another account");
        }
        let secret = random_secret(&self.ambient);
        let flow = Flow::Account { account_id: account_id.clone() };
        let reauthorization = self.reauthorization(new, &grant.value, flow, context);
        let state = state(&reauthorization.id, &secret);
        let redirect_uri = callback_url(&new.public_base_url, &state)?;
        let secrets = NewReauthorizationSecrets { state: &secret, browser: new.browser.as_ref(), verifier: None };
        let page = self.authorized.account_page(
            grant,
            account_id,
            &redirect_uri,
            &state,
            reauthorization.locale.as_ref(),
            context,
        );
        let written = self.authorized.store.create_reauthorization(&reauthorization, secrets, context.triggered_at);
        // `join`, not `try_join`: when the write fails, the call must still finish, because a refreshed token pair must
        // be stored.
        let (page, written) = tokio::join!(page, written);
        let (page, ()) = (page?, written?);
        Ok(record_created(reauthorization, page))
    }

    async fn with_user_page(
        &self,
        new: &NewReauthorization,
        account_id: Option<&AccountId>,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, CreateError> {
        let secret = random_secret(&self.ambient);
        let verifier = CodeVerifier::new(&self.ambient);
        let flow = Flow::User { exchange: Exchange::Open, account_id: account_id.cloned() };
        let reauthorization = self.reauthorization(new, &grant.value, flow, context);
        let state = state(&reauthorization.id, &secret);
        let redirect_uri = callback_url(&new.public_base_url, &state)?;
        let secrets =
            NewReauthorizationSecrets { state: &secret, browser: new.browser.as_ref(), verifier: Some(&verifier) };
        let locale = reauthorization.locale.as_ref();
        let page = self.authorized.user_page(grant, &redirect_uri, &state, &verifier, locale, context);
        let written = self.authorized.store.create_reauthorization(&reauthorization, secrets, context.triggered_at);
        let (page, written) = tokio::join!(page, written);
        let (page, ()) = (page?, written?);
        Ok(record_created(reauthorization, page))
    }

    fn reauthorization(
        &self,
        new: &NewReauthorization,
        grant: &Grant,
        flow: Flow,
        context: RequestContext,
    ) -> Reauthorization {
        let now = self.ambient.now();
        Reauthorization {
            id: ReauthorizationId::from(self.ambient.bytes()),
            user_id: new.user_id.clone(),
            contract_id: grant.contract_id.clone(),
            flow,
            progress: Progress::Pending,
            told: Vec::new(),
            return_url: new.return_url.clone(),
            locale: new.locale.clone(),
            link: new.link.clone(),
            traceparent: Some(context.traceparent),
            created_at: now,
            clicked_at: new.browser.as_ref().map(|_| context.triggered_at),
            returned_at: None,
            expires_at: after(now, self.settings.reauthorization_ttl),
        }
    }

    /// Looks up at digi.me an account that no list has named yet. With its username stored, the callback can detect
    /// that the user authorized another account of the same service. An account that a read result has named may be
    /// missing from the list. Any other account must be on the list.
    async fn look_up(
        &self,
        new: &NewReauthorization,
        account_id: &AccountId,
        known: Option<Account>,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Option<Account>, CreateError> {
        let listed = self.authorized.list_accounts(grant, context).await;
        let accounts = self.authorized.user_accounts(&new.user_id, context).await?;
        if let Some(account) = accounts.accounts.get(account_id) {
            return Ok(Some(account.value.clone()));
        }
        let is_known = known.is_some() || accounts.last_reads.value.watermarks.contains_key(account_id);
        match listed {
            Ok(_) if is_known => Ok(known),
            Ok(_) => Err(Problem::account_not_found().into()),
            Err(error) if is_known => {
                let user_id = &new.user_id;
                tracing::warn!(error = %Chain(&error), %user_id, %account_id, "create-reauthorization: could not list the user's accounts at digi.me");
                Ok(known)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Logs and counts a reauthorization that was created.
fn record_created(reauthorization: Reauthorization, page: PageUrl) -> CreatedReauthorization {
    let Reauthorization { id, user_id, .. } = &reauthorization;
    let account_id = reauthorization.account_id().map(AccountId::as_str);
    tracing::info!(reauthorization_id = %id, %user_id, account_id, "create-reauthorization: created a reauthorization");
    metrics::reauthorization_created();
    CreatedReauthorization { reauthorization, page }
}

/// Chooses the grant of the given contract, else of the account's contract, else the user's only grant. Returns `None`
/// if the user has no such grant.
fn choose(
    grants: Vec<Versioned<Grant>>,
    given: Option<&ContractId>,
    account: Option<&Account>,
) -> Result<Option<Versioned<Grant>>, Problem> {
    let mut contracts: Vec<ContractId> = grants.iter().map(|grant| grant.value.contract_id.clone()).collect();
    let of_account = account.and_then(|account| account.contract_id.as_ref()).filter(|id| contracts.contains(id));
    let chosen = match (given.or(of_account), contracts.len()) {
        (Some(chosen), _) => chosen.clone(),
        (None, 0) => return Ok(None),
        (None, 1) => contracts.remove(0),
        (None, _) => return Err(Problem::contract_required(&contracts)),
    };
    Ok(grants.into_iter().find(|grant| grant.value.contract_id == chosen))
}
