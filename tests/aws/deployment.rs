//! A deployment of a test's own at `AWS_TEST_ENDPOINT`: table, queues, topic, secrets, and the functions' processes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::{Account, Contract, ContractKeys, Simulator};
use http::{Method, StatusCode};
use local::{Endpoints, Function, Functions, Gateway, Invoke};
use reauth_core::aws::Aws;
use serde_json::{Value, json};
use tests::{Receiver, Reply, WEBHOOK_SECRET, create_table, start_instances};
use tokio::sync::Mutex;

pub(crate) const USER: &str = "user";
pub(crate) const CONTRACT: &str = "contract";
pub(crate) const ACCOUNT: &str = "1_bank";

/// Nobody listens there: requests are given to the gateway by their path.
const BASE: &str = "http://127.0.0.1:9";
const INSTANCES: usize = 4;

/// Key pairs take time to make.
fn keys() -> &'static ContractKeys {
    static KEYS: OnceLock<ContractKeys> = OnceLock::new();
    KEYS.get_or_init(|| ContractKeys::generate().unwrap())
}

pub(crate) struct Deployment {
    pub(crate) simulator: Simulator,
    functions: Functions,
    gateway: Gateway,
    endpoint: String,
    table: String,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    read_results: String,
    notifications: String,
    webhooks: String,
    subscriber: String,
    /// The application's end of the webhook.
    pub(crate) receiver: Receiver,
    /// Where the pipe stands in the stream.
    position: Mutex<String>,
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
            overrides: BTreeMap::new(),
        };
        let environment = endpoints.environment(Function::Accounts).into_iter().collect();
        let config = Aws::new(&environment).unwrap().service("AWS_ENDPOINT_URL_DYNAMODB").unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        create_table(&dynamodb, &name).await;
        store_secrets(&aws_sdk_secretsmanager::Client::new(&config), &name).await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let queue = async |kind: &str| {
            let made = sqs.create_queue().queue_name(format!("{name}-{kind}")).send().await.unwrap();
            made.queue_url.unwrap()
        };
        let (read_results, notifications) = (queue("read-results").await, queue("notifications").await);
        let (webhooks, subscriber) = (queue("webhooks").await, queue("subscriber").await);
        let topic = topic(&aws_sdk_sns::Client::new(&config), &sqs, &name, &subscriber, &webhooks).await;
        let receiver = Receiver::start().await;

        let settings = [
            ("TABLE_NAME", name.clone()),
            ("SERVICE_SECRET_ID", format!("{name}/service-secret")),
            ("CONTRACT_SECRET_PREFIX", format!("{name}/contracts/")),
            ("READ_RESULTS_QUEUE_URL", read_results.clone()),
            ("NOTIFICATIONS_QUEUE_URL", notifications.clone()),
            ("NOTIFICATION_TOPIC_ARN", topic),
            ("WEBHOOK_URL", receiver.url.clone()),
            ("WEBHOOK_SECRET_ID", format!("{name}/webhook-secret")),
            // The callback ends on a page.
            ("DEFAULT_RETURN_URL", String::new()),
        ];
        let functions = functions(&endpoints, &settings).await;
        let gateway = Gateway::new(functions.clone(), Ambient::system());
        let position = Mutex::new(String::new());
        let table = name;
        let deployment = Self {
            simulator,
            functions,
            gateway,
            endpoint,
            table,
            dynamodb,
            sqs,
            read_results,
            notifications,
            webhooks,
            subscriber,
            receiver,
            position,
        };
        *deployment.position.lock().await = deployment.start_of_stream().await;
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
            Function::RecordReadResult => &self.read_results,
            Function::NotifyReauth => &self.notifications,
            Function::PostWebhook => &self.webhooks,
            other => panic!("{} has no queue", other.name()),
        };
        let received = self.sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let received = received.message_system_attribute_names(MessageSystemAttributeName::All).send().await.unwrap();
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            return 0;
        }
        let bodies: Vec<_> =
            messages.iter().map(|one| (one.message_id.as_deref().unwrap(), one.body.as_deref().unwrap())).collect();
        let reply = self.invoke(function, sqs_event(&bodies)).await;
        assert_eq!(reply["batchItemFailures"], json!([]), "{reply}");
        for message in &messages {
            let handle = message.receipt_handle.as_deref().unwrap();
            self.sqs.delete_message().queue_url(queue).receipt_handle(handle).send().await.unwrap();
        }
        messages.len()
    }

    /// What the pipe does: puts new events on the queue, as the stream has them.
    async fn pump_stream(&self) -> usize {
        let mut moved = 0;
        for record in self.records().await {
            let key = record["dynamodb"]["Keys"]["SK"]["S"].as_str().unwrap_or_default();
            if record["eventName"] == "INSERT" && key.starts_with("EVENT#") {
                let send = self.sqs.send_message().queue_url(&self.notifications);
                send.message_body(record.to_string()).send().await.unwrap();
                moved += 1;
            }
        }
        moved
    }

    /// What is in the stream by now reaches nobody.
    pub(crate) async fn lose_stream(&self) {
        assert!(!self.records().await.is_empty());
    }

    async fn records(&self) -> Vec<Value> {
        let mut position = self.position.lock().await;
        let answer = self.streams("GetRecords", json!({"ShardIterator": *position})).await;
        *position = answer["NextShardIterator"].as_str().unwrap().to_owned();
        answer["Records"].as_array().unwrap().clone()
    }

    async fn start_of_stream(&self) -> String {
        let table = self.dynamodb.describe_table().table_name(&self.table).send().await.unwrap().table.unwrap();
        let stream = json!({"StreamArn": table.latest_stream_arn.unwrap()});
        let description = self.streams("DescribeStream", stream.clone()).await;
        let mut request = stream;
        request["ShardId"] = description["StreamDescription"]["Shards"][0]["ShardId"].clone();
        request["ShardIteratorType"] = json!("TRIM_HORIZON");
        self.streams("GetShardIterator", request).await["ShardIterator"].as_str().unwrap().to_owned()
    }

    /// A call of the streams' API, which needs no client of its own for four calls; moto checks no signature.
    async fn streams(&self, operation: &str, body: Value) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let scope = "Credential=test/20261101/eu-west-1/dynamodb/aws4_request";
        let request = client
            .post(&self.endpoint)
            .header("x-amz-target", format!("DynamoDBStreams_20120810.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"));
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{operation}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// What the subscriber's queue has received since the last call: the envelopes of SNS.
    pub(crate) async fn notifications(&self) -> Vec<Value> {
        let mut envelopes = Vec::new();
        loop {
            let received = self.sqs.receive_message().queue_url(&self.subscriber).max_number_of_messages(10);
            let messages = received.send().await.unwrap().messages.unwrap_or_default();
            if messages.is_empty() {
                return envelopes;
            }
            for message in messages {
                envelopes.push(serde_json::from_str(message.body.as_deref().unwrap()).unwrap());
                let delete = self.sqs.delete_message().queue_url(&self.subscriber);
                delete.receipt_handle(message.receipt_handle.unwrap()).send().await.unwrap();
            }
        }
    }

    /// The partition and sort keys of everything in the table.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let items = self.dynamodb.scan().table_name(&self.table).send().await.unwrap().items.unwrap_or_default();
        let text = |value: &AttributeValue| value.as_s().unwrap().clone();
        items.iter().map(|item| format!("{} {}", text(&item["PK"]), text(&item["SK"]))).collect()
    }

    /// As if everything that waits for a look had waited long enough.
    pub(crate) async fn make_everything_due(&self) {
        let items = self.dynamodb.scan().table_name(&self.table).send().await.unwrap().items.unwrap_or_default();
        for item in items.into_iter().filter(|item| item.contains_key("dueAt")) {
            let update = self.dynamodb.update_item().table_name(&self.table).update_expression("SET dueAt = :past");
            let update = update.key("PK", item["PK"].clone()).key("SK", item["SK"].clone());
            let past = AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned());
            update.expression_attribute_values(":past", past).send().await.unwrap();
        }
    }
}

