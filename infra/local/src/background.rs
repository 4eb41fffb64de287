//! What AWS runs by itself: the pipe from the stream, the event source mappings of the queues, the schedule, and the
//! removal of expired data.

use std::{sync::Arc, time::Duration};

use digime::ambient::Ambient;
use dynoxide::Database;
use tokio::task::JoinHandle;

use crate::{
    event_source::EventSource,
    invoke::{Functions, InvokeError},
    pipe::{Pipe, PipeError},
    queues::{QueueError, Queues},
    schedule,
};

/// The polling interval of the stream and the queues while they are empty.
const IDLE_PAUSE: Duration = Duration::from_millis(50);
/// The interval of the sweep. On AWS, it runs every minute.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// The interval at which expired messages and items are removed.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Above the number of rounds that any test needs. A system that is not idle after this many rounds is in an endless
/// loop.
const MAX_ROUNDS: u32 = 100_000;

pub(crate) struct Background {
    pub(crate) pipe: Pipe,
    pub(crate) sources: Vec<EventSource>,
    pub(crate) functions: Functions,
    pub(crate) queues: Queues,
    pub(crate) database: Database,
    pub(crate) ambient: Ambient,
}

#[derive(Debug, thiserror::Error)]
pub enum BackgroundError {
    #[error(transparent)]
    Pipe(#[from] PipeError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("the system is not idle after {MAX_ROUNDS} rounds")]
    Endless,
}

impl Background {
    /// Starts a task for the pipe, the schedule, the removal of expired data, and each queue.
    pub(crate) fn spawn(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let mut tasks = vec![
            tokio::spawn(Arc::clone(self).poll_stream_forever()),
            tokio::spawn(Arc::clone(self).sweep_forever()),
            tokio::spawn(Arc::clone(self).expire_forever()),
        ];
        tasks.extend((0..self.sources.len()).map(|index| tokio::spawn(Arc::clone(self).poll_queue_forever(index))));
        tasks
    }

    async fn poll_stream_forever(self: Arc<Self>) {
        loop {
            if let Err(error) = self.pipe.poll().await {
                tracing::warn!(%error, "pipe: could not send the stream's records to the queue");
            }
            tokio::time::sleep(IDLE_PAUSE).await;
        }
    }

    async fn poll_queue_forever(self: Arc<Self>, index: usize) {
        loop {
            match self.sources[index].poll().await {
                Ok(0) => tokio::time::sleep(IDLE_PAUSE).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "event-source: could not read or write a queue");
                    tokio::time::sleep(IDLE_PAUSE).await;
                }
            }
        }
    }

    async fn sweep_forever(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_INTERVAL).await;
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "schedule: could not run the sweep");
            }
        }
    }

    async fn expire_forever(self: Arc<Self>) {
        loop {
            if let Err(error) = self.queues.expire() {
                tracing::warn!(%error, "queues: could not remove expired messages");
            }
            if let Err(error) = self.database.sweep_ttl() {
                tracing::warn!(%error, "database: could not remove expired items");
            }
            tokio::time::sleep(EXPIRY_INTERVAL).await;
        }
    }

    pub(crate) async fn sweep(&self) -> Result<serde_json::Value, InvokeError> {
        let reply = schedule::run(&*self.functions.sweep_accounts, &self.ambient).await?;
        Ok(serde_json::from_slice(&reply).unwrap_or_default())
    }

    /// Runs the pipe until the stream has no new record.
    pub(crate) async fn run_pipe(&self) -> Result<(), BackgroundError> {
        while self.pipe.poll().await? > 0 {}
        Ok(())
    }

    /// Runs the pipe and the queues until the stream has no new record and no queue has a visible message.
    pub(crate) async fn run_until_idle(&self) -> Result<(), BackgroundError> {
        for _ in 0..MAX_ROUNDS {
            let mut processed = self.pipe.poll().await?;
            for source in &self.sources {
                processed += source.poll().await?;
            }
            if processed == 0 {
                return Ok(());
            }
        }
        Err(BackgroundError::Endless)
    }
}
