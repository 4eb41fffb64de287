//! The routes that delete a user or an account, withdraw a permission, and return the contract and sample data sets.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::ONBOARD_PATH;
use crate::auth::{Caller, Expiry};
use crate::error::ApiError;
use crate::model::{AccountReference, Code, Purpose};
use crate::shared::Shared;
use crate::state::{CODE_LIFETIME, State};
use crate::visit::SERVICES;

/// 1 January 2100, in milliseconds since 1970.
const CONTRACT_EXPIRATION_MS: i64 = 4_102_444_800_000;

/// `DELETE user`: removes the user with all tokens, accounts and read sessions.
pub(crate) async fn delete_user(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<StatusCode, ApiError> {
    shared.change(|state| {
        let user_id = caller.grant(state, &shared, Expiry::Refused)?.user_id.clone();
        state.remove_user(&user_id);
        Ok(StatusCode::NO_CONTENT)
    })
}

/// `DELETE permission-access/service/h:accountId`: removes the account named in the header `accountId`.
pub(crate) async fn delete_account(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    shared.change(|state| {
        let account_id = own_account(&shared, state, &caller, &headers)?;
        state.remove_account(&account_id);
        Ok(StatusCode::NO_CONTENT)
    })
}

/// `GET permission-access/revoke/h:accountId`: returns the URL of a page on which the user withdraws the permission for
/// the account named in the header `accountId`. The page redirects to the URL in the header `redirectUri`.
pub(crate) async fn revoke(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let (code, reference) = (shared.random_token(), shared.random_id());
    let expires_at = shared.now() + CODE_LIFETIME;
    shared.change(|state| {
        let account_id = own_account(&shared, state, &caller, &headers)?;
        let redirect_uri = header(&headers, "redirectUri")?;
        let redirect_uri = caller.registered(redirect_uri, state.settings.allow_redirect_query)?;
        let user_id = state.accounts.get(&account_id).map(|stored| stored.user_id.clone());
        state.references.insert(reference.clone(), AccountReference { account_id, expires_at });
        let issued = Code {
            purpose: Purpose::Revoke,
            contract_id: caller.contract.contract_id.clone(),
            user_id,
            redirect_uri,
            state: None,
            code_challenge: None,
            session_key: None,
            expires_at,
            used: false,
        };
        state.codes.insert(code.clone(), issued);
        Ok::<_, ApiError>(())
    })?;
    let mut location = shared.url(&format!("{ONBOARD_PATH}revoke"));
    location.query_pairs_mut().append_pair("code", &code).append_pair("accountRef", &reference);
    Ok(Json(json!({ "location": location })))
}

/// `GET permission-access/contract`: returns the caller's contract. The simulator has no certificate and returns the
/// registered contract as text instead.
pub(crate) async fn contract(caller: Caller) -> Json<Value> {
    let contract = &caller.contract;
    Json(json!({
        "id": contract.contract_id,
        "accessType": "r",
        "type": "json",
        "partnerId": "simulated-partner",
        "application": {
            "id": contract.application_id,
            "name": contract.application_id,
            "resources": {},
            "status": 1,
        },
        "certificate": json!(contract).to_string(),
        "certificateContractSchemaVersion": "1.0",
        "expirationDate": CONTRACT_EXPIRATION_MS,
    }))
}

/// `GET permission-access/sample/datasets/{sourceId}`: returns two data sets for each service that the pages offer.
pub(crate) async fn sample_data_sets(Path(source_id): Path<String>, _caller: Caller) -> Result<Json<Value>, ApiError> {
    let source_id: usize = source_id.parse().map_err(|_| ApiError::bad_body("The source id is not a number"))?;
    if !(1..=SERVICES.len()).contains(&source_id) {
        return Ok(Json(json!({})));
    }
    let set = |name: &str| json!({ "name": name, "description": "" });
    Ok(Json(json!({ "default": set("default"), "test": set("test") })))
}

/// The account named in the header `accountId`, if it belongs to the user of the access token.
fn own_account(shared: &Shared, state: &State, caller: &Caller, headers: &HeaderMap) -> Result<String, ApiError> {
    let user_id = &caller.grant(state, shared, Expiry::Refused)?.user_id;
    let account_id = header(headers, "accountId")?;
    match state.accounts.get(account_id) {
        Some(stored) if stored.user_id == *user_id => Ok(account_id.to_owned()),
        _ => Err(ApiError::invalid_request("There is no account of that id")),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or_else(|| ApiError::validation(format!("The header {name} is missing")))
}
