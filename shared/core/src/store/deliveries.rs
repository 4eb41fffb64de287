//! The attempts to post an event, message by message.

use std::collections::BTreeMap;

use reauth_domain::EventId;

use super::{Item, Store, StoreError, StoredAttempt, item, key};

/// The attempts to post one message of the webhook's queue, oldest first. There is at least one.
#[derive(Debug, Clone)]
pub struct MessageAttempts(pub Vec<StoredAttempt>);

impl MessageAttempts {
    /// The last attempt.
    #[must_use]
    pub fn last(&self) -> Option<&StoredAttempt> {
        self.0.last()
    }
}

impl Store {
    /// The recorded attempts to post an event. Each redelivery is another message.
    pub async fn attempts_by_message(&self, event: &EventId) -> Result<Vec<MessageAttempts>, StoreError> {
        let now = self.ambient.now().as_second();
        // DynamoDB removes expired items up to days later.
        let is_kept = |item: &Item| {
            let ttl = item.get("ttl").and_then(|ttl| ttl.as_n().ok()?.parse::<i64>().ok());
            ttl.is_none_or(|ttl| ttl > now)
        };
        let mut messages: BTreeMap<String, Vec<StoredAttempt>> = BTreeMap::new();
        for item in self.query(key::attempts(event), key::ATTEMPTS).await?.into_iter().filter(is_kept) {
            let sort_key = item.get("SK").and_then(|key| key.as_s().ok());
            let message = sort_key.and_then(|key| Some(key.rsplit_once('#')?.0.to_owned())).unwrap_or_default();
            messages.entry(message).or_default().push(item::read(item)?);
        }
        Ok(messages.into_values().map(MessageAttempts).collect())
    }
}
