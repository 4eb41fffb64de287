//! The HTTP clients of the functions: for AWS, for digi.me, for webhooks.
//!
//! All use reqwest and one TLS configuration. Its trusted authorities are Mozilla's, compiled in: loading the system's
//! root certificates would take longer than the rest of a function's start (docs/decisions/0005-http-client.md). No
//! client follows redirects, uses a proxy, or retries a request that was sent.

use std::{error::Error, fs, io, sync::Arc, time::Duration};

use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::{ConnectorError, SdkError},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::{body::SdkBody, error::metadata::ProvideErrorMetadata};
use http::Method;
use reqwest::{Client, ClientBuilder, dns::Resolve, redirect::Policy, retry};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{
    aws::AwsError,
    config::{ConfigError, Environment},
};

/// The `User-Agent` of calls to digi.me and to webhooks.
const USER_AGENT: &str = concat!("digime-reauth/", env!("CARGO_PKG_VERSION"));

/// How long an unused connection is kept. Servers close idle connections after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// While calls wait for their answers over HTTP/2, the connection is checked this often. All of them fail with it.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(2);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(1);

/// The TLS configuration of all clients: Mozilla's authorities, and those in the file `SSL_CERT_FILE` (PEM) if it is set.
///
/// # Errors
/// When the file cannot be read, or contains no certificate.
pub fn tls(environment: &Environment) -> Result<ClientConfig, ConfigError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = environment.optional("SSL_CERT_FILE") {
        let wrong = |problem: &str| ConfigError::new("SSL_CERT_FILE", problem);
        let pem = fs::read(path).map_err(|_| wrong("must name a file that can be read"))?;
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = certificates.map_err(|_| wrong("must name a file of PEM certificates"))?;
        if certificates.is_empty() {
            return Err(wrong("must name a file with at least one certificate"));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| wrong("contains a certificate that cannot be used"))?;
        }
    }
    Ok(trusting(roots))
}

#[expect(clippy::expect_used, reason = "the provider and the protocol versions are those that rustls itself brings")]
fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A client of HTTP/1.1 with a time limit for connecting. Every other time limit is the caller's.
#[must_use]
pub fn client(tls: ClientConfig, connect_timeout: Duration) -> Client {
    build(builder(tls, connect_timeout).retry(retry::never()).http1_only())
}

/// The same, with a resolver in place of the operating system's.
#[must_use]
pub fn client_with_resolver(tls: ClientConfig, connect_timeout: Duration, resolver: impl Resolve + 'static) -> Client {
    build(builder(tls, connect_timeout).retry(retry::never()).http1_only().dns_resolver(resolver))
}

/// The same of HTTP/2, if the server offers it over TLS. A request that the server did not take, because it was about to
/// close the connection, is sent again over a new one.
#[must_use]
pub fn client_with_http2(mut tls: ClientConfig, connect_timeout: Duration) -> Client {
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let builder = builder(tls, connect_timeout)
        .http2_keep_alive_interval(HTTP2_PING_INTERVAL)
        .http2_keep_alive_timeout(HTTP2_PING_TIMEOUT);
    build(builder)
}

fn builder(tls: ClientConfig, connect_timeout: Duration) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .no_proxy()
}

#[expect(clippy::expect_used, reason = "reqwest refuses only settings that it does not know")]
fn build(builder: ClientBuilder) -> Client {
    builder.build().expect("the settings are valid")
}

/// The client under the AWS SDK, which has its own time limits and retries.
#[derive(Debug, Clone)]
pub struct Connector(pub Client);

impl aws_smithy_runtime_api::client::http::HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The error of this type among an error and its causes.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    // The source of an `io::Error` is that of the error in it, which would be skipped.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match inner {
        Some(inner) => find(inner),
        None => find(error.source()?),
    }
}

tokio::task_local! {
    /// Set while a call of the AWS SDK is made only to connect to its endpoint.
    static ONLY_CONNECTS: ();
}

/// Connects to the endpoint of an AWS call. The call itself is not sent: the endpoint gets a request without signature and
/// content in its place, and refuses it. The next call to the endpoint uses the connection.
///
/// # Errors
/// When there is no answer.
pub async fn connect_for<T, E: ProvideErrorMetadata + Error + 'static>(
    call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<(), AwsError> {
    match ONLY_CONNECTS.scope((), call).await {
        Err(error) if error.raw_response().is_none() => Err(AwsError::from(&error)),
        _ => Ok(()),
    }
}

fn unsigned(request: &reqwest::Request) -> reqwest::Request {
    let mut origin = request.url().clone();
    origin.set_path("/");
    origin.set_query(None);
    reqwest::Request::new(Method::GET, origin)
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(<[u8]>::to_vec);
            let body = body.ok_or_else(|| ConnectorError::user("the body of a request is a stream".into()))?;
            let request = reqwest::Request::try_from(http::Request::from_parts(parts, body));
            let request = request.map_err(|error| ConnectorError::user(error.into()))?;
            let request = if ONLY_CONNECTS.try_with(|()| ()).is_ok() { unsigned(&request) } else { request };
            let broken = |error: reqwest::Error| ConnectorError::io(error.without_url().into());
            let answer = client.execute(request).await.map_err(broken)?;
            let mut response = http::Response::new(SdkBody::empty());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = SdkBody::from(answer.bytes().await.map_err(broken)?);
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Whether a call to AWS failed because no connection could be opened: then it was not carried out.
#[must_use]
pub fn was_never_sent(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect) {
            return true;
        }
        cause = error.source();
    }
    false
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

    /// Starts a server with a self-signed certificate. Returns its URL, and the certificate in PEM.
    async fn server() -> (String, String) {
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
        (url, pem::encode(&pem::Pem::new("CERTIFICATE", cert.der().to_vec())))
    }

    /// A configuration that trusts the authorities of a file with this content.
    fn with_file(content: &str) -> Result<ClientConfig, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authorities.pem");
        fs::write(&path, content).unwrap();
        tls(&[("SSL_CERT_FILE".to_owned(), path.to_str().unwrap().to_owned())].into_iter().collect())
    }

    fn sdk_request(url: &str) -> HttpRequest {
        http::Request::get(url).body(SdkBody::empty()).unwrap().try_into().unwrap()
    }

    #[tokio::test]
    async fn a_server_with_a_trusted_certificate_is_called_directly_and_by_the_sdk() {
        let (url, certificate) = server().await;
        let client = client(with_file(&certificate).unwrap(), SECOND);
        assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "ok");
        assert_eq!(Connector(client).call(sdk_request(&url)).await.unwrap().body().bytes(), Some(&b"ok"[..]));
    }

    #[tokio::test]
    async fn a_server_with_an_unknown_certificate_is_refused() {
        let (url, _) = server().await;
        let client = client(tls(&Environment::from_iter([])).unwrap(), SECOND);
        assert!(client.get(&url).send().await.unwrap_err().is_connect());
        assert!(Connector(client).call(sdk_request(&url)).await.unwrap_err().is_io());
    }

    #[test]
    fn a_file_of_authorities_that_cannot_be_used_names_its_variable() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in ["", "hello", broken] {
            assert_eq!(with_file(content).unwrap_err().variable, "SSL_CERT_FILE", "{content}");
        }
        let missing = [("SSL_CERT_FILE".to_owned(), "/nowhere/at/all".to_owned())].into_iter().collect();
        assert_eq!(tls(&missing).unwrap_err().variable, "SSL_CERT_FILE");
    }
}
