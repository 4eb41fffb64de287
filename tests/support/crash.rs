//! Kills the process of a function at a chosen point: before or after a request that it sends takes effect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::{Moment, Observer};
use futures::future::BoxFuture;
use local::{Endpoints, Function, Functions, Invoke, InvokeError, System, in_process};
use reauth_core::config::ConfigError;
use tokio::sync::Notify;

use crate::binaries::Processes;

/// The requests that only read, as parts of their names.
const READS: [&str; 5] =
    ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "secretsmanager:GetSecretValue", "GET "];

/// Counts the requests that the functions send, and kills the process that sends a chosen one.
#[derive(Debug, Clone, Default)]
pub struct Crashes(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    plan: Mutex<Plan>,
    killed: Notify,
    /// The processes of the functions' binaries, if the functions run from binaries.
    processes: Mutex<Processes>,
}

#[derive(Debug, Default)]
struct Plan {
    /// The point at which to kill.
    at: Option<usize>,
    /// The points passed so far, such as `Before accounts dynamodb:Query`.
    passed: Vec<String>,
    /// The number of points passed when the process was killed.
    killed_after: Option<usize>,
}

impl Crashes {
    /// Starts to count from 0 again, and kills at the point of that number.
    pub fn arm(&self, at: usize) {
        *self.plan() = Plan { at: Some(at), ..Plan::default() };
    }

    /// Stops killing.
    pub fn disarm(&self) {
        self.plan().at = None;
    }

    /// The points passed up to the kill. `None` if no process was killed, because there were fewer points.
    #[must_use]
    pub fn trace(&self) -> Option<Vec<String>> {
        let plan = self.plan();
        plan.killed_after.map(|length| plan.passed[..length].to_vec())
    }

    /// The points passed since [`Crashes::arm`], also those that other requests passed before the process was gone.
    #[must_use]
    pub fn passed(&self) -> Vec<String> {
        self.plan().passed.clone()
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the requests of the functions of this system.
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
        // A request that only reads has no effect: before and after it are the same point.
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
        // The sender is gone: nobody waits for an answer.
        Box::pin(std::future::pending())
    }

    /// Only one function works at a time, so the kill concerns whichever function is at work.
    fn kill(&self) {
        let processes = self.0.processes.lock().unwrap_or_else(PoisonError::into_inner);
        if processes.is_empty() {
            self.0.killed.notify_one();
        }
        for process in processes.values() {
            process.crash();
        }
    }

    /// Kills these processes from now on.
    pub(crate) fn kill_these(&self, processes: &Processes) {
        *self.0.processes.lock().unwrap_or_else(PoisonError::into_inner) = processes.clone();
    }

    /// The functions in this process. To kill one is to drop the future of its work.
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
            email_user: process(Function::EmailUser)?,
            reauth_callback: process(Function::ReauthCallback)?,
            record_read_result: process(Function::RecordReadResult)?,
            notify_reauth: process(Function::NotifyReauth)?,
            post_webhook: process(Function::PostWebhook)?,
            accounts: process(Function::Accounts)?,
            events: process(Function::Events)?,
            sweep_accounts: process(Function::SweepAccounts)?,
        })
    }
}

fn start(function: Function, endpoints: &Endpoints, ambient: &Ambient) -> Result<Arc<dyn Invoke>, ConfigError> {
    Ok(Arc::clone(in_process(endpoints, ambient)?.get(function)))
}

/// A function and its memory. When it is killed, it stops at once, and the next event goes to a new function with empty
/// memory.
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
