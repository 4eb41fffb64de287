//! A system whose functions are release binaries under an emulator of the Lambda Runtime API, with AWS, digi.me and
//! channels that are as far away as a figure wants them.

use std::{
    collections::BTreeMap,
    future::Future,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::post};
use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::{Account, ErrorShape, Moment};
use futures::future::BoxFuture;
use http::{Method, StatusCode};
use local::{
    DEMO_CONTRACT, Function, Functions, Invoke, InvokeError, Options, System,
    names::{self, Queue},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tests::{
    Decision, Relays, Reply, SqsMessage, WEBHOOK_SECRET, binaries, broken, decide, options, published,
    runtime_api::{LambdaFunction, Spec},
    sqs_batch,
};
use tokio::{net::TcpListener, sync::RwLock};

use crate::{
    process::{median, now, pause},
    small_cpu::SmallCpu,
};

/// How far away DynamoDB and digi.me are, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    aws: AtomicU64,
    digime: AtomicU64,
    pub(crate) channel: AtomicU64,
}

/// A function whose process can be replaced by a new one.
pub(crate) struct Replaceable(RwLock<Arc<LambdaFunction>>);

impl Invoke for Replaceable {
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
        Box::pin(async move {
            let function = Arc::clone(&*self.0.read().await);
            function.invoke(event).await
        })
    }
}

/// The system.
pub(crate) struct Stage {
    pub(crate) system: System,
    functions: BTreeMap<Function, Arc<Replaceable>>,
    latencies: Arc<Latencies>,
    relays: Option<Relays>,
    http: reqwest::Client,
}

/// How many empty calls are measured for one figure.
const ROUND_TRIPS: usize = 20;

/// The directory of the release binaries.
pub(crate) fn release() -> PathBuf {
    binaries().expect("the binaries can be built")
}

pub(crate) async fn start(binary: &str, environment: BTreeMap<String, String>) -> Arc<LambdaFunction> {
    let spec = Spec::new(binary, release().join(binary), environment);
    Arc::new(LambdaFunction::start(spec).await.expect("the function starts"))
}

/// Starts a function whose process is in the group from its first instruction on. A shell joins the group and becomes
/// the function.
pub(crate) async fn start_under(
    group: &SmallCpu,
    binary: &str,
    environment: BTreeMap<String, String>,
) -> Arc<LambdaFunction> {
    let script = format!("echo $$ > {} && exec {}", group.processes().display(), release().join(binary).display());
    let arguments = vec!["-c".to_owned(), script];
    let spec = Spec { arguments, ..Spec::new(binary, "/bin/sh".into(), environment) };
    Arc::new(LambdaFunction::start(spec).await.expect("the function starts"))
}

impl Stage {
    /// Starts everything; with a webhook if there is a URL for it.
    pub(crate) async fn new(webhook: Option<&str>) -> Self {
        match webhook {
            Some(url) => Self::with(&[("WEBHOOK_URL", url), ("WEBHOOK_SECRET_ID", names::WEBHOOK_SECRET)]).await,
            None => Self::with(&[]).await,
        }
    }

