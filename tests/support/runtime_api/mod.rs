//! The Lambda Runtime API: runs a function's real binary as Lambda does, and nothing else of Lambda.
//!
//! Each instance of a function is a process with its own port. So a process that was killed cannot receive an event of
//! the process that replaces it. As on Lambda, an instance processes one event at a time unless its concurrency is
//! higher. A process that ends or exceeds the time limit is replaced. The error of a function that cannot start contains
//! its report.

mod http_api;
mod sandbox;
mod server;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use local::{INVOCATION_TIMEOUT, Invoke, InvokeError};
use tempfile::NamedTempFile;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use self::sandbox::Sandbox;

/// Events that can wait for an instance.
const WAITING: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Spec {
    pub name: String,
    pub binary: PathBuf,
    /// The arguments of the executable. Lambda passes none.
    pub arguments: Vec<String>,
    /// The environment, to which the variables of Lambda are added. The process inherits no other variables.
    pub environment: BTreeMap<String, String>,
    /// The time limit of one invocation.
    pub timeout: Duration,
    /// The number of processes.
    pub instances: usize,
    /// The number of events that one process gets at the same time. Only Lambda's managed instances give more than one.
    pub concurrency: usize,
}

impl Spec {
    /// One instance with the time limit of the deployed functions.
    #[must_use]
    pub fn new(name: &str, binary: PathBuf, environment: BTreeMap<String, String>) -> Self {
        let (arguments, timeout) = (Vec::new(), INVOCATION_TIMEOUT);
        Self { name: name.to_owned(), binary, arguments, environment, timeout, instances: 1, concurrency: 1 }
    }
}

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("could not start {binary}: {source}")]
    Spawn { binary: PathBuf, source: std::io::Error },
    #[error("{name} ended ({status}) before it asked for an event; it wrote:\n{output}")]
    Exited { name: String, status: String, output: String },
    #[error("{name} cannot start: {report}; it wrote:\n{output}")]
    Reported { name: String, report: String, output: String },
    #[error("{name} did not ask for an event in time; it wrote:\n{output}")]
    TooSlow { name: String, output: String },
}

/// A function that runs from its binary. Dropping the value kills its processes.
pub struct LambdaFunction {
    events: mpsc::Sender<Pending>,
    workers: Vec<JoinHandle<()>>,
    slots: Vec<Slot>,
    crash: watch::Sender<u64>,
    log: Log,
}

impl std::fmt::Debug for LambdaFunction {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LambdaFunction").finish_non_exhaustive()
    }
}

struct Pending {
    event: Bytes,
    reply: oneshot::Sender<Result<Bytes, InvokeError>>,
}

impl LambdaFunction {
    /// Starts the function and waits until each instance asks for an event.
    pub async fn start(spec: Spec) -> Result<Self, InitError> {
        let log = Log::new().map_err(|source| InitError::Spawn { binary: spec.binary.clone(), source })?;
        let spec = Arc::new(spec);
        let (events, waiting) = mpsc::channel(WAITING);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let (crash, crashed) = watch::channel(0);
        let mut function = Self { events, workers: Vec::new(), slots: Vec::new(), crash, log: log.clone() };
        for _ in 0..spec.instances.max(1) {
            let sandbox = Arc::new(Sandbox::start(&spec, &log, 0).await?);
            let slot: Slot = Arc::new(tokio::sync::Mutex::new(Some(sandbox)));
            for _ in 0..spec.concurrency.max(1) {
                let (spec, log, waiting, crashed) = (spec.clone(), log.clone(), waiting.clone(), crashed.clone());
                let worker = Worker { spec, log, waiting, crashed, slot: slot.clone() };
                function.workers.push(tokio::spawn(worker.run()));
            }
            function.slots.push(slot);
        }
        Ok(function)
    }

    /// The ids of the running processes.
    pub async fn processes(&self) -> Vec<u32> {
        let mut processes = Vec::new();
        for slot in &self.slots {
            processes.extend(slot.lock().await.as_ref().and_then(|sandbox| sandbox.process));
        }
        processes
    }

    /// What the function wrote to its standard output and standard error.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Kills all processes at whatever point they have reached, as a failing machine does. Events in progress fail. New
    /// processes get the next events.
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
        for worker in &self.workers {
            worker.abort();
        }
    }
}

/// The process of an instance, if it is running.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Sandbox>>>>;

/// Processes one event at a time. Starts a new process when the old one has ended. If a process takes several events at
/// the same time, that many workers share it.
struct Worker {
    spec: Arc<Spec>,
    log: Log,
    waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Pending>>>,
    crashed: watch::Receiver<u64>,
    slot: Slot,
}

impl Worker {
    async fn run(mut self) {
        while let Some(pending) = self.next().await {
            let result = self.work(pending.event).await;
            // The caller may have stopped waiting.
            let _ = pending.reply.send(result);
        }
    }

    /// The next event. Returns `None` when the function is dropped. A crash during the wait ends the process.
    async fn next(&mut self) -> Option<Pending> {
        loop {
            tokio::select! {
                pending = async { self.waiting.lock().await.recv().await } => return pending,
                Ok(()) = self.crashed.changed() => {
                    let crashes = *self.crashed.borrow_and_update();
                    self.slot.lock().await.take_if(|sandbox| sandbox.generation != crashes);
                }
            }
        }
    }

    async fn work(&mut self, event: Bytes) -> Result<Bytes, InvokeError> {
        let running = self.running().await.map_err(|error| failed("Runtime.InitError", &error.to_string()))?;
        let (result, usable) = tokio::select! {
            result = running.invoke(event) => result,
            Ok(()) = self.crashed.changed() => sandbox::Termination::Crashed.into_result(),
            () = tokio::time::sleep(self.spec.timeout) => sandbox::Termination::TimedOut.into_result(),
        };
        if !usable {
            self.slot.lock().await.take_if(|sandbox| Arc::ptr_eq(sandbox, &running));
        }
        result
    }

    /// Returns the running process. Starts a new one if none is running, or if the function crashed after the process
    /// started.
    async fn running(&mut self) -> Result<Arc<Sandbox>, InitError> {
        let mut slot = self.slot.lock().await;
        let crashes = *self.crashed.borrow_and_update();
        if let Some(running) = slot.as_ref().filter(|running| running.generation == crashes && !running.has_ended()) {
            return Ok(Arc::clone(running));
        }
        *slot = None;
        let started = Arc::new(Sandbox::start(&self.spec, &self.log, crashes).await?);
        *slot = Some(Arc::clone(&started));
        Ok(started)
    }
}

/// What the processes of a function wrote. It is a file, so that what a process wrote before its reply is there when the
/// reply is.
#[derive(Debug, Clone)]
struct Log(Arc<NamedTempFile>);

impl Log {
    fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(NamedTempFile::new()?)))
    }

    /// A handle for a process, which appends to the file.
    fn writer(&self) -> io::Result<File> {
        File::options().append(true).open(self.0.path())
    }

    fn text(&self) -> String {
        fs::read(self.0.path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last 2,000 characters, for an error message.
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
