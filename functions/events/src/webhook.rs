//! The routes of the webhook: its state, and a test of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use digime::ambient::Ambient;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    aws::Aws,
    config::ConfigError,
    error::Chain,
    secrets::SecretError,
    store::{StoreError, WebhookStore, url_hash},
    web::{ApiRequest, Problem, Response, response},
    webhook::{Outgoing, Webhook},
};
use reauth_domain::{
    EventId, TestEvent,
    webhook::{WebhookHealth, WebhookStateName},
};
use tracing::instrument;

use crate::{
    Events,
    queue::Queue,
    replies::{WebhookBody, WebhookTestBody},
};

/// The time that a test requires: that of a post, and of the reply.
const TEST_TIME: Duration = Duration::from_secs(16);

/// The endpoint that events are posted to.
#[derive(Debug)]
pub(crate) struct Endpoint {
    webhook: Webhook,
    /// Names the endpoint in the item of its health.
    url_hash: String,
    store: WebhookStore,
    pub(crate) queue: Queue,
}

impl Endpoint {
    pub(crate) fn new(aws: &Aws<'_>, ambient: &Ambient) -> Result<Self, ConfigError> {
        let webhook = Webhook::new(aws, ambient)?;
        Ok(Self {
            url_hash: url_hash(webhook.url()),
            webhook,
            store: WebhookStore::from_environment(aws, ambient)?,
            queue: Queue::new(aws)?,
        })
    }

    pub(crate) async fn is_disabled(&self) -> Result<bool, StoreError> {
        let health = self.store.health_of(&self.url_hash).await?.value;
        Ok(health.state.name() == WebhookStateName::Disabled)
    }

    /// Without the secret, the state can be shown all the same. The public keys are then left out.
    async fn public_keys(&self) -> Option<Vec<String>> {
        let keys = self.webhook.public_keys().await;
        let warn = |error: &SecretError| {
            tracing::warn!(error = %Chain(error), "webhook: could not read the secret for the public keys");
        };
        keys.inspect_err(warn).ok()
    }

    async fn body(&self, health: WebhookHealth) -> Result<WebhookBody, Problem> {
        let waiting = async { self.queue.depth().await.map_err(Problem::unavailable) };
        let (waiting, public_keys) = tokio::join!(waiting, self.public_keys());
        let waiting = waiting?;
        Ok(WebhookBody {
            url: self.webhook.url().to_string(),
            state: health.state.name(),
            since: health.state.since(),
            reason: health.state.reason(),
            last_success_at: health.last_success_at,
            waiting,
            public_keys,
        })
    }
}

impl Events {
    /// `GET /webhook`.
    #[instrument(skip_all)]
    pub(crate) async fn show_webhook(&self, request: &Request) -> Result<Response, Problem> {
        request.input().finish(|| Some(()))?;
        let endpoint = self.endpoint()?;
        let health = endpoint.store.health_of(&endpoint.url_hash).await?.value;
        Ok(response::json(StatusCode::OK, &endpoint.body(health).await?))
    }

    /// `POST /webhook/enable`: events are posted again. Does nothing if the endpoint is not disabled.
    #[instrument(skip_all)]
    pub(crate) async fn enable_webhook(&self, request: &Request) -> Result<Response, Problem> {
        request.input().finish(|| Some(()))?;
        let (endpoint, now) = (self.endpoint()?, self.ambient.now());
        let changed = AtomicBool::new(false);
        let enable = |health: &WebhookHealth| {
            let enabled = health.enabled(now);
            changed.store(enabled.is_some(), Ordering::Relaxed);
            enabled
        };
        let deadline = request.context().deadline;
        let health = endpoint.store.change_health(&endpoint.url_hash, deadline, enable).await?;
        if changed.into_inner() {
            tracing::info!("webhook: the endpoint is enabled");
        }
        Ok(response::json(StatusCode::OK, &endpoint.body(health).await?))
    }

    /// `POST /webhook/test`: posts an event that is about nobody, once, also while the endpoint is disabled. It says nothing
    /// about the health of the endpoint.
    #[instrument(skip_all)]
    pub(crate) async fn test_webhook(&self, request: &Request) -> Result<Response, Problem> {
        request.input().finish(|| Some(()))?;
        let endpoint = self.endpoint()?;
        // Fetched and cached before the time is looked at: the post itself does not wait for them.
        endpoint.webhook.public_keys().await.map_err(|error| secret_problem(&error))?;
        if self.ambient.remaining(request.context().deadline) < TEST_TIME {
            return Err(Problem::unavailable("too little time is left to post a test"));
        }
        let now = self.ambient.now();
        let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let event_id = EventId::new(milliseconds, self.ambient.bytes());
        let body = TestEvent::new(event_id.clone(), now).to_json().map_err(Problem::internal)?.to_string();
        let traceparent = Some(request.context().traceparent);
        let posted = endpoint.webhook.post(Outgoing { event_id: &event_id, body: &body, traceparent }).await;
        let outcome = posted.map_err(|error| secret_problem(&error))?;
        let duration = self.ambient.now().duration_since(outcome.began).as_millis();
        let (status_code, delivered) = (outcome.status(), outcome.is_accepted());
        let (error, response) = (outcome.error(), outcome.response().map(str::to_owned));
        tracing::info!(%event_id, status_code, error, "webhook: posted a test event");
        let duration_ms = u64::try_from(duration).unwrap_or_default();
        let body = WebhookTestBody { event_id, delivered, status_code, error, response, duration_ms };
        Ok(response::json(StatusCode::OK, &body))
    }
}

/// The secret of the signatures cannot be read.
fn secret_problem(error: &SecretError) -> Problem {
    match error {
        SecretError::Unavailable(_) => Problem::unavailable(Chain(error)),
        SecretError::Unknown | SecretError::Unusable(_) => Problem::internal(Chain(error)),
    }
}
