//! A digi.me contract, and the signing of requests with its private key.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA512, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Error;
use crate::{ContractId, ambient::Ambient};

/// A contract and its parsed private key. The `Debug` output does not contain the key.
pub struct Contract {
    id: ContractId,
    client_id: String,
    key: RsaKeyPair,
}

/// Why a private key cannot be used. The message does not contain the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not PEM.
    #[error("the private key is not PEM")]
    NotPem,
    /// The PEM block has another type.
    #[error("the private key is neither PKCS#1 (RSA PRIVATE KEY) nor PKCS#8 (PRIVATE KEY)")]
    WrongKind,
    /// It is not an RSA key of 2048 to 8192 bits.
    #[error("the private key is not an RSA key of 2048 to 8192 bits")]
    NotRsa,
}

impl std::fmt::Debug for Contract {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Contract").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Contract {
    /// Parses the private key: PEM with PKCS#1 or PKCS#8.
    pub fn new(application_id: &str, id: ContractId, private_key: &SecretString) -> Result<Self, KeyError> {
        let pem = pem::parse(private_key.expose_secret()).map_err(|_| KeyError::NotPem)?;
        let (tag, der) = (pem.tag().to_owned(), Zeroizing::new(pem.into_contents()));
        let parsed = match tag.as_str() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            _ => return Err(KeyError::WrongKind),
        };
        let key = parsed.map_err(|_| KeyError::NotRsa)?;
        Ok(Self { client_id: format!("{application_id}_{id}"), id, key })
    }

    /// The contract's identifier.
    #[must_use]
    pub fn id(&self) -> &ContractId {
        &self.id
    }

    /// A bearer token for one request: a PS512 JWT with its own nonce and timestamp.
    ///
    /// The key is parsed once in [`Contract::new`]. `jsonwebtoken` would parse and check the RSA key for every
    /// signature.
    pub(super) fn request_token(&self, claims: &Claims<'_>, ambient: &Ambient) -> Result<SecretString, Error> {
        let mut payload = Map::new();
        payload.insert("client_id".into(), self.client_id.as_str().into());
        payload.insert("nonce".into(), nonce(ambient).into());
        payload.insert("timestamp".into(), ambient.now().as_millisecond().into());
        payload.extend(claims.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"PS512","typ":"JWT"}"#);
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(Value::Object(payload).to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA512, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| Error::Signing)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

/// The claims that a call adds to the common claims.
pub(super) type Claims<'a> = [(&'static str, &'a str)];

/// 32 characters of `[a-z0-9]`, as the mobile SDKs send them: 128 random bits in hexadecimal.
fn nonce(ambient: &Ambient) -> String {
    format!("{:032x}", u128::from_be_bytes(ambient.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_rsa_key_is_refused_without_showing_it() {
        let contract = |pem: &str| Contract::new("app", "c".parse().unwrap(), &pem.to_owned().into()).unwrap_err();
        assert_eq!(contract("hello"), KeyError::NotPem);
        assert_eq!(contract("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), KeyError::WrongKind);
        assert_eq!(contract("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), KeyError::NotRsa);
    }
}
