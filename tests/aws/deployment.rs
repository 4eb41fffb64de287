//! The deployment of one test at `AWS_TEST_ENDPOINT`: table, queues, topic, secrets, and the functions' processes.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::Simulator;
use http::{Method, StatusCode};
use local::{Endpoints, Function, Functions, Gateway};
use serde_json::{Value, json};
use tests::{Receiver, Reply, SqsMessage, sqs_batch};

use crate::{
    setup::{Resources, functions, simulator},
    stream::Stream,
};

pub(crate) const USER: &str = "user";
pub(crate) const CONTRACT: &str = "contract";
pub(crate) const ACCOUNT: &str = "1_bank";

/// No server listens there: requests go to the gateway by their path.
pub(crate) const BASE: &str = "http://127.0.0.1:9";

pub(crate) struct Deployment {
    pub(crate) simulator: Simulator,
    functions: Functions,
    gateway: Gateway,
    resources: Resources,
    /// The application's end of the webhook.
    pub(crate) receiver: Receiver,
    stream: Stream,
}

impl Deployment {
    pub(crate) async fn start() -> Self {
        let endpoint = std::env::var("AWS_TEST_ENDPOINT").expect("AWS_TEST_ENDPOINT is set");
        let name = format!("test-{:016x}", u64::from_be_bytes(Ambient::system().bytes()));
        let simulator = simulator().await;
        let endpoints = Endpoints {
            public_base_url: BASE.to_owned(),
            aws_url: endpoint.clone(),
            digime_base_url: simulator.base_url().to_string(),
            digime_onboard_url: simulator.onboard_url().to_string(),
            rust_log: "info".to_owned(),
            return_origins: Vec::new(),
            no_return_url: false,
            overrides: BTreeMap::new(),
        };
        let resources = Resources::create(name, &endpoints).await;
        let receiver = Receiver::start().await;
        let functions = functions(&endpoints, &resources, &receiver.url).await;
        let gateway = Gateway::new(functions.clone(), Ambient::system());
        let stream = Stream::open(&endpoint, &resources.dynamodb, &resources.table).await;
        let deployment = Self { simulator, functions, gateway, resources, receiver, stream };
        let tokens = serde_json::to_value(deployment.simulator.control().issue_tokens(USER, CONTRACT)).unwrap();
        let reply = deployment.call(Method::PUT, &format!("/users/{USER}/grants/{CONTRACT}"), &tokens).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
        deployment
    }

    /// A path from a URL of this deployment.
    pub(crate) fn path(&self, url: &str) -> String {
        url.strip_prefix(BASE).unwrap().to_owned()
    }

    /// Calls the HTTP API.
    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = http::Request::builder().method(method).uri(path).body(body).unwrap();
        self.gateway.call(request).await.into()
    }

    /// Hands a read result in over the API.
    pub(crate) async fn hand_in(&self, body: &Value) {
        let reply = self.call(Method::POST, &format!("/users/{USER}/read-results"), body).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
    }

    /// The account with its history.
    pub(crate) async fn account(&self) -> Value {
        let reply =
            self.call(Method::GET, &format!("/users/{USER}/accounts/{ACCOUNT}?history=true"), &Value::Null).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()
    }

    pub(crate) async fn invoke(&self, function: Function, event: Value) -> Value {
        let reply = self.functions.get(function).invoke(Bytes::from(event.to_string())).await.unwrap();
        serde_json::from_slice(&reply).unwrap()
    }

    /// Moves queues and stream until nothing moves.
    pub(crate) async fn run_until_idle(&self) {
        loop {
            let moved = self.pump(Function::RecordReadResult).await
                + self.pump_stream().await
                + self.pump(Function::NotifyReauth).await
                + self.pump(Function::PostWebhook).await;
            if moved == 0 {
                return;
            }
        }
    }

    /// Gives one batch of a queue to its function.
    pub(crate) async fn pump(&self, function: Function) -> usize {
        let queue = match function {
            Function::RecordReadResult => &self.resources.read_results,
            Function::NotifyReauth => &self.resources.notifications,
            Function::PostWebhook => &self.resources.webhooks,
            other => panic!("{} has no queue", other.name()),
        };
        let received = self.resources.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let received = received.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return 0;
        }
        let now = Ambient::system().now();
        let batch = messages
            .iter()
            .map(|one| SqsMessage::new(one.body.as_deref().unwrap(), now).id(one.message_id.as_deref().unwrap()));
        let reply = self.invoke(function, sqs_batch(batch)).await;
        assert_eq!(reply["batchItemFailures"], json!([]), "{reply}");
        for message in &messages {
            let handle = message.receipt_handle.as_deref().unwrap();
            self.resources.sqs.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
        }
        messages.len()
    }

    /// Does the work of the pipe: puts the records of new events on the queue.
    async fn pump_stream(&self) -> usize {
        let mut moved = 0;
        for record in self.stream.records().await {
            let key = record["dynamodb"]["Keys"]["SK"]["S"].as_str().unwrap_or_default();
            if record["eventName"] == "INSERT" && key.starts_with("EVENT#") {
                let send = self.resources.sqs.send_message().queue_url(&self.resources.notifications);
                send.message_body(record.to_string()).send().await.unwrap();
                moved += 1;
            }
        }
        moved
    }

    /// Discards what is in the stream.
    pub(crate) async fn lose_stream(&self) {
        assert!(!self.stream.records().await.is_empty());
    }

    /// What the subscriber's queue has received since the last call: SNS envelopes.
    pub(crate) async fn notifications(&self) -> Vec<Value> {
        let mut envelopes = Vec::new();
        loop {
            let received =
                self.resources.sqs.receive_message().queue_url(&self.resources.subscriber).max_number_of_messages(10);
            let messages = received.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return envelopes;
            }
            for message in messages {
                envelopes.push(serde_json::from_str(message.body.as_deref().unwrap()).unwrap());
                let delete = self.resources.sqs.delete_message().queue_url(&self.resources.subscriber);
                delete.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
            }
        }
    }

    async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let scan = self.resources.dynamodb.scan().table_name(&self.resources.table).send().await;
        scan.unwrap().items.unwrap_or_default()
    }

    /// The partition and sort keys of everything in the table.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let items = self.items().await;
        let text = |value: &AttributeValue| value.as_s().unwrap().clone();
        items.iter().map(|item| format!("{} {}", text(&item["PK"]), text(&item["SK"]))).collect()
    }

    /// Makes everything due that has a due time.
    pub(crate) async fn make_everything_due(&self) {
        let items = self.items().await;
        for item in items.into_iter().filter(|item| item.contains_key("dueAt")) {
            let update = self
                .resources
                .dynamodb
                .update_item()
                .table_name(&self.resources.table)
                .update_expression("SET dueAt = :past");
            let update = update.key("PK", item["PK"].clone()).key("SK", item["SK"].clone());
            let past = AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned());
            update.expression_attribute_values(":past", past).send().await.unwrap();
        }
    }
}
