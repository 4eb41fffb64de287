//! The keys that sign the events, and the signatures, as specified by
//! [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0.

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Begins a key that the receiver shares.
const SHARED_PREFIX: &str = "whsec_";
/// Begins a private key. Its public key begins with [`PUBLIC_PREFIX`].
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// In bytes, as Standard Webhooks requires.
const SHARED_KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// The seed of an ed25519 key, in bytes.
const SEED_LENGTH: usize = 32;
/// The seed and the public key, as libsodium writes a secret key.
const SEED_AND_PUBLIC_KEY_LENGTH: usize = 64;

/// Why a secret cannot be used. The text contains no part of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidKeys {
    #[error("it must hold one key whsec_… of 24 to 64 bytes in base64")]
    SharedKey,
    #[error("its key whsk_… must be the base64 of an ed25519 seed (32 bytes), or of seed and public key (64 bytes)")]
    PrivateKey,
    #[error("it must hold no more than one key whsec_… and one key whsk_…, separated by whitespace")]
    Words,
}

/// The keys of the secret's current version, then those of the previous version. Each event carries the signatures of
/// both, so a receiver that still has the previous keys can verify it.
pub(super) struct SigningKeys(Vec<Keys>);

/// The keys of one version of the secret.
struct Keys {
    shared: hmac::Key,
    /// aws-lc wipes the key when it is freed, as it does the state of `shared`.
    private: Option<Ed25519KeyPair>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKeys([redacted])")
    }
}

impl SigningKeys {
    pub(super) fn read(current: &SecretString, previous: Option<&SecretString>) -> Result<Self, String> {
        let keys: Result<_, _> = std::iter::once(current).chain(previous).map(Keys::parse).collect();
        keys.map(Self).map_err(|error| error.to_string())
    }

    /// The value of the `webhook-signature` header: for each version of the secret `v1,` and the HMAC-SHA256 of
    /// `<id>.<seconds>.<body>` in base64; if the version has a private key, also `v1a,` and the ed25519 signature of the
    /// same text. Separated by spaces.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let content = format!("{id}.{seconds}.{body}");
        let signatures = self.0.iter().flat_map(|keys| keys.sign(content.as_bytes()));
        signatures.collect::<Vec<_>>().join(" ")
    }

    /// The public keys that verify the `v1a` signatures.
    pub(super) fn public_keys(&self) -> Vec<String> {
        let pairs = self.0.iter().filter_map(|keys| keys.private.as_ref());
        pairs.map(|pair| format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair.public_key()))).collect()
    }
}

impl Keys {
    fn parse(secret: &SecretString) -> Result<Self, InvalidKeys> {
        let (mut shared, mut private) = (None, None);
        for word in secret.expose_secret().split_whitespace() {
            let before = if let Some(encoded) = word.strip_prefix(SHARED_PREFIX) {
                shared.replace(shared_key(encoded)?).is_some()
            } else if let Some(encoded) = word.strip_prefix(PRIVATE_PREFIX) {
                private.replace(private_key(encoded)?).is_some()
            } else {
                true
            };
            if before {
                return Err(InvalidKeys::Words);
            }
        }
        Ok(Self { shared: shared.ok_or(InvalidKeys::SharedKey)?, private })
    }

    fn sign(&self, content: &[u8]) -> impl Iterator<Item = String> {
        let shared = format!("v1,{}", STANDARD.encode(hmac::sign(&self.shared, content)));
        let private = self.private.as_ref().map(|pair| format!("v1a,{}", STANDARD.encode(pair.sign(content))));
        std::iter::once(shared).chain(private)
    }
}

