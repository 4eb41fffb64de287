//! The webhook: a POST with the event as its body, signed as specified by
//! [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use digime::ambient::Ambient;
use http::{StatusCode, header::CONTENT_TYPE};
use reauth_core::{
    aws::Aws,
    config::ConfigError,
    http_client,
    secrets::{Rotating, SecretError},
    services,
    warm_up::Step,
};
use reauth_domain::return_url::is_secure;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use crate::message::Message;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From connecting to the head of the answer. A receiver must answer first and process the event afterwards, because
/// the whole batch waits for the slowest answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A signing secret is this prefix followed by the key in base64.
const SECRET_PREFIX: &str = "whsec_";
/// In bytes, as Standard Webhooks requires.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// The receiver's URL and the keys that sign the events.
#[derive(Debug)]
pub(crate) struct Webhook {
    http: reqwest::Client,
    url: Url,
    keys: Rotating<SigningKeys>,
    ambient: Ambient,
}

/// Why the receiver did not accept an event. The error text contains neither the URL nor the event.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error("could not read the signing secret")]
    Secret(#[from] SecretError),
    #[error("the receiver answered {}", .0.as_u16())]
    Status(StatusCode),
    #[error("could not connect to the receiver")]
    NoConnection(#[source] reqwest::Error),
    #[error("the receiver closed the connection")]
    Disconnected(#[source] reqwest::Error),
    #[error("the receiver did not answer in time")]
    TimedOut,
}

/// The key of the secret's current version, then the key of the previous version. Each event carries one signature per
/// key, so a receiver that still has the previous key can verify it.
pub(crate) struct SigningKeys(Vec<hmac::Key>);

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SigningKeys([redacted])")
    }
}

impl SigningKeys {
    fn read(current: &SecretString, previous: Option<&SecretString>) -> Result<Self, String> {
        let key = |secret: &SecretString| {
            let encoded = secret.expose_secret().trim().strip_prefix(SECRET_PREFIX)?;
            let key = Zeroizing::new(STANDARD.decode(encoded).ok()?);
            KEY_LENGTHS.contains(&key.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &key))
        };
        let keys: Option<Vec<_>> = std::iter::once(current).chain(previous).map(key).collect();
        keys.map(Self).ok_or_else(|| format!("it must be {SECRET_PREFIX} followed by 24 to 64 bytes in base64"))
    }

    /// The value of the `webhook-signature` header: for each key `v1,` and the HMAC-SHA256 of `<id>.<seconds>.<body>`
    /// in base64, separated by spaces.
    fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let message = format!("{id}.{seconds}.{body}");
        let sign = |key| format!("v1,{}", STANDARD.encode(hmac::sign(key, message.as_bytes())));
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

impl Webhook {
    /// Builds the webhook from `WEBHOOK_URL` and `WEBHOOK_SECRET_ID`.
    pub(crate) fn new(aws: &Aws<'_>, ambient: &Ambient) -> Result<Self, ConfigError> {
        let environment = aws.environment();
        let url = Url::parse(environment.required("WEBHOOK_URL")?).ok().filter(is_secure).ok_or_else(|| {
            ConfigError::new("WEBHOOK_URL", "must be an https URL without userinfo (http only for loopback addresses)")
        })?;
        let secrets = services::secrets_manager(aws)?;
        let id = environment.required("WEBHOOK_SECRET_ID")?;
        let keys = Rotating::new(secrets, id, "webhook_secret", ambient, SigningKeys::read);
        let http = http_client::client(aws.tls().clone(), CONNECT_TIMEOUT);
        Ok(Self { http, url, keys, ambient: ambient.clone() })
    }

    /// Fetches the signing secret and opens a connection to the receiver, which gets no request.
    pub(crate) fn warm_up(&self) -> Vec<Step<'_>> {
        let secret = async { self.keys.get().await.map(drop) };
        let receiver = http_client::open(&self.http, &self.url);
        vec![Step::new("fetch the signing secret", secret), Step::new("connect to the receiver", receiver)]
    }

    /// Posts an event. Every status other than 2xx is an error.
    pub(crate) async fn post(&self, message: &Message) -> Result<(), PostError> {
        let keys = self.keys.get().await?;
        let (id, seconds) = (message.event_id.as_str(), self.ambient.now().as_second());
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", keys.sign(id, seconds, &message.body))
            .body(message.body.clone());
        if let Some(traceparent) = &message.traceparent {
            request = request.header("traceparent", traceparent.to_string());
        }
        // The client follows no redirects: the body contains the reconnect link, which must reach the configured URL
        // only.
        match tokio::time::timeout(TIMEOUT, request.send()).await {
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(PostError::Status(answer.status())),
            Ok(Err(error)) if error.is_connect() => Err(PostError::NoConnection(error.without_url())),
            Ok(Err(error)) => Err(PostError::Disconnected(error.without_url())),
            Err(_) => Err(PostError::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8, length: usize) -> SecretString {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![byte; length])).into()
    }

    #[test]
    fn signatures_are_those_of_the_standard() {
        // Computed with openssl: printf %s 'evt_1.1700000000.{"a":1}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:6161…
        let keys = SigningKeys::read(&secret(b'a', 32), None).unwrap();
        assert_eq!(keys.sign("evt_1", 1_700_000_000, r#"{"a":1}"#), "v1,fFo/HNoku95IndaKAPpNXKrI3EDTz+0BvGxdfR9cWb8=");
    }

    #[test]
    fn while_a_secret_is_rotated_both_versions_sign() {
        let both = SigningKeys::read(&secret(1, 24), Some(&secret(2, 64))).unwrap().sign("id", 1, "body");
        let alone = |byte, length| SigningKeys::read(&secret(byte, length), None).unwrap().sign("id", 1, "body");
        assert_eq!(both, format!("{} {}", alone(1, 24), alone(2, 64)));
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_showing_it() {
        for bad in ["", "hello", "whsec_", "whsec_!!", secret(1, 23).expose_secret(), secret(1, 65).expose_secret()] {
            let error = SigningKeys::read(&bad.to_owned().into(), None).unwrap_err();
            assert_eq!(error, "it must be whsec_ followed by 24 to 64 bytes in base64", "{bad}");
        }
    }
}
