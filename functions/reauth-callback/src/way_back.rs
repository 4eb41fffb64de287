//! Where the browser goes at the end of a reauthorization.

use jiff::Timestamp;
use reauth_core::{
    error::Chain,
    store::{GrantState, StoreError},
    web::Problem,
};
use reauth_domain::{Account, AccountId, ContractId, GrantStatus, account::Notice, reauthorization::Reauthorization};
use secrecy::{ExposeSecret, SecretString};

use crate::{ReauthCallback, Visit, settle::CallbackOutcome};

impl ReauthCallback {
    /// The URL that the browser is redirected to. While the user has more to mend, it is the reconnect page that the browser came
    /// from. Then it is the return URL; without one, that page again. `None`: this service answers with a page, because another
    /// browser started the reauthorization, or there is no such URL.
    pub(crate) async fn way_back(
        &self,
        visit: &Visit,
        reauthorization: &Reauthorization,
        account_id: Option<&AccountId>,
        outcome: &CallbackOutcome,
    ) -> Result<Option<SecretString>, Problem> {
        if !visit.same_browser {
            return Ok(None);
        }
        let store = &self.authorized.store;
        let path = match (&reauthorization.return_url, &reauthorization.link) {
            (None, None) => return Ok(None),
            (None, Some(notice)) => store.link_path(notice).await?,
            (Some(_), None) => None,
            (Some(_), Some(notice)) => {
                self.page_with_more(notice, reauthorization, account_id).await.unwrap_or_else(|error| {
                    tracing::warn!(error = %Chain(&error), "reauth-callback: could not read what is left to mend");
                    None
                })
            }
        };
        if let Some(path) = path {
            let mut url = visit.public_base_url.join(path.expose_secret()).map_err(Problem::internal)?;
            url.query_pairs_mut().append_pair("ended", reauthorization.id.as_str());
            return Ok(Some(String::from(url).into()));
        }
        let Some(url) = &reauthorization.return_url else { return Ok(None) };
        let code = outcome.error_code().map(|code| code.as_str().to_owned());
        let url = url.with_result(&reauthorization.id, account_id, outcome.status(), code.as_deref());
        Ok(Some(String::from(url).into()))
    }

    /// The path of the reconnect page, if it has more to mend than what this reauthorization was for.
    async fn page_with_more(
        &self,
        notice: &Notice,
        ended: &Reauthorization,
        account_id: Option<&AccountId>,
    ) -> Result<Option<SecretString>, StoreError> {
        let (store, user) = (&self.authorized.store, &ended.user_id);
        let (link, accounts, grants) =
            tokio::try_join!(store.link_of_notice(notice), store.user_accounts(user), store.grant_states(user))?;
        let accounts = accounts.accounts.values().map(|account| &account.value);
        let Some((path, link)) = link else { return Ok(None) };
        // What was mended since the link was sent is done, however soon it ends.
        let others = accounts.filter(|account| {
            Some(&account.account_id) != account_id && account.reauthorized_at.is_none_or(|at| at < link.created_at)
        });
        Ok(is_more_left(others, &grants, &ended.contract_id, self.ambient.now()).then_some(path))
    }
}

/// Whether the user can mend or renew one of these accounts, or the connection to digi.me under another contract than `ended`.
fn is_more_left<'a>(
    mut accounts: impl Iterator<Item = &'a Account>,
    grants: &[GrantState],
    ended: &ContractId,
    now: Timestamp,
) -> bool {
    let is_dead_end = |account: &Account| {
        let of_account = grants.iter().find(|grant| account.contract_id.as_ref() == Some(&grant.contract_id));
        of_account.is_some_and(|grant| !grant.is_recoverable())
    };
    let can_be_renewed = |grant: &GrantState| {
        grant.contract_id != *ended
            && grant.is_recoverable()
            && grant.status(now) == GrantStatus::UserReauthorizationRequired
    };
    accounts.any(|account| account.renewable_until(now).is_some() || (account.needs_user(now) && !is_dead_end(account)))
        || grants.iter().any(can_be_renewed)
}
