//! The `permission-access/…` routes for accounts, read sessions and read results.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::auth::{Caller, Expiry};
use crate::error::ApiError;
use crate::model::{ReadSession, StoredAccount};
use crate::shared::Shared;
use crate::state::SESSION_LIFETIME;

type Answer = Result<Json<Value>, ApiError>;

/// `GET permission-access/accounts`. The answer is a bare array.
pub(crate) async fn accounts(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Answer {
    shared.read(|state| {
        let user_id = &caller.grant(state, &shared, Expiry::Refused)?.user_id;
        let status = state.settings.access_token_status;
        let listed = state.accounts_of(user_id);
        Ok(Json(listed.iter().map(|account| account.to_api(status)).collect()))
    })
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TriggerRequest {
    source_fetch_filter: Option<SourceFetchFilter>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SourceFetchFilter {
    account: Option<AccountFilter>,
}

#[derive(Deserialize)]
struct AccountFilter {
    id: Vec<String>,
}

/// `POST permission-access/trigger`: starts a read session.
pub(crate) async fn trigger(Extract(shared): Extract<Arc<Shared>>, caller: Caller, body: Bytes) -> Answer {
    let request = if body.is_empty() {
        TriggerRequest::default()
    } else {
        serde_json::from_slice(&body).map_err(|_| ApiError::bad_body("The body holds no acceptable pull options"))?
    };
    let account_ids = request.source_fetch_filter.and_then(|filter| filter.account).map(|account| account.id);
    let key = shared.random_token();
    let expires_at = shared.now() + SESSION_LIFETIME;
    shared.change(|state| {
        let grant = caller.grant(state, &shared, Expiry::Refused)?;
        let session = ReadSession {
            user_id: Some(grant.user_id.clone()),
            contract_id: grant.contract_id.clone(),
            account_ids,
            expires_at,
            polls: 0,
        };
        state.sessions.insert(key.clone(), session);
        Ok(())
    })?;
    let expiry = expires_at.as_millisecond();
    Ok(Json(json!({ "session": { "key": key, "expiry": expiry } })))
}

/// `GET permission-access/query/{sessionKey}`: answers `running` at first, then the read result. The file list is
/// always empty.
pub(crate) async fn query(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(session_key): Path<String>,
) -> Answer {
    let now = shared.now();
    shared.change(|state| {
        let user_id = caller.grant(state, &shared, Expiry::Refused)?.user_id.clone();
        let delay = state.settings.read_delay_polls;
        let session = state
            .sessions
            .get_mut(&session_key)
            .filter(|session| {
                session.user_id.as_ref() == Some(&user_id)
                    && session.contract_id == caller.contract.contract_id
                    && session.expires_at > now
            })
            .ok_or_else(|| ApiError::invalid_request("The session is not valid"))?;
        session.polls = session.polls.saturating_add(1);
        let running = session.polls <= delay;
        let wanted = session.account_ids.clone();
        let read: Vec<&StoredAccount> = state
            .accounts_of(&user_id)
            .into_iter()
            .filter(|stored| wanted.as_ref().is_none_or(|ids| ids.contains(&stored.account.id)))
            .collect();
        Ok(Json(read_result(&read, running)))
    })
}

fn read_result(accounts: &[&StoredAccount], running: bool) -> Value {
    let mut details = Map::new();
    let mut state = if running { "running" } else { "completed" };
    for stored in accounts {
        let entry = if running { json!({ "state": "running" }) } else { stored.read_entry() };
        if entry["state"] == "partial" {
            state = "partial";
        }
        details.insert(stored.account.id.clone(), entry);
    }
    json!({ "status": { "state": state, "details": details }, "fileList": [] })
}
