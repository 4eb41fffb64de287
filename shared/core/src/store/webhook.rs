//! What is stored about the webhook: the health of its endpoint, and the attempts to post each event. These items hold
//! nothing sealed, so that their functions need no service secret.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use digime::ambient::{Ambient, Deadline};
use jiff::Timestamp;
use reauth_domain::{
    EventId,
    time::{after, rfc3339},
    webhook::WebhookHealth,
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    Condition, Item, Store, StoreError, Versioned, all_pages, error, item, key,
    transaction::{IN_PROGRESS, next_version, number, text, unchanged},
};
use crate::{
    aws::Aws,
    config::ConfigError,
    keyring::sha256,
    retry::{retry, retry_on_conflict},
    warm_up::Step,
};

/// How long attempts are shown.
const SHOWN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long an attempt is kept: as long as SQS keeps a message, whose posts are counted by its attempts.
const KEPT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The items of the webhook. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WebhookStore {
    client: Client,
    table: Arc<str>,
    ambient: Ambient,
}

/// An attempt to post an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredAttempt {
    #[serde(with = "rfc3339")]
    pub attempted_at: Timestamp,
    /// The status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of a refused answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// When the event is posted again.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
}

impl StoredAttempt {
    /// Whether the receiver accepted the event.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status_code.is_some_and(|status| (200..300).contains(&status))
    }
}

#[derive(Serialize)]
struct AttemptItem<'a> {
    #[serde(flatten)]
    attempt: &'a StoredAttempt,
    ttl: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HealthItem {
    version: u64,
    /// Names the endpoint that the health is that of. Other endpoints start anew.
    pub(super) url_hash: String,
    #[serde(flatten)]
    pub(super) health: WebhookHealth,
}

/// Names an endpoint in the item of its health. The URL can contain a secret.
#[must_use]
pub fn url_hash(url: &Url) -> String {
    sha256(url.as_str())
}

impl StoredAttempt {
    /// Whether the attempt is recent enough to be shown.
    #[must_use]
    pub fn is_shown(&self, now: Timestamp) -> bool {
        now < after(self.attempted_at, SHOWN)
    }
}

/// The attempts to post one message of the webhook's queue, oldest first. There is at least one.
#[derive(Debug, Clone)]
pub struct MessageAttempts(pub Vec<StoredAttempt>);

impl MessageAttempts {
    #[must_use]
    pub fn last(&self) -> Option<&StoredAttempt> {
        self.0.last()
    }
}

impl WebhookStore {
    /// The items in the table `TABLE_NAME`.
    pub fn from_environment(aws: &Aws<'_>, ambient: &Ambient) -> Result<Self, ConfigError> {
        let client = Client::new(&aws.service("AWS_ENDPOINT_URL_DYNAMODB")?);
        let table = aws.environment().required("TABLE_NAME")?.into();
        Ok(Self { client, table, ambient: ambient.clone() })
    }

