//! Responses of the HTTP API.

use std::time::Duration;

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_CONTENT_TYPE_OPTIONS},
};
use lambda_http::Body;
use serde::Serialize;

use super::{Problem, problem::ProblemCode};

/// A response. It is never logged: `Location` may contain a code of digi.me, `Set-Cookie` the secret of the browser, and a
/// page a reconnect link.
pub type Response = lambda_http::Response<Body>;

/// A response without a body. Every response is marked as not cacheable, because it may contain user data.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[must_use]
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    with_body(status, "application/json", text(body))
}

#[must_use]
pub fn problem(problem: &Problem, request_id: &str) -> Response {
    let mut response = with_body(problem.status, "application/problem+json", text(&problem.body(request_id)));
    response.extensions_mut().insert(ProblemCode(problem.code));
    match problem.retry_after {
        Some(wait) => response.with_retry_after(wait),
        None => response,
    }
}

/// An HTML page with additional headers.
#[must_use]
pub fn html(status: StatusCode, body: String, headers: Vec<(HeaderName, HeaderValue)>) -> Response {
    let mut response = with_body(status, "text/html; charset=utf-8", body);
    response.headers_mut().extend(headers);
    response
}

/// 303: the browser continues with a GET request to `url`.
///
/// # Errors
/// 500 when the URL is not a valid header value. A parsed URL always is.
pub fn see_other(url: &str) -> Result<Response, Problem> {
    empty(StatusCode::SEE_OTHER).with_location(url)
}

/// Headers that only some responses have.
pub trait ResponseExt: Sized {
    /// Adds a `Location` header.
    ///
    /// # Errors
    /// 500 when the URL is not a valid header value.
    fn with_location(self, url: &str) -> Result<Self, Problem>;

    /// Sets a cookie. `cookie` is the value of a `Set-Cookie` header.
    ///
    /// # Errors
    /// 500 when it is not a valid header value.
    fn with_cookie(self, cookie: &str) -> Result<Self, Problem>;

    /// The same response without its body, as the answer to a HEAD request.
    #[must_use]
    fn without_body(self) -> Self;

    /// Adds a `Retry-After` header, in seconds.
    #[must_use]
    fn with_retry_after(self, wait: Duration) -> Self;
}

impl ResponseExt for Response {
    fn with_location(mut self, url: &str) -> Result<Self, Problem> {
        let url = HeaderValue::from_str(url).map_err(|_| Problem::internal("a location is not a header value"))?;
        self.headers_mut().insert(LOCATION, url);
        Ok(self)
    }

    fn with_cookie(mut self, cookie: &str) -> Result<Self, Problem> {
        let cookie = HeaderValue::from_str(cookie).map_err(|_| Problem::internal("a cookie is not a header value"))?;
        self.headers_mut().append(SET_COOKIE, cookie);
        Ok(self)
    }

    fn without_body(mut self) -> Self {
        *self.body_mut() = Body::Empty;
        self
    }

    fn with_retry_after(mut self, wait: Duration) -> Self {
        self.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        self
    }
}

fn with_body(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.body_mut() = Body::Text(body);
    response
}

#[expect(clippy::expect_used, reason = "the bodies are structs and JSON values, whose keys are texts")]
fn text(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("a body is JSON")
}
