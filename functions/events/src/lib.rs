//! The application's routes for the log of events: reading it, delivering events again, and what became of deliveries. Also
//! the routes of the webhook.

mod deliveries;
mod list;
mod queue;
mod redeliver;
pub mod replies;
mod webhook;

use digime::ambient::Ambient;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    aws::Aws,
    config::{ConfigError, Environment},
    services,
    store::{LoggedEvent, Store},
    warm_up::Step,
    web::{ApiRequest, HttpFunction, Problem, Response},
};
use reauth_domain::{EventId, event::ReconnectLink};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::webhook::Endpoint;

#[derive(Debug)]
pub struct Events {
    store: Store,
    ambient: Ambient,
    public_base_url: Option<Url>,
    /// `None` if no webhook is configured.
    endpoint: Option<Endpoint>,
}

/// An event in JSON, with its reconnect link.
struct EventWithLink {
    stored: LoggedEvent,
    body: Value,
    /// Whether the event lacks the link that it must be delivered with.
    lacks_link: bool,
}

/// Which links a list of events contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// Those that work now.
    Working,
    /// All, as they were delivered.
    All,
}

impl HttpFunction for Events {
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        let has_webhook = environment.optional("WEBHOOK_URL").is_some();
        Ok(Self {
            store: services::store(&aws, ambient)?,
            ambient: ambient.clone(),
            public_base_url: environment.base_url("PUBLIC_BASE_URL")?,
            endpoint: has_webhook.then(|| Endpoint::new(&aws, ambient)).transpose()?,
        })
    }

    /// For a page of the log. Without the webhook's secret and a connection of SQS, which few requests need.
    fn warm_up(&self) -> Vec<Step<'_>> {
        self.store.warm_up().into_iter().chain(self.store.warm_up_lists()).collect()
    }

    async fn handle(&self, request: Request) -> Result<Response, Problem> {
        request.require_principal()?;
        match request.route() {
            "GET /events" => Box::pin(self.list(&request)).await,
            "POST /events/{eventId}/redeliver" => Box::pin(self.redeliver_one(&request)).await,
            "POST /events/redeliver" => Box::pin(self.redeliver_range(&request)).await,
            "GET /events/{eventId}/deliveries" => Box::pin(self.deliveries(&request)).await,
            "GET /webhook" => Box::pin(self.show_webhook(&request)).await,
            "POST /webhook/enable" => Box::pin(self.enable_webhook(&request)).await,
            "POST /webhook/test" => Box::pin(self.test_webhook(&request)).await,
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl Events {
    /// The event with this id.
    ///
    /// # Errors
    /// 404 when it is not in the log.
    async fn find(&self, id: &EventId) -> Result<LoggedEvent, Problem> {
        self.store.event_of_log(id).await?.ok_or_else(event_not_found)
    }

    /// The webhook.
    ///
    /// # Errors
    /// 404 when none is configured.
    fn endpoint(&self) -> Result<&Endpoint, Problem> {
        self.endpoint.as_ref().ok_or_else(webhook_not_configured)
    }

    /// The events as they are delivered, with their links.
    async fn with_links(
        &self,
        request: &Request,
        events: Vec<LoggedEvent>,
        wanted: Links,
    ) -> Result<Vec<EventWithLink>, Problem> {
        let mut links = self.store.links_of(&events).await?;
        if wanted == Links::Working {
            let now = self.ambient.now();
            links.retain(|_, (_, expires_at)| now < *expires_at);
        }
        // Without a link, the address of the API need not be known.
        let base = if links.is_empty() { None } else { Some(request.public_base_url(self.public_base_url.as_ref())?) };
        let with_link = |stored: LoggedEvent| {
            let mut body = stored.payload.clone();
            let link = links.remove(&stored.event_id).zip(base.as_ref());
            let lacks_link = stored.carries_link() && link.is_none();
            if let Some(((path, expires_at), base)) = link {
                let url = base.join(path.expose_secret()).map_err(Problem::internal)?.into();
                ReconnectLink { url, expires_at }.add_to(&mut body).map_err(Problem::internal)?;
            }
            Ok(EventWithLink { stored, body, lacks_link })
        };
        events.into_iter().map(with_link).collect()
    }
}

fn event_not_found() -> Problem {
    let detail = "It never existed, it is older than 30 days, its user was erased, or an earlier version of the service \
                  wrote it. An event can be found a second after it was delivered.";
    Problem::new(StatusCode::NOT_FOUND, "event_not_found", "The event is not known.", detail)
}

fn webhook_not_configured() -> Problem {
    let detail = "The service was deployed without a webhook.";
    Problem::new(StatusCode::NOT_FOUND, "webhook_not_configured", "No webhook is configured.", detail)
}
