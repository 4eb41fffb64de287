//! An HTTP server on one port of this machine.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, middleware};
use digime_simulator::guard;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// When the system stops, requests in progress may take this long to finish.
const GRACE: Duration = Duration::from_secs(2);

/// A running server behind the guard. It stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, router: Router) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let router = router.layer(middleware::from_fn(guard));
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(async {
                let _ = stopped.await;
            });
            if let Err(error) = serving.await {
                tracing::error!(%error, "server: stopped serving a port");
            }
        });
        Ok(Self { address, stop: Some(stop), task })
    }

    /// The base URL, such as `http://127.0.0.1:9000`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops the server. Requests in progress get a moment to finish.
    pub(crate) async fn stop(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = tokio::time::timeout(GRACE, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens on 127.0.0.1. Port 0 selects a free port.
pub(crate) async fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, port)).await
}
