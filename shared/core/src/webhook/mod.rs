//! The webhook: a POST with the event as its body, signed as specified by
//! [Standard Webhooks](https://www.standardwebhooks.com) 1.0.0, to a public address only.

mod answer;
mod client;
mod guard;
mod keys;
mod outcome;

use digime::ambient::Ambient;
use reauth_domain::{EventId, TraceParent};
use url::Url;

pub use self::guard::InvalidUrl;
pub use self::outcome::{Outcome, PostError, PostResult, Refusal};
use self::{client::Client, guard::Reach, keys::SigningKeys};
use crate::{
    aws::Aws,
    config::{ConfigError, Environment},
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

/// What is posted.
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
        let (url, reach) = checked_url(environment.required("WEBHOOK_URL")?, allows_loopback(environment)?)
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

    /// Posts an event once. Takes at most 15 seconds, and the time that the secret takes.
    ///
    /// # Errors
    /// When the secret cannot be read. Nothing was posted then.
    pub async fn post(&self, message: Outgoing<'_>) -> Result<Outcome, SecretError> {
        let keys = self.keys.get().await?;
        let began = self.ambient.now();
        let (id, seconds) = (message.event_id.as_str(), began.as_second());
        let mut headers = vec![
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", keys.sign(id, seconds, message.body)),
        ];
        headers.extend(message.traceparent.map(|traceparent| ("traceparent", traceparent.to_string())));
        Ok(Outcome { began, result: self.client.post(headers, message.body, &self.ambient).await })
    }
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

fn allows_loopback(environment: &Environment) -> Result<bool, ConfigError> {
    match environment.optional("WEBHOOK_ALLOW_LOOPBACK") {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(ConfigError::new("WEBHOOK_ALLOW_LOOPBACK", "must be true or false")),
    }
}