fn shared_key(encoded: &str) -> Result<hmac::Key, InvalidKeys> {
    let key = decode(encoded).filter(|key| SHARED_KEY_LENGTHS.contains(&key.len())).ok_or(InvalidKeys::SharedKey)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn private_key(encoded: &str) -> Result<Ed25519KeyPair, InvalidKeys> {
    let key = decode(encoded).ok_or(InvalidKeys::PrivateKey)?;
    let pair = match key.len() {
        SEED_LENGTH => Ed25519KeyPair::from_seed_unchecked(&key),
        SEED_AND_PUBLIC_KEY_LENGTH => {
            let (seed, public_key) = key.split_at(SEED_LENGTH);
            Ed25519KeyPair::from_seed_and_public_key(seed, public_key)
        }
        _ => return Err(InvalidKeys::PrivateKey),
    };
    pair.map_err(|_| InvalidKeys::PrivateKey)
}

/// Decodes into memory that is wiped, also if the text turns out to be no base64 at its end. The capacity is enough for
/// the whole, so that the bytes are not copied to other memory.
fn decode(encoded: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len() + 4));
    STANDARD.decode_vec(encoded, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of RFC 8032, section 7.1, test 1.
    const SEED: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
        0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    const PUBLIC: [u8; 32] = [
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
        0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
    ];

    fn shared(byte: u8, length: usize) -> String {
        format!("{SHARED_PREFIX}{}", STANDARD.encode(vec![byte; length]))
    }

    fn private(bytes: &[u8]) -> String {
        format!("{PRIVATE_PREFIX}{}", STANDARD.encode(bytes))
    }

    fn read(current: &str, previous: Option<&str>) -> Result<SigningKeys, String> {
        let previous = previous.map(|previous| previous.to_owned().into());
        SigningKeys::read(&current.to_owned().into(), previous.as_ref())
    }

    #[test]
    fn signatures_are_those_of_the_standard() {
        // Computed with openssl: printf %s 'evt_1.1700000000.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:6161…
        let keys = read(&shared(b'a', 32), None).unwrap();
        assert_eq!(keys.sign("evt_1", 1_700_000_000, r#"{"a":1}"#), "v1,fFo/HNoku95IndaKAPpNXKrI3EDTz+0BvGxdfR9cWb8=");
    }

    #[test]
    fn a_private_key_signs_the_same_text() {
        let both = format!("{}\n{}", shared(b'a', 32), private(&SEED));
        let keys = read(&both, None).unwrap();
        let signed = keys.sign("evt_1", 1_700_000_000, r#"{"a":1}"#);
        let (v1, v1a) = signed.split_once(' ').unwrap();
        assert_eq!(v1, "v1,fFo/HNoku95IndaKAPpNXKrI3EDTz+0BvGxdfR9cWb8=");
        let signature = STANDARD.decode(v1a.strip_prefix("v1a,").unwrap()).unwrap();
        let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, PUBLIC);
        public.verify(br#"evt_1.1700000000.{"a":1}"#, &signature).unwrap();
        assert_eq!(keys.public_keys(), [format!("whpk_{}", STANDARD.encode(PUBLIC))]);
    }

    #[test]
    fn a_private_key_may_be_followed_by_its_public_key() {
        let with = |bytes: &[u8]| read(&format!("{} {}", private(bytes), shared(1, 24)), None);
        let (seed, pair) = (with(&SEED).unwrap(), with(&[SEED, PUBLIC].concat()).unwrap());
        assert_eq!(seed.sign("id", 1, "body"), pair.sign("id", 1, "body"));
        let error = with(&[SEED, SEED].concat()).unwrap_err();
        assert_eq!(error, InvalidKeys::PrivateKey.to_string(), "the public key is another one");
    }

    #[test]
    fn while_a_secret_is_rotated_both_versions_sign() {
        let (new, old) = (format!("{} {}", shared(1, 24), private(&SEED)), shared(2, 64));
        let both = read(&new, Some(&old)).unwrap();
        let alone = |secret| read(secret, None).unwrap().sign("id", 1, "body");
        assert_eq!(both.sign("id", 1, "body"), format!("{} {}", alone(&new), alone(&old)));
        assert_eq!(both.public_keys().len(), 1);
        let two = read(&new, Some(&format!("{old} {}", private(&[7; 32])))).unwrap();
        assert_eq!(two.sign("id", 1, "body").matches("v1a,").count(), 2);
        assert_eq!(two.public_keys()[0], both.public_keys()[0]);
        assert_eq!(two.public_keys().len(), 2);
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_showing_it() {
        let (good, key) = (shared(1, 24), private(&SEED));
        let cases = [
            (String::new(), InvalidKeys::SharedKey),
            (" \n".to_owned(), InvalidKeys::SharedKey),
            ("whsec_".to_owned(), InvalidKeys::SharedKey),
            ("whsec_!!".to_owned(), InvalidKeys::SharedKey),
            (shared(1, 23), InvalidKeys::SharedKey),
            (shared(1, 65), InvalidKeys::SharedKey),
            (key.clone(), InvalidKeys::SharedKey),
            (format!("{good} whsk_"), InvalidKeys::PrivateKey),
            (format!("{good} whsk_???"), InvalidKeys::PrivateKey),
            (format!("{good} {}", private(&[1; 31])), InvalidKeys::PrivateKey),
            (format!("{good} {}", private(&[1; 33])), InvalidKeys::PrivateKey),
            ("hello".to_owned(), InvalidKeys::Words),
            (format!("{good} {good}"), InvalidKeys::Words),
            (format!("{good} {key} {key}"), InvalidKeys::Words),
            (format!("{good} whpk_{}", STANDARD.encode(PUBLIC)), InvalidKeys::Words),
            (format!("{good},{key}"), InvalidKeys::SharedKey),
        ];
        for (bad, error) in cases {
            assert_eq!(read(&bad, None).unwrap_err(), error.to_string(), "{bad}");
        }
    }
}
