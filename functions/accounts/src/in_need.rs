//! The route that lists the accounts and users that need a reauthorization.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    store::{Cursor, InNeed, StoreError},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{Account, ContractId, UserId, reauthorization::Kind};
use tracing::instrument;

use crate::{
    Accounts,
    replies::{AccountBody, InNeedBody, InNeedListBody, UserInNeedBody},
};

/// What identifies a grant.
type GrantKey = (UserId, ContractId);

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;
/// Queries about single users that are sent at the same time.
const CONCURRENCY: usize = 16;

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
        let only_grants = self.only_grants(&entries).await?;
        // An account without a contract is under its user's only grant.
        let grant_of = |account: &Account| {
            let contract = account.contract_id.clone().or_else(|| only_grants.get(&account.user_id).cloned());
            Some((account.user_id.clone(), contract?))
        };
        let store = &self.authorized.store;
        let grants: BTreeSet<GrantKey> = entries
            .iter()
            .filter_map(|entry| match entry {
                InNeed::Account(account) => grant_of(account),
                InNeed::Grant(_) => None,
            })
            .collect();
        let users = entries.iter().filter_map(|entry| match entry {
            InNeed::Grant(grant) => Some((grant.user_id.clone(), grant.contract_id.clone())),
            InNeed::Account(_) => None,
        });
        let in_need = users.map(|(user, contract)| {
            let is_only = only_grants.get(&user) == Some(&contract);
            async move {
                let has_account = store.has_account_in_need(&user, &contract, is_only).await?;
                Ok::<_, StoreError>(has_account.then_some((user, contract)))
            }
        });
        let in_need: Vec<_> = in_need.collect();
        let in_need = stream::iter(in_need).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>();
        let (dead, in_need) = tokio::try_join!(store.dead_grants(&grants), in_need)?;
        let shown_by_account: BTreeSet<GrantKey> = in_need.into_iter().flatten().collect();
        let body = |entry| match entry {
            InNeed::Account(account) => {
                let is_dead = grant_of(&account).is_some_and(|grant| dead.contains(&grant));
                let kind = if is_dead { Kind::User } else { Kind::Account };
                Some(InNeedBody::Account { account: AccountBody::new(&account, None), kind })
            }
            InNeed::Grant(grant) => {
                let key = (grant.user_id, grant.contract_id);
                let episode = grant.episode.as_ref().filter(|_| !shown_by_account.contains(&key))?;
                Some(InNeedBody::User(UserInNeedBody::new(key.0, key.1, episode)))
            }
        };
        Ok(entries.into_iter().filter_map(body).collect())
    }

    /// The only grant of each user for whom that matters: of a grant's user, and of an account without a contract.
    async fn only_grants(&self, entries: &[InNeed]) -> Result<BTreeMap<UserId, ContractId>, StoreError> {
        let users = entries.iter().filter_map(|entry| match entry {
            InNeed::Account(Account { contract_id: Some(_), .. }) => None,
            InNeed::Account(account) => Some(account.user_id.clone()),
            InNeed::Grant(grant) => Some(grant.user_id.clone()),
        });
        let users: BTreeSet<UserId> = users.collect();
        let states = users.into_iter().map(|user| async move {
            let mut states = self.authorized.store.grant_states(&user).await?;
            let only = states.pop().filter(|_| states.is_empty());
            Ok::<_, StoreError>(only.map(|only| (user, only.contract_id)))
        });
        let states: Vec<_> = states.collect();
        let states = stream::iter(states).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
        Ok(states.into_iter().flatten().collect())
    }
}
