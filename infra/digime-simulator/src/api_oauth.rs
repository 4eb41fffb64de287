//! The routes `oauth/…`, `reference` and `jwks/oauth`.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Caller, Expiry};
use crate::error::ApiError;
use crate::model::{AccountReference, Code, Purpose, ReadSession, TokenPair};
use crate::shared::Shared;
use crate::state::{CODE_LIFETIME, SESSION_LIFETIME, State};

type Answer = Result<Json<Value>, ApiError>;

/// `POST oauth/authorize`: returns the code for the first authorization page.
pub(crate) async fn authorize(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Answer {
    let claims = &caller.claims;
    if claims.response_type.as_deref() != Some("code") || claims.response_mode.as_deref() != Some("query") {
        return Err(ApiError::validation("response_type must be code and response_mode query"));
    }
    let challenge = code_challenge(&caller)?.ok_or_else(|| ApiError::validation("The JWT lacks code_challenge"))?;
    let issued = shared.change(|state| {
        let user_id = match claims.access_token.as_deref() {
            None => None,
            // The access token identifies the user, under whichever contract it was issued.
            Some(value) => {
                let grant = state.grants.get(value).ok_or_else(|| ApiError::invalid_token("access_token"))?;
                if grant.pair.access_token.expires_on <= shared.now().as_second() {
                    return Err(ApiError::expired_token("access_token"));
                }
                Some(grant.user_id.clone())
            }
        };
        issue_code(&shared, state, &caller, Purpose::Authorize, user_id, Some(challenge))
    })?;
    Ok(Json(json!({
        "token": shared.answer_token(
            "oauth/authorize",
            json!({ "preauthorization_code": issued.code }),
        ),
        "session": issued.session,
    })))
}

/// `POST oauth/token/reference`: returns the code for a page. With a code challenge, the page is the user
/// reauthorization page. Without one, it is the page for reauthorizing an account or for adding a service.
pub(crate) async fn token_reference(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Answer {
    let challenge = code_challenge(&caller)?;
    let (purpose, expiry) = match challenge {
        Some(_) => (Purpose::ReauthorizeUser, Expiry::Tolerated),
        None => (Purpose::Reference, Expiry::Refused),
    };
    let issued = shared.change(|state| {
        let user_id = caller.grant(state, &shared, expiry)?.user_id.clone();
        issue_code(&shared, state, &caller, purpose, Some(user_id), challenge)
    })?;
    let claims = json!({
        "reference_code": issued.code,
        "token_type": "Bearer",
        "expires_on": (shared.now() + CODE_LIFETIME).as_second(),
    });
    Ok(Json(json!({
        "token": shared.answer_token("oauth/token/reference", claims),
        "session": issued.session,
    })))
}

struct Issued {
    code: String,
    session: Value,
}

fn issue_code(
    shared: &Shared,
    state: &mut State,
    caller: &Caller,
    purpose: Purpose,
    user_id: Option<String>,
    code_challenge: Option<String>,
) -> Result<Issued, ApiError> {
    let redirect_uri = caller.redirect_uri(state.settings.allow_redirect_query)?;
    let now = shared.now();
    let (code, key) = (shared.random_token(), shared.random_token());
    state.sessions.insert(
        key.clone(),
        ReadSession {
            user_id: user_id.clone(),
            contract_id: caller.contract.contract_id.clone(),
            account_ids: None,
            expires_at: now + SESSION_LIFETIME,
            polls: 0,
        },
    );
    state.codes.insert(
        code.clone(),
        Code {
            purpose,
            contract_id: caller.contract.contract_id.clone(),
            user_id,
            redirect_uri,
            state: caller.claims.state.clone(),
            code_challenge,
            session_key: Some(key.clone()),
            expires_at: now + CODE_LIFETIME,
            used: false,
        },
    );
    let expiry = (now + SESSION_LIFETIME).as_millisecond();
    Ok(Issued { code, session: json!({ "key": key, "expiry": expiry }) })
}

/// The code challenge, if there is one. Its method must be S256.
fn code_challenge(caller: &Caller) -> Result<Option<String>, ApiError> {
    let Some(challenge) = &caller.claims.code_challenge else {
        return Ok(None);
    };
    if caller.claims.code_challenge_method.as_deref() != Some("S256") {
        return Err(ApiError::validation("code_challenge_method must be S256"));
    }
    // 256 bits in base64url without padding.
    if challenge.len() != 43 {
        return Err(ApiError::validation("code_challenge is no SHA-256 hash"));
    }
    Ok(Some(challenge.clone()))
}

/// `POST oauth/token`: returns a token pair for a code, or a new pair for a refresh token.
pub(crate) async fn token(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Answer {
    let pair = match caller.claims.grant_type.as_deref() {
        Some("authorization_code") => exchange(&shared, &caller)?,
        Some("refresh_token") => refresh(&shared, &caller)?,
        _ => {
            return Err(ApiError::validation("grant_type is not one of the known ones"));
        }
    };
    let claims = json!({
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "sub": pair.sub,
        "consentid": pair.consentid,
        "identifier": { "id": pair.sub },
        "token_type": "Bearer",
    });
    Ok(Json(json!({ "token": shared.answer_token("oauth/token", claims) })))
}

fn exchange(shared: &Shared, caller: &Caller) -> Result<TokenPair, ApiError> {
    let (Some(code), Some(verifier)) = (&caller.claims.code, &caller.claims.code_verifier) else {
        return Err(ApiError::validation("The JWT lacks code or code_verifier"));
    };
    let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(hash);
    let now = shared.now();
    shared.change(|state| {
        let user_id = state
            .codes
            .get_mut(code)
            .filter(|known| {
                known.purpose == Purpose::Exchange
                    && known.contract_id == caller.contract.contract_id
                    && !known.used
                    && known.expires_at > now
            })
            .and_then(|known| {
                // A code can be used once, whether the attempt succeeds or fails.
                known.used = true;
                (known.code_challenge.as_ref() == Some(&challenge)).then(|| known.user_id.clone()).flatten()
            })
            .ok_or_else(|| ApiError::invalid_request("The code or code_verifier is not valid"))?;
        let fresh = shared.fresh_pair();
        Ok(state.issue_pair(&user_id, &caller.contract.contract_id, fresh, now))
    })
}

fn refresh(shared: &Shared, caller: &Caller) -> Result<TokenPair, ApiError> {
    let missing = || ApiError::validation("The JWT lacks refresh_token");
    let value = caller.claims.refresh_token.as_ref().ok_or_else(missing)?;
    let now = shared.now();
    shared.change(|state| {
        let grant = state
            .refresh_index
            .get(value)
            .and_then(|access_token| state.grants.get(access_token))
            .filter(|grant| grant.contract_id == caller.contract.contract_id && !grant.refresh_dead)
            .ok_or_else(|| ApiError::invalid_token("refresh_token"))?;
        if grant.pair.refresh_token.expires_on <= now.as_second() {
            return Err(ApiError::expired_token("refresh_token"));
        }
        let (user_id, contract_id) = (grant.user_id.clone(), grant.contract_id.clone());
        let old = grant.pair.access_token.value.clone();
        state.drop_pair(&old);
        Ok(state.issue_pair(&user_id, &contract_id, shared.fresh_pair(), now))
    })
}

#[derive(Deserialize)]
struct ReferenceRequest {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// `POST reference`: returns the reference that names an account in the URL of a page.
pub(crate) async fn reference(Extract(shared): Extract<Arc<Shared>>, _caller: Caller, body: Bytes) -> Answer {
    let request: ReferenceRequest =
        serde_json::from_slice(&body).map_err(|_| ApiError::bad_body("The body must hold type and value"))?;
    if request.kind != "accountId" {
        return Err(ApiError::bad_body("Only references of type accountId are simulated"));
    }
    let id = shared.random_id();
    let entry = AccountReference { account_id: request.value.clone(), expires_at: shared.now() + CODE_LIFETIME };
    shared.change(|state| {
        if !state.accounts.contains_key(&request.value) {
            return Err(ApiError::invalid_request("There is no account of that id"));
        }
        state.references.insert(id.clone(), entry);
        Ok(())
    })?;
    Ok(Json(json!({ "id": id, "type": request.kind, "value": request.value })))
}

/// `GET jwks/oauth`: returns the current key and the previous key.
pub(crate) async fn jwks(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    let keys = shared.read(|state| {
        let previous = state.keys.previous.iter();
        std::iter::once(&state.keys.current).chain(previous).map(crate::keys::SigningKey::jwk).collect::<Vec<_>>()
    });
    Json(json!({ "keys": keys }))
}
