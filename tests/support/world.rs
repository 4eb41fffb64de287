//! One system, and what a test does with it.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use digime::ambient::Clock;
use http::{Method, StatusCode};
use local::{
    DEMO_CONTRACT, Function, System,
    names::{self, Queue},
};
use serde_json::{Value, json};

use crate::{
    ambient::ManualClock,
    binaries::Processes,
    builder::WorldBuilder,
    crash::Crashes,
    delivered_event::{DeliveredEvent, events},
    event_schemas::assert_delivered,
    messages::{ReadResult, SqsMessage},
    permissions::{granted_permissions, used_permissions},
    reply::Reply,
    webhook::Receiver,
};

/// The system of one test. When it is dropped, it fails the test if a message is left on a queue, unless the builder
/// expects leftovers, if a function did what its role in the template does not allow, or if an event was published that
/// does not conform to its schema.
pub struct World {
    pub system: System,
    /// The system's clock, unless the functions run from their binaries.
    pub clock: ManualClock,
    /// Kills functions, if the world was built with crashes.
    pub crashes: Crashes,
    pub(crate) webhook: Option<Receiver>,
    pub(crate) leftovers_expected: bool,
    pub(crate) processes: Processes,
    /// The browser's one cookie.
    pub(crate) cookie: Mutex<Option<String>>,
}

impl World {
    /// The settings of a new world: `World::builder().webhook().start().await`.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// The receiver of the webhook. Panics if the world was built without a webhook.
    #[must_use]
    pub fn webhook(&self) -> &Receiver {
        self.webhook.as_ref().expect("the world was built with a webhook")
    }

    /// The log of a function that runs from its binary.
    #[must_use]
    pub fn log(&self, function: Function) -> String {
        self.processes.get(&function).map(|process| process.log()).unwrap_or_default()
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

    /// Deletes the browser's cookie, as if another browser was used from now on.
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

    /// The events of an account, oldest first.
    pub async fn events(&self, user: &str, account: &str) -> Vec<DeliveredEvent> {
        events(&self.account(user, account).await["events"])
    }

    /// The types of an account's events, oldest first.
    pub async fn history(&self, user: &str, account: &str) -> Vec<String> {
        self.events(user, account).await.into_iter().map(|event| event.kind).collect()
    }

    /// Hands a read result in, and runs the system until it is idle.
    pub async fn hand_in(&self, user: &str, observed_at: Option<&str>, read_result: &Value) {
        let mut body = json!({"contractId": DEMO_CONTRACT, "readResult": read_result});
        if let Some(observed_at) = observed_at {
            body["observedAt"] = json!(observed_at);
        }
        let reply = self.post(&format!("/users/{user}/read-results"), &body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
        self.run_until_idle().await;
    }

    /// Puts a message on a queue.
    pub fn enqueue(&self, queue: Queue, body: &(impl Display + ?Sized)) {
        self.system.queues.send(queue, &body.to_string()).expect("the queue takes it");
    }

    /// Gives an event to a function.
    pub async fn invoke(&self, function: Function, event: &Value) -> Value {
        let reply = self.system.functions.get(function).invoke(event.to_string().into()).await.expect("a reply");
        serde_json::from_slice(&reply).expect("a reply in JSON")
    }

    /// Gives one read result to its function directly, without the queue.
    pub async fn take_in(&self, read_result: ReadResult) {
        let batch = SqsMessage::new(read_result, self.clock_now()).alone();
        let reply = self.invoke(Function::RecordReadResult, &batch).await;
        assert_eq!(reply["batchItemFailures"], json!([]));
    }

    /// Everything in the table.
    #[must_use]
    pub fn items(&self) -> Vec<Value> {
        let (mut items, mut request) = (Vec::new(), json!({"TableName": names::TABLE}));
        loop {
            let scan = serde_json::from_value(request.clone()).expect("a request");
            let found = self.system.database.scan(scan).expect("the table can be read");
            let mut found = serde_json::to_value(found).expect("a reply in JSON");
            items.extend(found["Items"].as_array().expect("a list of items").iter().cloned());
            match found["LastEvaluatedKey"].take() {
                Value::Null => return items,
                last => request["ExclusiveStartKey"] = last,
            }
        }
    }

    /// The items that wait for the sweep: undelivered events, and accounts that are being verified. Accounts also wait for
    /// reminders and warnings, and a grant always waits for the expiry of its refresh token.
    #[must_use]
    pub fn due(&self) -> Vec<Value> {
        let is_due = |item: &Value| {
            let shard = item["dueShard"]["S"].as_str();
            shard.is_some_and(|shard| !shard.starts_with("due-grant#") && !shard.starts_with("due-notice#"))
        };
        self.items().into_iter().filter(is_due).collect()
    }

    /// Runs the stream and the queues until the system is idle.
    pub async fn run_until_idle(&self) {
        self.system.run_until_idle().await.expect("the system becomes idle");
    }

    /// Runs the sweep, and then the system until it is idle.
    pub async fn sweep(&self) -> Value {
        let done = self.system.sweep().await.expect("the sweep runs");
        self.run_until_idle().await;
        done
    }

    /// The events that were published so far, oldest first.
    #[must_use]
    pub fn published(&self) -> Vec<DeliveredEvent> {
        published(&self.system)
    }

    /// The published events in JSON.
    #[must_use]
    pub fn published_json(&self) -> Vec<Value> {
        published_json(&self.system)
    }

    /// The newest published event. Panics if there is none.
    #[must_use]
    pub fn last_published(&self) -> DeliveredEvent {
        self.published().pop().expect("a published event")
    }

    /// The path of the newest reconnect link. Panics if none was published.
    #[must_use]
    pub fn last_link(&self) -> String {
        let published = self.published();
        let link = published.iter().rev().find_map(|event| event.reconnect_url.as_deref());
        self.path(link.expect("a published link"))
    }

    /// The path of a URL of the API.
    #[must_use]
    pub fn path(&self, url: &str) -> String {
        url.strip_prefix(&self.system.endpoints.public_base_url).expect("a URL of the API").to_owned()
    }
}

/// The events that a system published so far, oldest first.
#[must_use]
pub fn published(system: &System) -> Vec<DeliveredEvent> {
    published_json(system).iter().map(DeliveredEvent::from).collect()
}

fn published_json(system: &System) -> Vec<Value> {
    system.topic.all().iter().map(local::Publication::json).collect()
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let used = used_permissions(self.system.aws.permissions());
        let refused: Vec<_> = used.difference(&granted_permissions()).cloned().collect();
        assert!(refused.is_empty(), "a role in the template does not allow what its function did: {refused:#?}");
        self.published_json().iter().for_each(assert_delivered);
        if self.leftovers_expected {
            return;
        }
        for queue in Queue::ALL {
            let depth = self.system.queues.depth(queue).expect("the queue can be read");
            assert_eq!(depth, local::Depth::default(), "messages are left on {}", queue.name());
        }
    }
}
