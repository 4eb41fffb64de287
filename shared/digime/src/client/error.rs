//! Errors of calls to digi.me.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// In characters. A code and a reference are shown and logged; longer ones are cut.
const MAX_TEXT: usize = 500;

/// A call to digi.me failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// digi.me returned an error.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There was no answer: no connection, a broken connection, or a timeout.
    #[error("digi.me did not answer ({cause})")]
    Unreachable {
        /// Whether the request may have been executed.
        cause: Cause,
        /// The error of the HTTP client, without its URL.
        source: Option<Arc<reqwest::Error>>,
    },
    /// The answer does not have the documented form, or its signature is not valid.
    #[error("digi.me's answer is not valid: {0}")]
    InvalidAnswer(Cow<'static, str>),
    /// The request could not be signed.
    #[error("the request could not be signed with the contract's key")]
    Signing,
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection was made, so that the request cannot have been executed.
    Connect,
    /// The connection broke. The request may have been executed.
    Broken,
    /// The time limit of the call or of the invocation was reached.
    Timeout,
}

impl Error {
    /// The dimension `Outcome` of the metric `DigimeCalls`.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Api(error) if error.is_temporary() => "unavailable",
            Self::Api(_) | Self::Signing => "refused",
            Self::Unreachable { cause: Cause::Timeout, .. } => "timeout",
            Self::Unreachable { cause: Cause::Connect | Cause::Broken, .. } => "unreachable",
            Self::InvalidAnswer(_) => "invalid_answer",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "no connection",
            Self::Broken => "the connection broke",
            Self::Timeout => "out of time",
        })
    }
}

/// An error that digi.me reports, from the body `{"error":{"code","message","reference"}}` or the headers
/// `X-Error-Code`, `X-Error-Message`, `X-Error-Reference`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("digi.me answered {status} {code}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code, such as `InvalidToken`. Empty if digi.me sent none.
    pub code: String,
    /// What digi.me refused.
    pub refused: Refused,
    /// digi.me's reference of the request, for its support.
    pub reference: String,
    /// How long digi.me asks to wait, from `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// What digi.me refused, from the code and the message of its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The access token: `InvalidToken` with a message that names it.
    AccessToken,
    /// The refresh token: `InvalidToken` with a message that names it.
    RefreshToken,
    /// The token that the call used: `InvalidToken` with a message that names none.
    Token,
    /// The client or its signature. The contract's key may have been replaced.
    Client,
    /// Something else, or the code is not known.
    Other,
}

impl Refused {
    fn read(status: StatusCode, code: &str, message: &str) -> Self {
        match code {
            "InvalidToken" if message.contains("access_token") => Self::AccessToken,
            "InvalidToken" if message.contains("refresh_token") => Self::RefreshToken,
            "InvalidToken" => Self::Token,
            "InvalidClient" | "InvalidRequest" | "ValidationErrors" if status.is_client_error() => Self::Client,
            _ => Self::Other,
        }
    }
}

impl ApiError {
    /// Reads the error from an answer whose status is not 2xx. digi.me's message is for developers and may contain a
    /// token, so that it is not kept.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let part = |name: &str, header: &str| -> String {
            let from_body = body.get("error").and_then(|error| error.get(name)).and_then(Value::as_str);
            let from_header = headers.get(header).and_then(|value| value.to_str().ok());
            from_body.or(from_header).unwrap_or_default().chars().take(MAX_TEXT).collect()
        };
        let retry_after = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let code = part("code", "x-error-code");
        Self {
            status,
            refused: Refused::read(status, &code, &part("message", "x-error-message")),
            code,
            reference: part("reference", "x-error-reference"),
            retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
        }
    }

    /// Whether the same call may succeed later. 511 means that the user must reauthorize at the source: waiting does not
    /// change that.
    pub(super) fn is_temporary(&self) -> bool {
        let is_server_error =
            self.status.is_server_error() && self.status != StatusCode::NETWORK_AUTHENTICATION_REQUIRED;
        is_server_error || self.status == StatusCode::TOO_MANY_REQUESTS
    }
}

impl Error {
    fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether digi.me refused the access token of a call with one.
    #[must_use]
    pub fn refuses_access_token(&self) -> bool {
        self.api().is_some_and(|error| matches!(error.refused, Refused::AccessToken | Refused::Token))
    }

    /// Whether digi.me refused the refresh token of a refresh.
    #[must_use]
    pub fn refuses_refresh_token(&self) -> bool {
        self.api().is_some_and(|error| matches!(error.refused, Refused::RefreshToken | Refused::Token))
    }

    /// Whether digi.me refused the client or its signature. The contract's key may have been replaced.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        self.api().is_some_and(|error| error.refused == Refused::Client)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api(error) => error.is_temporary(),
            Self::Unreachable { .. } => true,
            Self::InvalidAnswer(_) | Self::Signing => false,
        }
    }

    /// How long digi.me asks to wait, from `Retry-After`.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.api().and_then(|error| error.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ApiError {
        let mut headers = HeaderMap::new();
        headers.insert("X-Error-Code", "InvalidToken".parse().unwrap());
        headers.insert("X-Error-Message", "The refresh_token is expired".parse().unwrap());
        headers.insert("X-Error-Reference", "ref".parse().unwrap());
        headers.insert("Retry-After", "7".parse().unwrap());
        ApiError::read(StatusCode::UNAUTHORIZED, &headers, body.as_bytes())
    }

    #[test]
    fn the_body_goes_before_the_headers() {
        let error = read(r#"{"error":{"code":"InvalidClient","message":"m","reference":"r"}}"#);
        assert_eq!(
            (error.code.as_str(), error.refused, error.reference.as_str()),
            ("InvalidClient", Refused::Client, "r")
        );
    }

    #[test]
    fn without_a_json_body_the_headers_are_read() {
        for body in ["", "<html>", "{}", r#"{"error":"text"}"#, r#"{"error":{"code":7}}"#] {
            let error = read(body);
            assert_eq!((error.code.as_str(), error.reference.as_str()), ("InvalidToken", "ref"), "{body}");
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
            assert!(Error::Api(error).refuses_refresh_token());
        }
    }

    #[test]
    fn errors_are_told_apart() {
        let api = |status, code: &str, message: &str| {
            let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
            Error::Api(ApiError::read(status, &HeaderMap::new(), body.as_bytes()))
        };
        let refused = api(StatusCode::UNAUTHORIZED, "InvalidToken", "The access_token is expired");
        assert!(refused.refuses_access_token() && !refused.refuses_refresh_token() && !refused.is_retryable());
        let client = api(StatusCode::NOT_ACCEPTABLE, "InvalidRequest", "");
        assert!(client.refuses_client() && !client.refuses_access_token());
        assert!(api(StatusCode::BAD_GATEWAY, "", "").is_retryable());
        assert!(api(StatusCode::TOO_MANY_REQUESTS, "", "").is_retryable());
    }
}
