//! Reconnect links: stored under the hash of their token.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Part, Store, StoreError, StoredEvent,
    item::{self, LinkItem, PointerItem},
    key,
    transaction::text,
};
use crate::{
    ambient::{after, rfc3339},
    domain::{AccountId, EpisodeId, UserId, account::Notice},
    keyring::sha256,
};

/// An expired link is kept a while, so that its page can say that it expired.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often the button of a link may be pressed within [`PRESS_PERIOD`]: each press calls digi.me.
const MAX_PRESSES: usize = 5;
const PRESS_PERIOD: Duration = Duration::from_secs(10 * 60);

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

/// A link as it was read.
#[derive(Debug, Clone)]
pub struct StoredLink {
    /// The link.
    pub link: Link,
    presses: Option<String>,
}

impl Store {
    /// The token of an event's link: the same each time, also after the service secret was rotated once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the service secret cannot be read.
    pub async fn link_token(&self, event: &StoredEvent) -> Result<SecretString, StoreError> {
        Ok(self.keyring().await?.link_token(&event.event.subject.event_id, Some(&event.link_key_id)))
    }

    /// The token of the link that told of an episode; none if it was made with a secret that is two rotations old.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the service secret cannot be read.
    pub async fn told_link_token(&self, notice: &Notice) -> Result<Option<SecretString>, StoreError> {
        Ok(self.keyring().await?.told_link_token(&notice.event_id, &notice.link_key_id))
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
            presses: None,
        };
        let mut transaction = self.unless_erased(&link.user_id, triggered_at).await?;
        transaction.put_anyway(Part::Link, item::write(key, &item)?)?;
        transaction.put_anyway(Part::Link, pointer)?;
        transaction.commit().await
    }

    /// The link of a token, unless it is unknown or forgotten. Whether it still works is the caller's to see.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn link(&self, token: &str) -> Result<Option<StoredLink>, StoreError> {
        let item = self.get::<LinkItem>(key::link(&sha256(token))).await?;
        Ok(item.map(|item| StoredLink {
            link: Link {
                user_id: item.user_id,
                account_id: item.account_id,
                episode_id: item.episode_id,
                expires_at: item.expires_at,
            },
            presses: item.presses,
        }))
    }

    /// Counts a press of the link's button. Gives how long to wait when there were too many lately: then it is not
    /// counted.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Forgotten`] when the link is gone.
    pub async fn press(&self, token: &str, mut read: StoredLink) -> Result<Option<Duration>, StoreError> {
        loop {
            let now = self.ambient.now();
            let presses = read.presses.as_deref().unwrap_or_default().split(' ');
            let mut lately: Vec<Timestamp> = presses.filter_map(|at| at.parse().ok()).collect();
            lately.retain(|at| now < after(*at, PRESS_PERIOD));
            if lately.len() >= MAX_PRESSES {
                let first = after(lately[lately.len() - MAX_PRESSES], PRESS_PERIOD);
                return Ok(Some(first.duration_since(now).unsigned_abs()));
            }
            lately.push(now);
            let texts: Vec<_> = lately.into_iter().map(rfc3339::text).collect();
            match self.set_presses(token, read.presses.as_deref(), texts.join(" ")).await {
                Ok(()) => return Ok(None),
                // Another press came at the same moment.
                Err(StoreError::Conflict(Some(_))) => read = self.link(token).await?.ok_or(StoreError::Forgotten)?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn set_presses(&self, token: &str, read: Option<&str>, presses: String) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::link(&sha256(token)).into_item()))
            .update_expression("SET presses = :presses")
            .expression_attribute_values(":presses", text(presses));
        update = match read {
            None => update.condition_expression("attribute_exists(PK) AND attribute_not_exists(presses)"),
            Some(read) => {
                update.condition_expression("presses = :read").expression_attribute_values(":read", text(read))
            }
        };
        self.update(update).await.map(drop)
    }
}
