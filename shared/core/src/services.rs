//! The clients that the functions share, built once at start from the environment.

use std::time::Duration;

use digime::ambient::Ambient;
use url::Url;

use crate::{
    aws::Aws,
    config::{ConfigError, Environment},
    http_client,
    secrets::{Contracts, service_keys},
    store::Store,
};

const DEFAULT_LINK_TTL: Duration = Duration::from_secs(14 * 24 * 60 * 60);
const DEFAULT_BASE_URL: &str = "https://api.digi.me/v1.7/";
const DEFAULT_ONBOARD_URL: &str = "https://api.digi.me/apps/saas/";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

pub fn secrets_manager(aws: &Aws<'_>) -> Result<aws_sdk_secretsmanager::Client, ConfigError> {
    Ok(aws_sdk_secretsmanager::Client::new(&aws.service("AWS_ENDPOINT_URL_SECRETS_MANAGER")?))
}

/// The table `TABLE_NAME`, with the service secret `SERVICE_SECRET_ID`.
pub fn store(aws: &Aws<'_>, ambient: &Ambient) -> Result<Store, ConfigError> {
    let environment = aws.environment();
    let keys = service_keys(secrets_manager(aws)?, environment, ambient)?;
    let client = aws_sdk_dynamodb::Client::new(&aws.service("AWS_ENDPOINT_URL_DYNAMODB")?);
    Ok(Store::new(client, environment.required("TABLE_NAME")?, keys, ambient))
}

/// The contracts under `CONTRACT_SECRET_PREFIX`.
pub fn contracts(aws: &Aws<'_>, ambient: &Ambient) -> Result<Contracts, ConfigError> {
    Contracts::from_environment(secrets_manager(aws)?, aws.environment(), ambient)
}

/// `RECONNECT_LINK_TTL`, 14 days by default.
pub fn reconnect_link_ttl(environment: &Environment) -> Result<Duration, ConfigError> {
    Ok(environment.duration("RECONNECT_LINK_TTL")?.unwrap_or(DEFAULT_LINK_TTL))
}

/// The client of digi.me, from `DIGIME_BASE_URL`, `DIGIME_ONBOARD_URL`, `DIGIME_CONNECT_TIMEOUT` (2 s) and
/// `DIGIME_TIMEOUT` (5 s).
pub fn digime_client(aws: &Aws<'_>, ambient: &Ambient) -> Result<digime::Client, ConfigError> {
    let environment = aws.environment();
    let url = |variable, default: &str| match environment.base_url(variable)? {
        Some(url) => Ok(url),
        None => Url::parse(default).map_err(|error| ConfigError::new(variable, error)),
    };
    let duration = |variable, default| Ok::<_, ConfigError>(environment.duration(variable)?.unwrap_or(default));
    let connect_timeout = duration("DIGIME_CONNECT_TIMEOUT", DEFAULT_CONNECT_TIMEOUT)?;
    let http = http_client::client_with_http2(aws.tls().clone(), connect_timeout);
    let settings = digime::Settings {
        base_url: url("DIGIME_BASE_URL", DEFAULT_BASE_URL)?,
        onboard_url: url("DIGIME_ONBOARD_URL", DEFAULT_ONBOARD_URL)?,
        timeout: duration("DIGIME_TIMEOUT", DEFAULT_TIMEOUT)?,
    };
    Ok(digime::Client::new(http, settings, ambient))
}
