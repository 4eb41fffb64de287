//! The HTTP client of the webhook: one POST to one URL, and what became of it.

use std::{pin::pin, time::Duration};

use digime::ambient::Ambient;
use http::header::CONTENT_TYPE;
use reqwest::{Response, dns::Resolve};
use rustls::ClientConfig;
use url::Url;

use super::{
    answer,
    outcome::{PostError, PostResult, Refusal, retry_after},
};
use crate::{
    http_client,
    outbound::guard::{AddressRefused, Guarded, Reach, System},
};

/// From resolving the name to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From connecting to the end of the answer. Standard Webhooks recommends 15 to 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The most that is read of an answer's body, in bytes.
const MAX_BODY: usize = 16 * 1_024;
/// How long the body of a 2xx answer is read. The connection can be used again only after its end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// What a post takes at most.
pub const LONGEST_POST: Duration = TIMEOUT.saturating_add(DRAIN_TIMEOUT);

/// Posts to one URL. It follows no redirects, since the event contains the reconnect link, and uses no proxy.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: Url,
    reach: Reach,
}

impl Client {
    pub(super) fn new(tls: ClientConfig, url: Url, reach: Reach) -> Self {
        Self::with_resolver(tls, url, reach, System)
    }

    fn with_resolver(tls: ClientConfig, url: Url, reach: Reach, resolver: impl Resolve + 'static) -> Self {
        let http = http_client::client_with_resolver(tls, CONNECT_TIMEOUT, Guarded::new(reach, resolver));
        Self { http, url, reach }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Posts a JSON body with these headers besides its type.
    pub(super) async fn post(&self, headers: Vec<(&str, String)>, body: &str, ambient: &Ambient) -> PostResult {
        if self.reach.check(&self.url).is_err() {
            return PostResult::Failed(PostError::AddressRefused);
        }
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut time_limit = pin!(tokio::time::sleep(TIMEOUT));
        let sent = tokio::select! {
            sent = request.body(body.to_owned()).send() => sent,
            () = &mut time_limit => return PostResult::Failed(PostError::Timeout),
        };
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => return PostResult::Failed(cause(&error)),
        };
        let (status, mut start) = (answer.status(), Vec::new());
        if status.is_success() {
            // The status counts, whatever follows.
            let _ = tokio::time::timeout(DRAIN_TIMEOUT, read(&mut answer, &mut start)).await;
            return PostResult::Accepted { status: status.as_u16() };
        }
        let retry_after = retry_after(answer.headers(), ambient.now());
        tokio::select! {
            () = read(&mut answer, &mut start) => {}
            () = time_limit => {}
        }
        let response = answer::text(&start, &self.url, body);
        PostResult::Refused(Refusal { status: status.as_u16(), response, retry_after })
    }
}

/// Reads the body to its end, or until [`MAX_BODY`] bytes were read or the connection breaks.
async fn read(answer: &mut Response, into: &mut Vec<u8>) {
    while into.len() < MAX_BODY
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        into.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - into.len())]);
    }
}

/// Why there is no answer. The error itself is not kept: it can contain the URL's host.
fn cause(error: &reqwest::Error) -> PostError {
    if http_client::find::<AddressRefused>(error).is_some() {
        PostError::AddressRefused
    } else if http_client::find::<rustls::Error>(error).is_some() {
        PostError::TlsFailed
    } else if error.is_timeout() {
        PostError::Timeout
    } else if error.is_connect() {
        PostError::ConnectionFailed
    } else {
        PostError::Disconnected
    }
}

#[cfg(test)]
mod receiver;
#[cfg(test)]
mod tests;
