//! The HTTP clients of everything that the functions call: AWS, digi.me, a webhook.
//!
//! All share one TLS configuration, whose roots are Mozilla's, compiled in: loading those of the machine, file by
//! file, would take longer than all else that a function does at start (docs/decisions/0005-http-clients.md).

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
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector as TcpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reqwest::{Client, ClientBuilder};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

static TLS: LazyLock<ClientConfig> =
    LazyLock::new(|| trusting(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }));

#[expect(clippy::expect_used, reason = "the provider and the protocol versions are those that rustls itself brings")]
fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client that goes nowhere but where it is sent: it follows no redirect, asks no proxy, and sends nothing twice by
/// itself.
#[must_use]
pub fn builder() -> ClientBuilder {
    builder_with(TLS.clone())
}

fn builder_with(tls: ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
}

/// The client under the AWS SDK's: hyper's own, without what reqwest does around it, since the SDK asks for nothing of it.
#[derive(Debug, Clone)]
struct ForAws(HyperClient<HttpsConnector<TcpConnector>, Full<Bytes>>);

/// The client under the AWS SDK's.
pub(crate) fn for_aws(connect_timeout: Duration) -> SharedHttpClient {
    ForAws::with(TLS.clone(), connect_timeout).into_shared()
}

impl ForAws {
    fn with(tls: ClientConfig, connect_timeout: Duration) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls);
        let connector = https.https_or_http().enable_http1().wrap_connector(tcp);
        Self(HyperClient::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector))
    }
}

impl HttpClient for ForAws {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Time limits, but for connecting, and retries are the SDK's.
impl HttpConnector for ForAws {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user("the body of a request is a stream".into()))?;
            let answer = client.request(http::Request::from_parts(parts, Full::new(body))).await;
            let (parts, body) = answer.map_err(|error| ConnectorError::io(error.into()))?.into_parts();
            let body = body.collect().await.map_err(|error| ConnectorError::io(error.into()))?.to_bytes();
            let response = http::Response::from_parts(parts, SdkBody::from(body));
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// A server with a certificate of its own making: its address, and a configuration that trusts it.
    async fn server() -> (String, ClientConfig) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let (acceptor, listener) =
            (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let mut request = vec![0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
                let _ = stream.shutdown().await;
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        (url, trusting(roots))
    }

    async fn by_aws(client: &ForAws, url: &str) -> Result<Vec<u8>, ConnectorError> {
        let request = http::Request::get(url).body(SdkBody::empty()).unwrap();
        let answer = client.call(HttpRequest::try_from(request).unwrap()).await?;
        Ok(answer.body().bytes().unwrap().to_vec())
    }

    #[tokio::test]
    async fn both_clients_speak_tls_with_whom_they_trust() {
        let (url, trusting) = server().await;
        let client = builder_with(trusting.clone()).build().unwrap();
        assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "ok");
        assert_eq!(by_aws(&ForAws::with(trusting, Duration::from_secs(1)), &url).await.unwrap(), b"ok");
    }

    #[tokio::test]
    async fn a_server_that_no_known_authority_vouches_for_is_refused() {
        let (url, _) = server().await;
        assert!(builder().build().unwrap().get(&url).send().await.unwrap_err().is_connect());
        let error = by_aws(&ForAws::with(TLS.clone(), Duration::from_secs(1)), &url).await.unwrap_err();
        assert!(error.is_io(), "{error:?}");
    }
}
