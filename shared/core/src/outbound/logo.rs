//! Fetches logos. Their URLs come from digi.me or from the configuration: only public addresses are asked, without redirects, and
//! what comes is bounded in size and time.

use std::time::Duration;

use http::header::ACCEPT;
use reqwest::dns::Resolve;
use rustls::ClientConfig;
use url::Url;

use super::guard::{Guarded, InvalidUrl, Reach, System};
use crate::{
    aws::Aws,
    config::ConfigError,
    http_client,
    logos::{ImageType, Logo, MAX_LOGO},
};

/// From resolving the name to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// From connecting to the end of the image.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no logo. The texts do not contain the URL.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("the URL {0}")]
    Url(#[from] InvalidUrl),
    #[error("the address is not a public one")]
    Address,
    #[error("there was no answer in time")]
    Timeout,
    #[error("the server could not be reached, or ended the connection")]
    Connection,
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer is larger than {MAX_LOGO} bytes")]
    TooLarge,
    #[error("the answer is no PNG, JPEG, GIF, WebP or SVG")]
    NoImage,
}

#[derive(Debug)]
pub struct LogoFetcher {
    tls: ClientConfig,
    allow_loopback: bool,
}

impl LogoFetcher {
    /// `LOGO_ALLOW_LOOPBACK` permits loopback addresses, and `http` to these only.
    pub fn new(aws: &Aws<'_>) -> Result<Self, ConfigError> {
        let allow_loopback = aws.environment().switch("LOGO_ALLOW_LOOPBACK")?;
        Ok(Self { tls: aws.tls().clone(), allow_loopback })
    }

    /// Takes at most [`TIMEOUT`].
    pub async fn fetch(&self, url: &str) -> Result<Logo, FetchError> {
        self.fetch_with(url, System).await
    }

    async fn fetch_with(&self, url: &str, resolver: impl Resolve + 'static) -> Result<Logo, FetchError> {
        let url = Url::parse(url).map_err(|_| InvalidUrl::NoUrl)?;
        let reach = Reach::of(&url, self.allow_loopback)?;
        // A client of its own: few logos are fetched, each from another host.
        let client =
            http_client::client_with_resolver(self.tls.clone(), CONNECT_TIMEOUT, Guarded::new(reach, resolver));
        let fetched = tokio::time::timeout(TIMEOUT, read(client.get(url).header(ACCEPT, "image/*")));
        let bytes = fetched.await.map_err(|_| FetchError::Timeout)??;
        let media_type = ImageType::of(&bytes).ok_or(FetchError::NoImage)?;
        Ok(Logo { bytes, media_type })
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<Vec<u8>, FetchError> {
    let mut answer = request.send().await.map_err(|error| cause(&error))?;
    if !answer.status().is_success() {
        return Err(FetchError::Status(answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
        if bytes.len() + chunk.len() > MAX_LOGO {
            return Err(FetchError::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The error itself is not kept: it can contain the URL's host.
fn cause(error: &reqwest::Error) -> FetchError {
    if http_client::find::<super::guard::AddressRefused>(error).is_some() {
        FetchError::Address
    } else if error.is_timeout() {
        FetchError::Timeout
    } else {
        FetchError::Connection
    }
}

#[cfg(test)]
mod tests;
