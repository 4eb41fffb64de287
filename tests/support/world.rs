//! One system, and what a test does with it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use digime::ambient::{Ambient, Clock};
use http::{HeaderMap, Method, StatusCode};
use local::{
    DEMO_CONTRACT, DemoSecrets, Function, Options, QueueSettings, System, in_process,
    names::{self, Queue},
};
use serde_json::{Value, json};

use crate::{
    ambient::ManualClock,
    binaries::{self, Processes},
    crash::Crashes,
    permissions::{granted, needed},
    webhook::{Receiver, WEBHOOK_SECRET},
};

/// A system of a test's own. Dropped, it fails the test if a message is left on a queue, unless that was expected, or if a
/// function did what its role in the template does not allow.
pub struct World {
    /// The system.
    pub system: System,
    /// The system's time, if the test moves it.
    pub clock: ManualClock,
    leftovers_expected: bool,
    processes: Processes,
    /// The browser's one cookie.
    cookie: Mutex<Option<String>>,
}

/// A reply of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl From<http::Response<Bytes>> for Reply {
    fn from(response: http::Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.to_vec()).expect("a text");
        Self { status: parts.status, headers: parts.headers, body }
    }
}

impl Reply {
    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// A header's text; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Key pairs take time to make: all worlds of a run share one.
fn secrets() -> DemoSecrets {
    static SECRETS: OnceLock<DemoSecrets> = OnceLock::new();
    SECRETS.get_or_init(|| DemoSecrets::generate(&Ambient::system()).expect("a key pair can be made")).clone()
}

impl World {
    /// The functions in this process, with a clock that the test moves.
    pub async fn new() -> Self {
        let clock = ManualClock::default();
        let options = options(clock.stand_ins(), clock.ambient());
        Self::in_process(options, clock).await
    }

    /// The same with settings of the functions that are not the usual ones.
    pub async fn with_settings(settings: &[(&str, &str)]) -> Self {
        let clock = ManualClock::default();
        let options = Options { settings: texts(settings), ..options(clock.stand_ins(), clock.ambient()) };
        Self::in_process(options, clock).await
    }

    /// The same with a webhook, behind the topic.
    pub async fn with_webhook() -> (Self, Receiver) {
        let receiver = Receiver::start().await;
        let settings = [("WEBHOOK_URL", &*receiver.url), ("WEBHOOK_SECRET_ID", names::WEBHOOK_SECRET)];
        let world = Self::with_settings(&settings).await;
        (world, receiver)
    }

    /// The same with functions whose clock is that many minutes ahead of everybody else's.
    pub async fn with_clock_off_by(minutes: i64) -> Self {
        let clock = ManualClock::default();
        let options = options(clock.stand_ins(), clock.ahead(minutes).ambient());
        Self::in_process(options, clock).await
    }

    async fn in_process(options: Options, clock: ManualClock) -> Self {
        let ambient = options.ambient.clone();
        let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await;
        Self::with_demo_user(system.expect("the system starts"), clock).await
    }

    /// The functions in this process, to be killed wherever the test wants.
    pub async fn with_crashes() -> (Self, Crashes) {
        let (clock, crashes) = (ManualClock::default(), Crashes::default());
        let ambient = clock.ambient();
        let options = options(clock.stand_ins(), ambient.clone());
        let functions = crashes.clone();
        let system = System::start(options, |endpoints| async move { functions.functions(&endpoints, &ambient) }).await;
        let world = Self::with_demo_user(system.expect("the system starts"), clock).await;
        crashes.watch(&world.system);
        (world, crashes)
    }

    /// The functions' real binaries, each a process under the Lambda Runtime API, with the machine's clock.
    pub async fn with_binaries() -> Self {
        Self::start_binaries("info", &[]).await
    }

    /// The same with a webhook, and with everything that they can log.
    pub async fn with_talkative_binaries() -> (Self, Receiver) {
        let receiver = Receiver::start().await;
        let settings = [("WEBHOOK_URL", &*receiver.url), ("WEBHOOK_SECRET_ID", names::WEBHOOK_SECRET)];
        let world = Self::start_binaries("trace", &settings).await;
        (world, receiver)
    }

    /// The same, to be killed wherever the test wants.
    pub async fn with_binaries_and_crashes() -> (Self, Crashes) {
        let (world, crashes) = (Self::with_binaries().await, Crashes::default());
        crashes.kill_these(&world.processes);
        crashes.watch(&world.system);
        (world, crashes)
    }

    async fn start_binaries(rust_log: &str, settings: &[(&str, &str)]) -> Self {
        let (rust_log, settings) = (rust_log.to_owned(), texts(settings));
        let options = Options { rust_log, settings, ..options(Ambient::system(), Ambient::system()) };
        let mut processes = Processes::new();
        let started = &mut processes;
        let system = System::start(options, |endpoints| async move {
            *started = binaries::start(&endpoints).await?;
            Ok::<_, String>(binaries::functions(started))
        });
        let system = system.await.expect("the system starts");
        let mut world = Self::with_demo_user(system, ManualClock::default()).await;
        world.processes = processes;
        world
    }

