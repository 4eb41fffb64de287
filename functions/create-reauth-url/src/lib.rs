//! Creates a reauthorization and its URL, and serves the reconnect link.

mod api;
mod create;
mod reconnect;

use std::time::Duration;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_runtime::Error;
use reauth_core::{
    ambient::Ambient,
    authorized_client::{self, AuthorizedClient},
    aws::Aws,
    config::{ConfigError, Environment},
    domain::{AllowedOrigins, Locale, ReturnUrl},
    lambda::{Function, Invocation},
    web::{self, Problem, Request, Response},
};
use url::Url;

/// How long after its creation a reauthorization accepts the callback, unless `REAUTHORIZATION_TTL` is set.
const DEFAULT_REAUTHORIZATION_TTL: Duration = Duration::from_secs(60 * 60);

#[derive(Debug)]
pub struct CreateReauthUrl {
    authorized: AuthorizedClient,
    ambient: Ambient,
    settings: Settings,
}

#[derive(Debug)]
struct Settings {
    public_base_url: Option<Url>,
    allowed_origins: AllowedOrigins,
    default_return_url: Option<ReturnUrl>,
    default_locale: Option<Locale>,
    application_name: String,
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
            default_locale: authorized_client::default_locale(environment)?,
            application_name: environment.optional("APPLICATION_NAME").unwrap_or("the application").to_owned(),
            reauthorization_ttl: environment.duration("REAUTHORIZATION_TTL")?.unwrap_or(DEFAULT_REAUTHORIZATION_TTL),
        })
    }
}

impl Function for CreateReauthUrl {
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        Ok(Self {
            authorized: AuthorizedClient::new(&Aws::new(environment)?, ambient)?,
            ambient: ambient.clone(),
            settings: Settings::from_environment(environment)?,
        })
    }

    async fn handle(&self, event: Self::Event, invocation: Invocation) -> Result<Self::Reply, Error> {
        Ok(web::serve(event, &invocation, &self.ambient, |request| self.route(request)).await)
    }
}

impl CreateReauthUrl {
    async fn route(&self, request: Request) -> Result<Response, Problem> {
        match request.route.as_str() {
            "POST /users/{userId}/accounts/{accountId}/reauthorizations" => self.create(&request).await,
            "GET /reauthorizations/{reauthorizationId}" => self.show(&request).await,
            "GET /reconnect/{token}" => self.reconnect_page(&request).await,
            "POST /reconnect/{token}" => self.reconnect(&request).await,
            _ => Err(Problem::unknown_route()),
        }
    }
}
