//! Errors of calls to digi.me.

use std::{borrow::Cow, time::Duration};

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// A call to digi.me failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// digi.me returned an error.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// There was no answer: no connection, a broken connection, or a timeout.
    #[error("digi.me did not answer ({cause})")]
    Unreachable {
        /// Why.
        cause: Cause,
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
    /// digi.me's message for developers. It is neither shown nor logged, because it may contain a token.
    pub message: String,
    /// digi.me's reference of the request, for its support.
    pub reference: String,
    /// How long digi.me asks to wait, from `Retry-After`.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// Reads the error from an answer whose status is not 2xx.
    #[must_use]
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let part = |name: &str, header: &str| {
            let from_body = body.get("error").and_then(|error| error.get(name)).and_then(Value::as_str);
            let from_header = headers.get(header).and_then(|value| value.to_str().ok());
            from_body.or(from_header).unwrap_or_default().chars().take(500).collect()
        };
        let retry_after = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Self {
            status,
            code: part("code", "x-error-code"),
            message: part("message", "x-error-message"),
            reference: part("reference", "x-error-reference"),
            retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs),
        }
    }

    fn names(&self, token: &str) -> bool {
        self.code == "InvalidToken" && self.message.contains(token)
    }
}

impl Error {
    fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Whether digi.me refused the access token: `InvalidToken` with a message that does not name the refresh token.
    #[must_use]
    pub fn refuses_access_token(&self) -> bool {
        self.api().is_some_and(|error| error.code == "InvalidToken" && !error.names("refresh_token"))
    }

    /// Whether digi.me refused the refresh token: `InvalidToken` in the answer to a refresh, with a message that does
    /// not name the access token.
    #[must_use]
    pub fn refuses_refresh_token(&self) -> bool {
        self.api().is_some_and(|error| error.code == "InvalidToken" && !error.names("access_token"))
    }

    /// Whether digi.me refused the client or its signature. The contract's key may have been replaced.
    #[must_use]
    pub fn refuses_client(&self) -> bool {
        const CODES: [&str; 3] = ["InvalidClient", "InvalidRequest", "ValidationErrors"];
        self.api().is_some_and(|error| error.status.is_client_error() && CODES.contains(&error.code.as_str()))
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Api(error) => error.status.is_server_error() || error.status == StatusCode::TOO_MANY_REQUESTS,
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
            (error.code.as_str(), error.message.as_str(), error.reference.as_str()),
            ("InvalidClient", "m", "r")
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
            Error::Api(ApiError {
                status,
                code: code.into(),
                message: message.into(),
                reference: String::new(),
                retry_after: None,
            })
        };
        let refused = api(StatusCode::UNAUTHORIZED, "InvalidToken", "The access_token is expired");
        assert!(refused.refuses_access_token() && !refused.refuses_refresh_token() && !refused.is_retryable());
        let client = api(StatusCode::NOT_ACCEPTABLE, "InvalidRequest", "");
        assert!(client.refuses_client() && !client.refuses_access_token());
        assert!(api(StatusCode::BAD_GATEWAY, "", "").is_retryable());
        assert!(api(StatusCode::TOO_MANY_REQUESTS, "", "").is_retryable());
    }
}