async fn simulator() -> Simulator {
    let simulator = Simulator::builder().start().await.unwrap();
    let control = simulator.control();
    let contract = Contract {
        contract_id: CONTRACT.to_owned(),
        application_id: "application".to_owned(),
        public_key_pem: keys().public_key_pem.clone(),
        redirect_uris: vec![format!("{BASE}/callback")],
    };
    control.register_contract(contract).unwrap();
    control.add_user(USER);
    control.add_account(USER, Account::new(ACCOUNT, "Meadow Bank", Some("alex.morgan")));
    simulator
}

async fn store_secrets(client: &aws_sdk_secretsmanager::Client, name: &str) {
    let contract =
        json!({"applicationId": "application", "contractId": CONTRACT, "privateKey": keys().private_key_pem});
    for (id, value) in [
        (format!("{name}/service-secret"), "a service secret of at least 32 characters".to_owned()),
        (format!("{name}/webhook-secret"), WEBHOOK_SECRET.to_owned()),
        (format!("{name}/contracts/{CONTRACT}"), contract.to_string()),
    ] {
        client.create_secret().name(id).secret_string(value).send().await.unwrap();
    }
}

/// A topic with two queues behind it: the subscriber's, and the webhook's with raw message delivery.
async fn topic(
    client: &aws_sdk_sns::Client,
    sqs: &aws_sdk_sqs::Client,
    name: &str,
    subscriber: &str,
    webhooks: &str,
) -> String {
    let topic = client.create_topic().name(name).send().await.unwrap().topic_arn.unwrap();
    subscribe(client, sqs, &topic, subscriber, false).await;
    subscribe(client, sqs, &topic, webhooks, true).await;
    topic
}