    /// Opens a connection of DynamoDB.
    #[must_use]
    pub fn warm_up(&self) -> Step<'_> {
        Step::new("connect to DynamoDB", async { self.health().await.map(drop) })
    }

    /// The health of the endpoint that was posted to last, with the version of its item.
    pub async fn health(&self) -> Result<Versioned<WebhookHealth>, StoreError> {
        let item = self.health_item().await?;
        Ok(item.map_or_else(Versioned::default, |item| Versioned { value: item.health, version: item.version }))
    }

    /// The health of the endpoint with this hash of its URL. An endpoint that was not posted to is active.
    pub async fn health_of(&self, url_hash: &str) -> Result<Versioned<WebhookHealth>, StoreError> {
        let Some(item) = self.health_item().await? else { return Ok(Versioned::default()) };
        let value = if item.url_hash == url_hash { item.health } else { item.health.of_new_endpoint() };
        Ok(Versioned { value, version: item.version })
    }

    /// Reads the health, decides, and writes what was decided, until no other write comes between. `decide` returns `None`
    /// to leave the health as it is. Returns the health afterwards.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when other writes came first several times.
    pub async fn change_health(
        &self,
        url_hash: &str,
        deadline: Deadline,
        decide: impl Fn(&WebhookHealth) -> Option<WebhookHealth>,
    ) -> Result<WebhookHealth, StoreError> {
        let decide = &decide;
        retry_on_conflict(&self.ambient, deadline, || async move {
            let read = self.health_of(url_hash).await?;
            let Some(health) = decide(&read.value) else { return Ok(read.value) };
            self.put_health(url_hash, &Versioned { value: health.clone(), version: read.version }).await?;
            Ok(health)
        })
        .await
    }

    /// Writes the health if its item has the version that was read.
    async fn put_health(&self, url_hash: &str, health: &Versioned<WebhookHealth>) -> Result<(), StoreError> {
        let version = next_version(health.version, self.ambient.now());
        let item = HealthItem { version, url_hash: url_hash.to_owned(), health: health.value.clone() };
        let (condition, read) = unchanged(health.version);
        let values = read.map(|read| HashMap::from([(":read".to_owned(), read)]));
        let put = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item::write(key::webhook(), &item)?))
            .condition_expression(condition)
            .set_expression_attribute_values(values);
        let written = put.send().await.map(drop).map_err(|error| error::of_put(&error));
        written.map_err(|error| error.about(Condition::Webhook))
    }

    /// Changes the health as [`WebhookStore::change_health`] does, whatever endpoint it is that of. `None` if no endpoint was
    /// posted to, or if `decide` returns `None`.
    pub async fn change_known_health(
        &self,
        deadline: Deadline,
        decide: impl Fn(&WebhookHealth) -> Option<WebhookHealth>,
    ) -> Result<Option<WebhookHealth>, StoreError> {
        let decide = &decide;
        retry_on_conflict(&self.ambient, deadline, || async move {
            let Some(item) = self.health_item().await? else { return Ok(None) };
            let Some(health) = decide(&item.health) else { return Ok(None) };
            self.put_health(&item.url_hash, &Versioned { value: health.clone(), version: item.version }).await?;
            Ok(Some(health))
        })
        .await
    }

    async fn health_item(&self) -> Result<Option<HealthItem>, StoreError> {
        let get = self.client.get_item().table_name(&*self.table).set_key(Some(key::webhook().into_item()));
        let answer = get.consistent_read(true).send().await.map_err(|error| error::unavailable(&error))?;
        answer.item.map(item::read).transpose()
    }

    /// The recorded attempts to post one message of the webhook's queue, oldest first.
    pub async fn attempts_of_message(
        &self,
        event: &EventId,
        message_id: &str,
    ) -> Result<Vec<StoredAttempt>, StoreError> {
        let items = self.attempt_items(event, &key::attempts_of_message(message_id)).await?;
        items.into_iter().map(item::read).collect()
    }

    /// Records an attempt to post a message, for 14 days. `number` counts the attempts of the message from 1. An attempt
    /// with the same number is replaced.
    pub async fn record_attempt(
        &self,
        event: &EventId,
        message_id: &str,
        number: usize,
        attempt: &StoredAttempt,
    ) -> Result<(), StoreError> {
        let ttl = after(self.ambient.now(), KEPT).as_second();
        let item = item::write(key::attempt(event, message_id, number), &AttemptItem { attempt, ttl })?;
        let put = self.client.put_item().table_name(&*self.table).set_item(Some(item));
        let write = || {
            let put = put.clone();
            async move { put.send().await.map(drop).map_err(|error| error::of_put(&error)) }
        };
        retry(&self.ambient, IN_PROGRESS, |error| matches!(error, StoreError::Conflict(None)), write).await
    }

    /// The recorded attempts to post an event, message by message. Each redelivery is another message.
    pub async fn attempts_by_message(&self, event: &EventId) -> Result<Vec<MessageAttempts>, StoreError> {
        let mut messages: BTreeMap<String, Vec<StoredAttempt>> = BTreeMap::new();
        for item in self.attempt_items(event, key::ATTEMPTS).await? {
            let sort_key = item.get("SK").and_then(|key| key.as_s().ok());
            let message = sort_key.and_then(|key| Some(key.rsplit_once('#')?.0.to_owned())).unwrap_or_default();
            messages.entry(message).or_default().push(item::read(item)?);
        }
        Ok(messages.into_values().map(MessageAttempts).collect())
    }

    /// The attempts to post an event that are shown, oldest first.
    pub async fn attempts(&self, event: &EventId) -> Result<Vec<StoredAttempt>, StoreError> {
        let (messages, now) = (self.attempts_by_message(event).await?, self.ambient.now());
        let mut attempts: Vec<_> = messages.into_iter().flat_map(|message| message.0).collect();
        attempts.retain(|attempt| attempt.is_shown(now));
        attempts.sort_by_key(|attempt| attempt.attempted_at);
        Ok(attempts)
    }

    /// The items that are not expired. DynamoDB removes expired items up to days later.
    async fn attempt_items(&self, event: &EventId, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .filter_expression("#ttl > :now")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":pk", text(key::attempts(event)))
            .expression_attribute_values(":prefix", text(prefix))
            .expression_attribute_values(":now", number(self.ambient.now().as_second()));
        all_pages(&query).await
    }
}

impl Store {
    /// The items of the webhook in the same table.
    #[must_use]
    pub fn webhook(&self) -> WebhookStore {
        WebhookStore { client: self.client.clone(), table: Arc::clone(&self.table), ambient: self.ambient.clone() }
    }
}
