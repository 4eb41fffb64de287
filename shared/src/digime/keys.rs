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
/// An unknown `kid` is a reason to fetch the set once more; of those that stay unknown, only one in this time is.
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
    /// When it was last fetched for a key that it did not have.
    missed_at: Option<Timestamp>,
}

impl Cached {
    fn is_fresh(&self, now: Timestamp) -> bool {
        now < after(self.fetched_at, KEY_SET_LIFETIME)
    }
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
        let (now, unknown) = (ambient.now(), Error::InvalidAnswer("it is signed with an unknown key"));
        let mut missed_at = None;
        if let Some(fresh) = cached.as_ref().filter(|cached| cached.is_fresh(now)) {
            if let Some(key) = fresh.keys.get(kid) {
                return Ok(key.clone());
            }
            if fresh.missed_at.is_some_and(|at| now < after(at, MIN_REFETCH_INTERVAL)) {
                return Err(unknown);
            }
            missed_at = Some(now);
        }
        let keys = Arc::new(read_keys(&fetch.await?)?);
        *cached = Some(Cached { keys: Arc::clone(&keys), fetched_at: ambient.now(), missed_at });
        keys.get(kid).cloned().ok_or(unknown)
    }

    /// Fetches the set if none is cached, so that it is there when an answer wants it.
    ///
    /// # Errors
    /// What `fetch` says.
    pub(super) async fn warm(
        &self,
        ambient: &Ambient,
        fetch: impl Future<Output = Result<Value, Error>>,
    ) -> Result<(), Error> {
        let mut cached = self.cached.lock().await;
        if !cached.as_ref().is_some_and(|cached| cached.is_fresh(ambient.now())) {
            let keys = Arc::new(read_keys(&fetch.await?)?);
            *cached = Some(Cached { keys, fetched_at: ambient.now(), missed_at: None });
        }
        Ok(())
    }
}

/// Reads `{"keys":[{"kid","pem","n","e"}]}`. A key of another kind is left out; one odd key does not fail the set.
pub(super) fn read_keys(set: &Value) -> Result<HashMap<String, DecodingKey>, Error> {
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

/// What the header of an answer says of the key it is signed with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyHint {
    /// The key's name.
    pub(super) kid: String,
    /// Where the signer says that the key set is. Nobody goes there.
    pub(super) jku: Option<String>,
}

/// Reads the header of an answer, if the answer is signed with PS512.
///
/// # Errors
/// When it is no such token.
pub(super) fn key_hint(token: &str) -> Result<KeyHint, Error> {
    let header: Header =
        jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidAnswer("it holds no signed token"))?;
    if header.alg != Algorithm::PS512 {
        return Err(Error::InvalidAnswer("it is not signed with PS512"));
    }
    let kid = header.kid.ok_or(Error::InvalidAnswer("its signature names no key"))?;
    Ok(KeyHint { kid, jku: header.jku })
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