async fn subscribe(client: &aws_sdk_sns::Client, sqs: &aws_sdk_sqs::Client, topic: &str, queue: &str, raw: bool) {
    let arn = aws_sdk_sqs::types::QueueAttributeName::QueueArn;
    let attributes = sqs.get_queue_attributes().queue_url(queue).attribute_names(arn.clone()).send().await.unwrap();
    let queue = attributes.attributes.unwrap()[&arn].clone();
    let subscription = client.subscribe().topic_arn(topic).protocol("sqs").endpoint(queue);
    subscription.attributes("RawMessageDelivery", raw.to_string()).send().await.unwrap();
}

async fn functions(endpoints: &Endpoints, settings: &[(&str, String)]) -> Functions {
    let mut started: BTreeMap<Function, Arc<dyn Invoke>> = BTreeMap::new();
    for function in Function::ALL {
        let mut environment = endpoints.environment(function);
        for (name, value) in settings {
            if let Some(variable) = environment.get_mut(*name) {
                variable.clone_from(value);
            }
        }
        started.insert(function, Arc::new(start_instances(function, environment, INSTANCES).await.unwrap()));
    }
    Functions::each(|function| Arc::clone(&started[&function]))
}

/// The event that Lambda makes of a batch: identifiers and bodies.
pub(crate) fn sqs_event(messages: &[(&str, &str)]) -> Value {
    let record = |(id, body): &(&str, &str)| {
        let sent = Ambient::system().now().as_millisecond().to_string();
        json!({"messageId": id, "receiptHandle": "r", "body": body, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:queue", "messageAttributes": {}, "md5OfBody": "",
            "attributes": {"SentTimestamp": sent, "ApproximateReceiveCount": "1"}})
    };
    json!({"Records": messages.iter().map(record).collect::<Vec<_>>()})
}
