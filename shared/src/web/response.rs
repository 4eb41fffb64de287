//! Responses of the HTTP API.

use std::time::Duration;

use aws_lambda_events::{apigw::ApiGatewayV2httpResponse, encodings::Body};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use serde::Serialize;

use super::Problem;

#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    /// The headers. None contains a token, but `Location` may contain a code.
    pub headers: HeaderMap,
    body: Option<String>,
    cookies: Vec<String>,
}

impl Response {
    /// A response without a body. Every response is marked as not cacheable, because it may contain user data.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Self { status, headers, body: None, cookies: Vec::new() }
    }

    #[must_use]
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self::with_body(status, "application/json", text(body))
    }

    #[must_use]
    pub fn problem(problem: &Problem, request_id: &str) -> Self {
        let body = text(&problem.body(request_id));
        let mut response = Self::with_body(problem.status, "application/problem+json", body);
        if let Some(wait) = problem.retry_after {
            response = response.with_retry_after(wait);
        }
        response
    }

    /// An HTML page with additional headers.
    #[must_use]
    pub fn html(status: StatusCode, body: String, headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        let mut response = Self::with_body(status, "text/html; charset=utf-8", body);
        response.headers.extend(headers);
        response
    }

    /// 303: the browser continues with a GET request to `url`.
    ///
    /// # Errors
    /// 500 when the URL is not a valid header value. A parsed URL always is.
    pub fn see_other(url: &str) -> Result<Self, Problem> {
        Self::empty(StatusCode::SEE_OTHER).with_location(url)
    }

    /// Adds a `Location` header.
    ///
    /// # Errors
    /// 500 when the URL is not a valid header value.
    pub fn with_location(mut self, url: &str) -> Result<Self, Problem> {
        let url = HeaderValue::from_str(url).map_err(|_| Problem::internal("a location that fits no header"))?;
        self.headers.insert(LOCATION, url);
        Ok(self)
    }

    /// Sets a cookie. `cookie` is the value of a `Set-Cookie` header.
    #[must_use]
    pub fn with_cookie(mut self, cookie: String) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// Adds a `Retry-After` header, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        self
    }

    fn with_body(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut response = Self::empty(status);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.body = Some(body);
        response
    }

    pub(super) fn into_event(self) -> ApiGatewayV2httpResponse {
        let mut event = ApiGatewayV2httpResponse::default();
        event.status_code = i64::from(self.status.as_u16());
        event.headers = self.headers;
        event.body = self.body.map(Body::Text);
        event.cookies = self.cookies;
        event
    }
}

#[expect(clippy::expect_used, reason = "the bodies are structs and JSON values, whose keys are texts")]
fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("a body is JSON")
}
