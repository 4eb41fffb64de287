//! RSA keys: the simulator's own signing keys, and the contracts' public keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA512, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pem::{EncodeConfig, LineEnding, Pem};
use pkcs8::PrivateKeyInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not one PEM block.
    #[error("the key is not PEM")]
    NotPem,
    /// The PEM block is not an RSA key of the expected kind, at least 2048 bits long.
    #[error("the key is not an RSA key of at least 2048 bits")]
    NotRsa,
    /// The key could not be generated or encoded.
    #[error("the key could not be generated")]
    Generation,
}

/// The PEM form of the keys in the key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyForm {
    /// `BEGIN RSA PUBLIC KEY`, as in digi.me's key set.
    #[default]
    Pkcs1,
    /// `BEGIN PUBLIC KEY`.
    Spki,
}

/// An RSA key pair for a contract, in the forms that applications and [`Contract`](crate::Contract) use.
#[derive(Clone)]
pub struct ContractKeys {
    /// The private key, PKCS#8 in PEM.
    pub private_key_pem: String,
    /// The public key, SPKI in PEM.
    pub public_key_pem: String,
}

impl fmt::Debug for ContractKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ContractKeys(redacted)")
    }
}

impl ContractKeys {
    /// Generates a 2048-bit pair. Takes a noticeable fraction of a second.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generation)?;
        Self::of_pair(&pair)
    }

    /// The pair of a private key in PEM, PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// When the text is not the private key of an RSA pair of at least 2048 bits.
    pub fn of_private_key(text: &str) -> Result<Self, KeyError> {
        let block = pem::parse(text).map_err(|_| KeyError::NotPem)?;
        let pair = match block.tag() {
            "PRIVATE KEY" => KeyPair::from_pkcs8(block.contents()),
            "RSA PRIVATE KEY" => KeyPair::from_der(block.contents()),
            _ => return Err(KeyError::NotRsa),
        };
        let pair = pair.map_err(|_| KeyError::NotRsa)?;
        if pair.public_modulus_len() < 256 {
            return Err(KeyError::NotRsa);
        }
        Self::of_pair(&pair)
    }

    fn of_pair(pair: &KeyPair) -> Result<Self, KeyError> {
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Generation)?;
        Ok(Self {
            private_key_pem: to_pem("PRIVATE KEY", private.as_ref()),
            public_key_pem: public_pem(pair.public_key(), KeyForm::Spki)?,
        })
    }

    /// The private key as PKCS#1 in PEM (`BEGIN RSA PRIVATE KEY`), the form of digi.me's portal.
    ///
    /// # Errors
    /// When the private key of this pair is not PKCS#8.
    pub fn private_key_pkcs1_pem(&self) -> Result<String, KeyError> {
        let block = pem::parse(&self.private_key_pem).map_err(|_| KeyError::NotPem)?;
        let info = PrivateKeyInfo::try_from(block.contents()).map_err(|_| KeyError::NotRsa)?;
        // RFC 5208 and RFC 8017, appendix A.1: the octets of an RSA key in PKCS#8 are its PKCS#1 form.
        Ok(to_pem("RSA PRIVATE KEY", info.private_key))
    }
}

/// Reads a contract's public key (SPKI or PKCS#1, PEM) into PKCS#1 DER.
pub(crate) fn parse_public_key(text: &str) -> Result<Vec<u8>, KeyError> {
    let block = pem::parse(text).map_err(|_| KeyError::NotPem)?;
    if !matches!(block.tag(), "PUBLIC KEY" | "RSA PUBLIC KEY") {
        return Err(KeyError::NotRsa);
    }
    let key = PublicKey::from_der(block.contents()).map_err(|_| KeyError::NotRsa)?;
    if key.modulus_len() < 256 {
        return Err(KeyError::NotRsa);
    }
    Ok(key.as_ref().to_vec())
}

