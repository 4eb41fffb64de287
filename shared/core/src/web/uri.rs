//! Makes every API Gateway event one that `lambda_http` accepts.
//!
//! `lambda_http` builds a URI from the event's host, path and query, and panics when they are not parts of a URI. API
//! Gateway passes on what a client sends, such as a query with a raw space. This layer percent-encodes such characters,
//! so that the request reaches the function and gets the function's own error.

use std::task::{Context, Poll};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderName, header::HOST, uri::Authority};
use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequest, request::LambdaRequest};
use lambda_runtime::LambdaEvent;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower::Service;
use url::Url;

use super::request::MAX_QUERY;

/// What may stand in a path besides letters and digits (RFC 3986, `pchar` and `/`), and the `%` of escapes.
const NOT_IN_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/')
    .remove(b'%');
/// What may stand in a query besides that.
const NOT_IN_QUERY: &AsciiSet = &NOT_IN_PATH.remove(b'?');

/// In bytes. A URI of the `http` crate has fewer than 65,535. No route of the API has a path of this length.
const MAX_PATH: usize = 8 * 1024;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The layer. The inner service makes a request of the event with `lambda_http`.
#[derive(Debug, Clone)]
pub(super) struct EncodeUri<S>(pub(super) S);

impl<S: Service<LambdaEvent<LambdaRequest>>> Service<LambdaEvent<LambdaRequest>> for EncodeUri<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut event: LambdaEvent<LambdaRequest>) -> Self::Future {
        if let LambdaRequest::ApiGatewayV2(request) = &mut event.payload {
            encode(request);
        }
        self.0.call(event)
    }
}

fn encode(event: &mut ApiGatewayV2httpRequest) {
    let context = &mut event.request_context;
    // The route is in both places. `lambda_http` passes on the one in the request context.
    context.route_key = context.route_key.take().or_else(|| event.route_key.take());
    // The service has one stage, whose name is not a part of its paths.
    context.stage = None;
    let path = event.raw_path.as_deref().unwrap_or_default().trim_start_matches('/');
    event.raw_path = Some(format!("/{}", encoded(path, NOT_IN_PATH, MAX_PATH)));
    if let Some(query) = &mut event.raw_query_string {
        // Longer than the longest allowed query, so that a query that is cut here is refused.
        *query = encoded(query, NOT_IN_QUERY, MAX_QUERY + 1);
    }
    let is_scheme = |value: &http::HeaderValue| value == "https" || value == "http";
    if !event.headers.get(X_FORWARDED_PROTO).is_some_and(is_scheme) {
        event.headers.remove(X_FORWARDED_PROTO);
    }
    if !event.headers.get(HOST).is_some_and(|host| host.to_str().is_ok_and(is_host)) {
        event.headers.remove(HOST);
    }
    context.domain_name = context.domain_name.take().filter(|name| is_host(name));
    let is_base64 = |body: &String| STANDARD.decode(body).is_ok();
    if event.is_base64_encoded && !event.body.as_ref().is_some_and(is_base64) {
        // A body that is not valid base64 is treated as empty.
        (event.body, event.is_base64_encoded) = (None, false);
    }
}

/// The text, percent-encoded and cut to at most `limit` bytes.
fn encoded(text: &str, set: &'static AsciiSet, limit: usize) -> String {
    let mut encoded: String = utf8_percent_encode(text, set).to_string();
    encoded.truncate(limit);
    encoded
}

/// Whether the text is a host with an optional port, for both parsers that `lambda_http` uses.
fn is_host(text: &str) -> bool {
    let without_user = !text.contains('@');
    let url = || Url::parse(&format!("https://{text}/"));
    without_user && text.parse::<Authority>().is_ok() && url().is_ok_and(|url| url.path() == "/")
}

#[cfg(test)]
mod tests {
    use lambda_http::RequestExt;

    use super::*;

    /// The request that `lambda_http` makes of an event.
    fn request(change: impl FnOnce(&mut ApiGatewayV2httpRequest)) -> lambda_http::Request {
        let mut event = ApiGatewayV2httpRequest::default();
        change(&mut event);
        encode(&mut event);
        LambdaRequest::ApiGatewayV2(event).into()
    }

    #[test]
    fn characters_that_may_not_stand_in_a_query_reach_the_function_as_they_were_sent() {
        for value in ["a b", "a\u{0}b", "ä", "a#b", "a\"<>\\^`{|}b", "a[0]=1"] {
            let request = request(|event| event.raw_query_string = Some(format!("state={value}")));
            assert_eq!(request.query_string_parameters().first("state"), Some(value), "{value:?}");
        }
        let request = request(|event| event.raw_query_string = Some("a=%20+%zz&b=%C3%A4".to_owned()));
        assert_eq!(request.query_string_parameters().first("a"), Some("  %zz"));
        assert_eq!(request.query_string_parameters().first("b"), Some("ä"));
    }

    #[test]
    fn hosts_and_schemes_that_are_none_are_left_out() {
        for host in ["a b", "a/b", "user@a", "a:port", "", "[::", "a:99999"] {
            let request = request(|event| {
                event.request_context.domain_name = Some(host.to_owned());
                event.headers.extend(host.parse().ok().map(|value| (HOST, value)));
                event.headers.insert(X_FORWARDED_PROTO, "java script".parse().unwrap());
            });
            assert_eq!(request.uri().host(), None, "{host}");
        }
        let request = request(|event| event.request_context.domain_name = Some("api.example.com".to_owned()));
        assert_eq!(request.uri().host(), Some("api.example.com"));
    }

    #[test]
    fn paths_of_any_form_are_taken() {
        for path in ["", "users", "//evil", "/a b/\u{7}", "/a?b#c", "/\\..\\x", &"/ä".repeat(20_000)] {
            let request = request(|event| event.raw_path = Some(path.to_owned()));
            assert!(request.uri().path().starts_with('/'), "{path}");
        }
    }

    #[test]
    fn a_query_that_is_too_long_stays_too_long() {
        let request = request(|event| event.raw_query_string = Some("ä".repeat(1_000_000)));
        assert!(request.uri().query().is_some_and(|query| query.len() > MAX_QUERY));
    }

    #[test]
    fn a_body_that_is_not_base64_is_empty() {
        let body = |text: &str| {
            let request = request(|event| (event.body, event.is_base64_encoded) = (Some(text.to_owned()), true));
            request.into_body().to_vec()
        };
        assert_eq!((body("e30="), body("{}")), (b"{}".to_vec(), Vec::new()));
    }
}
