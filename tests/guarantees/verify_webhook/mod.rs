//! The programs in Rust of `docs/events.md` that verify a webhook accept what this service signs, and nothing else. Those in
//! other languages are run by `.ci/commands.py`.

#[expect(unreachable_pub, reason = "as an application writes it")]
mod public_key;
#[expect(unreachable_pub, reason = "as an application writes it")]
mod shared_secret;

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use digime::ambient::Ambient;
use http::HeaderMap;

const ID: &str = "evt_00112233445566778899aabbccddeeff";
const BODY: &[u8] = br#"{"type":"webhook.test"}"#;

/// The keys of one endpoint.
struct Keys {
    secret: [u8; 32],
    pair: Ed25519KeyPair,
}

impl Keys {
    fn new(seed: u8) -> Self {
        Self { secret: [seed; 32], pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    fn sign(&self, seconds: i64) -> String {
        let content = [format!("{ID}.{seconds}.").as_bytes(), BODY].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.secret), &content);
        let signature = self.pair.sign(&content);
        format!("v1,{} v1a,{}", BASE64_STANDARD.encode(tag), BASE64_STANDARD.encode(signature))
    }

    /// Whether the programs accept a request. Both must say the same.
    fn accept(&self, headers: &HeaderMap, body: &[u8], now: i64) -> bool {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(self.secret));
        let public_key = format!("whpk_{}", BASE64_STANDARD.encode(self.pair.public_key()));
        let with_secret = shared_secret::verify(&secret, headers, body).is_ok();
        assert_eq!(public_key::verify(&public_key, headers, body, now).is_some(), with_secret, "{headers:?}");
        with_secret
    }
}

fn now() -> i64 {
    Ambient::system().now().as_second()
}

fn headers(seconds: i64, signature: &str) -> HeaderMap {
    let all = [("webhook-id", ID), ("webhook-timestamp", &seconds.to_string()), ("webhook-signature", signature)];
    all.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn the_programs_of_the_document_are_those_that_are_tested() {
    let document = include_str!("../../../docs/events.md");
    let blocks = document.split("```rust\n").skip(1).map(|block| block.split("```").next().unwrap());
    let tested = [include_str!("shared_secret.rs"), include_str!("public_key.rs")];
    assert_eq!(blocks.collect::<Vec<_>>(), tested);
}

#[test]
fn a_genuine_event_is_accepted() {
    let (keys, others, now) = (Keys::new(1), Keys::new(2), now());
    assert!(keys.accept(&headers(now, &keys.sign(now)), BODY, now));
    let both = format!("{} {}", others.sign(now), keys.sign(now));
    assert!(keys.accept(&headers(now, &both), BODY, now), "while the secret is exchanged");
}

#[test]
fn anything_else_is_refused() {
    let (keys, others, now) = (Keys::new(1), Keys::new(2), now());
    let genuine = keys.sign(now);
    assert!(!keys.accept(&headers(now, &genuine), br#"{"type":"webhook.tests"}"#, now), "another body");
    assert!(!keys.accept(&headers(now + 60, &genuine), BODY, now), "another time");
    for seconds in [now - 400, now + 400] {
        assert!(!keys.accept(&headers(seconds, &keys.sign(seconds)), BODY, now), "{seconds} is too far from {now}");
    }
    for signature in [&others.sign(now), "", "v1 v1a", "v1, v1a,", "v1,? v1a,?", &genuine[..20]] {
        assert!(!keys.accept(&headers(now, signature), BODY, now), "{signature:?}");
    }
    let mut unsigned = headers(now, &genuine);
    unsigned.remove("webhook-signature");
    assert!(!keys.accept(&unsigned, BODY, now), "no signature");
}
