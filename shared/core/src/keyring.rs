//! The keys that are derived from the service secret: for sealed values, reconnect links and tombstones.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    constant_time, digest, hkdf, hmac,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use digime::ambient::Ambient;
use reauth_domain::{EventId, UserId};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The minimum length of the service secret in characters. A shorter one could be guessed.
pub const MIN_SECRET_LENGTH: usize = 32;
const KEY_ID_LENGTH: usize = 4;

/// The keys derived from the current and the previous version of the service secret.
pub struct Keyring {
    current: Keys,
    previous: Option<Keys>,
}

struct Keys {
    id: [u8; KEY_ID_LENGTH],
    sealing: LessSafeKey,
    links: hmac::Key,
    tombstones: hmac::Key,
}

/// A sealed value that no key can open, or that was sealed for another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value cannot be opened with the current or the previous service secret")]
pub struct CannotOpen;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service secret must be at least {MIN_SECRET_LENGTH} characters long")]
pub struct WeakSecret;

impl std::fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keyring([redacted])")
    }
}

impl Keyring {
    /// Derives the keys from the secret's versions. Equal versions count as one: each tombstone id of a user is the key
    /// of a condition check, and DynamoDB refuses a transaction that contains the same key twice.
    ///
    /// # Errors
    /// [`WeakSecret`] when a version is too short.
    pub fn new(current: &SecretString, previous: Option<&SecretString>) -> Result<Self, WeakSecret> {
        let previous =
            previous.filter(|previous| !equal_in_constant_time(current.expose_secret(), previous.expose_secret()));
        Ok(Self { current: Keys::derive(current)?, previous: previous.map(Keys::derive).transpose()? })
    }

    fn all(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Seals a value with AES-256-GCM. It can only be opened with the same `associated` data.
    #[must_use]
    #[expect(clippy::expect_used, reason = "AES-GCM fails on values of 64 GiB, and ours are of a few KiB")]
    pub fn seal(&self, associated: &str, value: &str, ambient: &Ambient) -> String {
        let nonce: [u8; NONCE_LEN] = ambient.bytes();
        let mut sealed = value.as_bytes().to_vec();
        let key = &self.current.sealing;
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut sealed)
            .expect("a short value can be sealed");
        URL_SAFE_NO_PAD.encode([self.current.id.as_slice(), &nonce, &sealed].concat())
    }

    /// Opens a value that [`Keyring::seal`] sealed with the same `associated` data.
    ///
    /// # Errors
    /// [`CannotOpen`] when the value was changed, has other associated data, or was sealed with a secret older than the
    /// previous one.
    pub fn open(&self, associated: &str, sealed: &str) -> Result<SecretString, CannotOpen> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CannotOpen)?;
        let (id, rest) = bytes.split_at_checked(KEY_ID_LENGTH).ok_or(CannotOpen)?;
        let (nonce, rest) = rest.split_at_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let keys = self.all().find(|keys| keys.id == id).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut value = Zeroizing::new(rest.to_vec());
        let opened = keys.sealing.open_in_place(nonce, Aad::from(associated), &mut value).map_err(|_| CannotOpen)?;
        std::str::from_utf8(opened).map(SecretString::from).map_err(|_| CannotOpen)
    }

    /// Whether values can be sealed with an earlier key than the current one.
    #[must_use]
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// Seals a value again that the previous key sealed. `None` if the current key sealed it, or no key opens it.
    #[must_use]
    pub fn reseal(&self, associated: &str, sealed: &str, ambient: &Ambient) -> Option<String> {
        if URL_SAFE_NO_PAD.decode(sealed).ok()?.starts_with(&self.current.id) {
            return None;
        }
        let opened = self.open(associated, sealed).ok()?;
        Some(self.seal(associated, opened.expose_secret(), ambient))
    }

    /// The id of the key that new links are derived with. It is stored with the event, so that each delivery contains
    /// the same link, also after one rotation of the service secret.
    #[must_use]
    pub fn link_key_id(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.current.id)
    }

    /// The token of an event's reconnect link: 43 characters of base64url. Derived with the current key if the key
    /// `key_id` no longer exists.
    #[must_use]
    pub fn link_token(&self, event: &EventId, key_id: &str) -> SecretString {
        let named = self.all().find(|keys| URL_SAFE_NO_PAD.encode(keys.id) == key_id);
        let keys = named.unwrap_or(&self.current);
        URL_SAFE_NO_PAD.encode(hmac::sign(&keys.links, event.as_str().as_bytes())).into()
    }

    /// The token of a link that was already sent. `None` if the key `key_id` no longer exists.
    #[must_use]
    pub fn existing_link_token(&self, event: &EventId, key_id: &str) -> Option<SecretString> {
        let is_known = self.all().any(|keys| URL_SAFE_NO_PAD.encode(keys.id) == key_id);
        is_known.then(|| self.link_token(event, key_id))
    }

    /// The ids of a user's tombstones: keyed hashes of the user id, the one with the current key first.
    #[must_use]
    pub fn tombstone_ids(&self, user: &UserId) -> Vec<String> {
        let id = |keys: &Keys| URL_SAFE_NO_PAD.encode(hmac::sign(&keys.tombstones, user.as_str().as_bytes()));
        self.all().map(id).collect()
    }
}

