//! What a function does before its first invocation, and what becomes of its connections while Lambda freezes it.

use std::{collections::BTreeMap, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use digime::ambient::Ambient;
use futures::future::join_all;
use http::{Method, StatusCode};
use local::{Function, Functions, Gateway, Invoke, names::Queue};
use serde_json::{Value, json};
use tests::{
    BANK, DEMO_CONTRACT, DEMO_USER, HTTP1, HTTP2, Relay, Relays, Reply, SqsMessage, World, address, broken,
    runtime_api::LambdaFunction, start_binary,
};
use tokio::net::TcpListener;

/// A function behind the API that runs from its binary.
struct Api {
    function: Arc<LambdaFunction>,
    gateway: Gateway,
}

impl Api {
    async fn start(function: Function, environment: BTreeMap<String, String>) -> Self {
        let function = Arc::new(start_binary(function, environment).await.unwrap());
        let every = Functions::each(|_| Arc::clone(&function) as Arc<dyn Invoke>);
        Self { gateway: Gateway::new(every, Ambient::system()), function }
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let mut request = http::Request::new(body.to_string().into());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        self.gateway.call(request).await.into()
    }

    async fn make_url(&self) {
        let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
        let reply = self.call(Method::POST, &path, &json!({})).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}\n{}", reply.body, self.function.log());
    }

    /// Stops the process as Lambda freezes it, and lets it go on afterwards.
    async fn frozen(&self, meanwhile: impl FnOnce()) {
        let process = self.function.processes().await[0].to_string();
        let signal = |signal: &str| {
            assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        };
        signal("-STOP");
        meanwhile();
        signal("-CONT");
    }
}

async fn world() -> World {
    World::builder().binaries().start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_url_opens_no_connection() {
    let world = world().await;
    for (protocols, digime) in [(HTTP2, 1), (HTTP1, 2)] {
        let relays = Relays::start(&world.system.endpoints, protocols).await;
        let api = Api::start(Function::CreateReauthUrl, relays.environment(Function::CreateReauthUrl)).await;
        relays.expect([2, 1, 0, 0, digime]).await;
        world.system.simulator.clear_requests();
        api.make_url().await;
        assert_eq!(relays.connections(), [2, 1, 0, 0, digime], "{protocols:?}");
        let asked = world.system.simulator.requests();
        assert!(asked.iter().all(|request| !request.path.ends_with("/jwks/oauth")), "the key set is there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_and_a_topic_are_connected_before_there_is_something_to_send() {
    let world = world().await;
    let relays = Relays::start(&world.system.endpoints, HTTP2).await;
    let api = Api::start(Function::Accounts, relays.environment(Function::Accounts)).await;
    relays.expect([2, 1, 1, 0, 1]).await;
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": broken(BANK)});
    let reply = api.call(Method::POST, &format!("/users/{DEMO_USER}/read-results"), &body).await;
    assert_eq!((reply.status, relays.sqs.connections()), (StatusCode::ACCEPTED, 1), "{}", reply.body);

    let relays = Relays::start(&world.system.endpoints, HTTP2).await;
    let notify = start_binary(Function::NotifyReauth, relays.environment(Function::NotifyReauth)).await.unwrap();
    relays.expect([4, 1, 0, 1, 0]).await;
    let read_results = world.system.queues.receive(Queue::ReadResults, 1).unwrap();
    let batch = SqsMessage::new(&read_results[0].body, Ambient::system().now()).alone();
    world.invoke(Function::RecordReadResult, &batch).await;
    world.system.queues.delete(&read_results[0]).unwrap();
    world.system.run_pipe().await.unwrap();
    let event = world.system.queues.receive(Queue::Notifications, 1).unwrap().remove(0);
    let batch = SqsMessage::new(&event.body, Ambient::system().now()).queue(Queue::Notifications).alone();
    notify.invoke(batch.to_string().into()).await.unwrap();
    world.system.queues.delete(&event).unwrap();
    assert_eq!((relays.connections(), world.published().len()), ([4, 1, 0, 1, 0], 1), "{}", notify.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_closed_while_the_process_was_frozen_cost_no_failed_call() {
    let world = world().await;
    for protocols in [HTTP2, HTTP1] {
        let relays = Relays::start(&world.system.endpoints, protocols).await;
        let api = Api::start(Function::CreateReauthUrl, relays.environment(Function::CreateReauthUrl)).await;
        let close = || relays.all().into_iter().for_each(Relay::close_all);
        // Between init and the first invocation, as with provisioned concurrency.
        api.frozen(close).await;
        api.make_url().await;
        api.frozen(close).await;
        // A refresh is never sent twice.
        world.system.simulator.control().expire_access_tokens(DEMO_USER);
        api.make_url().await;
        // A machine between the two has forgotten the connections, and says so only to the next byte.
        api.frozen(|| relays.all().into_iter().for_each(Relay::forget_all)).await;
        api.make_url().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_of_webhooks_is_first_called_with_an_event_and_may_close_the_connection_afterwards() {
    let world = World::builder().webhook().binaries().start().await;
    let receiver = Relay::plain(address(&world.webhook().url)).await;
    let mut environment = world.system.endpoints.environment(Function::PostWebhook);
    environment.insert("WEBHOOK_URL".into(), format!("http://{}/hooks", receiver.address()));
    let api = Api::start(Function::PostWebhook, environment).await;
    assert_eq!(receiver.connections(), 0);
    let event = json!({"type": "account.reauthorized", "timestamp": "2026-11-23T09:00:00.000Z", "data": {
        "eventId": "evt_00000000000000000000000000000001", "userId": "u", "accountId": "1_a", "sequence": 1,
        "via": "callback", "verified": true}});
    let batch = SqsMessage::new(&event, Ambient::system().now()).queue(Queue::Webhooks).alone();
    for posted in 1..=2 {
        let reply = api.function.invoke(batch.to_string().into()).await.unwrap();
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["batchItemFailures"], json!([]), "{}", api.function.log());
        assert_eq!((receiver.connections(), world.webhook().deliveries().len() as u64), (posted, posted));
        api.frozen(|| receiver.close_all()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_starts_when_nothing_answers_and_logs_what_it_could_not_open() {
    let world = World::builder().webhook().binaries().start().await;
    // A port where nobody listens, and one where nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for address in [closed, silent.local_addr().unwrap()] {
        let starts = Function::ALL.map(|function| starts_all_the_same(&world, function, address));
        join_all(starts).await;
    }
}

async fn starts_all_the_same(world: &World, function: Function, address: SocketAddr) {
    let mut environment = world.system.endpoints.environment(function);
    for (name, value) in &mut environment {
        if name.starts_with("AWS_ENDPOINT_URL") || name == "DIGIME_BASE_URL" {
            *value = format!("http://{address}/");
        }
    }
    let starting = start_binary(function, environment);
    let started = tokio::time::timeout(Duration::from_secs(10), starting).await.expect("it starts in time");
    let log = started.unwrap().log();
    let failed = log.lines().filter(|line| line.contains("\"warm-up: a step ")).count();
    let steps = match function {
        Function::Accounts => 5,
        Function::NotifyReauth => 6,
        Function::CreateReauthUrl | Function::ReauthCallback => 4,
        Function::EmailUser | Function::RecordReadResult => 3,
        Function::Events | Function::SweepAccounts => 17,
        Function::PostWebhook => 2,
    };
    assert_eq!(failed, steps, "{}: {log}", function.name());
}
