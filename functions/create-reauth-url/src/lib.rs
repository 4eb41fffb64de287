//! Creates a reauthorization and its URL, and serves the reconnect link.

mod api;
mod create;
mod reconnect;
pub mod replies;
mod unsubscribe;

use std::time::Duration;

use digime::ambient::Ambient;
use lambda_http::Request;
use reauth_core::{
    authorized_client::AuthorizedClient,
    aws::Aws,
    config::{ConfigError, Environment},
    logos::LogoCache,
    warm_up::Step,
    web::{ApiRequest, HttpFunction, Problem, Response, ResponseExt, page::Branding},
};
use reauth_domain::{AllowedOrigins, Locale, ReturnUrl};
use url::Url;

/// How long after its creation a reauthorization accepts the callback, unless `REAUTHORIZATION_TTL` is set.
const DEFAULT_REAUTHORIZATION_TTL: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub struct CreateReauthUrl {
    authorized: AuthorizedClient,
    ambient: Ambient,
    settings: Settings,
    branding: Branding,
    logos: LogoCache,
}

#[derive(Debug)]
struct Settings {
    public_base_url: Option<Url>,
    allowed_origins: AllowedOrigins,
    default_return_url: Option<ReturnUrl>,
    default_locale: Option<Locale>,
    reauthorization_ttl: Duration,
}

impl Settings {
    fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let origins = environment.optional("ALLOWED_RETURN_ORIGINS").unwrap_or_default();
        let allowed_origins =
            AllowedOrigins::parse(origins).map_err(|error| ConfigError::new("ALLOWED_RETURN_ORIGINS", error))?;
        let default_return_url = environment
            .optional("DEFAULT_RETURN_URL")
            .map(|url| ReturnUrl::parse(url, &allowed_origins))
            .transpose()
            .map_err(|error| ConfigError::new("DEFAULT_RETURN_URL", error))?;
        Ok(Self {
            public_base_url: environment.base_url("PUBLIC_BASE_URL")?,
            allowed_origins,
            default_return_url,
            default_locale: environment.parsed("DEFAULT_LOCALE")?,
            reauthorization_ttl: environment.duration("REAUTHORIZATION_TTL")?.unwrap_or(DEFAULT_REAUTHORIZATION_TTL),
        })
    }
}

impl HttpFunction for CreateReauthUrl {
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let authorized = AuthorizedClient::new(&Aws::new(environment)?, ambient)?;
        Ok(Self {
            logos: LogoCache::new(&authorized.store, ambient),
            authorized,
            ambient: ambient.clone(),
            settings: Settings::from_environment(environment)?,
            branding: Branding::from_environment(environment)?,
        })
    }

    fn warm_up(&self) -> Vec<Step<'_>> {
        self.authorized.warm_up()
    }

    async fn handle(&self, request: Request) -> Result<Response, Problem> {
        match request.route() {
            "POST /users/{userId}/accounts/{accountId}/reauthorizations" => {
                Box::pin(self.create_for_account(&request)).await
            }
            "POST /users/{userId}/reauthorizations" => Box::pin(self.create_for_user(&request)).await,
            "GET /reauthorizations/{reauthorizationId}" => Box::pin(self.show(&request)).await,
            "GET /reconnect" | "GET /reconnect/{token}" | "GET /reconnect/{rest+}" => {
                Box::pin(self.reconnect_page(&request)).await
            }
            // Link checkers ask with HEAD whether a link works.
            "HEAD /reconnect/{token}" | "HEAD /reconnect/{rest+}" => {
                Ok(Box::pin(self.reconnect_page(&request)).await?.without_body())
            }
            "POST /reconnect/{token}" | "POST /reconnect/{rest+}" => Box::pin(self.reconnect(&request)).await,
            "GET /unsubscribe/{token}" => {
                self.read_own_logo().await;
                Box::pin(self.unsubscribe_page(&request)).await
            }
            "HEAD /unsubscribe/{token}" => Ok(Box::pin(self.unsubscribe_page(&request)).await?.without_body()),
            "POST /unsubscribe/{token}" => {
                self.read_own_logo().await;
                Box::pin(self.unsubscribe(&request)).await
            }
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl CreateReauthUrl {
    /// Reads the application's logo. From now on, it is remembered, and the pages show it.
    async fn read_own_logo(&self) {
        if let Some(url) = self.branding.logo_url() {
            self.logos.image(url.as_str()).await;
        }
    }
}
