//! The HTTP API in front of the functions. It handles requests as API Gateway does with payload format 2.0.

mod event;
mod reply;
mod routes;
mod signature;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
};
use bytes::Bytes;
use digime::ambient::Ambient;
use http::{StatusCode, header};
use serde_json::json;

pub use self::routes::{ROUTES, Route};
use self::signature::Verifier;
use crate::{
    ids::uuid,
    info::Credentials,
    invoke::{Functions, InvokeError},
};

/// In bytes. API Gateway accepts request bodies of up to 10 MB.
const BODY_LIMIT: usize = 10_000_000;
/// API Gateway's time limit for a function. Here it is also the time limit for receiving a request's body.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The HTTP API. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    functions: Functions,
    ambient: Ambient,
    iam_principal: AtomicBool,
    /// Checks the signatures of requests from the network. `None`: they are not checked.
    verifier: Option<Verifier>,
}

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// From this process, such as from the console. It needs no signature.
    Process,
    Network,
}

impl Gateway {
    #[must_use]
    pub fn new(functions: Functions, ambient: Ambient) -> Self {
        Self::with_credentials(functions, ambient, None)
    }

    /// A gateway that answers requests of the network for the application's routes only if they are signed with these
    /// credentials.
    pub(crate) fn with_credentials(functions: Functions, ambient: Ambient, credentials: Option<&Credentials>) -> Self {
        let verifier = credentials.map(Verifier::new);
        Self(Arc::new(Inner { functions, ambient, iam_principal: AtomicBool::new(true), verifier }))
    }

    /// Sets whether callers of the application's routes count as IAM principals, which is the default. Tests switch it
    /// off to check that the functions refuse other callers themselves.
    pub fn set_iam_principal(&self, present: bool) {
        self.0.iam_principal.store(present, Ordering::Relaxed);
    }

    /// Answers a request of this process.
    pub async fn call(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        self.answer(request, Source::Process).await
    }

    async fn answer(&self, request: http::Request<Bytes>, source: Source) -> http::Response<Bytes> {
        let (parts, body) = request.into_parts();
        let request_id = uuid(&self.0.ambient);
        let mut response = if body.len() > BODY_LIMIT {
            message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        } else {
            self.route(&parts, &body, &request_id, source).await
        };
        if let Ok(request_id) = request_id.parse() {
            response.headers_mut().insert("apigw-requestid", request_id);
        }
        response
    }

    async fn route(
        &self,
        parts: &http::request::Parts,
        body: &Bytes,
        request_id: &str,
        source: Source,
    ) -> http::Response<Bytes> {
        let Some((route, path_parameters)) = routes::find(&parts.method, parts.uri.path()) else {
            tracing::info!(request_id, status = 404, "gateway: no such route");
            return message(StatusCode::NOT_FOUND, "Not Found");
        };
        let verifier = self.0.verifier.as_ref().filter(|_| route.iam && source == Source::Network);
        if verifier.is_some_and(|verifier| !verifier.accepts(parts, body, self.0.ambient.now())) {
            tracing::info!(request_id, route = route.key(), status = 403, "gateway: the signature is not right");
            return message(StatusCode::FORBIDDEN, "Forbidden");
        }
        let event = event::event(&event::Incoming {
            route,
            path_parameters,
            parts,
            body,
            request_id,
            ambient: &self.0.ambient,
            iam_principal: route.iam && self.0.iam_principal.load(Ordering::Relaxed),
        });
        let function = self.0.functions.get(route.function);
        let invocation = function.invoke(Bytes::from(event.to_string()));
        let error = match tokio::time::timeout(TIMEOUT, invocation).await {
            Ok(Ok(reply)) => match reply::response(&reply) {
                Some(response) => return response,
                None => "the reply is not one that API Gateway understands".to_owned(),
            },
            Ok(Err(error @ InvokeError::Failed { .. })) => error.to_string(),
            Ok(Err(InvokeError::TimedOut)) | Err(_) => {
                tracing::warn!(function = route.function.name(), request_id, "gateway: a function timed out");
                return message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
            }
        };
        tracing::warn!(function = route.function.name(), request_id, error, "gateway: a function failed");
        message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

/// Reads the body of a request from the network, and answers the request.
pub(crate) async fn serve(gateway: Gateway, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let response = match tokio::time::timeout(TIMEOUT, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => gateway.answer(http::Request::from_parts(parts, body), Source::Network).await,
        Ok(Err(_)) => message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
        Err(_) => message(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
    };
    response.map(Body::from)
}

/// An answer of API Gateway itself.
fn message(status: StatusCode, text: &str) -> http::Response<Bytes> {
    let mut response = http::Response::new(Bytes::from(json!({"message": text}).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