/// Whether `signature` is a PS512 signature (salt of 64 bytes) of `message`.
pub(crate) fn verifies(public_key_der: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA512, public_key_der).verify(message, signature).is_ok()
}

/// A key that signs answer tokens.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "StoredSigningKey", into = "StoredSigningKey")]
pub(crate) struct SigningKey {
    pub(crate) kid: String,
    pub(crate) form: KeyForm,
    pair: Arc<KeyPair>,
}

impl SigningKey {
    pub(crate) fn generate(kid: String, form: KeyForm) -> Result<Self, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generation)?;
        Ok(Self { kid, form, pair: Arc::new(pair) })
    }

    pub(crate) fn from_pkcs8(kid: String, form: KeyForm, der: &[u8]) -> Result<Self, KeyError> {
        let pair = KeyPair::from_pkcs8(der).map_err(|_| KeyError::NotRsa)?;
        Ok(Self { kid, form, pair: Arc::new(pair) })
    }

    /// The PS512 signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PSS_SHA512, &SystemRandom::new(), message, &mut signature)
            .expect("a 2048-bit key signs with PS512");
        signature
    }

    /// This key as an entry of the key set.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "kid": self.kid,
            "kty": "RSA",
            "n": number(public.modulus().big_endian_without_leading_zero()),
            "e": number(public.exponent().big_endian_without_leading_zero()),
            "pem": public_pem(public, self.form).unwrap_or_default(),
        })
    }
}

/// The form of a [`SigningKey`] in the state file.
#[derive(Serialize, Deserialize)]
struct StoredSigningKey {
    kid: String,
    form: KeyForm,
    pkcs8: String,
}

impl From<SigningKey> for StoredSigningKey {
    fn from(key: SigningKey) -> Self {
        let der: Pkcs8V1Der<'_> = key.pair.as_der().expect("an RSA key pair encodes as PKCS#8");
        Self { kid: key.kid, form: key.form, pkcs8: STANDARD.encode(der.as_ref()) }
    }
}

impl TryFrom<StoredSigningKey> for SigningKey {
    type Error = KeyError;

    fn try_from(stored: StoredSigningKey) -> Result<Self, KeyError> {
        let der = STANDARD.decode(stored.pkcs8).map_err(|_| KeyError::NotRsa)?;
        Self::from_pkcs8(stored.kid, stored.form, &der)
    }
}

fn public_pem(key: &PublicKey, form: KeyForm) -> Result<String, KeyError> {
    Ok(match form {
        KeyForm::Pkcs1 => to_pem("RSA PUBLIC KEY", key.as_ref()),
        KeyForm::Spki => {
            let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| KeyError::Generation)?;
            to_pem("PUBLIC KEY", der.as_ref())
        }
    })
}

fn to_pem(tag: &str, der: &[u8]) -> String {
    pem::encode_config(&Pem::new(tag, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_read_in_both_forms_that_it_is_written_in() {
        let keys = ContractKeys::generate().unwrap();
        let pkcs1 = keys.private_key_pkcs1_pem().unwrap();
        assert!(pkcs1.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        for form in [&pkcs1, &keys.private_key_pem] {
            let read = ContractKeys::of_private_key(form).unwrap();
            assert_eq!(read.public_key_pem, keys.public_key_pem);
            assert_eq!(read.private_key_pem, keys.private_key_pem);
        }
    }

    #[test]
    fn what_is_no_private_rsa_key_is_refused() {
        let keys = ContractKeys::generate().unwrap();
        let relabelled = keys.private_key_pem.replace("PRIVATE KEY", "EC PRIVATE KEY");
        for (text, error) in [
            ("no PEM", KeyError::NotPem),
            (keys.public_key_pem.as_str(), KeyError::NotRsa),
            (relabelled.as_str(), KeyError::NotRsa),
        ] {
            assert_eq!(ContractKeys::of_private_key(text).unwrap_err(), error, "{text}");
        }
    }
}
