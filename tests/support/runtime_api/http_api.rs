//! The HTTP routes of the Lambda Runtime API.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use digime::ambient::Ambient;
use http::{StatusCode, header};
use local::{InvokeError, REPLY_LIMIT, random_hex};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::failed;

/// An event for the function.
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) event: Bytes,
    /// Milliseconds since 1970 by the machine's clock, which the function uses too.
    pub(super) deadline_ms: i64,
    pub(super) function_arn: String,
}

/// The startup state of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    CannotStart(String),
}

/// The channels for the awaited answers, by request id.
type Awaited = BTreeMap<String, oneshot::Sender<Result<Bytes, InvokeError>>>;

/// The state that the handlers and the sandbox share.
pub(super) struct Shared {
    invocations: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    awaited: Mutex<Awaited>,
    phase: watch::Sender<Phase>,
}

impl Shared {
    pub(super) fn new(invocations: mpsc::Receiver<Invocation>, phase: watch::Sender<Phase>) -> Arc<Self> {
        Arc::new(Self { invocations: invocations.into(), awaited: Mutex::default(), phase })
    }

    /// Registers an event. Returns the channel that receives its answer.
    pub(super) fn expect(&self, request_id: &str) -> oneshot::Receiver<Result<Bytes, InvokeError>> {
        let (sender, receiver) = oneshot::channel();
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        // Drop the channels of invocations that timed out: their receivers are closed.
        awaited.retain(|_, sender| !sender.is_closed());
        awaited.insert(request_id.to_owned(), sender);
        receiver
    }

    fn answer(&self, request_id: &str, result: Result<Bytes, InvokeError>) -> Response {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        match awaited.remove(request_id) {
            Some(sender) => {
                let _ = sender.send(result);
                accepted()
            }
            None => error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID"),
        }
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    let routes = Router::new()
        .route("/runtime/invocation/next", get(next))
        .route("/runtime/invocation/{id}/response", post(response))
        .route("/runtime/invocation/{id}/error", post(invocation_error))
        .route("/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(2 * REPLY_LIMIT))
        .with_state(shared);
    Router::new().nest("/2018-06-01", routes)
}

async fn next(State(shared): State<Arc<Shared>>) -> Response {
    shared.phase.send_replace(Phase::Ready);
    let Some(invocation) = shared.invocations.lock().await.recv().await else {
        return error(StatusCode::INTERNAL_SERVER_ERROR, "ContainerError", "The function is stopping");
    };
    let random = Ambient::system();
    let root = format!("1-{}-{}", random_hex::<4>(&random), random_hex::<12>(&random));
    let trace_id = format!("Root={root};Parent={};Sampled=0", random_hex::<8>(&random));
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", invocation.request_id)
        .header("Lambda-Runtime-Deadline-Ms", invocation.deadline_ms.to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn)
        .header("Lambda-Runtime-Trace-Id", trace_id)
        .body(Body::from(invocation.event))
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > REPLY_LIMIT {
        let too_large = failed("Function.ResponseSizeTooLarge", "the reply is larger than 6 MB");
        shared.answer(&id, Err(too_large));
        return error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", "Exceeded maximum allowed payload size");
    }
    shared.answer(&id, Ok(body))
}

async fn invocation_error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let report: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    let result = InvokeError::Failed { error_type: text("errorType"), error_message: text("errorMessage") };
    shared.answer(&id, Err(result))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    shared.phase.send_replace(Phase::CannotStart(String::from_utf8_lossy(&body).into_owned()));
    accepted()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response()
}

fn error(status: StatusCode, error_type: &str, message: &str) -> Response {
    (status, axum::Json(json!({"errorType": error_type, "errorMessage": message}))).into_response()
}
