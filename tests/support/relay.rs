//! A relay between a function and a server: it counts connections and bytes, terminates TLS, and closes connections.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

const BUFFER: usize = 16 * 1024;

/// The protocols that a server offers over TLS, the preferred one first.
pub const HTTP2: &[&str] = &["h2", "http/1.1"];
pub const HTTP1: &[&str] = &["http/1.1"];

/// A certificate authority of its own, and its certificate for this machine.
pub struct Authority {
    file: NamedTempFile,
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority. Panics if it cannot be made.
    #[must_use]
    pub fn generate() -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key pair"));
        let issuer = issuer.expect("an authority");
        let names = ["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()];
        let key = KeyPair::generate().expect("a key pair");
        let certificate = CertificateParams::new(names).expect("names").signed_by(&key, &issuer);
        let pem = pem::encode(&pem::Pem::new("CERTIFICATE", issuer.der().to_vec()));
        let mut file = NamedTempFile::new().expect("a file");
        file.write_all(pem.as_bytes()).expect("a written file");
        Self { file, chain: vec![certificate.expect("a certificate").der().clone()], key }
    }

    /// The value of `SSL_CERT_FILE`.
    #[must_use]
    pub fn path(&self) -> String {
        self.file.path().to_str().expect("a path in UTF-8").to_owned()
    }

    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key);
        let mut config = config.expect("a certificate with its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    connections: AtomicU64,
    received: AtomicU64,
    /// The time of a round trip in microseconds. TCP and TLS take one each.
    round_trip: AtomicU64,
    close: watch::Sender<()>,
    forget: watch::Sender<()>,
}

/// The relay. It stops when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Relays what arrives as it is.
    pub async fn plain(upstream: SocketAddr) -> Self {
        Self::start(upstream, None).await
    }

    /// Terminates TLS.
    pub async fn tls(upstream: SocketAddr, authority: &Authority, protocols: &[&str]) -> Self {
        Self::start(upstream, Some(authority.acceptor(protocols))).await
    }

    async fn start(upstream: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            upstream,
            connections: AtomicU64::new(0),
            received: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            close: watch::Sender::new(()),
            forget: watch::Sender::new(()),
        });
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of connections so far, with those that were closed.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The number of bytes that clients sent so far, without TLS.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::SeqCst)
    }

    /// Lets the handshakes of TCP and TLS take one round trip each.
    pub fn set_round_trip(&self, round_trip: Duration) {
        let microseconds = u64::try_from(round_trip.as_micros()).expect("a short time");
        self.shared.round_trip.store(microseconds, Ordering::SeqCst);
    }

    /// Closes all connections.
    pub fn close_all(&self) {
        self.shared.close.send_replace(());
    }

    /// Closes each connection that is open now when the next byte arrives on it, as a machine does that has forgotten
    /// the connection.
    pub fn forget_all(&self) {
        self.shared.forget.send_replace(());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
        self.close_all();
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let _ = client.set_nodelay(true);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let handshakes = if tls.is_some() { 2 } else { 1 };
            pause(Duration::from_micros(shared.round_trip.load(Ordering::SeqCst)) * handshakes).await;
            match tls {
                None => relay(client, &shared).await,
                Some(tls) => {
                    if let Ok(client) = tls.accept(client).await {
                        relay(client, &shared).await;
                    }
                }
            }
        });
    }
}

/// tokio's timer is good to a millisecond; this is more exact.
async fn pause(time: Duration) {
    if !time.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(time)).await;
    }
}

async fn relay(client: impl AsyncRead + AsyncWrite, shared: &Shared) {
    shared.connections.fetch_add(1, Ordering::SeqCst);
    let (mut close, forget) = (shared.close.subscribe(), shared.forget.subscribe());
    let Ok(server) = TcpStream::connect(shared.upstream).await else { return };
    let _ = server.set_nodelay(true);
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = server.into_split();
    let forgotten = || forget.has_changed().is_ok_and(|changed| changed);
    let requests = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            shared.received.fetch_add(length as u64, Ordering::SeqCst);
            if forgotten() || to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; BUFFER];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            if to_client.write_all(&buffer[..length]).await.is_err() || to_client.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = answers => {}
        _ = close.changed() => {}
    }
}
