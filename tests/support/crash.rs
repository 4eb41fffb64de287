//! Processes that die wherever a test wants them to: before or after any request that they send takes effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::{Moment, Observer};
use futures::future::BoxFuture;
use local::{Endpoints, Function, Functions, Invoke, InvokeError, System, in_process};
use reauth_core::config::ConfigError;
use tokio::sync::Notify;

use crate::binaries::Processes;

/// What only reads, in the names of requests.
const READS: [&str; 5] =
    ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "secretsmanager:GetSecretValue", "GET "];

/// Counts the requests that the functions send, and kills the process that sends a chosen one.
#[derive(Debug, Clone, Default)]
pub struct Crashes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plan: Mutex<Plan>,
    killed: Notify,
    /// The real processes, if the functions run as such.
    processes: Mutex<Processes>,
}

#[derive(Debug, Default)]
struct Plan {
    /// The point at which to kill.
    at: Option<usize>,
    /// The points passed so far, such as `Before accounts dynamodb:Query`.
    passed: Vec<String>,
    /// How many had been passed when the process was killed.
    killed_after: Option<usize>,
}

impl Crashes {
    /// Forgets what was passed, and kills at the point of that number, counted from 0.
    pub fn arm(&self, at: usize) {
        *self.plan() = Plan { at: Some(at), ..Plan::default() };
    }

    /// Kills nobody from here on.
    pub fn disarm(&self) {
        self.plan().at = None;
    }

    /// What was passed up to the kill; none if nobody was killed, since there are not so many points.
    #[must_use]
    pub fn trace(&self) -> Option<Vec<String>> {
        let plan = self.plan();
        plan.killed_after.map(|length| plan.passed[..length].to_vec())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches what the functions send.
    pub(crate) fn watch(&self, system: &System) {
        system.aws.observe(Some(
            self.observer(|name| Function::ALL.iter().any(|function| name.split(' ').next() == Some(function.name()))),
        ));
        system.simulator.control().observe(Some(self.observer(|name| name.contains(" /v1.7/"))));
    }

    fn observer(&self, ours: fn(&str) -> bool) -> Observer {
        let crashes = self.clone();
        Arc::new(move |moment, name| if ours(name) { crashes.pass(moment, name) } else { Box::pin(async {}) })
    }

    fn pass(&self, moment: Moment, name: &str) -> BoxFuture<'static, ()> {
        // A request that only reads takes no effect: before and after it are one.
        if moment == Moment::Before && READS.iter().any(|read| name.contains(read)) {
            return Box::pin(async {});
        }
        let mut plan = self.plan();
        let point = plan.passed.len();
        plan.passed.push(format!("{moment:?} {name}"));
        if plan.at != Some(point) {
            return Box::pin(async {});
        }
        plan.killed_after = Some(point + 1);
        drop(plan);
        self.kill();
        // Nobody is there any more to hear an answer.
        Box::pin(std::future::pending())
    }

    /// Whoever sent a request, only one function is at work.
    fn kill(&self) {
        let processes = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner);
        if processes.is_empty() {
            self.0.killed.notify_one();
        }
        for process in processes.values() {
            process.crash();
        }
    }

    /// From here on real processes are killed.
    pub(crate) fn kill_these(&self, processes: &Processes) {
        *self.0.processes.lock().unwrap_or_else(PoisonError::into_inner) = processes.clone();
    }

    /// The functions, each in a process that can be killed: as the future of its work, dropped.
    pub(crate) fn functions(&self, endpoints: &Endpoints, ambient: &Ambient) -> Result<Functions, ConfigError> {
        let process = |function| -> Result<Arc<dyn Invoke>, ConfigError> {
            Ok(Arc::new(Process {
                function,
                endpoints: endpoints.clone(),
                ambient: ambient.clone(),
                running: Mutex::new(start(function, endpoints, ambient)?),
                crashes: self.clone(),
            }))
        };
        Ok(Functions {
            create_reauth_url: process(Function::CreateReauthUrl)?,
            reauth_callback: process(Function::ReauthCallback)?,
            record_read_result: process(Function::RecordReadResult)?,
            notify_reauth: process(Function::NotifyReauth)?,
            post_webhook: process(Function::PostWebhook)?,
            accounts: process(Function::Accounts)?,
            sweep_accounts: process(Function::SweepAccounts)?,
        })
    }
}

fn start(function: Function, endpoints: &Endpoints, ambient: &Ambient) -> Result<Arc<dyn Invoke>, ConfigError> {
    Ok(Arc::clone(in_process(endpoints, ambient)?.get(function)))
}

/// A function, and what it holds in memory. Killed, it stops in the middle of whatever it does, and the next event finds
/// a new one with nothing in its memory.
struct Process {
    function: Function,
    endpoints: Endpoints,
    ambient: Ambient,
    running: Mutex<Arc<dyn Invoke>>,
    crashes: Crashes,
}

impl Invoke for Process {
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
        Box::pin(async move {
            let running = Arc::clone(&self.running.lock().unwrap_or_else(PoisonError::into_inner));
            tokio::select! {
                result = running.invoke(event) => result,
                () = self.crashes.0.killed.notified() => {
                    let new = start(self.function, &self.endpoints, &self.ambient).expect("it started before");
                    *self.running.lock().unwrap_or_else(PoisonError::into_inner) = new;
                    let error_message = "the process was killed".to_owned();
                    Err(InvokeError::Failed { error_type: "Runtime.ExitError".to_owned(), error_message })
                }
            }
        })
    }
}
