//! digi.me's public keys. They are fetched from `jwks/oauth` under the configured base URL, never from another address,
//! and cached.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use serde_json::Value;

use super::Error;
use crate::{
    ambient::Ambient,
    cached::{Cached, Lifetimes},
};

/// The iOS SDK uses the same lifetime.
const KEY_SET_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// An unknown `kid` causes a new fetch, at most once in this time. An answer with a wrong `kid` cannot cause more.
const MIN_REFETCH_INTERVAL: Duration = Duration::from_secs(60);

/// The keys of a set by their `kid`.
pub(super) type KeySet = Arc<HashMap<String, DecodingKey>>;

/// The cache of the key set.
#[derive(Debug)]
pub(super) struct KeyCache(Cached<KeySet>);

impl Default for KeyCache {
    fn default() -> Self {
        let lifetimes = Lifetimes { lifetime: |_| KEY_SET_LIFETIME, between_refetches: MIN_REFETCH_INTERVAL };
        Self(Cached::new("key_set", lifetimes))
    }
}

impl KeyCache {
    /// The key with the given `kid`, from the cache or with `fetch`.
    pub(super) async fn key(
        &self,
        kid: &str,
        ambient: &Ambient,
        fetch: impl Future<Output = Result<KeySet, Error>>,
    ) -> Result<DecodingKey, Error> {
        let keys = self.0.get_suitable(ambient, |keys| keys.contains_key(kid), fetch).await?;
        keys.get(kid).cloned().ok_or_else(|| Error::InvalidAnswer("it is signed with an unknown key".into()))
    }

    /// Fetches the set if no fresh set is cached, so that the verification of a later answer does not wait for it.
    pub(super) async fn warm(
        &self,
        ambient: &Ambient,
        fetch: impl Future<Output = Result<KeySet, Error>>,
    ) -> Result<(), Error> {
        self.0.get(ambient, fetch).await.map(drop)
    }
}

/// Parses `{"keys":[{"kid","pem","n","e"}]}`. A key that cannot be parsed is left out and does not fail the set.
pub(super) fn read_keys(set: &Value) -> Result<KeySet, Error> {
    let keys = set
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| Error::InvalidAnswer("the key set has no keys".into()))?;
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
    Ok(Arc::new(keys.iter().filter_map(read).collect()))
}

/// The header of an answer: which key it is signed with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyHint {
    pub(super) kid: String,
    /// The address of the key set according to the answer. It is never requested.
    pub(super) jku: Option<String>,
}

/// Parses the header of an answer. The answer must be signed with PS512.
pub(super) fn key_hint(token: &str) -> Result<KeyHint, Error> {
    let header: Header =
        jsonwebtoken::decode_header(token).map_err(|_| Error::InvalidAnswer("it holds no signed token".into()))?;
    if header.alg != Algorithm::PS512 {
        return Err(Error::InvalidAnswer("it is not signed with PS512".into()));
    }
    let kid = header.kid.ok_or_else(|| Error::InvalidAnswer("its signature names no key".into()))?;
    Ok(KeyHint { kid, jku: header.jku })
}

/// Verifies the signature with the key and returns the payload.
///
/// # Errors
/// When the signature is not valid, or the token has expired.
pub(super) fn verify(token: &str, key: &DecodingKey, now: Timestamp) -> Result<Value, Error> {
    let mut validation = Validation::new(Algorithm::PS512);
    // `exp` is checked below, with the injected clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let payload: Value = jsonwebtoken::decode(token, key, &validation)
        .map_err(|_| Error::InvalidAnswer("its signature does not hold".into()))?
        .claims;
    match payload.get("exp").and_then(Value::as_i64) {
        Some(expired) if expired <= now.as_second() => Err(Error::InvalidAnswer("it has expired".into())),
        _ => Ok(payload),
    }
}
