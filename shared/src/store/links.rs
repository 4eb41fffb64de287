//! Reconnect links: stored under the hash of their token.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Part, Store, StoreError, StoredEvent,
    item::{self, LinkItem, PointerItem},
    key,
};
use crate::{
    ambient::after,
    domain::{AccountId, EpisodeId, UserId},
    keyring::sha256,
};

/// An expired link is kept a while, so that its page can say that it expired.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A reconnect link.
#[derive(Debug, Clone)]
pub struct Link {
    /// The user it was made for.
    pub user_id: UserId,
    /// The account that it reconnects.
    pub account_id: AccountId,
    /// The episode that it dies with.
    pub episode_id: EpisodeId,
    /// When it dies otherwise.
    pub expires_at: Timestamp,
}

impl Store {
    /// The token of an event's link: the same each time, also after the service secret was rotated once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the service secret cannot be read.
    pub async fn link_token(&self, event: &StoredEvent) -> Result<SecretString, StoreError> {
        Ok(self.keyring().await?.link_token(&event.event.subject.event_id, Some(&event.link_key_id)))
    }

    /// Writes a link; writing it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Forgotten`] when the user was forgotten since `triggered_at`.
    pub async fn put_link(&self, token: &SecretString, link: &Link, triggered_at: Timestamp) -> Result<(), StoreError> {
        let ttl = after(link.expires_at, KEPT).as_second();
        let key = key::link(&sha256(token.expose_secret()));
        let pointer = item::write(key::pointer(&link.user_id, &key), &PointerItem { ttl })?;
        let item = LinkItem {
            user_id: link.user_id.clone(),
            account_id: link.account_id.clone(),
            episode_id: link.episode_id.clone(),
            expires_at: link.expires_at,
            ttl,
        };
        let mut transaction = self.transaction(&link.user_id, triggered_at).await?;
        transaction.put_anyway(Part::Link, item::write(key, &item)?)?;
        transaction.put_anyway(Part::Link, pointer)?;
        transaction.commit().await
    }

    /// The link of a token, unless it is unknown or forgotten. Whether it still works is the caller's to see.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link(&self, token: &str) -> Result<Option<Link>, StoreError> {
        let item = self.get::<LinkItem>(key::link(&sha256(token))).await?;
        Ok(item.map(|item| Link {
            user_id: item.user_id,
            account_id: item.account_id,
            episode_id: item.episode_id,
            expires_at: item.expires_at,
        }))
    }
}
