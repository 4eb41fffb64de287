//! Authenticates requests: the checks that digi.me makes on the JWT of a request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::keys;
use crate::model::{Contract, Grant};
use crate::shared::Shared;
use crate::state::State;

/// In milliseconds: the largest accepted difference between a request's timestamp and the simulator's clock.
const TIMESTAMP_WINDOW_MS: f64 = 5.0 * 60.0 * 1000.0;
const MAX_NONCE_LENGTH: usize = 256;

/// The claims of a request that at least one endpoint uses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    client_id: String,
    nonce: String,
    /// Milliseconds since 1970. May have a fraction.
    timestamp: f64,
    pub(crate) access_token: Option<String>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) response_type: Option<String>,
    pub(crate) response_mode: Option<String>,
    pub(crate) code_challenge: Option<String>,
    pub(crate) code_challenge_method: Option<String>,
    pub(crate) grant_type: Option<String>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) code_verifier: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
}

/// A caller whose JWT has passed the checks that all endpoints share.
pub(crate) struct Caller {
    pub(crate) contract: Contract,
    pub(crate) claims: Claims,
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        authenticate(shared, &parts.headers)
    }
}

fn authenticate(shared: &Shared, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let unreadable = || ApiError::validation("The Authorization header holds no JWT");
    let jwt = bearer(headers).ok_or_else(unreadable)?;
    let (message, signature) = jwt.rsplit_once('.').ok_or_else(unreadable)?;
    let (header, claims) = message.split_once('.').ok_or_else(unreadable)?;
    let header: Header = decode(header).ok_or_else(unreadable)?;
    let claims: Claims =
        decode(claims).ok_or_else(|| ApiError::validation("The JWT lacks client_id, nonce or timestamp"))?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| unreadable())?;
    if header.alg != "PS512" || header.typ != "JWT" {
        return Err(ApiError::validation("The JWT must say PS512 and JWT"));
    }
    let contract = contract_of(shared, &claims.client_id).ok_or_else(ApiError::invalid_client)?;
    let key = keys::parse_public_key(&contract.public_key_pem).map_err(|_| ApiError::invalid_client())?;
    if !keys::verifies(&key, message.as_bytes(), &signature) {
        return Err(ApiError::validation("The signature of the JWT is not valid"));
    }
    #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
    let now_ms = shared.now().as_millisecond() as f64;
    if (claims.timestamp - now_ms).abs() > TIMESTAMP_WINDOW_MS {
        return Err(ApiError::invalid_request("The timestamp is too old or too new"));
    }
    if claims.nonce.is_empty() || claims.nonce.len() > MAX_NONCE_LENGTH {
        return Err(ApiError::validation("The nonce has no acceptable length"));
    }
    if !shared.use_up_nonce(&claims.nonce) {
        return Err(ApiError::invalid_request("The nonce has already been used"));
    }
    Ok(Caller { contract, claims })
}

fn contract_of(shared: &Shared, client_id: &str) -> Option<Contract> {
    shared.read(|state| {
        let matches = |contract: &&Contract| {
            client_id.strip_prefix(contract.application_id.as_str()).and_then(|rest| rest.strip_prefix('_'))
                == Some(&contract.contract_id)
        };
        state.contracts.values().find(matches).cloned()
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}

fn decode<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Uses up the nonce of a request that fails on purpose before it is checked. A real server could have used it up too,
/// so a retry needs a new JWT.
pub(crate) fn burn_nonce(shared: &Shared, headers: &HeaderMap) {
    let claims = bearer(headers).and_then(|jwt| jwt.split('.').nth(1)).and_then(decode::<Claims>);
    if let Some(claims) = claims
        && claims.nonce.len() <= MAX_NONCE_LENGTH
    {
        shared.use_up_nonce(&claims.nonce);
    }
}

impl Caller {
    /// The grant of the access token.
    pub(crate) fn grant<'a>(&self, state: &'a State, shared: &Shared, expiry: Expiry) -> Result<&'a Grant, ApiError> {
        let missing = || ApiError::validation("The JWT lacks access_token");
        let value = self.claims.access_token.as_deref().ok_or_else(missing)?;
        let grant = state
            .grants
            .get(value)
            .filter(|grant| grant.contract_id == self.contract.contract_id)
            .ok_or_else(|| ApiError::invalid_token("access_token"))?;
        let expired = grant.pair.access_token.expires_on <= shared.now().as_second();
        if expired && expiry == Expiry::Refused {
            return Err(ApiError::expired_token("access_token"));
        }
        Ok(grant)
    }

    /// The redirect URI, if it is registered with the contract.
    pub(crate) fn redirect_uri(&self, allow_query: bool) -> Result<String, ApiError> {
        let missing = || ApiError::validation("The JWT lacks redirect_uri");
        self.registered(self.claims.redirect_uri.as_deref().ok_or_else(missing)?, allow_query)
    }

    /// The URL, if it is registered with the contract as a redirect URI.
    pub(crate) fn registered(&self, given: &str, allow_query: bool) -> Result<String, ApiError> {
        let registered = |uri: &str| self.contract.redirect_uris.iter().any(|known| known == uri);
        let known = match given.split_once('?') {
            Some(_) if !allow_query => false,
            Some((without_query, _)) => registered(given) || registered(without_query),
            None => registered(given),
        };
        if known && !given.contains('#') && url::Url::parse(given).is_ok() {
            Ok(given.to_owned())
        } else {
            Err(ApiError::invalid_redirect_uri())
        }
    }
}

/// Whether an expired access token is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Refused,
    /// For a user whose refresh token is dead, an expired access token is the only proof of identity.
    Tolerated,
}
