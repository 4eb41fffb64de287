//! Errors in digi.me's form: `{"error": {"code", "message", "reference"}}`, and the same in headers.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error answer of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    /// The JWT, its signature or a parameter is invalid.
    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "ValidationErrors", message)
    }

    /// The body is invalid.
    pub(crate) fn bad_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "ValidationErrors", message)
    }

    /// The request is well-formed but not acceptable.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "InvalidRequest", message)
    }

    pub(crate) fn invalid_client() -> Self {
        let message = "The client_id is not known";
        Self::new(StatusCode::NOT_ACCEPTABLE, "InvalidClient", message)
    }

    pub(crate) fn invalid_redirect_uri() -> Self {
        let message = "The redirect_uri is not registered with the contract";
        Self::new(StatusCode::NOT_FOUND, "InvalidRedirectUri", message)
    }

    /// `token` is `access_token` or `refresh_token`.
    pub(crate) fn invalid_token(token: &str) -> Self {
        let message = format!("The token ({token}) is invalid");
        Self::new(StatusCode::UNAUTHORIZED, "InvalidToken", message)
    }

    /// `token` is `access_token` or `refresh_token`.
    pub(crate) fn expired_token(token: &str) -> Self {
        let message = format!("The token ({token}) is expired");
        Self::new(StatusCode::UNAUTHORIZED, "InvalidToken", message)
    }

    /// A path of the API that the simulator does not implement.
    pub(crate) fn unknown_path(path: &str) -> Self {
        let message = format!("The simulator does not implement {path}");
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    /// A method that the simulator does not implement for this path.
    pub(crate) fn wrong_method(method: &Method, path: &str) -> Self {
        let message = format!("The simulator does not implement {method} {path}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let reference = format!("simulated-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let body = json!({
            "error": { "code": self.code, "message": self.message, "reference": reference },
        });
        let mut response = (self.status, Json(body)).into_response();
        for (name, value) in
            [("x-error-code", self.code), ("x-error-message", self.message), ("x-error-reference", reference)]
        {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
