//! The AWS clients' configuration, from the environment that Lambda gives a function.
//!
//! Region, credentials and endpoints are read from the [`Environment`] and nowhere else: no profile files, no calls to
//! metadata services, which cost a cold start tens of milliseconds.

use std::time::Duration;

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, IdentityCache, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_types::{SdkConfig, region::Region};

use crate::{
    config::{ConfigError, Environment},
    http_client::HttpClient,
};

/// A connection inside a region is made in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// One try of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// A call with its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// What the clients of all services share: region, credentials, time limits, connections.
#[derive(Debug, Clone)]
pub struct Aws<'a> {
    environment: &'a Environment,
    config: SdkConfig,
}

impl<'a> Aws<'a> {
    /// Reads the environment.
    ///
    /// # Errors
    /// When the region or the credentials are missing.
    pub fn new(environment: &'a Environment) -> Result<Self, ConfigError> {
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
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(environment.required("AWS_REGION")?.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(HttpClient::new(CONNECT_TIMEOUT))
            // The credentials are those of the environment as long as the process lives: there is nothing to look after.
            .identity_cache(IdentityCache::no_cache())
            // Answers are small, and each try has its time limit; watching their bytes would cost more CPU than reading them.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts);
        Ok(Self { environment, config: config.build() })
    }

    /// Where it was read from.
    #[must_use]
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// The configuration of one service's client. It honours `endpoint`, such as `AWS_ENDPOINT_URL_DYNAMODB`, and, where
    /// that is not set, `AWS_ENDPOINT_URL`.
    ///
    /// # Errors
    /// When an endpoint is malformed.
    pub fn service(&self, endpoint: &'static str) -> Result<SdkConfig, ConfigError> {
        let own = self.environment.base_url(endpoint)?;
        let Some(url) = own.or(self.environment.base_url("AWS_ENDPOINT_URL")?) else { return Ok(self.config.clone()) };
        Ok(self.config.to_builder().endpoint_url(url).build())
    }
}
