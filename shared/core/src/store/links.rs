//! Reconnect links, stored under the hash of their token.

use std::time::Duration;

use jiff::Timestamp;
use reauth_domain::{AccountId, RecentUses, UserId, account::Notice, event::Subject, time::after};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Condition, Store, StoreError, StoredEvent,
    item::{self, LinkItem, PointerItem},
    key,
    transaction::text,
};
use crate::{
    keyring::{reconnect_path, sha256},
    retry::{Budget, retry},
};

/// An expired link is kept for 30 days, so that its page can say that it expired.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often recording a use, or taking it back, is attempted while other uses of the same link change the item. At most
/// five uses succeed in ten minutes, so that few attempts are overtaken.
const CONCURRENT_USES: Budget = Budget { attempts: 8, pause: Duration::from_millis(5) };

#[derive(Debug, Clone)]
pub struct Link {
    pub user_id: UserId,
    /// The account that the link reconnects, in any of its episodes.
    pub account_id: AccountId,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

/// A link as it was read, with its recent uses.
#[derive(Debug, Clone)]
pub struct StoredLink {
    pub link: Link,
    uses: RecentUses,
}

/// The outcome of recording a use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkUse {
    Recorded(RecordedUse),
    /// There were too many recent uses, and this one is not recorded. The link can be used again after this duration,
    /// which is in whole seconds.
    TooMany(Duration),
}

/// A recorded use, which can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUse {
    at: Timestamp,
    /// The link's uses as they were written.
    uses: RecentUses,
}

/// Whether another use was recorded or taken back first.
fn was_overtaken(error: &StoreError) -> bool {
    matches!(error, StoreError::Conflict(Some(_)))
}

impl Store {
    /// The token of an event's reconnect link. It is the same for every delivery, also after one rotation of the
    /// service secret.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the service secret cannot be read.
    pub async fn link_token(&self, event: &StoredEvent) -> Result<SecretString, StoreError> {
        Ok(self.keyring().await?.link_token(&event.event.subject.event_id, &event.link_key_id))
    }

    /// The reconnect link that the event of a notice contains: its path, and when it expires. `None` if the link is not
    /// written yet, has expired, or was derived with a service secret that has been rotated twice since.
    pub async fn link_of_notice(&self, notice: &Notice) -> Result<Option<(SecretString, Timestamp)>, StoreError> {
        let Some(token) = self.keyring().await?.existing_link_token(&notice.event_id, &notice.link_key_id) else {
            return Ok(None);
        };
        let stored = self.link(token.expose_secret()).await?;
        let works = stored.filter(|stored| self.ambient.now() < stored.link.expires_at);
        Ok(works.map(|stored| (reconnect_path(&token), stored.link.expires_at)))
    }

    /// Writes the reconnect link of an event. An existing link keeps its recorded uses, because an event can be
    /// delivered more than once.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the event was deleted because its user was erased.
    pub async fn put_link(&self, token: &SecretString, link: &Link, event: &Subject) -> Result<(), StoreError> {
        let ttl = after(link.expires_at, KEPT).as_second();
        let key = key::link(&sha256(token.expose_secret()));
        let pointer = item::write(key::pointer(&link.user_id, &key), &PointerItem { ttl })?;
        let item = LinkItem {
            user_id: link.user_id.clone(),
            account_id: link.account_id.clone(),
            expires_at: link.expires_at,
            ttl,
            uses: None,
        };
        let mut transaction = self.transaction();
        transaction.check(
            Condition::Event,
            key::event(&event.user_id, &event.account_id, event.sequence),
            "eventId = :event",
            &[(":event", text(event.event_id.as_str()))],
        )?;
        transaction.put(Condition::Link, item::write(key, &item)?, "attribute_not_exists(PK)", &[])?;
        transaction.put_unconditionally(Condition::Link, pointer)?;
        match transaction.commit().await {
            Err(StoreError::Conflict(Some(Condition::Event))) => Err(StoreError::Erased),
            Err(StoreError::Conflict(Some(Condition::Link))) => Ok(()),
            result => result,
        }
    }

    /// The link of a token. `None` if it is unknown or its user was erased. The caller checks whether the link still
    /// works.
    pub async fn link(&self, token: &str) -> Result<Option<StoredLink>, StoreError> {
        let item = self.get::<LinkItem>(key::link(&sha256(token))).await?;
        Ok(item.map(|item| StoredLink {
            link: Link { user_id: item.user_id, account_id: item.account_id, expires_at: item.expires_at },
            uses: item.uses.as_deref().map(RecentUses::from_text).unwrap_or_default(),
        }))
    }

    /// Records a use of a link, unless there were too many recent uses.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the link was deleted because its user was erased.
    pub async fn record_use(&self, token: &str, read: StoredLink) -> Result<LinkUse, StoreError> {
        match self.try_to_record_use(token, &read).await {
            Err(error) if was_overtaken(&error) => {
                let again = || async {
                    let read = self.link(token).await?.ok_or(StoreError::Erased)?;
                    self.try_to_record_use(token, &read).await
                };
                retry(&self.ambient, CONCURRENT_USES, was_overtaken, again).await
            }
            result => result,
        }
    }

    async fn try_to_record_use(&self, token: &str, read: &StoredLink) -> Result<LinkUse, StoreError> {
        let now = self.ambient.now();
        match read.uses.record(now) {
            Ok(uses) => {
                self.set_uses(token, &read.uses, &uses).await?;
                Ok(LinkUse::Recorded(RecordedUse { at: now, uses }))
            }
            Err(wait) => Ok(LinkUse::TooMany(wait)),
        }
    }

    /// Takes a recorded use back, so that it does not count. After an error, the use still counts.
    pub async fn take_back_use(&self, token: &str, recorded: RecordedUse) -> Result<(), StoreError> {
        match self.try_to_take_back(token, &recorded.uses, recorded.at).await {
            Err(error) if was_overtaken(&error) => {
                let again = || async {
                    // Without a link, the user was erased: there is nothing to take back.
                    let Some(read) = self.link(token).await? else { return Ok(()) };
                    self.try_to_take_back(token, &read.uses, recorded.at).await
                };
                retry(&self.ambient, CONCURRENT_USES, was_overtaken, again).await
            }
            result => result,
        }
    }

    async fn try_to_take_back(&self, token: &str, read: &RecentUses, at: Timestamp) -> Result<(), StoreError> {
        match read.without(at) {
            Some(uses) => self.set_uses(token, read, &uses).await,
            None => Ok(()),
        }
    }

    /// Writes the uses of a link if the stored uses are still those in `read`.
    async fn set_uses(&self, token: &str, read: &RecentUses, uses: &RecentUses) -> Result<(), StoreError> {
        self.set_recent_uses(key::link(&sha256(token)), "uses", read, uses).await
    }
}
