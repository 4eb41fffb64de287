//! The AWS clients' configuration, from the environment that Lambda gives a function.
//!
//! Region, credentials and endpoints are read from the [`Environment`] and nowhere else: no profile files, no calls to
//! metadata services, which cost a cold start tens of milliseconds.

use std::time::Duration;

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_types::{SdkConfig, region::Region};

use crate::config::{ConfigError, Environment};

/// A connection inside a region is made in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// One try of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// A call with its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// What all AWS clients share. Clients honour `AWS_ENDPOINT_URL` and, before it, `service_endpoint`, such as
/// `AWS_ENDPOINT_URL_DYNAMODB`.
///
/// # Errors
/// When the region or the credentials are missing.
pub fn config(environment: &Environment, service_endpoint: &'static str) -> Result<SdkConfig, ConfigError> {
    let credentials = Credentials::new(
        environment.required("AWS_ACCESS_KEY_ID")?,
        environment.required("AWS_SECRET_ACCESS_KEY")?,
        environment.optional("AWS_SESSION_TOKEN").map(Into::into),
        None,
        "environment",
    );
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(environment.required("AWS_REGION")?.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts);
    if let Some(url) = environment.base_url(service_endpoint)?.or(environment.base_url("AWS_ENDPOINT_URL")?) {
        config = config.endpoint_url(url);
    }
    Ok(config.build())
}