    /// Starts everything with environment variables.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        // Without a logo of the application, which the sweep would fetch.
        let settings = [("RUST_LOG", "warn"), ("APPLICATION_LOGO_URL", "")].iter().chain(settings);
        let settings: BTreeMap<_, _> =
            settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = Options { settings, ..options(Ambient::system(), Ambient::system()) };
        let mut functions = BTreeMap::new();
        let started = &mut functions;
        let system = System::start(options, |endpoints| async move {
            for function in Function::ALL {
                let process = start(function.name(), endpoints.environment(function)).await;
                started.insert(function, Arc::new(Replaceable(RwLock::new(process))));
            }
            Ok::<_, String>(Functions::each(|function| Arc::clone(&started[&function]) as Arc<dyn Invoke>))
        });
        let system = system.await.expect("the system starts");
        system.secrets.put(names::WEBHOOK_SECRET, WEBHOOK_SECRET);
        system.add_demo_user().await.expect("the demo user has a grant");
        let latencies = Arc::new(Latencies::default());
        let far = Arc::clone(&latencies);
        system.aws.observe(Some(Arc::new(move |moment, name: &str| {
            let distance = if name.ends_with("sns:Publish") { &far.channel } else { &far.aws };
            held_up(moment, distance)
        })));
        let far = Arc::clone(&latencies);
        system.simulator.control().observe(Some(Arc::new(move |moment, name: &str| {
            if name.contains(" /v1.7/") { held_up(moment, &far.digime) } else { Box::pin(async {}) }
        })));
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { system, functions, latencies, relays: None, http }
    }

    /// A system whose functions call everything over TLS. digi.me offers these protocols.
    pub(crate) async fn over_tls(digime_protocols: &[&str]) -> Self {
        let mut stage = Self::new(Some(&receiver(Duration::ZERO).await)).await;
        stage.relays = Some(Relays::start(&stage.system.endpoints, digime_protocols).await);
        for function in Function::ALL {
            stage.restart(function).await;
        }
        stage
    }

    pub(crate) fn environment(&self, function: Function) -> BTreeMap<String, String> {
        match &self.relays {
            Some(relays) => relays.environment(function),
            None => self.system.endpoints.environment(function),
        }
    }

    /// How long an empty call of DynamoDB takes at its distance, in milliseconds: a read of an item that is not there.
    pub(crate) async fn aws_round_trip(&self, distance: Duration) -> f64 {
        self.distances(distance, Duration::ZERO);
        let body = json!({"TableName": names::TABLE, "Key": {"PK": {"S": "none"}, "SK": {"S": "none"}}}).to_string();
        let credential = "AWS4-HMAC-SHA256 Credential=bench/20260101/eu-west-1/dynamodb/aws4_request";
        let call = || {
            let request = self.http.post(&self.system.endpoints.aws_url).header("authorization", credential);
            request.header("x-amz-target", "DynamoDB_20120810.GetItem").body(body.clone())
        };
        self.round_trip(call).await
    }

    /// How long an empty call of digi.me takes at its distance, in milliseconds: a read of its key set.
    pub(crate) async fn digime_round_trip(&self, distance: Duration) -> f64 {
        self.distances(Duration::ZERO, distance);
        let url = format!("{}jwks/oauth", self.system.endpoints.digime_base_url);
        self.round_trip(|| self.http.get(&url)).await
    }

    async fn round_trip(&self, call: impl Fn() -> RequestBuilder) -> f64 {
        let mut times = Vec::new();
        for _ in 0..ROUND_TRIPS {
            let begun = now();
            let answer = call().send().await.expect("an answer");
            answer.error_for_status().expect("a success").bytes().await.expect("a whole answer");
            times.push(begun.elapsed());
        }
        self.near();
        median(times)
    }

    /// Moves AWS and digi.me.
    pub(crate) fn distances(&self, aws: Duration, digime: Duration) {
        self.latencies.aws.store(microseconds(aws), Ordering::Relaxed);
        self.latencies.digime.store(microseconds(digime), Ordering::Relaxed);
        if let Some(relays) = &self.relays {
            relays.set_round_trips(aws, digime);
        }
    }

    pub(crate) fn near(&self) {
        self.distances(Duration::ZERO, Duration::ZERO);
    }

    /// Moves the topic.
    pub(crate) fn channel_distance(&self, channel: Duration) {
        self.latencies.channel.store(microseconds(channel), Ordering::Relaxed);
    }

    pub(crate) async fn process(&self, function: Function) -> u32 {
        self.functions[&function].0.read().await.processes().await[0]
    }

    /// A new process of a function, with nothing in its memory.
    pub(crate) async fn restart(&self, function: Function) {
        let new = start(function.name(), self.environment(function)).await;
        self.replace(function, new).await;
    }

    pub(crate) async fn replace(&self, function: Function, new: Arc<LambdaFunction>) {
        *self.functions[&function].0.write().await = new;
    }

    pub(crate) async fn invoke(&self, function: Function, event: &Value) -> Value {
        let reply = self.functions[&function].invoke(event.to_string().into()).await.expect("a reply");
        serde_json::from_slice(&reply).expect("JSON")
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &str) -> Reply {
        let mut request = http::Request::new(Bytes::from(body.to_owned()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        self.system.gateway.call(request).await.into()
    }

    async fn expect(&self, status: StatusCode, method: Method, path: &str, body: &str) -> Reply {
        let reply = self.call(method, path, body).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        reply
    }

    /// A user with accounts at digi.me, and a grant here.
    pub(crate) async fn add_user(&self, user: &str, accounts: &[&str]) {
        let control = self.system.simulator.control();
        control.add_user(user);
        for account in accounts {
            control.add_account(user, Account::new(*account, "Meadow Bank", Some("alex.morgan")));
        }
        self.grant(user, None).await;
    }

    /// Hands a new grant in, whose access token is known to end then.
    pub(crate) async fn grant(&self, user: &str, expires_on: Option<i64>) {
        let mut tokens = serde_json::to_value(self.system.simulator.control().issue_tokens(user, DEMO_CONTRACT));
        if let (Ok(tokens), Some(expires_on)) = (&mut tokens, expires_on) {
            tokens["access_token"]["expires_on"] = json!(expires_on);
        }
        let path = format!("/users/{user}/grants/{DEMO_CONTRACT}?replace=true");
        let body = tokens.expect("a token pair").to_string();
        self.expect(StatusCode::NO_CONTENT, Method::PUT, &path, &body).await;
    }

    pub(crate) async fn make_url(&self, user: &str, account: &str) -> Reply {
        let path = format!("/users/{user}/accounts/{account}/reauthorizations");
        self.expect(StatusCode::CREATED, Method::POST, &path, "{}").await
    }

    /// A reauthorization that the user has just allowed at digi.me: the path of its callback.
    pub(crate) async fn allowed(&self, user: &str, account: &str) -> String {
        let made = self.make_url(user, account).await;
        self.decide(&made).await
    }

    /// The user allows a created reauthorization at digi.me: the path of the callback.
    pub(crate) async fn decide(&self, made: &Reply) -> String {
        let callback = decide(made.json()["url"].as_str().expect("a URL"), Decision::Success).await;
        callback.strip_prefix(&self.system.endpoints.public_base_url).expect("ours").to_owned()
    }

    /// The account's source withdraws its authorization.
    pub(crate) fn break_account(&self, account: &str) {
        self.system.simulator.control().break_account(account, ErrorShape::Documented);
    }

    /// digi.me refuses the user's tokens, except to start the user page.
    pub(crate) fn kill_tokens(&self, user: &str) {
        let control = self.system.simulator.control();
        control.expire_access_tokens(user);
        control.kill_refresh_tokens(user);
    }

    /// Loads the callback of the user page, from which the browser goes on to the account's page.
    pub(crate) async fn go_on(&self, path: &str) {
        let reply = self.expect(StatusCode::SEE_OTHER, Method::GET, path, "").await;
        assert!(reply.header("location").contains("/reauthorize?code="), "{}", reply.header("location"));
    }

    pub(crate) async fn follow(&self, path: &str) -> Reply {
        let reply = self.expect(StatusCode::SEE_OTHER, Method::GET, path, "").await;
        assert!(reply.header("location").contains("status=succeeded"), "{}", reply.header("location"));
        reply
    }

    /// A read says that the account needs its user, and the application is told.
    pub(crate) async fn needs_user(&self, user: &str, account: &str) {
        let body = json!({"contractId": DEMO_CONTRACT, "readResult": broken(account)});
        let path = format!("/users/{user}/read-results");
        self.expect(StatusCode::ACCEPTED, Method::POST, &path, &body.to_string()).await;
        self.run_until_idle().await;
    }

    /// Uses the button of a link.
    pub(crate) async fn use_link(&self, path: &str) -> Reply {
        self.expect(StatusCode::SEE_OTHER, Method::POST, path, "").await
    }

    /// What was published of a user last: the path of its link.
    pub(crate) fn link(&self, user: &str) -> String {
        let event = published(&self.system).into_iter().rev().find(|event| event.user_id == user).expect("an event");
        event.reconnect_url().strip_prefix(&self.system.endpoints.public_base_url).expect("ours").to_owned()
    }

    pub(crate) async fn run_until_idle(&self) {
        self.system.run_until_idle().await.expect("the system becomes idle");
    }

    /// Takes the next ten events off the queue of webhooks, as the function would get them.
    pub(crate) fn take_webhooks(&self) -> Value {
        self.take(Queue::Webhooks)
    }

    /// Takes the next ten events off the queue of notifications, as the function would get them.
    pub(crate) async fn take_notifications(&self) -> Value {
        self.system.run_pipe().await.expect("the stream moves");
        self.take(Queue::Notifications)
    }

    fn take(&self, queue: Queue) -> Value {
        let messages = self.system.queues.receive(queue, 10).expect("the queue");
        for message in &messages {
            self.system.queues.delete(message).expect("the queue");
        }
        batch(queue, &messages.into_iter().map(|message| message.body).collect::<Vec<_>>())
    }
}

/// A receiver of webhooks that answers after a while: its URL.
pub(crate) async fn receiver(answers_after: Duration) -> String {
    let answer = post(async move || {
        pause(answers_after).await;
        StatusCode::NO_CONTENT
    });
    serve(Router::new().route("/", answer)).await
}

/// A receiver of webhooks that never answers: its URL.
pub(crate) async fn silent_receiver() -> String {
    serve(Router::new().route("/", post(std::future::pending::<StatusCode>))).await
}

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
    url
}

fn held_up(moment: Moment, distance: &AtomicU64) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    let time = if moment == Moment::Before { distance.load(Ordering::Relaxed) } else { 0 };
    Box::pin(pause(Duration::from_micros(time)))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("a short time")
}

/// A batch of messages of a queue, sent just now.
pub(crate) fn batch(queue: Queue, bodies: &[String]) -> Value {
    let now = Ambient::system().now();
    let message = |(number, body): (usize, &String)| SqsMessage::new(body, now).id(number).queue(queue);
    sqs_batch(bodies.iter().enumerate().map(message))
}