    /// What a function's processes logged, if the world runs its binary.
    #[must_use]
    pub fn log(&self, function: Function) -> String {
        self.processes.get(&function).map(|process| process.log()).unwrap_or_default()
    }

    async fn with_demo_user(system: System, clock: ManualClock) -> Self {
        system.add_demo_user().await.expect("the demo user has a grant");
        system.secrets.put(names::WEBHOOK_SECRET, WEBHOOK_SECRET);
        Self { system, clock, leftovers_expected: false, processes: Processes::new(), cookie: Mutex::default() }
    }

    /// The time of the manual clock.
    #[must_use]
    pub fn clock_now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Moves the time on.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// This test leaves messages on a queue, or in a dead-letter queue, on purpose.
    pub fn expect_leftovers(&mut self) {
        self.leftovers_expected = true;
    }

    /// Calls the API, as an IAM principal where the route asks for one.
    pub async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Reply {
        let mut request = http::Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        self.send(request).await
    }

    /// Sends a request, with the browser's cookie, and keeps the one that the reply sets.
    pub async fn send(&self, mut request: http::Request<Bytes>) -> Reply {
        let kept = || self.cookie.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cookie) = kept().as_ref().and_then(|cookie| cookie.parse().ok()) {
            request.headers_mut().insert(http::header::COOKIE, cookie);
        }
        let reply: Reply = self.system.gateway.call(request).await.into();
        if let Some((cookie, _attributes)) = reply.header("set-cookie").split_once(';') {
            *kept() = Some(cookie.to_owned());
        }
        reply
    }

    /// From here on it is another browser, or a person who never had the cookie.
    pub fn change_browser(&self) {
        *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, "").await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body.to_string()).await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::PUT, path, body.to_string()).await
    }

    /// One account of a user with its history; panics if the API has none.
    pub async fn account(&self, user: &str, account: &str) -> Value {
        let reply = self.get(&format!("/users/{user}/accounts/{account}?history=true")).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    /// The types of an account's events, in order.
    pub async fn history(&self, user: &str, account: &str) -> Vec<String> {
        let account = self.account(user, account).await;
        let events = account["events"].as_array().expect("a history").iter();
        events.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Hands a read result in, and lets everything settle.
    pub async fn hand_in(&self, user: &str, observed_at: Option<&str>, read_result: &Value) {
        let mut body = json!({"contractId": DEMO_CONTRACT, "readResult": read_result});
        if let Some(observed_at) = observed_at {
            body["observedAt"] = json!(observed_at);
        }
        let reply = self.post(&format!("/users/{user}/read-results"), &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
        self.run_until_idle().await;
    }

    /// Puts a body on the queue of read results as it is.
    pub fn enqueue(&self, body: &str) {
        self.system.queues.send(Queue::ReadResults, body).expect("the queue takes it");
    }

    /// Lets stream and queues move until nothing moves.
    pub async fn run_until_idle(&self) {
        self.system.run_until_idle().await.expect("everything settles");
    }

    /// Runs the sweep, and lets everything settle.
    pub async fn sweep(&self) -> Value {
        let done = self.system.sweep().await.expect("the sweep runs");
        self.run_until_idle().await;
        done
    }

    /// What was published so far, oldest first.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        published(&self.system)
    }

    /// The link of the last notification that has one: its path.
    #[must_use]
    pub fn last_link(&self) -> String {
        let published = self.published();
        let link = published.iter().rev().find_map(|event| event["data"]["reconnectUrl"].as_str());
        let link = link.expect("a notification with a link");
        link.strip_prefix(&self.system.endpoints.public_base_url).expect("a link of ours").to_owned()
    }
}

fn texts(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What a system published so far, oldest first.
#[must_use]
pub fn published(system: &System) -> Vec<Value> {
    system.topic.all().iter().map(local::Publication::json).collect()
}

/// A system on free ports, in memory, that moves only when it is told to.
#[must_use]
pub fn options(stand_ins: Ambient, ambient: Ambient) -> Options {
    Options {
        port: 0,
        simulator_port: 0,
        data_dir: None,
        secrets: Some(secrets()),
        stand_ins,
        ambient,
        queues: QueueSettings { retry_delay: Duration::ZERO, ..QueueSettings::default() },
        background: false,
        rust_log: "info".to_owned(),
        settings: BTreeMap::new(),
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let needed = needed(self.system.aws.permissions());
        let refused: Vec<_> = needed.difference(&granted()).cloned().collect();
        assert!(refused.is_empty(), "a role in the template does not allow what its function did: {refused:#?}");
        if self.leftovers_expected {
            return;
        }
        for queue in Queue::ALL {
            let depth = self.system.queues.depth(queue).unwrap_or_default();
            assert_eq!(depth, local::Depth::default(), "messages are left on {}", queue.name());
        }
    }
}
