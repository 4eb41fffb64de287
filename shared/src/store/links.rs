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
    domain::{AccountId, EpisodeId, UserId, account::Notice, event::Subject},
    keyring::sha256,
};

/// An expired link is kept a while, so that its page can say that it expired.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How often a link may be used within [`USE_PERIOD`]: each use calls digi.me.
const MAX_USES: usize = 5;
const USE_PERIOD: Duration = Duration::from_secs(10 * 60);
/// How often taking a use back is tried when other uses are recorded at the same moment.
const MAX_ATTEMPTS: u32 = 8;

/// A reconnect link.
#[derive(Debug, Clone)]
pub struct Link {
    /// The user it was made for.
    pub user_id: UserId,
    /// The account that it reconnects.
    pub account_id: AccountId,
    /// The episode that it was made for.
    pub episode_id: EpisodeId,
    /// When it stops working.
    pub expires_at: Timestamp,
}

/// A link as it was read.
#[derive(Debug, Clone)]
pub struct StoredLink {
    /// The link.
    pub link: Link,
    uses: Option<String>,
}

/// What came of recording a use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkUse {
    /// The use is recorded.
    Recorded(RecordedUse),
    /// There were too many uses recently, and this one is not recorded. The link can be used again after this time, which
    /// is in whole seconds.
    TooMany(Duration),
}

/// A use that was recorded, so that it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUse {
    at: Timestamp,
    /// The link's uses as they were written.
    written: String,
}

/// Rounds up, so that who waits that long has waited long enough.
fn whole_seconds(wait: Duration) -> Duration {
    Duration::from_secs(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
}

/// The times in a link's `uses`.
fn times(uses: Option<&str>) -> Vec<Timestamp> {
    uses.unwrap_or_default().split(' ').filter_map(|at| at.parse().ok()).collect()
}

fn joined(times: Vec<Timestamp>) -> String {
    times.into_iter().map(rfc3339::text).collect::<Vec<_>>().join(" ")
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

    /// Writes the link of an event. One that exists stays as it is, with its uses: an event is delivered more than once.
    ///
    /// # Errors
    /// [`StoreError::Forgotten`] when the event is gone, since its user was erased.
    pub async fn put_link(&self, token: &SecretString, link: &Link, event: &Subject) -> Result<(), StoreError> {
        let ttl = after(link.expires_at, KEPT).as_second();
        let key = key::link(&sha256(token.expose_secret()));
        let pointer = item::write(key::pointer(&link.user_id, &key), &PointerItem { ttl })?;
        let item = LinkItem {
            user_id: link.user_id.clone(),
            account_id: link.account_id.clone(),
            episode_id: link.episode_id.clone(),
            expires_at: link.expires_at,
            ttl,
            uses: None,
        };
        let mut transaction = self.transaction();
        transaction.check(
            Part::Event,
            key::event(&event.user_id, &event.account_id, event.sequence),
            "eventId = :event",
            &[(":event", text(event.event_id.as_str()))],
        )?;
        transaction.put(Part::Link, item::write(key, &item)?, "attribute_not_exists(PK)", &[])?;
        transaction.put_anyway(Part::Link, pointer)?;
        match transaction.commit().await {
            Err(StoreError::Conflict(Some(Part::Event))) => Err(StoreError::Forgotten),
            Err(StoreError::Conflict(Some(Part::Link))) => Ok(()),
            result => result,
        }
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
            uses: item.uses,
        }))
    }

    /// Records a use of a link, unless there were too many recently.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Forgotten`] when the link is gone.
    pub async fn record_use(&self, token: &str, mut read: StoredLink) -> Result<LinkUse, StoreError> {
        loop {
            let now = self.ambient.now();
            let mut recent = times(read.uses.as_deref());
            recent.retain(|at| now < after(*at, USE_PERIOD));
            if recent.len() >= MAX_USES {
                let free_at = after(recent[recent.len() - MAX_USES], USE_PERIOD);
                let wait = free_at.duration_since(now).unsigned_abs();
                return Ok(LinkUse::TooMany(whole_seconds(wait)));
            }
            recent.push(now);
            let written = joined(recent);
            match self.set_uses(token, read.uses.as_deref(), &written).await {
                Ok(()) => return Ok(LinkUse::Recorded(RecordedUse { at: now, written })),
                // Another use was recorded at the same moment.
                Err(StoreError::Conflict(Some(_))) => read = self.link(token).await?.ok_or(StoreError::Forgotten)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a recorded use back, so that it does not count.
    ///
    /// # Errors
    /// [`StoreError`]; the use counts then.
    pub async fn take_back_use(&self, token: &str, recorded: RecordedUse) -> Result<(), StoreError> {
        let mut read = recorded.written;
        for _ in 0..MAX_ATTEMPTS {
            let mut uses = times(Some(&read));
            let Some(position) = uses.iter().position(|at| *at == recorded.at) else { return Ok(()) };
            uses.remove(position);
            match self.set_uses(token, Some(&read), &joined(uses)).await {
                Err(StoreError::Conflict(Some(_))) => {
                    // A link that is gone went with its user, and its uses with it.
                    let Some(uses) = self.link(token).await?.and_then(|stored| stored.uses) else { return Ok(()) };
                    read = uses;
                }
                result => return result,
            }
        }
        Err(StoreError::Conflict(Some(Part::Link)))
    }

    /// Writes the uses of a link if they are as they were read.
    async fn set_uses(&self, token: &str, read: Option<&str>, uses: &str) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::link(&sha256(token)).into_item()))
            .update_expression("SET uses = :uses")
            .expression_attribute_values(":uses", text(uses));
        update = match read {
            None => update.condition_expression("attribute_exists(PK) AND attribute_not_exists(uses)"),
            Some(read) => update.condition_expression("uses = :read").expression_attribute_values(":read", text(read)),
        };
        self.update(update).await.map(drop)
    }
}
