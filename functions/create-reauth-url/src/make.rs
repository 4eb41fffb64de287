//! Making a reauthorization: the grant and the account are read at once; then the code, the account's reference and
//! the write of the reauthorization go side by side.

use jiff::Timestamp;
use reauth_core::{
    access::AccessError,
    ambient::after,
    domain::{
        Account, AccountId, ContractId, Locale, ReauthorizationId, ReturnUrl, UserId,
        reauthorization::{Kind, Progress, Reauthorization},
    },
    keyring::random_secret,
    lambda::Trigger,
    store::{Grant, Versioned},
    web::Problem,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::CreateReauthUrl;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) user_id: UserId,
    pub(crate) account_id: AccountId,
    pub(crate) contract_id: Option<ContractId>,
    pub(crate) locale: Option<Locale>,
    pub(crate) return_url: Option<ReturnUrl>,
    pub(crate) public_base_url: Url,
    /// The mark of the browser that begins it.
    pub(crate) browser: Option<SecretString>,
}

/// What came of it.
pub(crate) struct Made {
    pub(crate) reauthorization: Reauthorization,
    /// Where the user goes. It holds the code.
    pub(crate) url: Url,
    pub(crate) code_expires_at: Timestamp,
}

impl CreateReauthUrl {
    pub(crate) async fn make(&self, wish: Wish, trigger: Trigger) -> Result<Made, Problem> {
        let wanted = wish.contract_id.as_ref();
        let (grants, account) = self.access.grants_and_account(&wish.user_id, &wish.account_id, wanted).await?;
        self.make_for(wish, grants, account, trigger).await
    }

    /// The same, with the grants and the account as they were read.
    pub(crate) async fn make_for(
        &self,
        wish: Wish,
        grants: Vec<Versioned<Grant>>,
        account: Option<Versioned<Account>>,
        trigger: Trigger,
    ) -> Result<Made, Problem> {
        let mut account = account.map(|account| account.value);
        if grants.is_empty() && account.is_none() && !self.access.store.knows(&wish.user_id).await? {
            return Err(Problem::user_not_found());
        }
        let Some(grant) = choose(grants, wish.contract_id.as_ref(), account.as_ref())? else {
            let known = self.access.store.grants(&wish.user_id).await?;
            let known: Vec<_> = known.into_iter().map(|grant| grant.value.contract_id).collect();
            return Err(Problem::grant_not_found(wish.contract_id.as_ref(), &known));
        };
        if account.as_ref().is_none_or(|account| !account.listed) {
            account = self.look_up(&wish, account, grant.clone(), trigger).await?;
        }
        let identity_known = account.is_some_and(|account| account.username.is_some());
        if !identity_known {
            let (user_id, account_id) = (&wish.user_id, &wish.account_id);
            tracing::info!(%user_id, %account_id, "reauthorization: made without a known username, another account cannot be detected");
        }
        self.make_with(wish, grant, identity_known, trigger).await
    }

    /// An account that digi.me's list has not named yet is looked up there, so that the callback can tell another account
    /// of the same service. One that a read told of can do without; one that nobody told of must be on the list.
    async fn look_up(
        &self,
        wish: &Wish,
        known: Option<Account>,
        grant: Versioned<Grant>,
        trigger: Trigger,
    ) -> Result<Option<Account>, Problem> {
        let listed = self.access.list_accounts(grant, trigger).await;
        let accounts = self.access.user_accounts(&wish.user_id, trigger).await?;
        if let Some(account) = accounts.accounts.get(&wish.account_id) {
            return Ok(Some(account.value.clone()));
        }
        let is_known = known.is_some() || accounts.last_reads.value.watermarks.contains_key(&wish.account_id);
        match listed {
            Ok(_) | Err(_) if is_known => Ok(known),
            Ok(_) => Err(Problem::account_not_found()),
            Err(error) => Err(error.into()),
        }
    }

    async fn make_with(
        &self,
        wish: Wish,
        grant: Versioned<Grant>,
        identity_known: bool,
        trigger: Trigger,
    ) -> Result<Made, Problem> {
        let now = self.ambient.now();
        let secret = random_secret(&self.ambient);
        let reauthorization = Reauthorization {
            id: ReauthorizationId::from(self.ambient.bytes()),
            user_id: wish.user_id,
            account_id: wish.account_id,
            contract_id: grant.value.contract_id.clone(),
            kind: Kind::Account,
            progress: Progress::Pending,
            told: Vec::new(),
            identity_known,
            return_url: wish.return_url,
            created_at: now,
            expires_at: after(now, self.settings.reauthorization_ttl),
        };
        let state: SecretString = format!("{}.{}", reauthorization.id, secret.expose_secret()).into();
        let redirect_uri = callback_url(&wish.public_base_url, &state)?;
        let client = &self.access.client;
        let (redirect_uri, state, account_id) = (&redirect_uri, &state, &reauthorization.account_id);
        let code = self.access.with_token(grant, trigger, |contract, tokens| async move {
            client.token_reference(&contract, &tokens.access.value, redirect_uri, state, trigger.deadline).await
        });
        let reference = self.access.with_contract(&reauthorization.contract_id, |contract| async move {
            client.account_reference(&contract, account_id, trigger.deadline).await
        });
        let written = async {
            let store = &self.access.store;
            let write = store.create_reauthorization(&reauthorization, &secret, wish.browser.as_ref(), trigger.at);
            write.await.map_err(AccessError::from)
        };
        // All three run to their end, also when one fails: a refreshed pair that is on its way must be stored.
        let (code, reference, written) = tokio::join!(code, reference, written);
        let (code, reference, ()) = (code?, reference?, written?);
        let url = client.reauthorize_url(&code, &reference, wish.locale.as_ref());
        Ok(Made { reauthorization, url, code_expires_at: code.expires_at })
    }
}

/// The contract is the one given, else the account's, else the user's only one. None if there is no such grant.
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
