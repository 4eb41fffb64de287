//! One HTTP call to digi.me with its retries. Every attempt is built and signed anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, Version};
use jiff::Timestamp;
use reqwest::{Request, Response};

use super::{ApiError, Error, error::Cause};
use crate::ambient::{Ambient, Deadline};

const MAX_RETRIES: u32 = 2;
/// The longest pause before the first retry. The second retry waits up to twice as long.
const RETRY_PAUSE: Duration = Duration::from_millis(150);
/// If `Retry-After` is longer, the call is not retried.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3);
/// digi.me's answers are shorter. A longer answer is refused.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// When a failed call is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// After a connection error, a 429 or a temporary error of digi.me. The call changes nothing, or may be executed
    /// twice without harm. Not after a timeout: the time of the call is used up.
    Freely,
    /// Only calls that cannot have been executed, such as a refresh without a connection.
    IfNotExecuted,
}

/// The HTTP client, the clock and the time limit that all calls share.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    pub(super) ambient: Ambient,
    /// The time limit of one request, from connecting to the last byte of the answer.
    pub(super) timeout: Duration,
    /// Whether the last answer came over HTTP/2.
    http2: AtomicBool,
}

impl Transport {
    pub(super) fn new(http: reqwest::Client, ambient: Ambient, timeout: Duration) -> Self {
        Self { http, ambient, timeout, http2: AtomicBool::new(false) }
    }

    pub(super) fn uses_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Sends the request that `build` returns: up to three attempts, all before the deadline. Each attempt that fails is
    /// counted under the name of the endpoint; the answer is counted when it is read ([`counted`]).
    pub(super) async fn send(
        &self,
        endpoint: &'static str,
        repeat: Repeat,
        deadline: Deadline,
        build: impl Fn() -> Result<Request, Error>,
    ) -> Result<Bytes, Error> {
        let mut retries = 0;
        loop {
            let (begun, limit) = (self.ambient.now(), self.timeout.min(self.ambient.remaining(deadline)));
            let timeout = |_| Err(Error::Unreachable { cause: Cause::Timeout, source: None });
            let result = tokio::time::timeout(limit, self.exchange(build()?)).await.unwrap_or_else(timeout);
            self.measure(endpoint, begun);
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            count(endpoint, error.outcome());
            retries += 1;
            let Some(pause) = self.pause(&error, repeat, retries) else {
                return Err(error);
            };
            if retries > MAX_RETRIES || pause >= self.ambient.remaining(deadline) {
                return Err(error);
            }
            tracing::debug!(error = %error, retries, "call digi.me: retrying");
            tokio::time::sleep(pause).await;
        }
    }

    fn measure(&self, endpoint: &'static str, begun: Timestamp) {
        let taken = self.ambient.now().duration_since(begun);
        metrics::histogram!("DigimeLatency", "Endpoint" => endpoint).record(taken.as_secs_f64().max(0.0) * 1_000.0);
    }

    /// How long to wait before the next attempt. `None` if another attempt cannot succeed or could do harm.
    fn pause(&self, error: &Error, repeat: Repeat, retry: u32) -> Option<Duration> {
        let jitter = || self.ambient.jitter(RETRY_PAUSE * retry);
        match error {
            Error::Unreachable { cause: Cause::Connect, .. } => Some(jitter()),
            Error::Unreachable { cause: Cause::Broken, .. } if repeat == Repeat::Freely => Some(jitter()),
            // With 429, the call was not executed.
            Error::Api(api)
                if api.is_temporary() && (repeat == Repeat::Freely || api.status == StatusCode::TOO_MANY_REQUESTS) =>
            {
                match api.retry_after {
                    Some(wait) => (wait <= MAX_RETRY_AFTER).then_some(wait),
                    None => Some(jitter()),
                }
            }
            _ => None,
        }
    }

    async fn exchange(&self, request: Request) -> Result<Bytes, Error> {
        let answer = self.http.execute(request).await.map_err(unreachable)?;
        self.http2.store(answer.version() == Version::HTTP_2, Ordering::Relaxed);
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = body(answer).await?;
        if status.is_success() { Ok(body) } else { Err(ApiError::read(status, &headers, &body).into()) }
    }
}

fn count(endpoint: &'static str, outcome: &'static str) {
    metrics::counter!("DigimeCalls", "Endpoint" => endpoint, "Outcome" => outcome).increment(1);
}

/// Counts an answer that was read: as a success, or as one that cannot be used.
pub(super) fn counted<T>(endpoint: &'static str, read: Result<T, Error>) -> Result<T, Error> {
    count(endpoint, read.as_ref().err().map_or("success", Error::outcome));
    read
}

async fn body(mut answer: Response) -> Result<Bytes, Error> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::InvalidAnswer("it is too long".into()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn unreachable(error: reqwest::Error) -> Error {
    let cause = if error.is_connect() { Cause::Connect } else { Cause::Broken };
    // The URL may contain the key of a session.
    Error::Unreachable { cause, source: Some(Arc::new(error.without_url())) }
}
