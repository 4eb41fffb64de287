//! Starts and stops the simulator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use digime::ambient::Ambient;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::control::Control;
use crate::keys::{KeyError, KeyForm, SigningKey};
use crate::listener::{ResetSwitch, ResettableListener};
use crate::model::KeyRing;
use crate::routes::router;
use crate::shared::{RecordedRequest, Shared};
use crate::state::{State, VERSION};
use crate::{API_PATH, ONBOARD_PATH};

/// At a shutdown, requests in progress may take this long to finish.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the simulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No address could be bound, or the given listener cannot be used.
    #[error("cannot listen: {0}")]
    Listen(#[source] io::Error),
    /// The state file exists and cannot be read.
    #[error("cannot read the state file {path}: {reason}")]
    StateFile { path: PathBuf, reason: String },
    /// The given signing key cannot be used, or no key could be generated.
    #[error(transparent)]
    SigningKey(#[from] KeyError),
}

/// The options of a simulator. Created by [`Simulator::builder`].
#[must_use]
pub struct Builder {
    ambient: Ambient,
    listener: Option<TcpListener>,
    state_file: Option<PathBuf>,
    signing_key: Option<Vec<u8>>,
}

impl Builder {
    /// Sets the clock, and the randomness of tokens, codes and ids. The default is the system's. Latencies always use
    /// real time. Key generation and signatures always use the system's generator.
    pub fn ambient(mut self, ambient: Ambient) -> Self {
        self.ambient = ambient;
        self
    }

    /// Sets a bound socket on a loopback address. The default is a free port of 127.0.0.1.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Sets the state file. It is read at the start if it exists, and written after each change. Only its owner can
    /// read it: it contains tokens and the private signing key.
    pub fn state_file(mut self, path: PathBuf) -> Self {
        self.state_file = Some(path);
        self
    }

    /// Sets the signing key (PKCS#8 in DER) instead of generating one. The key of a state file takes precedence.
    pub fn signing_key_pkcs8(mut self, der: Vec<u8>) -> Self {
        self.signing_key = Some(der);
        self
    }

    /// Starts the simulator on the current Tokio runtime.
    pub async fn start(self) -> Result<Simulator, StartError> {
        let listener = bind(self.listener).map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let mut shared = Shared {
            state: load(self.state_file.as_deref(), self.signing_key, self.ambient.now()).await?.into(),
            ambient: self.ambient,
            address,
            state_file: self.state_file,
            faults: Default::default(),
            nonces: Default::default(),
            requests: Default::default(),
            observer: Default::default(),
        };
        if shared.state.get_mut().is_ok_and(|state| state.keys.current.kid.is_empty()) {
            let kid = shared.random_id();
            shared.change(|state| state.keys.current.kid = kid);
        }
        let shared = Arc::new(shared);
        let service = router(&shared).into_make_service_with_connect_info::<ResetSwitch>();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(async move {
            let _ = axum::serve(ResettableListener(listener), service)
                .with_graceful_shutdown(async {
                    let _ = stopped.await;
                })
                .await;
        });
        Ok(Simulator { shared, server: Some(server), stop: Some(stop) })
    }
}

fn bind(listener: Option<TcpListener>) -> io::Result<tokio::net::TcpListener> {
    let listener = match listener {
        Some(listener) => listener,
        None => TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?,
    };
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Reads the state from the file, or creates a new state, whose key has no `kid` yet.
async fn load(
    path: Option<&std::path::Path>,
    signing_key: Option<Vec<u8>>,
    now: Timestamp,
) -> Result<State, StartError> {
    if let Some(path) = path {
        let unusable = |reason: String| StartError::StateFile { path: path.to_owned(), reason };
        match std::fs::read(path) {
            Ok(bytes) => {
                let state: State = serde_json::from_slice(&bytes).map_err(|error| unusable(place(&error)))?;
                if state.version != VERSION {
                    return Err(unusable(format!("version {} is not known", state.version)));
                }
                return Ok(state);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error.to_string())),
        }
    }
    let current = match signing_key {
        Some(der) => SigningKey::from_pkcs8(String::new(), KeyForm::Pkcs1, &der)?,
        None => tokio::task::spawn_blocking(|| SigningKey::generate(String::new(), KeyForm::Pkcs1))
            .await
            .map_err(|_| KeyError::Generation)??,
    };
    let previous = None;
    Ok(State::new(KeyRing { current, previous }, now))
}

/// Where the error is. Its own text can contain a value, such as a signing key.
fn place(error: &serde_json::Error) -> String {
    format!("it is not a state at line {} column {}", error.line(), error.column())
}

/// A running simulator. It stops when it is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
    stop: Option<oneshot::Sender<()>>,
}

impl Simulator {
    /// By default, the simulator uses the system's clock and a free port, and keeps its state in memory.
    pub fn builder() -> Builder {
        Builder { ambient: Ambient::system(), listener: None, state_file: None, signing_key: None }
    }

    /// The base URL of the API, with a trailing slash.
    pub fn base_url(&self) -> Url {
        self.shared.url(API_PATH)
    }

    /// The base URL of the consent pages, with a trailing slash.
    pub fn onboard_url(&self) -> Url {
        self.shared.url(ONBOARD_PATH)
    }

    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    pub fn control(&self) -> Control {
        Control { shared: self.shared.clone() }
    }

    /// The last 10,000 requests for the API and the pages, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.recorded()
    }

    /// Clears the recorded requests.
    pub fn clear_requests(&self) {
        self.shared.clear_recorded();
    }

    /// Stops listening, and waits up to two seconds for requests in progress.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(mut server) = self.server.take()
            && tokio::time::timeout(SHUTDOWN_TIMEOUT, &mut server).await.is_err()
        {
            server.abort();
        }
    }
}
