//! A function as Lambda runs it: built once from the environment, then invoked with events.

use std::{future::Future, process::ExitCode, sync::Arc};

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    ambient::{Ambient, Deadline},
    config::{ConfigError, Environment},
};

/// The allocator of the functions' binaries: the AWS SDK allocates much and briefly, and a warm invocation takes less CPU
/// with it (docs/performance.md).
pub use mimalloc::MiMalloc as Allocator;

/// What every invocation knows of itself.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Lambda's identifier of the invocation.
    pub request_id: String,
    /// When Lambda ends it.
    pub deadline: Deadline,
}

/// When something was triggered, and by when it must be done.
#[derive(Debug, Clone, Copy)]
pub struct Trigger {
    /// Writes for a user who was forgotten since then are refused.
    pub at: Timestamp,
    /// Calls that cannot end by then are not begun.
    pub deadline: Deadline,
}

/// A Lambda function.
pub trait Function: Sized + Send + Sync + 'static {
    /// The event, as Lambda hands it over.
    type Event: DeserializeOwned + Send + 'static;
    /// The reply.
    type Reply: Serialize + Send + 'static;

    /// Builds the function: reads the configuration, makes the clients, calls nobody.
    ///
    /// # Errors
    /// Names the variable that is missing or malformed.
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError>;

    /// Handles one event.
    ///
    /// # Errors
    /// When the whole event must be delivered again.
    fn handle(
        &self,
        event: Self::Event,
        invocation: Invocation,
    ) -> impl Future<Output = Result<Self::Reply, Error>> + Send;
}

impl From<&Context> for Invocation {
    fn from(context: &Context) -> Self {
        let deadline = i64::try_from(context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        Self { request_id: context.request_id.clone(), deadline: Deadline(deadline.unwrap_or(Timestamp::MAX)) }
    }
}

/// Whether a queue brings a message for the first time. A bad message is logged then, and not each time that it comes
/// again before the queue puts it aside.
#[must_use]
pub fn first_receipt(message: &SqsMessage) -> bool {
    let count = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    count.is_none_or(|count| count <= 1)
}

/// Serves invocations until Lambda ends the process. What is wrong with the configuration is told in one line.
pub async fn serve<F: Function>() -> ExitCode {
    let environment = Environment::of_process();
    let function = match F::new(&environment, &Ambient::system()) {
        Ok(function) => Arc::new(function),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    initialize_logs(&environment);
    let service = service_fn(move |event: LambdaEvent<F::Event>| {
        let function = Arc::clone(&function);
        // Boxed: the futures of the handlers are deeply nested, and large.
        async move { Box::pin(function.handle(event.payload, Invocation::from(&event.context))).await }
    });
    // Several at once where `AWS_LAMBDA_MAX_CONCURRENCY` says so, one after the other elsewhere.
    match lambda_runtime::run_concurrent(service).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whose log lines are written at every level. Other crates write requests and replies, with all that is in them, into
/// their lines below `info`.
const OURS: [&str; 7] = [
    "reauth_core",
    "accounts",
    "create_reauth_url",
    "notify_reauth",
    "reauth_callback",
    "record_read_result",
    "sweep_accounts",
];

/// Logs are JSON lines; `RUST_LOG` says which, `info` by default.
fn initialize_logs(environment: &Environment) {
    let levels: Targets = environment.optional("RUST_LOG").unwrap_or("info").parse().unwrap_or_default();
    let harmless = filter_fn(|line| {
        let krate = line.target().split("::").next().unwrap_or_default();
        *line.level() <= Level::INFO || OURS.contains(&krate)
    });
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(true).with_span_list(false);
    // A second subscriber in one process would be a mistake of the caller, and no reason to stop.
    let _ = tracing_subscriber::registry().with(lines.with_filter(levels.and(harmless))).try_init();
}
