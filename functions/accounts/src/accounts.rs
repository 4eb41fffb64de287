//! The routes that list and show a user's accounts: their status and their history.

use digime::ListedAccount;
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{AccountChange, Commit, HistoryCursor, HistoryPage, StoreError, UserAccounts, Versioned},
    web::{ApiRequest, Problem, ReauthorizationBody, Response, response},
};
use reauth_domain::{
    Account, AccountId, Grant, Outcome, Signal, Status, UserId, account::Episode, verification::is_acceptable,
};
use secrecy::ExposeSecret;
use tracing::instrument;

use crate::{
    Accounts,
    replies::{AccountBody, AccountListBody, GrantStateBody},
};

/// Events on one page of an account's history.
const HISTORY_PAGE: usize = 100;
/// Reauthorizations in an account's history.
const REAUTHORIZATIONS: usize = 20;

impl Accounts {
    /// `GET /users/{userId}/accounts`.
    #[instrument(skip_all)]
    pub(crate) async fn list_of_user(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user, refresh) = (input.path::<UserId>("userId"), input.switch("refresh"));
        let user = input.finish(|| user)?;
        if refresh {
            self.ask_digime(&user, request.context()).await?;
        }
        let known = self.authorized.user_accounts(&user, request.context());
        let (known, grants) = tokio::try_join!(known, self.authorized.store.grant_states(&user))?;
        let accounts = known.all(&user);
        if accounts.is_empty() && grants.is_empty() && !self.authorized.store.user_exists(&user).await? {
            return Err(Problem::user_not_found());
        }
        let accounts = accounts.iter().map(|account| AccountBody::new(account, read_at(&known, account))).collect();
        let grants = grants.into_iter().map(|grant| GrantStateBody::new(grant, self.ambient.now())).collect();
        Ok(response::json(StatusCode::OK, &AccountListBody { accounts, grants }))
    }

    /// `GET /users/{userId}/accounts/{accountId}`.
    #[instrument(skip_all)]
    pub(crate) async fn show_account(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user, id) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let with_history = input.switch("history");
        let before = input.parameter("cursor", |cursor| cursor.map(HistoryCursor::decode).transpose());
        let (user, id, before) = input.finish(|| Some((user?, id?, before?)))?;
        let history = async {
            if !with_history {
                return Ok(None);
            }
            self.authorized.store.history(&user, &id, before, HISTORY_PAGE).await.map(Some)
        };
        let reauthorizations = async {
            if !with_history || before.is_some() {
                return Ok(None);
            }
            self.authorized.store.reauthorizations_of_account(&user, &id, REAUTHORIZATIONS).await.map(Some)
        };
        let known = self.authorized.user_accounts(&user, request.context());
        let (mut known, history, reauthorizations) = tokio::try_join!(known, history, reauthorizations)?;
        // The table does not hold the account yet: ask digi.me for the user's accounts, which stores them.
        if find(&known, &user, &id).is_none() && self.ask_digime(&user, request.context()).await? {
            known = self.authorized.user_accounts(&user, request.context()).await?;
        }
        let account = find(&known, &user, &id).ok_or_else(Problem::account_not_found)?;
        let mut body = AccountBody::new(&account, read_at(&known, &account));
        (body.reconnect_url, body.reconnect_url_expires_at) = self.reconnect_link(request, &account).await?.unzip();
        if let Some(HistoryPage { events, older }) = history {
            (body.events, body.cursor) = (Some(events), older.map(HistoryCursor::encode));
        }
        let now = self.ambient.now();
        body.reauthorizations =
            reauthorizations.map(|all| all.iter().map(|one| ReauthorizationBody::new(one, now)).collect());
        Ok(response::json(StatusCode::OK, &body))
    }

    /// The reconnect link of the current episode's notification, and when it expires. `None` if the account needs no
    /// reauthorization, or has no link that works.
    async fn reconnect_link(
        &self,
        request: &Request,
        account: &Account,
    ) -> Result<Option<(String, Timestamp)>, Problem> {
        let Status::ReauthRequired(Episode { notice: Some(notice), .. }) = &account.status else { return Ok(None) };
        let Some((path, link)) = self.authorized.store.link_of_notice(notice).await? else { return Ok(None) };
        let base = request.public_base_url(self.public_base_url.as_ref())?;
        let url = base.join(path.expose_secret()).map_err(Problem::internal)?;
        Ok(Some((url.into(), link.expires_at)))
    }

    /// `POST /users/{userId}/accounts/{accountId}/accept-identity`: replaces the expected login by the one that
    /// digi.me lists now, and ends the identity mismatch.
    #[instrument(skip_all)]
    pub(crate) async fn accept_identity(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (user, id) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let (user, id) = input.finish(|| Some((user?, id?)))?;
        let (grants, account) = self.authorized.store.grants_and_account(&user, &id).await?;
        let Some(account) = account else {
            let known = !grants.is_empty() || self.authorized.store.user_exists(&user).await?;
            return Err(if known { Problem::account_not_found() } else { Problem::user_not_found() });
        };
        if account.value.identity_mismatch.is_none() {
            return Err(no_identity_mismatch());
        }
        let of_account =
            |grant: &Versioned<Grant>| account.value.contract_id.as_ref() == Some(&grant.value.contract_id);
        let known: Vec<_> = grants.iter().map(|grant| grant.value.contract_id.clone()).collect();
        let grant = grants
            .into_iter()
            .find(of_account)
            .ok_or_else(|| Problem::grant_not_found(account.value.contract_id.as_ref(), &known))?;
        let listed = self.authorized.list_accounts(grant, request.context()).await?;
        let listed = listed.into_iter().find(|listed| listed.id == id).ok_or_else(Problem::account_not_found)?;
        if !is_acceptable(&listed) {
            return Err(identity_not_acceptable());
        }
        let (user, id, listed) = (&user, &id, &listed);
        let accepted = retry_on_conflict(&self.ambient, request.context().deadline, || async move {
            self.write_identity(user, id, listed, request.context()).await
        });
        let account = accepted.await?.ok_or_else(no_identity_mismatch)?;
        let known = self.authorized.user_accounts(user, request.context()).await?;
        Ok(response::json(StatusCode::OK, &AccountBody::new(&account, read_at(&known, &account))))
    }

    /// Returns the changed account. Returns `None` if the account is gone, or has no identity mismatch any more.
    async fn write_identity(
        &self,
        user: &UserId,
        id: &AccountId,
        listed: &ListedAccount,
        context: RequestContext,
    ) -> Result<Option<Account>, StoreError> {
        let Some(read) = self.authorized.store.account(user, id).await? else { return Ok(None) };
        let signal = Signal::IdentityAccepted { listed: listed.clone() };
        let Outcome::Changed(change) = read.value.take(signal, self.ambient.now()) else { return Ok(None) };
        let account = change.account.clone();
        let commit = Commit {
            user_id: user.clone(),
            changes: vec![AccountChange { change, read_version: read.version, read: None }],
            last_reads: None,
            reauthorization: None,
            context,
        };
        self.authorized.store.commit(commit).await?;
        Ok(Some(account))
    }

    /// Lists the user's accounts at digi.me under each of the user's grants, and stores what the lists say. Returns
    /// `false` if the user has no grant.
    async fn ask_digime(&self, user: &UserId, context: RequestContext) -> Result<bool, Problem> {
        let grants = self.authorized.store.grants(user).await?;
        if grants.is_empty() && !self.authorized.store.user_exists(user).await? {
            return Err(Problem::user_not_found());
        }
        let asked = !grants.is_empty();
        for grant in grants {
            self.authorized.list_accounts(grant, context).await?;
        }
        Ok(asked)
    }
}

fn no_identity_mismatch() -> Problem {
    let detail = "Only an account with identityMismatch has another login to accept.";
    Problem::new(StatusCode::CONFLICT, "no_identity_mismatch", "The account has no identity mismatch.", detail)
}

fn identity_not_acceptable() -> Problem {
    let detail = "digi.me names no login for it, or says that it is not authorized. Create a reauthorization.";
    let title = "The account's login cannot be accepted now.";
    Problem::new(StatusCode::CONFLICT, "identity_not_acceptable", title, detail)
}

fn find(known: &UserAccounts, user: &UserId, id: &AccountId) -> Option<Account> {
    let is_known = known.accounts.contains_key(id) || known.last_reads.value.watermarks.contains_key(id);
    is_known.then(|| known.account(user, id).value)
}

fn read_at(known: &UserAccounts, account: &Account) -> Option<Timestamp> {
    known.last_reads.value.watermarks.get(&account.account_id).map(|read| read.observed_at)
}
