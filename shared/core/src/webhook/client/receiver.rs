//! A receiver for the tests of the client: takes connections on a free port, and answers each request as it is told.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// What follows a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// This text. The connection stays open for more requests.
    Text(String),
    /// This text. Then nothing more comes, and the connection stays open.
    ThenHang(String),
    /// This text. Then the connection is closed.
    ThenClose(String),
    /// The first text, and the second one again and again, until the connection is closed.
    Endless(String, String),
}

/// A request as it came.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    reply: Reply,
    requests: mpsc::UnboundedSender<Request>,
    connections: AtomicUsize,
    /// A connection that gets nothing more, or that the client closed.
    over: Notify,
}

impl Receiver {
    /// Speaks HTTP.
    pub(super) async fn plain(reply: Reply) -> Self {
        Self::start(reply, None, false).await
    }

    /// Speaks HTTP over TLS.
    pub(super) async fn tls(reply: Reply, certificate: &Certificate) -> Self {
        Self::start(reply, Some(certificate.acceptor()), false).await
    }

    /// Takes connections, and says nothing.
    pub(super) async fn mute() -> Self {
        Self::start(Reply::ThenHang(String::new()), None, true).await
    }

    async fn start(reply: Reply, tls: Option<TlsAcceptor>, mute: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let shared =
            Arc::new(Shared { reply, requests: sender, connections: AtomicUsize::new(0), over: Notify::new() });
        let of_server = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                of_server.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(take(connection, tls.clone(), mute, Arc::clone(&of_server)));
            }
        });
        Self { address, requests, shared, server }
    }

    /// How many connections were accepted.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits for a connection that gets nothing more, or that the client closed.
    pub(super) async fn is_over(&self) {
        self.shared.over.notified().await;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(connection: TcpStream, tls: Option<TlsAcceptor>, mute: bool, shared: Arc<Shared>) {
    if mute {
        shared.over.notify_one();
        let _open = connection;
        return std::future::pending().await;
    }
    match tls {
        None => serve(connection, &shared).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(connection).await {
                serve(stream, &shared).await;
            }
        }
    }
    shared.over.notify_one();
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let _ = shared.requests.send(request);
        match &shared.reply {
            Reply::Text(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Reply::ThenHang(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                shared.over.notify_one();
                return std::future::pending().await;
            }
            Reply::ThenClose(text) => {
                let _ = stream.write_all(text.as_bytes()).await;
                return;
            }
            Reply::Endless(first, again) => {
                let _ = stream.write_all(first.as_bytes()).await;
                while stream.write_all(again.as_bytes()).await.is_ok() {}
                return;
            }
        }
    }
}

/// Reads a request. `None` at the end of the connection.
async fn read(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Request> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { head, body: String::from_utf8(body).unwrap() })
}

/// A self-signed certificate of `app.example`.
pub(super) struct Certificate {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Certificate {
    pub(super) fn new(name: &str, last_year: i32) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        Self { certificate: params.self_signed(&key).unwrap().der().clone(), key }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A client's configuration that trusts this certificate.
    pub(super) fn trusted(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// This machine, as a name resolves to it.
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
