//! The control API over HTTP, under `/_simulator/`. The README lists its calls.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control::Control;
use crate::faults::Failure;
use crate::keys::KeyForm;
use crate::model::{AccessTokenStatus, Account, Contract, ErrorShape};
use crate::shared::Shared;

type Shares = Extract<Arc<Shared>>;
type Reply = Result<Response, Refused>;

/// An error answer of the control API.
pub(crate) struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/state", get(state))
        .route("/contracts/{contract_id}", put(put_contract))
        .route("/users/{user_id}", put(put_user))
        .route("/users/{user_id}/accounts/{account_id}", put(put_account))
        .route("/users/{user_id}/tokens", post(issue_tokens))
        .route("/users/{user_id}/expire-access-tokens", post(expire_tokens))
        .route("/users/{user_id}/kill-refresh-tokens", post(kill_tokens))
        .route("/accounts/{account_id}", delete(remove_account))
        .route("/accounts/{account_id}/break", post(break_account))
        .route("/accounts/{account_id}/mend", post(mend_account))
        .route("/accounts/{account_id}/username", put(set_username))
        .route("/accounts/{account_id}/expires-at", put(set_expires_at))
        .route("/accounts/{account_id}/error", put(set_error))
        .route("/settings", get(settings).patch(patch_settings))
        .route("/signing-key/rotate", post(rotate))
        .route("/latency", put(set_latency))
        .route("/failures", post(fail).delete(clear_failures))
        .route("/forgery", put(forge))
        .route("/requests", get(requests).delete(clear_requests))
}

/// An empty body counts as `{}`. The content type is ignored.
fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))
}

