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

use crate::{
    config::{ConfigError, Environment},
    logs,
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
    /// The context of an operation of this invocation. Without a trace, it begins a new one: the X-Ray trace of the
    /// invocation is not that of each message of a batch.
    #[must_use]
    pub fn context(&self, triggered_at: Timestamp, trace: Option<TraceParent>, ambient: &Ambient) -> RequestContext {
        let traceparent = trace.unwrap_or_else(|| TraceParent::new(ambient.bytes(), ambient.bytes()));
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
pub const NO_DEADLINE: Deadline = Deadline(Timestamp::MAX);

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

/// When the queue got the message. A message that is moved back from a dead-letter queue has a new time.
#[must_use]
pub fn sent_at(message: &SqsMessage) -> Option<Timestamp> {
    let milliseconds = message.attributes.get("SentTimestamp")?.parse().ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
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
    let built = logs::levels(&environment)
        .and_then(|levels| Ok((levels, build(&environment, &Ambient::system())?)))
        .map_err(|error| error.to_string());
    let served = match built {
        Ok((levels, (service, warm_up))) => {
            logs::initialize(levels);
            let namespace = environment.optional("METRICS_NAMESPACE");
            let metrics = namespace.and_then(|namespace| Metrics::collect(namespace, name));
            let service = measured(service, metrics);
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
fn measured<E, S>(service: S, metrics: Option<Metrics>) -> impl EventService<E, Reply = S::Reply>
where
    E: Send + 'static,
    S: EventService<E>,
{
    let is_cold = Arc::new(AtomicBool::new(true));
    service_fn(move |event: LambdaEvent<E>| {
        let (service, is_cold) = (service.clone(), Arc::clone(&is_cold));
        async move {
            if is_cold.swap(false, Ordering::Relaxed) {
                metrics::cold_start();
            }
            let reply = service.oneshot(event).await;
            if let Some(Err(error)) = metrics.map(|metrics| metrics.write(std::io::stdout())) {
                tracing::warn!(error = %error, "write metrics: could not write to standard output");
            }
            reply
        }
    })
}
