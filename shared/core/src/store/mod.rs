//! The DynamoDB table. Every write that depends on what was read is conditional. The state of an account and its events
//! are written in one transaction.

mod accounts;
mod commit;
mod contact;
mod erasing;
mod error;
mod events;
mod grants;
mod item;
mod key;
mod last_reads;
mod links;
mod listing;
mod log;
mod logos;
mod notice_budget;
mod notices;
mod outage;
mod reauthorizations;
mod stored_item;
mod transaction;
mod webhook;

use std::{collections::HashMap, sync::Arc};

use aws_sdk_dynamodb::{Client, operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use digime::ambient::Ambient;
use reauth_domain::UserId;
use serde::de::DeserializeOwned;

pub use self::{
    accounts::UserAccounts,
    commit::{AccountChange, Commit},
    contact::ContactChange,
    error::{Condition, StoreError, Unavailable},
    events::{DueEvent, HistoryCursor, HistoryPage, StoredEvent},
    grants::{GrantCondition, GrantState, Lease},
    links::{Link, LinkUse, OngoingResult, OngoingUse, RecordedUse, StoredLink},
    listing::{Cursor, DueItem, DueKind, DuePosition, DueShard, InNeed, StatusPage},
    log::{LogCursor, LogPage, LogQuery, LoggedEvent, Redelivery},
    logos::DueLogo,
    notice_budget::NoticeKind,
    reauthorizations::{NewReauthorizationSecrets, ReauthorizationChange, StoredReauthorization},
    stored_item::StoredItem,
    webhook::{MessageAttempts, StoredAttempt, WebhookStore, url_hash},
};
use crate::{keyring::Keyring, secrets::Rotating, warm_up::Step};

pub(crate) type Item = HashMap<String, AttributeValue>;

/// A value as it was read, with the version that a later write requires to be unchanged.
#[derive(Debug, Clone, Default)]
pub struct Versioned<T> {
    pub value: T,
    /// 0 when there was no item.
    pub version: u64,
}

/// The table. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
    table: Arc<str>,
    keys: Rotating<Keyring>,
    ambient: Ambient,
}

impl Store {
    /// `keys` seal and hash values before they are stored.
    #[must_use]
    pub fn new(client: Client, table: &str, keys: Rotating<Keyring>, ambient: &Ambient) -> Self {
        Self { client, table: table.into(), keys, ambient: ambient.clone() }
    }

    /// Opens the connections of DynamoDB and Secrets Manager, and fetches the service secret. The first invocation makes two
    /// calls to DynamoDB at the same time, so two connections are opened.
    #[must_use]
    pub fn warm_up(&self) -> Vec<Step<'_>> {
        let secret = async { self.keyring().await.map(drop) };
        let connections = (0..2).map(|_| self.connect());
        connections.chain([Step::new("fetch the service secret", secret)]).collect()
    }

    /// Opens the connections that a list needs besides those of [`Store::warm_up`]: it reads all shards of an index at the
    /// same time.
    #[must_use]
    pub fn warm_up_lists(&self) -> Vec<Step<'_>> {
        self.warm_up_more(usize::from(key::SHARDS) - 2)
    }

    /// Opens so many connections of DynamoDB besides those of [`Store::warm_up`].
    #[must_use]
    pub fn warm_up_more(&self, connections: usize) -> Vec<Step<'_>> {
        (0..connections).map(|_| self.connect()).collect()
    }

    fn connect(&self) -> Step<'_> {
        Step::new("connect to DynamoDB", self.read_nothing())
    }

    /// Reads an item that does not exist.
    async fn read_nothing(&self) -> Result<(), StoreError> {
        let key = key::Key { pk: "WARM-UP".to_owned(), sk: "WARM-UP".to_owned() };
        let read = self.client.get_item().table_name(&*self.table).set_key(Some(key.into_item()));
        read.send().await.map(drop).map_err(|error| error::unavailable(&error))
    }

    /// Whether anything is stored for the user.
    pub async fn user_exists(&self, user: &UserId) -> Result<bool, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", transaction::text(key::user(user)))
            .limit(1);
        let answer = query.send().await.map_err(|error| error::unavailable(&error))?;
        Ok(answer.count > 0)
    }

    async fn keyring(&self) -> Result<Arc<Keyring>, StoreError> {
        self.keys.get().await.map_err(|error| StoreError::Unavailable(Unavailable::ServiceSecret(error)))
    }

    async fn get<T: DeserializeOwned>(&self, key: key::Key) -> Result<Option<T>, StoreError> {
        self.get_item(key).await?.map(item::read).transpose()
    }

    async fn get_item(&self, key: key::Key) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&*self.table).set_key(Some(key.into_item()));
        let answer = request.consistent_read(true).send().await.map_err(|error| error::unavailable(&error))?;
        Ok(answer.item)
    }

    /// All items of a partition whose sort keys begin with `prefix`, in order. An empty prefix returns all items.
    async fn query(&self, partition: String, prefix: &str) -> Result<Vec<Item>, StoreError> {
        let mut query = self.client.query().table_name(&*self.table).consistent_read(true);
        query = query.expression_attribute_values(":pk", AttributeValue::S(partition));
        // DynamoDB refuses an empty string in a key condition.
        query = if prefix.is_empty() {
            query.key_condition_expression("PK = :pk")
        } else {
            query
                .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()))
        };
        all_pages(&query).await
    }
}

/// The items of all pages of a query.
async fn all_pages(query: &QueryFluentBuilder) -> Result<Vec<Item>, StoreError> {
    let (mut items, mut start) = (Vec::new(), None);
    loop {
        let page = query.clone().set_exclusive_start_key(start).send().await;
        let page = page.map_err(|error| error::unavailable(&error))?;
        items.extend(page.items.unwrap_or_default());
        start = page.last_evaluated_key;
        if start.is_none() {
            return Ok(items);
        }
    }
}
