//! The Lambda runtime of a function: it is built once from the environment, then invoked with events.

use std::{
    future::Future,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aws_lambda_events::sqs::SqsMessage;
use digime::ambient::{Ambient, Deadline};
use jiff::Timestamp;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use reauth_domain::TraceParent;
use serde::{Serialize, de::DeserializeOwned};
use tower::{Service, ServiceExt};
use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    config::{ConfigError, Environment},
    metrics::{self, Metrics},
    warm_up::{self, Step},
};

/// The allocator of the functions' binaries. The AWS SDK makes many short-lived allocations, and a warm invocation
/// takes less CPU time with this allocator (docs/performance.md).
pub use mimalloc::MiMalloc as Allocator;

/// An invocation.
#[derive(Debug, Clone, Copy)]
pub struct Invocation {
    /// When Lambda ends the invocation.
    pub deadline: Deadline,
    /// The X-Ray trace of the invocation.
    pub traceparent: Option<TraceParent>,
}

/// When an operation was triggered, its deadline, and its trace.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext {
    /// Writes for a user who was erased since then are refused.
    pub triggered_at: Timestamp,
    /// Calls that cannot finish by then are not started.
    pub deadline: Deadline,
    /// Stored with the events and the reauthorizations that the operation writes.
    pub traceparent: TraceParent,
}

impl RequestContext {
    /// The same operation, as a part of the trace that led to it, if that is known.
    #[must_use]
    pub fn continuing(self, traceparent: Option<TraceParent>) -> Self {
        Self { traceparent: traceparent.unwrap_or(self.traceparent), ..self }
    }
}

impl Invocation {
    /// The context of an operation of this invocation. Without a trace of its own, the operation belongs to the trace of
    /// the invocation, or to a new one.
    #[must_use]
    pub fn context(&self, triggered_at: Timestamp, own: Option<TraceParent>, ambient: &Ambient) -> RequestContext {
        let new = || TraceParent::new(ambient.bytes(), ambient.bytes());
        let traceparent = own.or(self.traceparent).unwrap_or_else(new);
        RequestContext { triggered_at, deadline: self.deadline, traceparent }
    }
}

/// A Lambda function that is invoked with events of one type. For a function behind the HTTP API, see
/// [`HttpFunction`](crate::web::HttpFunction).
pub trait Function: Sized + Send + Sync + 'static {
    type Event: DeserializeOwned + Send + 'static;
    type Reply: Serialize + Send + 'static;

    /// Builds the function: reads the configuration and creates the clients, without any network call.
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError>;

    /// What is opened and fetched before the first invocation.
    fn warm_up(&self) -> Vec<Step<'_>> {
        Vec::new()
    }

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

/// The service that the Lambda runtime calls for each event.
pub trait EventService<E>:
    Service<LambdaEvent<E>, Response = Self::Reply, Error = Error, Future: Send> + Clone + Send + 'static
{
    type Reply: Serialize + Send + 'static;
}

impl<E, R, S> EventService<E> for S
where
    R: Serialize + Send + 'static,
    S: Service<LambdaEvent<E>, Response = R, Error = Error, Future: Send> + Clone + Send + 'static,
{
    type Reply = R;
}

/// The deadline of an event without one.
pub(crate) const NO_DEADLINE: Deadline = Deadline(Timestamp::MAX);

impl From<&Context> for Invocation {
    fn from(context: &Context) -> Self {
        let deadline = i64::try_from(context.deadline).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let traceparent = context.xray_trace_id.as_deref().and_then(TraceParent::from_xray);
        Self { deadline: deadline.map_or(NO_DEADLINE, Deadline), traceparent }
    }
}

/// The trace that a queue's message belongs to: its attribute `traceparent`, else the X-Ray trace of its sender.
#[must_use]
pub fn traceparent(message: &SqsMessage) -> Option<TraceParent> {
    let own = message.message_attributes.get("traceparent").and_then(|value| value.string_value.as_deref());
    let own = own.and_then(|text| text.parse().ok());
    own.or_else(|| TraceParent::from_xray(message.attributes.get("AWSTraceHeader")?))
}

/// Whether a queue delivers the message for the first time. A message that cannot be parsed is logged only then, not at
/// each redelivery before it goes to the dead-letter queue.
#[must_use]
pub fn first_receipt(message: &SqsMessage) -> bool {
    let count = message.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse::<u32>().ok());
    count.is_none_or(|count| count <= 1)
}

/// Builds a function from the environment of the process, and serves invocations until Lambda ends the process. `name` is
/// that of the function's binary.
pub async fn serve<F: Function>(name: &'static str) -> ExitCode {
    run(name, |environment, ambient| {
        let function = Arc::new(F::new(environment, ambient)?);
        let warm = Arc::clone(&function);
        Ok((service(function), async move { warm_up::run(warm.warm_up()).await }))
    })
    .await
}

/// The service of a function.
pub fn service<F: Function>(function: Arc<F>) -> impl EventService<F::Event> {
    service_fn(move |event: LambdaEvent<F::Event>| {
        let function = Arc::clone(&function);
        // Boxed, because the futures of the handlers are large.
        async move { Box::pin(function.handle(event.payload, Invocation::from(&event.context))).await }
    })
}