fn done() -> Reply {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 204 if the named account or user exists, else 404.
fn found(found: bool, what: &str) -> Reply {
    if found { done() } else { Err(Refused(StatusCode::NOT_FOUND, format!("no such {what}"))) }
}

fn control(shared: Arc<Shared>) -> Control {
    Control { shared }
}

async fn state(Extract(shared): Shares) -> Json<Value> {
    Json(shared.read(|state| {
        let accounts: Vec<Value> = state
            .accounts
            .values()
            .map(|stored| {
                json!({
                    "id": stored.account.id,
                    "userId": stored.user_id,
                    "serviceName": stored.account.service_name,
                    "username": stored.account.username,
                    "broken": stored.broken,
                    "error": stored.read_error,
                    "expiresAt": stored.expires_at,
                })
            })
            .collect();
        json!({
            "contracts": state.contracts.values().collect::<Vec<_>>(),
            "users": state.users.keys().collect::<Vec<_>>(),
            "accounts": accounts,
            "settings": state.settings,
        })
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContractBody {
    application_id: String,
    public_key_pem: String,
    redirect_uris: Vec<String>,
}

async fn put_contract(Extract(shared): Shares, Path(contract_id): Path<String>, body: Bytes) -> Reply {
    let body: ContractBody = parse(&body)?;
    control(shared)
        .register_contract(Contract {
            contract_id,
            application_id: body.application_id,
            public_key_pem: body.public_key_pem,
            redirect_uris: body.redirect_uris,
        })
        .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    done()
}

async fn put_user(Extract(shared): Shares, Path(user_id): Path<String>) -> Reply {
    control(shared).add_user(&user_id);
    done()
}

async fn put_account(
    Extract(shared): Shares,
    Path((user_id, account_id)): Path<(String, String)>,
    body: Bytes,
) -> Reply {
    let mut body: Value = parse(&body)?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("id".to_owned(), json!(account_id));
    }
    let account: Account =
        serde_json::from_value(body).map_err(|error| Refused(StatusCode::BAD_REQUEST, error.to_string()))?;
    if control(shared).add_account(&user_id, account) {
        return done();
    }
    let reason = "another user has an account of that id".to_owned();
    Err(Refused(StatusCode::CONFLICT, reason))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokensBody {
    contract_id: String,
}

async fn issue_tokens(Extract(shared): Shares, Path(user_id): Path<String>, body: Bytes) -> Reply {
    let body: TokensBody = parse(&body)?;
    let known = shared.read(|state| state.contracts.contains_key(&body.contract_id));
    if !known {
        return found(false, "contract");
    }
    let pair = control(shared).issue_tokens(&user_id, &body.contract_id);
    Ok(Json(pair).into_response())
}

async fn expire_tokens(Extract(shared): Shares, Path(user_id): Path<String>) -> Json<Value> {
    Json(json!({ "expired": control(shared).expire_access_tokens(&user_id) }))
}

async fn kill_tokens(Extract(shared): Shares, Path(user_id): Path<String>) -> Json<Value> {
    Json(json!({ "killed": control(shared).kill_refresh_tokens(&user_id) }))
}

async fn remove_account(Extract(shared): Shares, Path(account_id): Path<String>) -> Reply {
    found(control(shared).remove_account(&account_id), "account")
}

#[derive(Deserialize)]
struct BreakBody {
    #[serde(default = "documented")]
    shape: ErrorShape,
}

fn documented() -> ErrorShape {
    ErrorShape::Documented
}

async fn break_account(Extract(shared): Shares, Path(account_id): Path<String>, body: Bytes) -> Reply {
    let body: BreakBody = parse(&body)?;
    let known = control(shared).break_account(&account_id, body.shape);
    found(known, "account")
}

async fn mend_account(Extract(shared): Shares, Path(account_id): Path<String>) -> Reply {
    found(control(shared).mend_account(&account_id), "account")
}

#[derive(Deserialize)]
struct UsernameBody {
    username: Option<String>,
}

async fn set_username(Extract(shared): Shares, Path(account_id): Path<String>, body: Bytes) -> Reply {
    let body: UsernameBody = parse(&body)?;
    let known = control(shared).set_username(&account_id, body.username);
    found(known, "account")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpiresAtBody {
    expires_at: Option<i64>,
}

async fn set_expires_at(Extract(shared): Shares, Path(account_id): Path<String>, body: Bytes) -> Reply {
    let body: ExpiresAtBody = parse(&body)?;
    let known = control(shared).set_account_expires_at(&account_id, body.expires_at);
    found(known, "account")
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Option<Value>,
}

async fn set_error(Extract(shared): Shares, Path(account_id): Path<String>, body: Bytes) -> Reply {
    let body: ErrorBody = parse(&body)?;
    let known = control(shared).set_account_error(&account_id, body.error);
    found(known, "account")
}

async fn settings(Extract(shared): Shares) -> Response {
    Json(control(shared).settings()).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SettingsPatch {
    access_token_status: Option<AccessTokenStatus>,
    echo_state: Option<bool>,
    allow_redirect_query: Option<bool>,
    read_delay_polls: Option<u32>,
}

async fn patch_settings(Extract(shared): Shares, body: Bytes) -> Reply {
    let patch: SettingsPatch = parse(&body)?;
    let settings = shared.change(|state| {
        let settings = &mut state.settings;
        set(&mut settings.access_token_status, patch.access_token_status);
        set(&mut settings.echo_state, patch.echo_state);
        set(&mut settings.allow_redirect_query, patch.allow_redirect_query);
        set(&mut settings.read_delay_polls, patch.read_delay_polls);
        settings.clone()
    });
    Ok(Json(settings).into_response())
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[derive(Deserialize)]
struct RotateBody {
    #[serde(default)]
    form: KeyForm,
}

async fn rotate(Extract(shared): Shares, body: Bytes) -> Reply {
    let body: RotateBody = parse(&body)?;
    let control = control(shared);
    let failed = |reason: String| Refused(StatusCode::INTERNAL_SERVER_ERROR, reason);
    tokio::task::spawn_blocking(move || control.rotate_signing_key(body.form))
        .await
        .map_err(|error| failed(error.to_string()))?
        .map_err(|error| failed(error.to_string()))?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LatencyBody {
    path_prefix: Option<String>,
    milliseconds: u64,
}

async fn set_latency(Extract(shared): Shares, body: Bytes) -> Reply {
    let body: LatencyBody = parse(&body)?;
    let latency = Duration::from_millis(body.milliseconds);
    control(shared).set_latency(body.path_prefix.as_deref(), latency);
    done()
}

#[derive(Deserialize)]
struct FailBody {
    path: String,
    #[serde(default)]
    failure: Failure,
}

async fn fail(Extract(shared): Shares, body: Bytes) -> Reply {
    let body: FailBody = parse(&body)?;
    control(shared).fail(&body.path, body.failure);
    done()
}

async fn clear_failures(Extract(shared): Shares) -> Reply {
    control(shared).clear_failures();
    done()
}

/// Fields that are absent end their forgery.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ForgeryBody {
    jku: Option<String>,
    kid: Option<String>,
    #[serde(default)]
    bad_signatures: bool,
}

async fn forge(Extract(shared): Shares, body: Bytes) -> Reply {
    let body: ForgeryBody = parse(&body)?;
    let control = control(shared);
    control.set_forged_jku(body.jku.as_deref());
    control.set_forged_kid(body.kid.as_deref());
    control.set_bad_signatures(body.bad_signatures);
    done()
}

async fn requests(Extract(shared): Shares) -> Response {
    Json(shared.recorded()).into_response()
}

async fn clear_requests(Extract(shared): Shares) -> Reply {
    shared.clear_recorded();
    done()
}
