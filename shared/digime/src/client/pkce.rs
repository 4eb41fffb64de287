//! PKCE (RFC 7636): the code of the user reauthorization page can only be exchanged by whoever asked for the page.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};

use crate::ambient::Ambient;

/// The secret whose hash is sent when the page's URL is made, and which itself is sent when the page's code is exchanged.
#[derive(Debug, Clone)]
pub struct CodeVerifier(SecretString);

impl CodeVerifier {
    /// A new verifier: 256 random bits in base64url without padding, as RFC 7636 recommends.
    #[must_use]
    pub fn new(ambient: &Ambient) -> Self {
        Self(URL_SAFE_NO_PAD.encode(ambient.bytes::<32>()).into())
    }

    /// A verifier that was stored.
    #[must_use]
    pub fn stored(value: SecretString) -> Self {
        Self(value)
    }

    /// The verifier itself, to store it until the code is exchanged.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0
    }

    /// The code challenge of the method `S256`: the SHA-256 of the verifier's text, in base64url without padding.
    #[must_use]
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.0.expose_secret().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_standards_example() {
        // RFC 7636, appendix B.
        let verifier = CodeVerifier::stored("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into());
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_the_length_that_the_standard_asks_for_and_is_not_printed() {
        let verifier = CodeVerifier::new(&Ambient::system());
        assert_eq!(verifier.secret().expose_secret().len(), 43);
        assert!(!format!("{verifier:?}").contains(verifier.secret().expose_secret()));
    }
}
