//! The webhook: a POST with the event as its body, signed as specified by
//! [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0, to a public address only.

mod answer;
mod client;
mod keys;
mod outcome;

use std::sync::Arc;

use digime::ambient::Ambient;
use jiff::Timestamp;
use reauth_domain::{EventId, TraceParent};
use secrecy::SecretString;
use url::Url;

pub use self::client::LONGEST_POST;
pub use self::outcome::{Outcome, PostError, PostResult, Refusal};
use self::{client::Client, keys::SigningKeys};
pub use crate::outbound::InvalidUrl;
use crate::{
    aws::Aws,
    config::ConfigError,
    outbound::guard::Reach,
    secrets::{Rotating, SecretError},
    services,
    warm_up::Step,
};

/// The receiver's URL and the keys that sign the events.
#[derive(Debug)]
pub struct Webhook {
    client: Client,
    keys: Rotating<SigningKeys>,
    ambient: Ambient,
}

/// A webhook with its keys at hand, so that a post waits for the receiver only.
#[derive(Debug)]
pub struct ReadyWebhook<'a> {
    webhook: &'a Webhook,
    keys: Arc<SigningKeys>,
}

/// An event on its way to the endpoint.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// Sent as the `webhook-id` header.
    pub event_id: &'a EventId,
    /// The event in JSON, posted unchanged.
    pub body: &'a str,
    /// The trace of the event, sent as the `traceparent` header.
    pub traceparent: Option<TraceParent>,
}

impl Webhook {
    /// Builds the webhook from `WEBHOOK_URL`, `WEBHOOK_SECRET_ID` and `WEBHOOK_ALLOW_LOOPBACK`. Makes no call.
    pub fn new(aws: &Aws<'_>, ambient: &Ambient) -> Result<Self, ConfigError> {
        let environment = aws.environment();
        let (url, reach) =
            checked_url(environment.required("WEBHOOK_URL")?, environment.switch("WEBHOOK_ALLOW_LOOPBACK")?)
                .map_err(|problem| ConfigError::new("WEBHOOK_URL", problem))?;
        let secrets = services::secrets_manager(aws)?;
        let id = environment.required("WEBHOOK_SECRET_ID")?;
        let keys = Rotating::new(secrets, id, "webhook_secret", ambient, SigningKeys::read);
        Ok(Self { client: Client::new(aws.tls().clone(), url, reach), keys, ambient: ambient.clone() })
    }

    #[must_use]
    pub fn url(&self) -> &Url {
        self.client.url()
    }

    /// Fetches the signing secret. The receiver gets no request before there is an event.
    pub fn warm_up(&self) -> Vec<Step<'_>> {
        vec![Step::new("fetch the signing secret", async { self.keys.get().await.map(drop) })]
    }

    /// The public keys `whpk_…` of the secret's current and previous version. Empty if the secret has no private key.
    pub async fn public_keys(&self) -> Result<Vec<String>, SecretError> {
        Ok(self.keys.get().await?.public_keys())
    }

    /// Fetches the keys, if they are not known.
    pub async fn ready(&self) -> Result<ReadyWebhook<'_>, SecretError> {
        Ok(ReadyWebhook { webhook: self, keys: self.keys.get().await? })
    }

    /// Posts an event once, when the keys are at hand.
    ///
    /// # Errors
    /// When the secret cannot be read. Nothing was posted then.
    pub async fn post(&self, message: Outgoing<'_>) -> Result<Outcome, SecretError> {
        Ok(self.ready().await?.post(message).await)
    }
}

impl ReadyWebhook<'_> {
    /// Posts an event once. Takes at most [`LONGEST_POST`].
    pub async fn post(&self, message: Outgoing<'_>) -> Outcome {
        let Webhook { client, ambient, .. } = self.webhook;
        let began = ambient.now();
        let headers = headers(&self.keys, message, began);
        Outcome { began, result: client.post(headers, message.body, ambient).await }
    }
}

/// The headers of Standard Webhooks, and the trace.
fn headers(keys: &SigningKeys, message: Outgoing<'_>, at: Timestamp) -> Vec<(&'static str, String)> {
    let (id, seconds) = (message.event_id.as_str(), at.as_second());
    let mut headers = vec![
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", keys.sign(id, seconds, message.body)),
    ];
    headers.extend(message.traceparent.map(|traceparent| ("traceparent", traceparent.to_string())));
    headers
}

/// Checks the value of `WEBHOOK_URL`, as a function does at its start.
///
/// # Errors
/// When it is no URL, not https, or names an address that is not public. `allow_loopback` permits loopback addresses, and
/// `http` to these only.
pub fn check_url(url: &str, allow_loopback: bool) -> Result<(), InvalidUrl> {
    checked_url(url, allow_loopback).map(drop)
}

