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
    invoke::{Function, Functions, InvokeError},
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
        let (parts, body) = request.into_parts();
        let body = if body.len() > BODY_LIMIT { Err(OwnAnswer::TooLarge) } else { Ok(body) };
        self.answer(&parts, body, Source::Process).await
    }

    /// Answers a request. Each request has one log line: that of the function, or that of the gateway's own answer.
    async fn answer(
        &self,
        parts: &http::request::Parts,
        body: Result<Bytes, OwnAnswer>,
        source: Source,
    ) -> http::Response<Bytes> {
        let request_id = uuid(&self.0.ambient);
        let found = routes::find(&parts.method, parts.uri.path());
        let route = found.as_ref().map(|(route, _)| route.key()).unwrap_or_default();
        let answer = match (body, found) {
            (Err(own), _) => Err(own),
            (Ok(_), None) => Err(OwnAnswer::NoRoute),
            (Ok(body), Some((route, path_parameters))) => {
                self.invoke(&Accepted { route, path_parameters, parts, body: &body, request_id: &request_id }, source)
                    .await
            }
        };
        let mut response = answer.unwrap_or_else(|own| {
            own.log(&request_id, &route);
            own.response()
        });
        if let Ok(request_id) = request_id.parse() {
            response.headers_mut().insert("apigw-requestid", request_id);
        }
        response
    }

    /// Invokes the function of the request's route.
    async fn invoke(&self, request: &Accepted<'_>, source: Source) -> Result<http::Response<Bytes>, OwnAnswer> {
        let Accepted { route, path_parameters, parts, body, request_id } = request;
        if let Some(verifier) = self.0.verifier.as_ref().filter(|_| route.iam && source == Source::Network) {
            verifier.check(parts, body, self.0.ambient.now())?;
        }
        let event = event::event(&event::Incoming {
            route,
            path_parameters: path_parameters.clone(),
            parts,
            body,
            request_id,
            ambient: &self.0.ambient,
            iam_principal: route.iam && self.0.iam_principal.load(Ordering::Relaxed),
        });
        let function = route.function;
        let invocation = self.0.functions.get(function).invoke(Bytes::from(event.to_string()));
        match tokio::time::timeout(TIMEOUT, invocation).await {
            Ok(Ok(reply)) => reply::response(&reply).ok_or_else(|| OwnAnswer::Failed {
                function,
                error: "the reply is not one that API Gateway understands".to_owned(),
            }),
            Ok(Err(error @ InvokeError::Failed { .. })) => {
                Err(OwnAnswer::Failed { function, error: error.to_string() })
            }
            Ok(Err(InvokeError::TimedOut)) | Err(_) => Err(OwnAnswer::TimedOut { function }),
        }
    }
}

/// A request that has a route.
struct Accepted<'a> {
    route: &'static Route,
    path_parameters: Vec<(&'static str, String)>,
    parts: &'a http::request::Parts,
    body: &'a Bytes,
    request_id: &'a str,
}

/// Why the gateway answers a request itself.
#[derive(Debug, thiserror::Error)]
enum OwnAnswer {
    #[error("no such route")]
    NoRoute,
    #[error("the body is larger than 10 MB")]
    TooLarge,
    #[error("the body did not arrive in time")]
    Slow,
    #[error(transparent)]
    Signature(#[from] signature::Refusal),
    #[error("{error}")]
    Failed { function: Function, error: String },
    #[error("the function timed out")]
    TimedOut { function: Function },
}

impl OwnAnswer {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Signature(_) => StatusCode::FORBIDDEN,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// `route` is empty if the request has none.
    fn log(&self, request_id: &str, route: &str) {
        let status = self.status().as_u16();
        match self {
            Self::Failed { function, .. } | Self::TimedOut { function } => {
                let function = function.name();
                tracing::warn!(request_id, route, status, function, reason = %self, "gateway: a function failed");
            }
            Self::NoRoute | Self::TooLarge | Self::Slow | Self::Signature(_) => {
                tracing::info!(request_id, route, status, reason = %self, "gateway: refused a request");
            }
        }
    }

    fn response(&self) -> http::Response<Bytes> {
        let text = match self {
            Self::TooLarge => "Request Entity Too Large",
            other => other.status().canonical_reason().unwrap_or_default(),
        };
        message(self.status(), text)
    }
}

/// Reads the body of a request from the network, and answers the request.
pub(crate) async fn serve(gateway: Gateway, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(TIMEOUT, to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(_)) => Err(OwnAnswer::TooLarge),
        Err(_) => Err(OwnAnswer::Slow),
    };
    gateway.answer(&parts, body, Source::Network).await.map(Body::from)
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