/// Builds a service and its warm-up from the environment of the process, warms up, and serves invocations until Lambda
/// ends the process. A configuration error ends the process with one line on standard error.
pub(crate) async fn run<E, S, W>(
    name: &'static str,
    build: impl FnOnce(&Environment, &Ambient) -> Result<(S, W), ConfigError>,
) -> ExitCode
where
    E: DeserializeOwned + Send + 'static,
    S: EventService<E>,
    W: Future<Output = ()>,
{
    let environment = Environment::of_process();
    let built = log_levels(&environment)
        .and_then(|levels| Ok((levels, build(&environment, &Ambient::system())?)))
        .map_err(|error| error.to_string());
    let served = match built {
        Ok((levels, (service, warm_up))) => {
            initialize_logs(levels);
            let service = measured(service, environment.optional("METRICS_NAMESPACE").and_then(Metrics::collect), name);
            warm_up.await;
            // Handles several invocations at the same time if `AWS_LAMBDA_MAX_CONCURRENCY` is set; else one after the
            // other.
            lambda_runtime::run_concurrent(service).await.map_err(|error| error.to_string())
        }
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the metrics of each invocation at its end. Without a namespace, metrics are not collected.
fn measured<E, S>(service: S, metrics: Option<Metrics>, name: &'static str) -> impl EventService<E, Reply = S::Reply>
where
    E: Send + 'static,
    S: EventService<E>,
{
    let is_cold = Arc::new(AtomicBool::new(true));
    service_fn(move |event: LambdaEvent<E>| {
        let (service, is_cold) = (service.clone(), Arc::clone(&is_cold));
        async move {
            if is_cold.swap(false, Ordering::Relaxed) {
                metrics::cold_start(name);
            }
            let reply = service.oneshot(event).await;
            if let Some(Err(error)) = metrics.map(|metrics| metrics.write(std::io::stdout())) {
                tracing::warn!(error = %error, "write metrics: could not write to standard output");
            }
            reply
        }
    })
}

/// The crates whose log lines are written at every level. Other crates log whole requests and replies, which may
/// contain secrets, below `info`.
const OURS: [&str; 9] = [
    "digime",
    "reauth_core",
    "accounts",
    "create_reauth_url",
    "notify_reauth",
    "post_webhook",
    "reauth_callback",
    "record_read_result",
    "sweep_accounts",
];

/// Reads the log levels from `RUST_LOG`. The default is `info`.
fn log_levels(environment: &Environment) -> Result<Targets, ConfigError> {
    let problem = "must be a level (error, warn, info, debug, trace, off) or comma-separated directives target=level";
    let text = environment.optional("RUST_LOG").unwrap_or("info");
    parse_levels(text).ok_or_else(|| ConfigError::new("RUST_LOG", problem))
}

/// Parses comma-separated levels and directives. `None` if an entry is neither. The parser of [`Targets`] is not used:
/// it reads a misspelled level as a target, which turns off all other targets.
fn parse_levels(text: &str) -> Option<Targets> {
    let mut levels = Targets::new();
    for directive in text.split(',').map(str::trim) {
        levels = match directive.split_once('=') {
            None => levels.with_default(parse_level(directive)?),
            Some((target, level)) => levels.with_target(parse_target(target)?, parse_level(level)?),
        };
    }
    Some(levels)
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    let named = ["error", "warn", "info", "debug", "trace", "off"].iter().find(|name| text.eq_ignore_ascii_case(name));
    named.and_then(|name| name.parse().ok())
}

/// Parses a target: the path of a module, such as `reauth_core::store`.
fn parse_target(text: &str) -> Option<&str> {
    let part_of_path = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    (!text.is_empty() && text.bytes().all(part_of_path)).then_some(text)
}

/// Writes the logs as JSON lines.
fn initialize_logs(levels: Targets) {
    let harmless = filter_fn(|line| {
        let krate = line.target().split("::").next().unwrap_or_default();
        *line.level() <= Level::INFO || OURS.contains(&krate)
    });
    // In one invocation, at most 100 latencies of an endpoint are recorded. The crate would log an error for each other.
    let levels = levels.with_target("metrics_cloudwatch_embedded", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(false).with_span_list(true);
    // The error means that the process already has a subscriber. That is not a reason to stop.
    let _ = tracing_subscriber::registry().with(lines.with_filter(levels.and(harmless))).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(levels: &str, target: &str, level: Level) -> bool {
        parse_levels(levels).unwrap().would_enable(target, &level)
    }

    #[test]
    fn a_level_counts_for_every_target_and_a_directive_for_its_own() {
        assert!(writes("info", "accounts", Level::INFO) && !writes("info", "accounts", Level::DEBUG));
        assert!(writes("WARN", "accounts", Level::WARN) && !writes("WARN", "accounts", Level::INFO));
        assert!(!writes("off", "accounts", Level::ERROR));
        let levels = "warn, reauth_core::store=trace,accounts=off";
        assert!(writes(levels, "reauth_core::store::links", Level::TRACE) && writes(levels, "hyper", Level::WARN));
        assert!(!writes(levels, "hyper", Level::INFO) && !writes(levels, "accounts", Level::ERROR));
    }

    #[test]
    fn what_names_no_level_is_refused() {
        for wrong in
            ["warning", "verbose", "", ",", "info,", "reauth_core", "reauth_core=", "=info", "a=loud", "a[b]=info", "3"]
        {
            assert_eq!(parse_levels(wrong), None, "{wrong}");
        }
    }
}
