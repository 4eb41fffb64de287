//! Creates a reauthorization. One read returns the grants and the account. Three calls then run concurrently: digi.me's
//! token reference (the code of the URL), digi.me's account reference, and the write of the reauthorization.

use jiff::Timestamp;
use reauth_core::{
    authorized_client::AuthorizedClientError,
    error::Chain,
    keyring::random_secret,
    lambda::RequestContext,
    store::{Grant, Versioned},
    web::Problem,
};
use reauth_domain::{
    Account, AccountId, ContractId, Locale, ReauthorizationId, ReturnUrl, UserId,
    reauthorization::{Kind, Progress, Reauthorization},
    time::after,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::CreateReauthUrl;

#[derive(Debug)]
pub(crate) struct NewReauthorization {
    pub(crate) user_id: UserId,
    pub(crate) account_id: AccountId,
    pub(crate) contract_id: Option<ContractId>,
    pub(crate) locale: Option<Locale>,
    pub(crate) return_url: Option<ReturnUrl>,
    pub(crate) public_base_url: Url,
    /// The cookie of the browser that starts the reauthorization. `None` when the application creates it.
    pub(crate) browser: Option<SecretString>,
}

pub(crate) struct CreatedReauthorization {
    pub(crate) reauthorization: Reauthorization,
    /// The digi.me page that the user opens. The URL contains the code.
    pub(crate) url: Url,
    pub(crate) code_expires_at: Timestamp,
}

impl CreateReauthUrl {
    pub(crate) async fn create_reauthorization(
        &self,
        new: NewReauthorization,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, Problem> {
        let wanted = new.contract_id.as_ref();
        let (grants, account) = self.authorized.grants_and_account(&new.user_id, &new.account_id, wanted).await?;
        self.create_from_read(new, grants, account, context).await
    }

    /// Creates a reauthorization from grants and an account that the caller has already read.
    pub(crate) async fn create_from_read(
        &self,
        new: NewReauthorization,
        grants: Vec<Versioned<Grant>>,
        account: Option<Versioned<Account>>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, Problem> {
        let mut account = account.map(|account| account.value);
        if grants.is_empty() && account.is_none() && !self.authorized.store.user_exists(&new.user_id).await? {
            return Err(Problem::user_not_found());
        }
        let Some(grant) = choose(grants, new.contract_id.as_ref(), account.as_ref())? else {
            let known = self.authorized.store.grants(&new.user_id).await?;
            let known: Vec<_> = known.into_iter().map(|grant| grant.value.contract_id).collect();
            return Err(Problem::grant_not_found(new.contract_id.as_ref(), &known));
        };
        if account.as_ref().is_none_or(|account| !account.listed) {
            account = self.look_up(&new, account, grant.clone(), context).await?;
        }
        let identity_known = account.is_some_and(|account| account.username.is_some());
        if !identity_known {
            let (user_id, account_id) = (&new.user_id, &new.account_id);
            tracing::info!(%user_id, %account_id, "create-reauthorization: the username is not known, so the callback cannot detect another account");
        }
        self.request_url_and_store(new, grant, context).await
    }

    /// Looks up at digi.me an account that no list has named yet. With its username stored, the callback can detect
    /// that the user authorized another account of the same service. An account that a read result has named may be
    /// missing from the list. Any other account must be on the list.
    async fn look_up(
        &self,
        new: &NewReauthorization,
        known: Option<Account>,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Option<Account>, Problem> {
        let listed = self.authorized.list_accounts(grant, context).await;
        let accounts = self.authorized.user_accounts(&new.user_id, context).await?;
        if let Some(account) = accounts.accounts.get(&new.account_id) {
            return Ok(Some(account.value.clone()));
        }
        let is_known = known.is_some() || accounts.last_reads.value.watermarks.contains_key(&new.account_id);
        match listed {
            Ok(_) if is_known => Ok(known),
            Ok(_) => Err(Problem::account_not_found()),
            Err(error) if is_known => {
                let (user_id, account_id) = (&new.user_id, &new.account_id);
                tracing::warn!(error = %Chain(&error), %user_id, %account_id, "create-reauthorization: could not list the user's accounts at digi.me");
                Ok(known)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn request_url_and_store(
        &self,
        new: NewReauthorization,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<CreatedReauthorization, Problem> {
        let now = self.ambient.now();
        let secret = random_secret(&self.ambient);
        let reauthorization = Reauthorization {
            id: ReauthorizationId::from(self.ambient.bytes()),
            user_id: new.user_id,
            account_id: new.account_id,
            contract_id: grant.value.contract_id.clone(),
            kind: Kind::Account,
            progress: Progress::Pending,
            told: Vec::new(),
            return_url: new.return_url,
            created_at: now,
            expires_at: after(now, self.settings.reauthorization_ttl),
        };
        let state: SecretString = format!("{}.{}", reauthorization.id, secret.expose_secret()).into();
        let redirect_uri = callback_url(&new.public_base_url, &state)?;
        let client = &self.authorized.client;
        let (redirect_uri, state, account_id) = (&redirect_uri, &state, &reauthorization.account_id);
        let code = self.authorized.with_token(grant, context, |contract, tokens| async move {
            client.token_reference(&contract, &tokens.access.value, redirect_uri, state, context.deadline).await
        });
        let reference = self.authorized.with_contract(&reauthorization.contract_id, |contract| async move {
            client.account_reference(&contract, account_id, context.deadline).await
        });
        let written = async {
            let store = &self.authorized.store;
            let write =
                store.create_reauthorization(&reauthorization, &secret, new.browser.as_ref(), context.triggered_at);
            write.await.map_err(AuthorizedClientError::from)
        };
        // `join`, not `try_join`: when one call fails, the others must still finish, because a refreshed token pair
        // must be stored.
        let (code, reference, written) = tokio::join!(code, reference, written);
        let (code, reference, ()) = (code?, reference?, written?);
        let url = client.reauthorize_url(&code, &reference, new.locale.as_ref().map(Locale::as_str));
        Ok(CreatedReauthorization { reauthorization, url, code_expires_at: code.expires_at })
    }
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

fn callback_url(base: &Url, state: &SecretString) -> Result<Url, Problem> {
    let mut url = base.join("callback").map_err(Problem::internal)?;
    url.query_pairs_mut().append_pair("state", state.expose_secret());
    Ok(url)
}
