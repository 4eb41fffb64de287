//! The Lambda Runtime API: runs a function's real binary as Lambda does, and nothing else of Lambda.
//!
//! Each instance of a function is a process of its own with a port of its own, so that nothing of a process that died
//! can take what was meant for its successor. As on Lambda, an instance works on one event at a time, one that ends or
//! takes too long is replaced, and a function that cannot start says why.

mod http_api;
mod sandbox;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use self::sandbox::Sandbox;
use crate::invoke::{Invoke, InvokeError};

/// How many events may wait for an instance.
const WAITING: usize = 1_000;
/// How much of what a function writes is kept, in bytes; the end of it.
const LOG_LIMIT: usize = 4 * 1024 * 1024;

/// What is to be run, and how.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The function's name.
    pub name: String,
    /// The executable.
    pub binary: PathBuf,
    /// Its arguments; Lambda gives none.
    pub arguments: Vec<String>,
    /// Its environment, besides what Lambda adds. Nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// How many events are worked on at once.
    pub instances: usize,
}

impl Spec {
    /// One instance, 30 seconds for each event.
    #[must_use]
    pub fn new(name: &str, binary: PathBuf, environment: BTreeMap<String, String>) -> Self {
        let (arguments, timeout) = (Vec::new(), Duration::from_secs(30));
        Self { name: name.to_owned(), binary, arguments, environment, timeout, instances: 1 }
    }
}

/// Why an instance did not come up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The process could not be started, or no port could be opened for it.
    #[error("cannot start {binary}: {source}")]
    Spawn {
        /// The executable.
        binary: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process ended before it asked for an event. Holds the end of what it wrote.
    #[error("{name} ended ({status}) before it asked for an event; it wrote:\n{output}")]
    Exited {
        /// The function.
        name: String,
        /// The exit status.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The function reported that it cannot start. Holds the end of what it wrote.
    #[error("{name} cannot start: {report}; it wrote:\n{output}")]
    Reported {
        /// The function.
        name: String,
        /// What it reported.
        report: String,
        /// The end of what it wrote.
        output: String,
    },
    /// The process did not ask for an event within ten seconds.
    #[error("{name} did not ask for an event in time; it wrote:\n{output}")]
    TooSlow {
        /// The function.
        name: String,
        /// The end of what it wrote.
        output: String,
    },
}

/// A function, run from its binary. Dropped, its processes are killed.
#[derive(Debug)]
pub struct LambdaFunction {
    events: mpsc::Sender<Pending>,
    instances: Vec<JoinHandle<()>>,
    crash: watch::Sender<u64>,
    log: Log,
}

/// An event that waits for an instance.
struct Pending {
    event: Bytes,
    reply: oneshot::Sender<Result<Bytes, InvokeError>>,
}

impl LambdaFunction {
    /// Starts the function, and waits until each instance asks for an event.
    ///
    /// # Errors
    /// [`InitError`] of the first instance that does not come up.
    pub async fn start(spec: Spec) -> Result<Self, InitError> {
        let log = Log::default();
        let spec = Arc::new(spec);
        let (events, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let (crash, crashed) = watch::channel(0);
        let mut function = Self { events, instances: Vec::new(), crash, log: log.clone() };
        for _ in 0..spec.instances.max(1) {
            let sandbox = Sandbox::start(&spec, &log).await?;
            let instance =
                Instance { spec: spec.clone(), log: log.clone(), waiting: waiting.clone(), crashed: crashed.clone() };
            function.instances.push(tokio::spawn(instance.run(sandbox)));
        }
        Ok(function)
    }

    /// What the function wrote to its standard output and error, the last 4 MiB of it.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Kills all processes, wherever they are in their work: what a machine does that fails. The events that were
    /// under way fail, the next ones are given to new processes.
    pub fn crash(&self) {
        self.crash.send_modify(|times| *times += 1);
    }
}

impl Invoke for LambdaFunction {
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
        Box::pin(async move {
            let (reply, answered) = oneshot::channel();
            let gone = || failed("Runtime.Unavailable", "the function is not running");
            self.events.send(Pending { event, reply }).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        })
    }
}

impl Drop for LambdaFunction {
    fn drop(&mut self) {
        for instance in &self.instances {
            instance.abort();
        }
    }
}

/// Works on one event at a time, with a new process whenever the old one is gone.
struct Instance {
    spec: Arc<Spec>,
    log: Log,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Pending>>>,
    crashed: watch::Receiver<u64>,
}

impl Instance {
    async fn run(mut self, first: Sandbox) {
        let mut sandbox = Some(first);
        while let Some(pending) = self.next(&mut sandbox).await {
            let result = self.work(&mut sandbox, pending.event).await;
            // Whoever asked may have gone away.
            let _ = pending.reply.send(result);
        }
    }

    /// The next event; `None`, when the function is dropped. A crash in the meantime ends the process.
    async fn next(&mut self, sandbox: &mut Option<Sandbox>) -> Option<Pending> {
        loop {
            tokio::select! {
                pending = async { self.waiting.lock().await.recv().await } => return pending,
                Ok(()) = self.crashed.changed() => *sandbox = None,
            }
        }
    }

    async fn work(&mut self, sandbox: &mut Option<Sandbox>, event: Bytes) -> Result<Bytes, InvokeError> {
        // A crash before this event has nothing to do with it.
        if self.crashed.has_changed().unwrap_or_default() {
            self.crashed.mark_unchanged();
            *sandbox = None;
        }
        if sandbox.as_mut().is_none_or(Sandbox::has_ended) {
            *sandbox = None;
            match Sandbox::start(&self.spec, &self.log).await {
                Ok(started) => *sandbox = Some(started),
                Err(error) => return Err(failed("Runtime.InitError", &error.to_string())),
            }
        }
        let Some(running) = sandbox.as_mut() else {
            return Err(failed("Runtime.InitError", "the function is not running"));
        };
        let result = tokio::select! {
            result = running.invoke(event) => result,
            Ok(()) = self.crashed.changed() => sandbox::Ending::Crashed.into_result(),
            () = tokio::time::sleep(self.spec.timeout) => sandbox::Ending::TimedOut.into_result(),
        };
        let (result, usable) = result;
        if !usable {
            *sandbox = None;
        }
        result
    }
}

/// The end of what a function writes.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn write(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        if kept.len() > LOG_LIMIT {
            // Half is dropped at once, so that this is rare.
            kept.drain(..LOG_LIMIT / 2);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The last two thousand characters, for a message.
    fn tail(&self) -> String {
        let text = self.text();
        let start = text.char_indices().rev().nth(1_999).map_or(0, |(index, _)| index);
        text[start..].to_owned()
    }
}

fn failed(error_type: &str, error_message: &str) -> InvokeError {
    InvokeError::Failed { error_type: error_type.to_owned(), error_message: error_message.to_owned() }
}

#[cfg(test)]
mod tests;
