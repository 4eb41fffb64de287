//! The table of one test, created from the template's definition.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use digime::ambient::{Ambient, Clock};
use digime_simulator::Moment;
use futures::FutureExt;
use jiff::Timestamp;
use local::{
    Function, System,
    names::{self, Queue},
};
use reauth_core::{
    aws::Aws,
    config::Environment,
    services,
    store::{DueItem, DueKind, Store},
};
use reauth_domain::{Account, UserId};
use serde_json::Value;
use tests::{ManualClock, World, create_table};

/// The variable with the endpoint of a DynamoDB, such as `http://127.0.0.1:8000`. Region and credentials are those of the process.
const ENDPOINT: &str = "DYNAMODB_TEST_ENDPOINT";

/// A table, and the store that uses it.
pub(crate) struct Table {
    pub(crate) store: Store,
    pub(crate) clock: ManualClock,
    pub(crate) ambient: Ambient,
    environment: Vec<(String, String)>,
    client: Client,
    name: String,
    // The service secret, and the embedded DynamoDB where no other is given.
    world: World,
}

impl Table {
    async fn open() -> Self {
        let world = World::builder().start().await;
        let clock = world.clock.clone();
        let mut environment = world.system.endpoints.environment(Function::SweepAccounts);
        // The caller is not a function: the calls of these tests must not count as uses of a role.
        environment.insert("AWS_ACCESS_KEY_ID".into(), "tests".into());
        let mut name = names::TABLE.to_owned();
        let endpoint = std::env::var(ENDPOINT).ok();
        if let Some(endpoint) = &endpoint {
            let credentials =
                ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].into_iter();
            environment.extend(credentials.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))));
            environment.insert("AWS_ENDPOINT_URL_DYNAMODB".into(), endpoint.clone());
            name = format!("digime-reauth-test-{:016x}", u64::from_be_bytes(Ambient::system().bytes()));
        }
        let environment: Vec<_> = environment.into_iter().collect();
        let described = environment.iter().cloned().collect();
        let aws = Aws::new(&described).expect("a configuration");
        let client = Client::new(&aws.service("AWS_ENDPOINT_URL_DYNAMODB").expect("an endpoint"));
        let ambient = clock.ambient();
        let store = store(&environment, &name, &ambient);
        let table = Self { store, clock, ambient, environment, client, name, world };
        if endpoint.is_some() {
            create_table(&table.client, &table.name).await;
        }
        table
    }

    /// The due items of a kind.
    pub(crate) async fn due(&self, kind: DueKind) -> Vec<DueItem> {
        let shards = self.store.due(kind, self.now(), 10).await;
        shards.into_iter().flat_map(|shard| shard.expect("the index can be read").items).collect()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A store over a table of another name.
    pub(crate) fn store_of(&self, table: &str) -> Store {
        store(&self.environment, table, &self.ambient)
    }

    /// The same table, for a function with another clock.
    pub(crate) fn store_with_clock(&self, clock: &ManualClock) -> Store {
        store(&self.environment, &self.name, &clock.stand_ins())
    }

    /// Makes the account's last event one of a version of this service that had no log.
    pub(crate) async fn remove_from_log(&self, account: &Account) {
        let text = |text: String| AttributeValue::S(text);
        let sort_key = format!("EVENT#{}#{:020}", account.account_id, account.sequence);
        let update = self.client.update_item().table_name(&self.name).update_expression("REMOVE logShard");
        let update = update.key("PK", text(format!("USER#{}", account.user_id))).key("SK", text(sort_key));
        update.condition_expression("attribute_exists(PK)").send().await.expect("an event");
    }

    /// Replaces the payload of the user's only event, as if a later version of this service had written it.
    pub(crate) async fn replace_payload(&self, user: &UserId, payload: &Value) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        let query = query.key_condition_expression("PK = :pk AND begins_with(SK, :event)");
        let pk = format!("USER#{user}");
        let query = query.expression_attribute_values(":pk", text(&pk));
        let found = query.expression_attribute_values(":event", text("EVENT#")).send().await.expect("an answer");
        let key = found.items()[0]["SK"].clone();
        let update = self.client.update_item().table_name(&self.name).key("PK", text(&pk)).key("SK", key);
        let update = update.update_expression("SET payload = :payload, eventType = :type");
        let update = update.expression_attribute_values(":payload", text(&payload.to_string()));
        let kind = payload["type"].as_str().expect("a type");
        update.expression_attribute_values(":type", text(kind)).send().await.expect("an event");
    }

    /// Makes a sealed attribute of one of the user's items one that no key opens.
    pub(crate) async fn make_unreadable(&self, user: &UserId, sort_key: &str, attribute: &str) {
        let text = |text: String| AttributeValue::S(text);
        let update = self.client.update_item().table_name(&self.name);
        let update = update.key("PK", text(format!("USER#{user}"))).key("SK", text(sort_key.to_owned()));
        let update = update.update_expression(format!("SET {attribute} = :sealed"));
        let update = update.expression_attribute_values(":sealed", text("AAAA".repeat(40)));
        update.condition_expression("attribute_exists(PK)").send().await.expect("an item");
    }

    /// Each call of Secrets Manager takes so long.
    pub(crate) fn slow_secrets(&self, delay: Duration) {
        let clock = self.clock.clone();
        self.world.system.aws.observe(Some(Arc::new(move |moment, name| {
            if moment == Moment::Before && name.ends_with("secretsmanager:GetSecretValue") {
                clock.advance(delay);
            }
            Box::pin(async {})
        })));
    }

    /// Everything in the table, as text.
    pub(crate) async fn everything(&self) -> String {
        let items = self.client.scan().table_name(&self.name).consistent_read(true).send().await.expect("a scan").items;
        format!("{items:?}")
    }

    /// Empties the stream of the embedded DynamoDB, which becomes slow with many records. Nobody is told of the events.
    pub(crate) async fn drain_stream(&self) {
        let System { queues, .. } = &self.world.system;
        self.world.system.run_pipe().await.expect("the stream is read");
        loop {
            let messages = queues.receive(Queue::Notifications, 1_000).expect("the queue");
            if messages.is_empty() {
                break;
            }
            messages.iter().for_each(|message| queues.delete(message).expect("the queue"));
        }
    }

    async fn remove(&self) {
        if std::env::var(ENDPOINT).is_ok() {
            self.client.delete_table().table_name(&self.name).send().await.expect("the table can be removed");
        }
    }
}

fn store(environment: &[(String, String)], table: &str, ambient: &Ambient) -> Store {
    let mut environment = environment.to_vec();
    environment.retain(|(name, _)| name != "TABLE_NAME");
    environment.push(("TABLE_NAME".to_owned(), table.to_owned()));
    let environment: Environment = environment.into_iter().collect();
    services::store(&Aws::new(&environment).expect("a configuration"), ambient).expect("a store")
}

/// Runs a test on a new table, which is removed afterwards, also if the test fails.
pub(crate) async fn on_a_table(test: impl AsyncFnOnce(&Table)) {
    let table = Table::open().await;
    let result = AssertUnwindSafe(test(&table)).catch_unwind().await;
    table.remove().await;
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
