//! Accounts: their status, their history, and which of them need their user.

use http::StatusCode;
use jiff::Timestamp;
use reauth_core::{
    ambient::rfc3339,
    domain::{Account, AccountId, UserId},
    lambda::Trigger,
    store::{Cursor, Scene},
    web::{Problem, Request, Response},
};
use serde_json::{Value, json};

use crate::Accounts;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

impl Accounts {
    /// `GET /users/{userId}/accounts`.
    pub(crate) async fn list_of_user(&self, request: &Request) -> Result<Response, Problem> {
        let user: UserId = request.path("userId")?;
        if request.query()?.switch("refresh")? {
            self.ask_digime(&user, request.trigger).await?;
        }
        let scene = self.access.store.scene(&user).await?;
        let accounts = scene.all_accounts(&user);
        if accounts.is_empty() && !self.access.store.knows(&user).await? {
            return Err(Problem::user_not_found());
        }
        let accounts: Vec<Value> = accounts.iter().map(|account| describe(account, read_at(&scene, account))).collect();
        Ok(Response::json(StatusCode::OK, &json!({"accounts": accounts})))
    }

    /// `GET /users/{userId}/accounts/{accountId}`.
    pub(crate) async fn show_account(&self, request: &Request) -> Result<Response, Problem> {
        let (user, id): (UserId, AccountId) = (request.path("userId")?, request.path("accountId")?);
        let with_history = request.query()?.switch("history")?;
        let history = async { if with_history { self.access.store.history(&user, &id).await } else { Ok(Vec::new()) } };
        let (mut scene, history) = tokio::try_join!(self.access.store.scene(&user), history)?;
        if find(&scene, &user, &id).is_none() {
            // One that the table does not know yet is looked for at digi.me.
            if self.ask_digime(&user, request.trigger).await? {
                scene = self.access.store.scene(&user).await?;
            }
        }
        let account = find(&scene, &user, &id).ok_or_else(Problem::account_not_found)?;
        let mut body = describe(&account, read_at(&scene, &account));
        if with_history {
            body["events"] = history.into();
        }
        Ok(Response::json(StatusCode::OK, &body))
    }

    /// `GET /accounts?status=reauth_required`.
    pub(crate) async fn list_in_need(&self, request: &Request) -> Result<Response, Problem> {
        let query = request.query()?;
        if query.get("status") != Some("reauth_required") {
            return Err(Problem::invalid_field("status", "must be reauth_required"));
        }
        let limit = match query.get("limit").map(str::parse::<usize>) {
            None => DEFAULT_LIMIT,
            Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => limit,
            Some(_) => return Err(Problem::invalid_field("limit", format!("must be from 1 to {MAX_LIMIT}"))),
        };
        let cursor = query.get("cursor").map(Cursor::decode).transpose();
        let cursor = cursor.map_err(|error| Problem::invalid_field("cursor", error.to_string()))?;
        let page = self.access.store.accounts_in_need(limit, cursor.as_ref()).await?;
        let accounts: Vec<Value> = page.accounts.iter().map(|account| describe(account, None)).collect();
        let mut body = json!({"accounts": accounts});
        if let Some(next) = page.next {
            body["cursor"] = json!(next.encode());
        }
        Ok(Response::json(StatusCode::OK, &body))
    }

    /// Asks digi.me for the user's accounts, under each of his grants; false if he has none.
    async fn ask_digime(&self, user: &UserId, trigger: Trigger) -> Result<bool, Problem> {
        let grants = self.access.store.grants(user).await?;
        if grants.is_empty() && !self.access.store.knows(user).await? {
            return Err(Problem::user_not_found());
        }
        let asked = !grants.is_empty();
        for grant in grants {
            self.access.list_accounts(grant, trigger).await?;
        }
        Ok(asked)
    }
}

fn find(scene: &Scene, user: &UserId, id: &AccountId) -> Option<Account> {
    scene.all_accounts(user).into_iter().find(|account| account.account_id == *id)
}

fn read_at(scene: &Scene, account: &Account) -> Option<Timestamp> {
    scene.last_read(&account.account_id).map(|mark| mark.observed_at)
}

fn describe(account: &Account, last_read_at: Option<Timestamp>) -> Value {
    let mut body = json!({
        "userId": account.user_id,
        "accountId": account.account_id,
        "status": account.status.name(),
    });
    let episode = account.episode();
    let optional = [
        ("contractId", account.contract_id.as_ref().map(|id| json!(id))),
        ("serviceName", account.service_name.as_ref().map(|name| json!(name))),
        ("since", episode.map(|episode| json!(rfc3339::text(episode.since)))),
        ("episodeId", episode.map(|episode| json!(episode.episode_id))),
        ("error", episode.map(|episode| json!(episode.error))),
        ("lastReadAt", last_read_at.map(|at| json!(rfc3339::text(at)))),
        ("reauthorizedAt", account.reauthorized_at.map(|at| json!(rfc3339::text(at)))),
        ("verified", account.verified.map(|verified| json!(verified))),
        ("authorizationExpiresAt", account.authorization_expires_at.map(|at| json!(rfc3339::text(at)))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    body
}