impl Keys {
    fn derive(secret: &SecretString) -> Result<Self, WeakSecret> {
        let secret = secret.expose_secret();
        if secret.chars().count() < MIN_SECRET_LENGTH {
            return Err(WeakSecret);
        }
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"digime-reauth").extract(secret.as_bytes());
        let id = expand(&root, b"key id");
        Ok(Self {
            id: [id[0], id[1], id[2], id[3]],
            sealing: LessSafeKey::new(unbound(&expand(&root, b"sealing"))),
            links: hmac::Key::new(hmac::HMAC_SHA256, &*expand(&root, b"reconnect links")),
            tombstones: hmac::Key::new(hmac::HMAC_SHA256, &*expand(&root, b"forgotten users")),
        })
    }
}

#[expect(clippy::expect_used, reason = "AES-256 takes any 32 bytes as its key")]
fn unbound(key: &[u8; 32]) -> UnboundKey {
    UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key")
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
fn expand(root: &hkdf::Prk, info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let info = [info];
    let okm = root.expand(&info, hkdf::HKDF_SHA256).expect("32 bytes are not too many");
    okm.fill(&mut *key).expect("32 bytes are not too many");
    key
}

/// SHA-256 in base64url, for values that are only stored as a hash.
#[must_use]
pub fn sha256(value: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, value.as_bytes()))
}

/// Compares in a time that does not depend on how much of the two values is equal.
#[must_use]
pub fn equal_in_constant_time(a: &str, b: &str) -> bool {
    constant_time::verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok()
}

/// In characters: 256 bits in base64url without padding.
const SECRET_LENGTH: usize = 43;

/// Whether a text has the form of this service's random secrets and link tokens.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == SECRET_LENGTH && text.bytes().all(base64url)
}

/// The path of a reconnect link, relative to the base URL. It contains the token.
#[must_use]
pub fn reconnect_path(token: &SecretString) -> SecretString {
    format!("reconnect/{}", token.expose_secret()).into()
}

/// The path of the page that stops the mails to a user, relative to the base URL. It contains the token.
#[must_use]
pub fn unsubscribe_path(token: &str) -> SecretString {
    format!("unsubscribe/{token}").into()
}

/// 256 random bits in base64url.
#[must_use]
pub fn random_secret(ambient: &Ambient) -> SecretString {
    URL_SAFE_NO_PAD.encode(ambient.bytes::<32>()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(letter: &str) -> SecretString {
        letter.repeat(MIN_SECRET_LENGTH).into()
    }

    #[test]
    fn a_sealed_value_opens_only_where_it_was_sealed() {
        let keyring = Keyring::new(&secret("a"), None).unwrap();
        let sealed = keyring.seal("here", "value", &Ambient::system());
        assert_eq!(keyring.open("here", &sealed).unwrap().expose_secret(), "value");
        assert_eq!(keyring.open("there", &sealed).unwrap_err(), CannotOpen);
        assert_eq!(keyring.open("here", &sealed[1..]).unwrap_err(), CannotOpen);
        assert_eq!(keyring.open("here", "").unwrap_err(), CannotOpen);
        assert!(!sealed.contains("value"));
    }

    #[test]
    fn the_previous_secret_still_opens_what_it_sealed() {
        let before = Keyring::new(&secret("a"), None).unwrap();
        let sealed = before.seal("here", "value", &Ambient::system());
        let after = Keyring::new(&secret("b"), Some(&secret("a"))).unwrap();
        assert!(after.open("here", &sealed).is_ok());
        let later = Keyring::new(&secret("c"), Some(&secret("b"))).unwrap();
        assert_eq!(later.open("here", &sealed).unwrap_err(), CannotOpen);
    }

    #[test]
    fn only_what_the_previous_secret_sealed_is_sealed_again() {
        let ambient = Ambient::system();
        let before = Keyring::new(&secret("a"), None).unwrap();
        let after = Keyring::new(&secret("b"), Some(&secret("a"))).unwrap();
        let later = Keyring::new(&secret("c"), Some(&secret("b"))).unwrap();
        let sealed = before.seal("here", "value", &ambient);
        let resealed = after.reseal("here", &sealed, &ambient).unwrap();
        assert_eq!(later.open("here", &resealed).unwrap().expose_secret(), "value");
        assert_eq!(after.reseal("here", &resealed, &ambient), None, "it is sealed with the current key");
        assert_eq!(before.reseal("here", &resealed, &ambient), None, "a process that does not know the new key yet");
        assert_eq!(later.reseal("here", &sealed, &ambient), None);
        assert!(after.has_previous() && !before.has_previous());
    }

    #[test]
    fn a_link_stays_the_same_over_a_rotation() {
        let event = EventId::from([1; 16]);
        let before = Keyring::new(&secret("a"), None).unwrap();
        let after = Keyring::new(&secret("b"), Some(&secret("a"))).unwrap();
        let key_id = before.link_key_id();
        let token = before.link_token(&event, &key_id);
        assert_eq!(token.expose_secret().len(), 43);
        assert_eq!(after.link_token(&event, &key_id).expose_secret(), token.expose_secret());
        assert_ne!(after.link_token(&event, "unknown").expose_secret(), token.expose_secret());
        assert_ne!(before.link_token(&EventId::from([2; 16]), &key_id).expose_secret(), token.expose_secret());
    }

    #[test]
    fn two_equal_versions_count_once() {
        let user = "user".parse().unwrap();
        assert_eq!(Keyring::new(&secret("a"), Some(&secret("a"))).unwrap().tombstone_ids(&user).len(), 1);
        assert_eq!(Keyring::new(&secret("b"), Some(&secret("a"))).unwrap().tombstone_ids(&user).len(), 2);
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Keyring::new(&"short".to_owned().into(), None).unwrap_err(), WeakSecret);
    }
}
