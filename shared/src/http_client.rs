//! The HTTP client of everything that the functions call: AWS, digi.me, a webhook.
//!
//! All clients share one TLS configuration, whose roots are Mozilla's, compiled in: loading those of the machine, file by
//! file, would take longer than all else that a function does at start (docs/decisions/0005-one-http-client.md).

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

#[expect(clippy::expect_used, reason = "the provider and the protocol versions are those that rustls itself brings")]
static TLS: LazyLock<ClientConfig> = LazyLock::new(|| {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
});

/// A client that goes nowhere but where it is sent: it follows no redirect, asks no proxy, and sends nothing twice by
/// itself.
#[must_use]
pub fn builder() -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(TLS.clone())
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
}

/// The client under the AWS SDK's.
///
/// # Errors
/// When no client can be built.
pub(crate) fn for_aws(connect_timeout: Duration) -> reqwest::Result<SharedHttpClient> {
    Ok(ForAws(builder().connect_timeout(connect_timeout).build()?).into_shared())
}

/// Time limits, but for connecting, and retries are the SDK's.
#[derive(Debug, Clone)]
struct ForAws(Client);

impl HttpClient for ForAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for ForAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user("the body of a request is a stream".into()))?;
            let request = http::Request::from_parts(parts, body).try_into();
            let answer = client.execute(request.map_err(failed)?).await.map_err(failed)?;
            let mut response = http::Response::new(SdkBody::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = SdkBody::from(answer.bytes().await.map_err(failed)?);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The kinds of error that the SDK tells apart, to try again or not.
fn failed(error: reqwest::Error) -> ConnectorError {
    let (builder, timeout) = (error.is_builder(), error.is_timeout());
    let error = error.without_url().into();
    match (builder, timeout) {
        (true, _) => ConnectorError::user(error),
        (false, true) => ConnectorError::timeout(error),
        (false, false) => ConnectorError::io(error),
    }
}
