//! The clients that the functions share, built once at start from the environment.

use std::time::Duration;

use crate::{
    ambient::Ambient,
    aws::Aws,
    config::{ConfigError, Environment},
    secrets::{Contracts, service_keys},
    store::Store,
};

const DEFAULT_LINK_TTL: Duration = Duration::from_secs(14 * 24 * 60 * 60);

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
