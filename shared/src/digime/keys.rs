//! digi.me's public keys: fetched from `jwks/oauth` under the configured address and nowhere else, and cached.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::Value;
use tokio::sync::Mutex;

use super::Error;
use crate::ambient::{Ambient, after};

/// The iOS SDK caches the key set as long.
const KEY_SET_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// An unknown `kid` is a reason to fetch the set once more, at most this often.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(60);

/// The key set's cache. Fetching is single-flight: who comes while a fetch is under way waits for it.
#[derive(Debug, Default)]
pub(super) struct KeyCache {
    cached: Mutex<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    keys: Arc<HashMap<String, DecodingKey>>,
    fetched_at: Timestamp,
}

impl KeyCache {
    /// The key of that name, from the cache or with `fetch`.
    ///
    /// # Errors
    /// What `fetch` says, or that digi.me has no such key.
    pub(super) async fn key(
        &self,
        kid: &str,
        ambient: &Ambient,
        fetch: impl Future<Output = Result<Value, Error>>,
    ) -> Result<DecodingKey, Error> {
        let mut cached = self.cached.lock().await;
        let age_allows = |cached: &Option<Cached>, age| {
            cached.as_ref().filter(|cached| ambient.now() < after(cached.fetched_at, age)).cloned()
        };
        if let Some(fresh) = age_allows(&cached, KEY_SET_LIFETIME) {
            if let Some(key) = fresh.keys.get(kid) {
                return Ok(key.clone());
            }
            if age_allows(&cached, MIN_REFETCH_INTERVAL).is_some() {
                return Err(Error::InvalidAnswer("it is signed with an unknown key"));
            }
        }
        let keys = Arc::new(read_keys(&fetch.await?)?);
        *cached = Some(Cached { keys: Arc::clone(&keys), fetched_at: ambient.now() });
        keys.get(kid).cloned().ok_or(Error::InvalidAnswer("it is signed with an unknown key"))
    }

    /// Fetches the set if none is cached, so that it is there when an answer wants it.
    pub(super) async fn warm(&self, ambient: &Ambient, fetch: impl Future<Output = Result<Value, Error>>) {
        let mut cached = self.cached.lock().await;
        let fresh = cached.as_ref().is_some_and(|cached| ambient.now() < after(cached.fetched_at, KEY_SET_LIFETIME));
        if !fresh && let Ok(keys) = fetch.await.and_then(|set| read_keys(&set)) {
            *cached = Some(Cached { keys: Arc::new(keys), fetched_at: ambient.now() });
        }
    }
}

/// Reads `{"keys":[{"kid","pem","n","e"}]}`. A key of another kind is left out; one odd key does not fail the set.
fn read_keys(set: &Value) -> Result<HashMap<String, DecodingKey>, Error> {
    let keys = set.get("keys").and_then(Value::as_array).ok_or(Error::InvalidAnswer("the key set has no keys"))?;
    let read = |key: &Value| {
        let text = |name: &str| key.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let parsed = match (text("pem"), text("n"), text("e")) {
            // PKCS#1 or SPKI.
            (Some(pem), _, _) => DecodingKey::from_rsa_pem(pem.as_bytes()).ok(),
            (None, Some(n), Some(e)) => DecodingKey::from_rsa_components(n, e).ok(),
            _ => None,
        };
        Some((text("kid")?.to_owned(), parsed?))
    };
    Ok(keys.iter().filter_map(read).collect())
}

/// The `kid` of an answer's header, if the answer is signed with PS512. A `jku` is not looked at.
///
/// # Errors
/// When it is no such token.
pub(super) fn key_id(token: &str) -> Result<String, Error> {
    let header: Header =
        jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidAnswer("it holds no signed token"))?;
    if header.alg != Algorithm::PS512 {
        return Err(Error::InvalidAnswer("it is not signed with PS512"));
    }
    header.kid.ok_or(Error::InvalidAnswer("its signature names no key"))
}

/// Checks the signature with the key and gives the payload.
///
/// # Errors
/// When the signature does not hold, or the token says that it is not valid any more.
pub(super) fn verify(token: &str, key: &DecodingKey, now: Timestamp) -> Result<Value, Error> {
    let mut validation = Validation::new(Algorithm::PS512);
    // `exp` is checked below, by our clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let payload: Value = jsonwebtoken::decode(token, key, &validation)
        .map_err(|_| Error::InvalidAnswer("its signature does not hold"))?
        .claims;
    match payload.get("exp").and_then(Value::as_i64) {
        Some(expired) if expired <= now.as_second() => Err(Error::InvalidAnswer("it has expired")),
        _ => Ok(payload),
    }
}
