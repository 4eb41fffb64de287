//! The configuration of the AWS clients, from the environment of a Lambda function.
//!
//! Region, credentials and endpoints are only read from the [`Environment`]. Profile files and metadata services are
//! not used: they make a cold start tens of milliseconds slower.

use std::{error::Error, time::Duration};

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_dynamodb::config::{
    BehaviorVersion, IdentityCache, StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::{SdkConfig, region::Region, request_id::RequestId};
use rustls::ClientConfig;

use crate::{
    config::{ConfigError, Environment},
    error::Chain,
    http_client::{self, Connector},
};

/// Connecting within a region takes milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time limit of one attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of a call with its retries.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The configuration that the clients of all AWS services share: region, credentials, time limits, connections.
#[derive(Debug, Clone)]
pub struct Aws<'a> {
    environment: &'a Environment,
    tls: ClientConfig,
    config: SdkConfig,
}

impl<'a> Aws<'a> {
    /// Reads the environment. Region and credentials are required.
    pub fn new(environment: &'a Environment) -> Result<Self, ConfigError> {
        let credentials = Credentials::new(
            environment.required("AWS_ACCESS_KEY_ID")?,
            environment.required("AWS_SECRET_ACCESS_KEY")?,
            environment.optional("AWS_SESSION_TOKEN").map(Into::into),
            None,
            "environment",
        );
        let tls = http_client::tls(environment)?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(environment.required("AWS_REGION")?.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(Connector(http_client::client(tls.clone(), CONNECT_TIMEOUT)))
            // The credentials come from the environment and do not change while the process runs, so that no cache is
            // needed.
            .identity_cache(IdentityCache::no_cache())
            // Answers are small, and each attempt has a time limit. Checking for stalled streams would cost more CPU
            // time than reading the answers.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard().with_max_attempts(3))
            .timeout_config(timeouts);
        Ok(Self { environment, tls, config: config.build() })
    }

    #[must_use]
    pub fn environment(&self) -> &'a Environment {
        self.environment
    }

    /// The TLS configuration, for the clients of other services.
    #[must_use]
    pub fn tls(&self) -> &ClientConfig {
        &self.tls
    }

    /// The configuration of one service's client. `endpoint` is a variable such as `AWS_ENDPOINT_URL_DYNAMODB`. If it
    /// is not set, `AWS_ENDPOINT_URL` is used.
    pub fn service(&self, endpoint: &'static str) -> Result<SdkConfig, ConfigError> {
        let own = self.environment.base_url(endpoint)?;
        let Some(url) = own.or(self.environment.base_url("AWS_ENDPOINT_URL")?) else { return Ok(self.config.clone()) };
        Ok(self.config.to_builder().endpoint_url(url).build())
    }
}

/// A failed AWS call. Of an answer, the text contains the error code and message, the HTTP status and the request id. It
/// never contains the body, because the body of an answer that cannot be parsed may contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AwsError(String);

impl<E: ProvideErrorMetadata + Error + 'static> From<&SdkError<E, HttpResponse>> for AwsError {
    fn from(error: &SdkError<E, HttpResponse>) -> Self {
        Self(describe(error))
    }
}

impl AwsError {
    /// Without the words that contain an email address: SES repeats addresses in its messages.
    #[must_use]
    pub fn without_addresses(self) -> Self {
        let words = self.0.split(' ').map(|word| if word.contains('@') { "[address]" } else { word });
        Self(words.collect::<Vec<_>>().join(" "))
    }
}

fn describe<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E, HttpResponse>) -> String {
    let (answer, code_and_message) = match error {
        SdkError::ServiceError(refusal) => {
            let code = refusal.err().code();
            (refusal.raw(), code.map(|code| (code, refusal.err().message().unwrap_or("no message"))))
        }
        SdkError::ResponseError(unreadable) => (unreadable.raw(), None),
        // There is no answer. The causes come from the SDK and from the connection.
        _ => return Chain(error).to_string(),
    };
    let request_id = answer.request_id().unwrap_or("unknown");
    let answer = format!("HTTP {}, request id {request_id}", answer.status().as_u16());
    match code_and_message {
        Some((code, message)) => format!("{code}: {message} ({answer})"),
        None => format!("the answer cannot be read ({answer})"),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_secretsmanager::{error::ConnectorError, operation::get_secret_value::GetSecretValueError};
    use aws_smithy_types::{body::SdkBody, error::ErrorMetadata};

    use super::*;

    fn answer(status: u16) -> HttpResponse {
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from("a body that holds a secret"));
        answer.headers_mut().insert("x-amzn-requestid", "request-1");
        answer
    }

    #[test]
    fn a_refusal_is_described_by_its_code_message_and_request_id() {
        let refusal = ErrorMetadata::builder().code("AccessDeniedException").message("not allowed").build();
        let error = SdkError::service_error(GetSecretValueError::generic(refusal), answer(400));
        assert_eq!(describe(&error), "AccessDeniedException: not allowed (HTTP 400, request id request-1)");
    }

    #[test]
    fn a_description_can_leave_out_email_addresses() {
        let error =
            AwsError("MessageRejected: not verified in EU-WEST-1: ann@example.org, bob@example.org (400)".into());
        let without = error.without_addresses().to_string();
        assert_eq!(without, "MessageRejected: not verified in EU-WEST-1: [address] [address] (400)");
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_described_without_its_body() {
        let expected = "the answer cannot be read (HTTP 200, request id request-1)";
        let unhandled = GetSecretValueError::unhandled("a body that holds a secret");
        assert_eq!(describe(&SdkError::service_error(unhandled, answer(200))), expected);
        let unread = SdkError::<GetSecretValueError, _>::response_error("a body that holds a secret", answer(200));
        assert_eq!(describe(&unread), expected);
    }

    #[test]
    fn a_call_without_an_answer_is_described_by_its_kind_and_the_connectors_text() {
        let error = ConnectorError::io("connection refused".into());
        let error = SdkError::<GetSecretValueError, HttpResponse>::dispatch_failure(error);
        assert_eq!(describe(&error), "dispatch failure: io error: connection refused");
        let error = SdkError::<GetSecretValueError, HttpResponse>::timeout_error("no answer within 2 seconds");
        assert_eq!(describe(&error), "request has timed out: no answer within 2 seconds");
    }
}
