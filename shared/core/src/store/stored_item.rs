//! An item of the table as its stream delivers it, for readers outside of the functions.

use reauth_domain::{Account, EventId, Outage, reauthorization::Reauthorization, webhook::WebhookHealth};
use serde::Deserialize;
use serde_json::Value;

use super::{
    GrantState, Item, Link, StoreError, StoredAttempt, StoredEvent,
    item::{self, AccountItem},
    key,
    outage::OutageItem,
    webhook::HealthItem,
};

/// An item of the table, without its secrets.
#[derive(Debug, Clone)]
pub enum StoredItem {
    Account(Account),
    Grant(GrantState),
    Event(StoredEvent),
    Reauthorization(Reauthorization),
    Link {
        link: Link,
        /// The hash of the link's token, which is a part of the item's key.
        token_hash: String,
    },
    WebhookHealth {
        health: WebhookHealth,
        /// Names the endpoint.
        url_hash: String,
    },
    /// An attempt to post an event.
    Attempt {
        event_id: EventId,
        /// Names the attempt among those of the event.
        name: String,
        attempt: StoredAttempt,
    },
    /// The last outage of a service.
    Outage(Outage),
}

impl StoredItem {
    /// Reads an item in DynamoDB's JSON, such as the new image of a stream record. `None` for items that hold no state of
    /// their own: last reads, pointers, tombstones and counters.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the item has no key, or a field of its kind is missing or malformed.
    pub fn from_json(image: &Value) -> Result<Option<Self>, StoreError> {
        let image = serde_dynamo::Item::deserialize(image).map_err(|_| corrupt("an item of another form"))?;
        let image = Item::from(image);
        let text = |name: &str| image.get(name).and_then(|value| value.as_s().ok()).cloned();
        let (Some(pk), Some(sk)) = (text("PK"), text("SK")) else { return Err(corrupt("an item without a key")) };
        Ok(Some(match key::kind(&sk) {
            Some(key::Kind::Account) => Self::Account(item::read::<AccountItem>(image)?.into_account()?),
            Some(key::Kind::Grant) => Self::Grant(GrantState::new(item::read(image)?)),
            Some(key::Kind::Event) => Self::Event(StoredEvent::new(item::read(image)?)?),
            Some(key::Kind::Reauthorization) => {
                Self::Reauthorization(item::read::<item::ReauthorizationItem>(image)?.into_reauthorization()?)
            }
            Some(key::Kind::Link) => {
                let token_hash = key::token_hash(&pk).ok_or_else(|| corrupt("a link with another key"))?.to_owned();
                Self::Link { link: Link::new(&item::read(image)?)?, token_hash }
            }
            Some(key::Kind::WebhookHealth) => {
                let HealthItem { health, url_hash, .. } = item::read(image)?;
                Self::WebhookHealth { health, url_hash }
            }
            Some(key::Kind::Attempt) => {
                let event_id = key::event_of_attempts(&pk).ok_or_else(|| corrupt("an attempt with another key"))?;
                Self::Attempt { event_id, name: sk, attempt: item::read(image)? }
            }
            Some(key::Kind::Outage) => Self::Outage(item::read::<OutageItem>(image)?.outage),
            None => return Ok(None),
        }))
    }
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}
