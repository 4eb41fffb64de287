//! One process of a function, and the server that it gets its events from.

use std::{process::Stdio, sync::Arc, time::Duration};

use bytes::Bytes;
use digime::ambient::Ambient;
use jiff::SignedDuration;
use local::{InvokeError, names, random_hex};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::AbortHandle,
};

use super::{
    InitError, Log, Spec, failed,
    http_api::{Invocation, Phase, Shared, router},
    server::Server,
};

/// Lambda's time limit for the start of a function.
const INIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A process and its server. Dropping the value kills the process.
pub(super) struct Sandbox {
    /// The process id.
    pub(super) process: Option<u32>,
    /// The number of crashes of the function when this process was started.
    pub(super) generation: u64,
    /// The task that owns the process and waits for its end.
    waiting: AbortHandle,
    /// The exit status, once the process has ended.
    ended: watch::Receiver<Option<String>>,
    shared: Arc<Shared>,
    invocations: mpsc::Sender<Invocation>,
    function_arn: String,
    timeout: Duration,
    _server: Server,
}

/// The result of an invocation, and whether the process can be used again.
pub(super) type Outcome = (Result<Bytes, InvokeError>, bool);

/// Why a process was killed during an invocation.
pub(super) enum Termination {
    Crashed,
    TimedOut,
}

impl Termination {
    pub(super) fn into_result(self) -> Outcome {
        let error = match self {
            Self::Crashed => failed("Runtime.ExitError", "the process was killed"),
            Self::TimedOut => InvokeError::TimedOut,
        };
        (Err(error), false)
    }
}

impl Sandbox {
    /// Starts a process and waits until it asks for an event.
    pub(super) async fn start(spec: &Spec, log: &Log, generation: u64) -> Result<Self, InitError> {
        let spawn_error = |source| InitError::Spawn { binary: spec.binary.clone(), source };
        let (invocations, receiver) = mpsc::channel(spec.concurrency.max(1));
        let (phase, mut phases) = watch::channel(Phase::Starting);
        let shared = Shared::new(receiver, phase);
        let server = Server::start(router(shared.clone())).await.map_err(spawn_error)?;

        let mut command = command(spec, &server.address().to_string());
        command.stdout(log.writer().map_err(spawn_error)?).stderr(log.writer().map_err(spawn_error)?);
        let mut child = command.spawn().map_err(spawn_error)?;
        let name = spec.name.clone();
        let report_error = |report: String| InitError::Reported { name: name.clone(), report, output: log.tail() };
        let ended = tokio::select! {
            Ok(phase) = reached(&mut phases) => match phase {
                Phase::CannotStart(report) => return Err(report_error(report)),
                _ => None,
            },
            status = child.wait() => Some(status.map_err(spawn_error)?),
            () = tokio::time::sleep(INIT_TIMEOUT) => {
                return Err(InitError::TooSlow { name, output: log.tail() });
            }
        };
        if let Some(status) = ended {
            // The process may have reported an error just before it ended.
            let phase = phases.borrow().clone();
            return Err(match phase {
                Phase::CannotStart(report) => report_error(report),
                _ => InitError::Exited { name, status: status.to_string(), output: log.tail() },
            });
        }
        let function_arn = names::arn("lambda", &format!("function:{name}"));
        let process = child.id();
        let (end, ended) = watch::channel(None);
        let waiting = tokio::spawn(wait(child, end)).abort_handle();
        let timeout = spec.timeout;
        Ok(Self { process, generation, waiting, ended, shared, invocations, function_arn, timeout, _server: server })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Gives an event to the process and waits for the result, without a time limit.
    pub(super) async fn invoke(&self, event: Bytes) -> Outcome {
        let request_id = random_hex::<16>(&Ambient::system());
        let answer = self.shared.expect(&request_id);
        let timeout = SignedDuration::try_from(self.timeout).unwrap_or(SignedDuration::MAX);
        let deadline = Ambient::system().now().saturating_add(timeout).unwrap_or(jiff::Timestamp::MAX);
        let invocation = Invocation {
            request_id,
            event,
            deadline_ms: deadline.as_millisecond(),
            function_arn: self.function_arn.clone(),
        };
        if self.invocations.send(invocation).await.is_err() {
            return Termination::Crashed.into_result();
        }
        let mut ended = self.ended.clone();
        tokio::select! {
            // `biased`: an answer counts even if the process ends right after it.
            biased;
            Ok(result) = answer => (result, true),
            Ok(status) = ended.wait_for(Option::is_some) => {
                let status = status.as_deref().unwrap_or_default();
                (Err(failed("Runtime.ExitError", &format!("the process ended: {status}"))), false)
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.waiting.abort();
    }
}

/// Waits for the process to end. Dropping the future kills the process.
async fn wait(mut child: Child, end: watch::Sender<Option<String>>) {
    let status = child.wait().await;
    end.send_replace(Some(status.map_or_else(|error| error.to_string(), |status| status.to_string())));
}

/// Waits for the phase after `Starting`.
async fn reached(phases: &mut watch::Receiver<Phase>) -> Result<Phase, watch::error::RecvError> {
    Ok(phases.wait_for(|phase| *phase != Phase::Starting).await?.clone())
}

fn command(spec: &Spec, runtime_api: &str) -> Command {
    let mut command = Command::new(&spec.binary);
    command
        .args(&spec.arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin")
        .env("LANG", "en_US.UTF-8")
        .env("TZ", ":UTC")
        .env("_HANDLER", "bootstrap")
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &spec.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .envs((spec.concurrency > 1).then(|| ("AWS_LAMBDA_MAX_CONCURRENCY", spec.concurrency.to_string())))
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", spec.name))
        .env("AWS_LAMBDA_LOG_STREAM_NAME", "local")
        .envs(&spec.environment)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}
