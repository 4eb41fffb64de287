//! Connections that are opened before there is a request for them.
//!
//! reqwest opens a connection only for a request. So the [`Opener`] starts a request with a client of its own, whose
//! innermost layer keeps the new connection and ends the request with an error before anything is sent. The next request
//! to the same origin takes the kept connection. Only HTTP/1.1 connections are kept, on which a server sends nothing
//! before it gets a request.

use std::{
    any::Any,
    collections::HashMap,
    error::Error,
    fmt::Debug,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll},
};

use futures::future::BoxFuture;
use hyper::rt::{Read, ReadBuf};
use tower::{BoxError, Layer, Service};
use url::Url;

tokio::task_local! {
    /// Set while a call of the AWS SDK is made only to open a connection. Receives the result.
    static CALL_TO_OPEN: Arc<Mutex<Option<Result<(), reqwest::Error>>>>;
}

/// The error of a request that was made only to open a connection.
#[derive(Debug, thiserror::Error)]
#[error("the request only opens a connection")]
pub(super) struct OnlyOpened;

/// A call of the AWS SDK ended before it opened a connection.
#[derive(Debug, thiserror::Error)]
#[error("the call ended before it needed a connection")]
struct NotConnected;

/// A client that opens connections for another one, and sends nothing.
#[derive(Debug, Clone)]
pub(super) struct Opener(pub(super) reqwest::Client);

impl Opener {
    pub(super) async fn open(&self, url: &Url) -> Result<(), reqwest::Error> {
        match self.0.get(url.clone()).send().await {
            Err(error) if !is_opened(&error) => Err(error.without_url()),
            _ => Ok(()),
        }
    }

    /// If the current call of the AWS SDK is made only to open a connection: opens it, and returns true.
    pub(super) async fn opened_only(&self, url: &Url) -> bool {
        let Ok(result) = CALL_TO_OPEN.try_with(Arc::clone) else { return false };
        let opened = self.open(url).await;
        *lock(&result) = Some(opened);
        true
    }
}

fn is_opened(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<OnlyOpened>() {
            return true;
        }
        cause = error.source();
    }
    false
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

/// The kept connections by their target. They are of a type that reqwest does not name.
type Kept = HashMap<String, Vec<Box<dyn Any + Send>>>;

/// The innermost layer of a client: takes kept connections. The innermost layer of its opener: keeps connections.
#[derive(Debug, Clone, Default)]
pub(super) struct KeepingLayer {
    kept: Arc<Mutex<Kept>>,
    opening: bool,
}

impl KeepingLayer {
    /// The layer of the opener.
    pub(super) fn opening(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), opening: true }
    }
}

impl<S> Layer<S> for KeepingLayer {
    type Service = KeepingConnector<S>;

    fn layer(&self, connector: S) -> Self::Service {
        KeepingConnector { connector, layer: self.clone() }
    }
}

#[derive(Debug, Clone)]
pub(super) struct KeepingConnector<S> {
    connector: S,
    layer: KeepingLayer,
}

impl<S, T> Service<T> for KeepingConnector<S>
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
        // The text of the target contains its scheme, host and port. Its type has no name outside of reqwest.
        let (origin, KeepingLayer { kept, opening }) = (format!("{target:?}"), self.layer.clone());
        // The clone that is ready.
        let next = self.connector.clone();
        let mut connector = std::mem::replace(&mut self.connector, next);
        Box::pin(async move {
            if opening {
                keep(&kept, origin, connector.call(target).await?);
                return Err(OnlyOpened.into());
            }
            while let Some(mut connection) = take::<S::Response>(&kept, &origin) {
                if is_open(&mut connection).await {
                    return Ok(connection);
                }
            }
            connector.call(target).await
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
