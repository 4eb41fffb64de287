//! The route that lists the accounts and users that need a reauthorization.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    store::{Cursor, InNeed},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{ContractId, UserId, reauthorization::Kind};
use tracing::instrument;

use crate::{
    Accounts,
    replies::{AccountBody, InNeedBody, InNeedListBody, UserInNeedBody},
};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

impl Accounts {
    /// `GET /accounts?status=reauth_required`.
    #[instrument(skip_all)]
    pub(crate) async fn list_in_need(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        input.parameter("status", |status| match status {
            Some("reauth_required") => Ok(()),
            _ => Err("must be reauth_required"),
        });
        let limit = input.parameter("limit", |limit| match limit.map(str::parse) {
            None => Ok(DEFAULT_LIMIT),
            Some(Ok(limit)) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            Some(_) => Err(format!("must be from 1 to {MAX_LIMIT}")),
        });
        let cursor = input.parameter("cursor", |cursor| cursor.map(Cursor::decode).transpose());
        let (limit, cursor) = input.finish(|| Some((limit?, cursor?)))?;
        let page = self.authorized.store.in_need(limit, cursor.as_ref()).await?;
        let accounts = self.bodies(page.entries).await?;
        let cursor = page.next.as_ref().map(Cursor::encode);
        Ok(response::json(StatusCode::OK, &InNeedListBody { accounts, cursor }))
    }

    /// The entries of the reply. A user with a dead refresh token has an own entry only if there is no account that needs
    /// the user under the same contract: the entry of such an account says that the user page helps.
    async fn bodies(&self, entries: Vec<InNeed>) -> Result<Vec<InNeedBody>, Problem> {
        let store = &self.authorized.store;
        let grants = entries.iter().filter_map(|entry| match entry {
            InNeed::Account(account) => Some((account.user_id.clone(), account.contract_id.clone()?)),
            InNeed::Grant(_) => None,
        });
        let grants: BTreeSet<(UserId, ContractId)> = grants.collect();
        let dead = store.dead_grants(&grants);
        let users = entries.iter().filter_map(|entry| match entry {
            InNeed::Grant(grant) => Some((grant.user_id.clone(), grant.contract_id.clone())),
            InNeed::Account(_) => None,
        });
        let in_need = try_join_all(users.map(|(user, contract)| async move {
            let has_account = store.has_account_in_need(&user, &contract).await?;
            Ok((has_account, (user, contract)))
        }));
        let (dead, in_need) = tokio::try_join!(dead, in_need)?;
        let shown_by_account: BTreeSet<_> =
            in_need.into_iter().filter(|(has_account, _)| *has_account).map(|(_, grant)| grant).collect();
        let body = |entry| match entry {
            InNeed::Account(account) => {
                let contract = account.contract_id.clone();
                let is_dead = contract.is_some_and(|contract| dead.contains(&(account.user_id.clone(), contract)));
                let kind = if is_dead { Kind::User } else { Kind::Account };
                Some(InNeedBody::Account { account: AccountBody::new(&account, None), kind })
            }
            InNeed::Grant(grant) => {
                let (user_id, contract_id) = (grant.user_id, grant.contract_id);
                if shown_by_account.contains(&(user_id.clone(), contract_id.clone())) {
                    return None;
                }
                Some(InNeedBody::User(UserInNeedBody::new(user_id, contract_id, grant.episode.as_ref()?)))
            }
        };
        Ok(entries.into_iter().filter_map(body).collect())
    }
}
