//! Connections that are opened before there is a request for them.
//!
//! reqwest opens a connection only for a request. So an opening starts a request, and the client's innermost layer
//! ([`OpeningLayer`]) keeps the connection and ends the request with an error before anything is sent. The next request
//! to the same origin takes the kept connection. Only HTTP/1.1 connections are kept, on which a server sends nothing
//! before it gets a request.

use std::{
    any::Any,
    collections::HashMap,
    fmt::Debug,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use hyper::rt::{Read, ReadBuf};
use tower::{BoxError, Layer, Service};
use url::Url;

tokio::task_local! {
    /// Set while a request is made only to open a connection.
    static OPENING: Opening;
    /// Set while a call of the AWS SDK is made only to open a connection. Receives the result.
    static CALL_TO_OPEN: Arc<Mutex<Option<Result<(), reqwest::Error>>>>;
}

#[derive(Clone)]
struct Opening {
    host: String,
    opened: Arc<AtomicBool>,
}

/// A call ended before it opened a connection.
#[derive(Debug, thiserror::Error)]
#[error("the call ended before it needed a connection")]
struct NotConnected;

/// The error of a request that was made only to open a connection.
#[derive(Debug, thiserror::Error)]
#[error("the request only opens a connection")]
pub(super) struct OnlyOpened;

/// Opens a connection for the client's next request to the origin of `url`. Sends nothing but the TLS handshake, unless
/// the client has an idle connection to this origin.
///
/// # Errors
/// When no connection can be opened. The error does not contain the URL.
pub async fn open(client: &reqwest::Client, url: &Url) -> Result<(), reqwest::Error> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let opening = Opening { host, opened: Arc::default() };
    let opened = Arc::clone(&opening.opened);
    let mut origin = url.clone();
    origin.set_path("/");
    origin.set_query(None);
    let sent = OPENING.scope(opening, client.get(origin).send()).await;
    if opened.load(Ordering::Relaxed) { Ok(()) } else { sent.map(drop).map_err(reqwest::Error::without_url) }
}

/// Opens the connection that a call of the AWS SDK needs. The call goes as far as its connection: it is not sent.
///
/// # Errors
/// When no connection can be opened.
pub async fn open_for<T>(call: impl Future<Output = T>) -> Result<(), BoxError> {
    let result = Arc::default();
    CALL_TO_OPEN.scope(Arc::clone(&result), call).await;
    let result = lock(&result).take();
    Ok(result.ok_or(NotConnected)??)
}

/// If the current call of the AWS SDK is made only to open a connection: opens it, and returns true.
pub(super) async fn opened_only(client: &reqwest::Client, url: &Url) -> bool {
    let Ok(result) = CALL_TO_OPEN.try_with(Arc::clone) else { return false };
    let opened = open(client, url).await;
    *lock(&result) = Some(opened);
    true
}

/// The kept connections by their target. They are of a type that reqwest does not name.
type Kept = HashMap<String, Vec<Box<dyn Any + Send>>>;

/// The innermost layer of a client: keeps opened connections. Cheap to clone; clones share the connections.
#[derive(Debug, Clone, Default)]
pub(super) struct OpeningLayer(Arc<Mutex<Kept>>);

impl<S> Layer<S> for OpeningLayer {
    type Service = OpeningConnector<S>;

    fn layer(&self, connector: S) -> Self::Service {
        OpeningConnector { connector, kept: Arc::clone(&self.0) }
    }
}

#[derive(Debug, Clone)]
pub(super) struct OpeningConnector<S> {
    connector: S,
    kept: Arc<Mutex<Kept>>,
}

impl<S, T> Service<T> for OpeningConnector<S>
where
    T: Debug + Send + 'static,
    S: Service<T, Error = BoxError, Future: Send> + Clone + Send + 'static,
    S::Response: Read + Unpin + Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        // The text of the target contains its scheme, host and port.
        let (origin, kept) = (format!("{target:?}"), Arc::clone(&self.kept));
        // The clone that is ready.
        let ready = self.connector.clone();
        let mut connector = std::mem::replace(&mut self.connector, ready);
        let opening = OPENING.try_with(Clone::clone).ok();
        Box::pin(async move {
            let Some(opening) = opening else {
                while let Some(mut connection) = take::<S::Response>(&kept, &origin) {
                    if is_open(&mut connection).await {
                        return Ok(connection);
                    }
                }
                return connector.call(target).await;
            };
            let connection = connector.call(target).await?;
            if origin.contains(&opening.host) {
                keep(&kept, origin, connection);
                opening.opened.store(true, Ordering::Relaxed);
            }
            Err(OnlyOpened.into())
        })
    }
}

fn take<C: 'static>(kept: &Mutex<Kept>, origin: &str) -> Option<C> {
    let connection = lock(kept).get_mut(origin)?.pop()?;
    connection.downcast().ok().map(|connection| *connection)
}

/// Keeps a connection until it is taken, but not for long.
fn keep<C: Send + 'static>(kept: &Arc<Mutex<Kept>>, origin: String, connection: C) {
    lock(kept).entry(origin.clone()).or_default().push(Box::new(connection));
    let kept: Weak<Mutex<Kept>> = Arc::downgrade(kept);
    tokio::spawn(async move {
        tokio::time::sleep(super::IDLE_TIMEOUT).await;
        if let Some(kept) = kept.upgrade() {
            lock(&kept).remove(&origin);
        }
    });
}

/// Whether the server has neither closed the connection nor sent anything.
async fn is_open(connection: &mut (impl Read + Unpin)) -> bool {
    let mut byte = [0];
    poll_fn(|context| {
        let mut buffer = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut *connection).poll_read(context, buffer.unfilled()).is_pending())
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