fn checked_url(url: &str, allow_loopback: bool) -> Result<(Url, Reach), InvalidUrl> {
    let url = Url::parse(url).map_err(|_| InvalidUrl::NoUrl)?;
    let reach = Reach::of(&url, allow_loopback)?;
    Ok((url, reach))
}

/// The public key `whpk_…` of a secret. `None` if the secret has no private key, or cannot be used.
#[must_use]
pub fn public_key(secret: &SecretString) -> Option<String> {
    SigningKeys::read(secret, None).ok()?.public_keys().pop()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use base64::{Engine, engine::general_purpose::STANDARD};
    use http::{HeaderMap, HeaderName};

    use super::*;

    const BODY: &str = r#"{"type":"account.removed","data":{"eventId":"evt_1","serviceName":"Bänk"}}"#;

    /// The headers as a receiver gets them.
    fn received(keys: &SigningKeys) -> HeaderMap {
        let event_id = EventId::from([1; 16]);
        let message = Outgoing { event_id: &event_id, body: BODY, traceparent: None };
        let headers = headers(keys, message, Ambient::system().now());
        headers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn secret(byte: u8) -> (String, String) {
        let key = |prefix: &str| format!("{prefix}{}", STANDARD.encode([byte; 32]));
        (key("whsec_"), key("whsk_"))
    }

    #[test]
    fn the_library_of_the_standard_verifies_v1() {
        let ((shared, private), (old, _)) = (secret(1), secret(2));
        let keys = SigningKeys::read(&format!("{shared} {private}").into(), Some(&old.clone().into())).unwrap();
        let headers = received(&keys);
        for secret in [shared, old] {
            let receiver = standardwebhooks::Webhook::new(&secret).unwrap();
            receiver.verify(BODY.as_bytes(), &headers).unwrap();
            assert!(receiver.verify(BODY.replace("removed", "healed").as_bytes(), &headers).is_err());
            let mut other = headers.clone();
            other.insert("webhook-id", "evt_2".parse().unwrap());
            assert!(receiver.verify(BODY.as_bytes(), &other).is_err());
        }
        let stranger = standardwebhooks::Webhook::new(&secret(3).0).unwrap();
        assert!(stranger.verify(BODY.as_bytes(), &headers).is_err());
    }

    /// The libraries of the standard do not verify `v1a`.
    #[test]
    fn the_public_key_verifies_v1a() {
        let (shared, private) = secret(1);
        let keys = SigningKeys::read(&format!("{shared} {private}").into(), None).unwrap();
        let headers = received(&keys);
        let text = |name: &str| headers[name].to_str().unwrap();
        let public = STANDARD.decode(keys.public_keys()[0].strip_prefix("whpk_").unwrap()).unwrap();
        let signature = text("webhook-signature").split(' ').find_map(|one| one.strip_prefix("v1a,")).unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        let signed = format!("{}.{}.{BODY}", text("webhook-id"), text("webhook-timestamp"));
        UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature).unwrap();
    }

    fn built(variables: &[(&str, &str)]) -> Result<Webhook, ConfigError> {
        let common = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("WEBHOOK_SECRET_ID", "secret"),
        ];
        let all = common.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = all.collect();
        Webhook::new(&Aws::new(&environment).unwrap(), &Ambient::system())
    }

    #[test]
    fn loopback_addresses_need_the_setting() {
        let local = ("WEBHOOK_URL", "http://127.0.0.1:8000/hooks");
        for without in [None, Some("false"), Some("")] {
            let setting = without.map(|value| ("WEBHOOK_ALLOW_LOOPBACK", value));
            let variables: Vec<_> = setting.into_iter().chain([local]).collect();
            assert_eq!(built(&variables).unwrap_err().variable, "WEBHOOK_URL");
        }
        let webhook = built(&[local, ("WEBHOOK_ALLOW_LOOPBACK", "true")]).unwrap();
        assert_eq!(webhook.url().as_str(), local.1);
        for wrong in ["TRUE", "1", "yes", "wrong-value"] {
            let error = built(&[local, ("WEBHOOK_ALLOW_LOOPBACK", wrong)]).unwrap_err();
            assert_eq!(error.to_string(), "WEBHOOK_ALLOW_LOOPBACK must be true or false");
        }
    }

    #[test]
    fn a_url_that_is_not_public_is_refused_by_name_and_not_shown() {
        let error = built(&[("WEBHOOK_URL", "https://169.254.169.254/latest?key=k")]).unwrap_err().to_string();
        assert!(error.starts_with("WEBHOOK_URL must ") && !error.contains("169") && !error.contains("key="), "{error}");
        assert!(built(&[("WEBHOOK_URL", "https://app.example/hooks")]).is_ok());
    }
}
