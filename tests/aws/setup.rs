//! What a deployment consists of: a digi.me, a table, queues, a topic, secrets, and the functions' processes.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use aws_sdk_sqs::types::QueueAttributeName;
use digime_simulator::{Account, Contract, ContractKeys, Simulator};
use local::{Endpoints, Function, Functions, Invoke};
use reauth_core::aws::Aws;
use serde_json::json;
use tests::{WEBHOOK_SECRET, create_table, start_instances};

use crate::deployment::{ACCOUNT, BASE, CONTRACT, USER};

/// The number of processes of each function.
const INSTANCES: usize = 4;

/// The AWS resources of a deployment. The URLs are those of queues.
pub(crate) struct Resources {
    pub(crate) table: String,
    pub(crate) read_results: String,
    pub(crate) notifications: String,
    pub(crate) webhooks: String,
    webhooks_dead_letters: String,
    /// The queue of a subscriber of the topic.
    pub(crate) subscriber: String,
    topic: String,
    alarm_topic: String,
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) sqs: aws_sdk_sqs::Client,
}

impl Resources {
    pub(crate) async fn create(name: String, endpoints: &Endpoints) -> Self {
        let environment = endpoints.environment(Function::Accounts).into_iter().collect();
        let config = Aws::new(&environment).unwrap().service("AWS_ENDPOINT_URL_DYNAMODB").unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&config);
        create_table(&dynamodb, &name).await;
        store_secrets(&aws_sdk_secretsmanager::Client::new(&config), &name).await;
        let sqs = aws_sdk_sqs::Client::new(&config);
        let queue = async |kind: &str| {
            let created = sqs.create_queue().queue_name(format!("{name}-{kind}")).send().await.unwrap();
            created.queue_url.unwrap()
        };
        let (read_results, notifications) = (queue("read-results").await, queue("notifications").await);
        let (webhooks, subscriber) = (queue("webhooks").await, queue("subscriber").await);
        let webhooks_dead_letters = queue("webhooks-dead-letters").await;
        let sns = aws_sdk_sns::Client::new(&config);
        let topic = topic(&sns, &sqs, &name, &subscriber, &webhooks).await;
        let alarm_topic = sns.create_topic().name(format!("{name}-alarms")).send().await.unwrap().topic_arn.unwrap();
        Self {
            table: name,
            read_results,
            notifications,
            webhooks,
            webhooks_dead_letters,
            subscriber,
            topic,
            alarm_topic,
            dynamodb,
            sqs,
        }
    }

    /// The environment variables of the functions that name these resources.
    fn settings(&self, webhook_url: &str) -> [(&'static str, String); 13] {
        let name = &self.table;
        [
            ("TABLE_NAME", name.clone()),
            ("SERVICE_SECRET_ID", format!("{name}/service-secret")),
            ("CONTRACT_SECRET_PREFIX", format!("{name}/contracts/")),
            ("READ_RESULTS_QUEUE_URL", self.read_results.clone()),
            ("NOTIFICATIONS_QUEUE_URL", self.notifications.clone()),
            ("NOTIFICATION_TOPIC_ARN", self.topic.clone()),
            ("ALARM_TOPIC_ARN", self.alarm_topic.clone()),
            ("WEBHOOKS_QUEUE_URL", self.webhooks.clone()),
            ("WEBHOOKS_DEAD_LETTERS_URL", self.webhooks_dead_letters.clone()),
            ("WEBHOOK_URL", webhook_url.to_owned()),
            ("WEBHOOK_SECRET_ID", format!("{name}/webhook-secret")),
            ("WEBHOOK_ALLOW_LOOPBACK", "true".to_owned()),
            // The callback ends on a page.
            ("DEFAULT_RETURN_URL", String::new()),
        ]
    }
}

/// The key pair of all deployments of a run: it takes time to generate one.
fn keys() -> &'static ContractKeys {
    static KEYS: OnceLock<ContractKeys> = OnceLock::new();
    KEYS.get_or_init(|| ContractKeys::generate().unwrap())
}

pub(crate) async fn simulator() -> Simulator {
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
    let arn = QueueAttributeName::QueueArn;
    let attributes = sqs.get_queue_attributes().queue_url(queue).attribute_names(arn.clone()).send().await.unwrap();
    let queue = attributes.attributes.unwrap()[&arn].clone();
    let subscription = client.subscribe().topic_arn(topic).protocol("sqs").endpoint(queue);
    subscription.attributes("RawMessageDelivery", raw.to_string()).send().await.unwrap();
}

pub(crate) async fn functions(endpoints: &Endpoints, resources: &Resources, webhook_url: &str) -> Functions {
    let settings = resources.settings(webhook_url);
    let mut started: BTreeMap<Function, Arc<dyn Invoke>> = BTreeMap::new();
    for function in Function::ALL {
        let mut environment = endpoints.environment(function);
        for (name, value) in &settings {
            if let Some(variable) = environment.get_mut(*name) {
                variable.clone_from(value);
            }
        }
        started.insert(function, Arc::new(start_instances(function, environment, INSTANCES).await.unwrap()));
    }
    Functions::each(|function| Arc::clone(&started[&function]))
}
