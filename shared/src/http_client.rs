//! The HTTP client for all calls of the functions: AWS, digi.me, webhooks.
//!
//! It uses hyper. It follows no redirects, uses no proxy and does not retry a request that was sent. All clients share
//! one TLS configuration, whose roots are Mozilla's, compiled in: loading the system's root certificates would take
//! longer than the rest of a function's start (docs/decisions/0005-http-client.md).

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
pub use hyper_util::client::legacy::Error;
use hyper_util::{
    client::legacy::{Client, connect},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};

/// The `User-Agent` of calls to digi.me and to webhooks.
pub const USER_AGENT: &str = concat!("digime-reauth/", env!("CARGO_PKG_VERSION"));

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

/// An HTTP client. Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct HttpClient(Client<HttpsConnector<connect::HttpConnector>, Full<Bytes>>);

impl HttpClient {
    /// A client with a time limit for connecting. Every other time limit is the caller's.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        Self::with(TLS.clone(), connect_timeout)
    }

    fn with(tls: ClientConfig, connect_timeout: Duration) -> Self {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connect_timeout));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let mut client = Client::builder(TokioExecutor::new());
        Self(client.pool_timer(TokioTimer::new()).build(https.wrap_connector(tcp)))
    }

    /// Sends a request, whose URL must be absolute. The body of the response is not read yet.
    ///
    /// # Errors
    /// When no connection can be made, or the connection breaks.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Incoming>, Error> {
        self.0.request(request.map(Full::new)).await
    }
}

/// For the AWS SDK, which has its own time limits and retries.
impl aws_smithy_runtime_api::client::http::HttpClient for HttpClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for HttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(Bytes::copy_from_slice);
            let body = body.ok_or_else(|| ConnectorError::user("the body of a request is a stream".into()))?;
            let answer = client.send(http::Request::from_parts(parts, body)).await;
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

    const SECOND: Duration = Duration::from_secs(1);

    /// Starts a server with a self-signed certificate. Returns its URL, and a configuration that trusts the
    /// certificate.
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
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let mut request = vec![0; 4_096];
                let _ = stream.read(&mut request).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        (url, trusting(roots))
    }

    fn get<B>(url: &str, body: B) -> http::Request<B> {
        http::Request::get(url).body(body).unwrap()
    }

    #[tokio::test]
    async fn it_speaks_tls_with_whom_it_trusts_for_itself_and_under_the_sdk() {
        let (url, trusting) = server().await;
        let client = HttpClient::with(trusting, SECOND);
        let answer = client.send(get(&url, Bytes::new())).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
        let request = HttpRequest::try_from(get(&url, SdkBody::empty())).unwrap();
        assert_eq!(client.call(request).await.unwrap().body().bytes(), Some(&b"ok"[..]));
    }

    #[tokio::test]
    async fn a_server_that_no_known_authority_vouches_for_is_refused() {
        let (url, _) = server().await;
        let client = HttpClient::new(SECOND);
        assert!(client.send(get(&url, Bytes::new())).await.unwrap_err().is_connect());
        let request = HttpRequest::try_from(get(&url, SdkBody::empty())).unwrap();
        assert!(client.call(request).await.unwrap_err().is_io());
    }
}
