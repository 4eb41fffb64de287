//! One HTTP call at digi.me with its retries: each request sent is built, and so signed, anew.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{ApiError, Error, error::Cause};
use crate::{
    ambient::{Ambient, Deadline},
    http_client::HttpClient,
};

const MAX_RETRIES: u32 = 2;
/// The pause before the first retry is below this, before the second below twice this.
const RETRY_PAUSE: Duration = Duration::from_millis(150);
/// A longer `Retry-After` is not waited for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3);
/// A longer answer is not one of digi.me's.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Which failed calls may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Any that may pass: the call changes nothing, or does no harm twice.
    Freely,
    /// Only those that cannot have been executed, such as a refresh that found no connection.
    IfNotExecuted,
}

/// The client, the clock and the limit that all calls share.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) http: HttpClient,
    pub(super) ambient: Ambient,
    /// How long one request may take, from connecting to the last byte of the answer.
    pub(super) timeout: Duration,
}

impl Transport {
    /// Sends what `build` makes, up to three times and until the deadline.
    ///
    /// # Errors
    /// [`Error`]: of the last try.
    pub(super) async fn send(
        &self,
        repeat: Repeat,
        deadline: Deadline,
        build: impl Fn() -> Result<Request<Bytes>, Error>,
    ) -> Result<Bytes, Error> {
        let mut retries = 0;
        loop {
            let limit = self.timeout.min(self.ambient.remaining(deadline));
            let error = match tokio::time::timeout(limit, self.exchange(build()?)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => Error::Unreachable { cause: Cause::Timeout },
            };
            retries += 1;
            let Some(pause) = self.pause(&error, repeat, retries) else {
                return Err(error);
            };
            if retries > MAX_RETRIES || pause >= self.ambient.remaining(deadline) {
                return Err(error);
            }
            tracing::debug!(error = %error, retries, "A call at digi.me is repeated");
            tokio::time::sleep(pause).await;
        }
    }

    /// How long to wait before trying again; none if that is of no use, or could do harm.
    fn pause(&self, error: &Error, repeat: Repeat, retry: u32) -> Option<Duration> {
        let jitter = || self.ambient.jitter(RETRY_PAUSE * retry);
        match error {
            Error::Unreachable { cause: Cause::Connect } => Some(jitter()),
            Error::Unreachable { cause: Cause::Broken } if repeat == Repeat::Freely => Some(jitter()),
            Error::Api(api) if api.status == StatusCode::TOO_MANY_REQUESTS => match api.retry_after {
                Some(wait) => (wait <= MAX_RETRY_AFTER).then_some(wait),
                None => Some(jitter()),
            },
            Error::Api(api) if api.status.is_server_error() && repeat == Repeat::Freely => {
                match api.retry_after {
                    Some(wait) => (wait <= MAX_RETRY_AFTER).then_some(wait),
                    // 511 says that a source wants its user: asking again does not change that.
                    None => (api.status != StatusCode::NETWORK_AUTHENTICATION_REQUIRED).then(jitter),
                }
            }
            _ => None,
        }
    }

    /// The errors' own texts are not kept: they can name the URL.
    async fn exchange(&self, request: Request<Bytes>) -> Result<Bytes, Error> {
        let answer = self.http.send(request).await.map_err(|error| {
            let cause = if error.is_connect() { Cause::Connect } else { Cause::Broken };
            Error::Unreachable { cause }
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            let too_long = error.is::<LengthLimitError>();
            if too_long { Error::InvalidAnswer("it is too long") } else { Error::Unreachable { cause: Cause::Broken } }
        })?;
        let body = body.to_bytes();
        if head.status.is_success() {
            Ok(body)
        } else {
            Err(Error::Api(ApiError::read(head.status, &head.headers, &body)))
        }
    }
}
