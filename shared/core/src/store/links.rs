//! Reconnect links, stored under the hash of their token.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use jiff::Timestamp;
use reauth_domain::{
    EventId, RecentUsesByName, Target, TraceParent, UserId, account::Notice, event::Subject, time::after,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::{
    Condition, Item, LoggedEvent, Store, StoreError, StoredEvent,
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
/// A use without an answer after this time is not waited for: its process may have ended.
const ONGOING: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub struct Link {
    pub user_id: UserId,
    /// What the link was sent for. Its page shows everything that the user has to mend, this first.
    pub target: Target,
    /// The event that contains the link. A link of an earlier version of this service has none: a reauthorization that was
    /// started from it does not end on its page.
    pub notice: Option<Notice>,
    /// The trace of the event.
    pub traceparent: Option<TraceParent>,
    /// When the event happened.
    pub created_at: Timestamp,
    /// When the link stops working.
    pub expires_at: Timestamp,
}

impl Link {
    pub(super) fn new(item: &LinkItem) -> Result<Self, StoreError> {
        let target = match (&item.account_id, &item.contract_id) {
            (Some(account_id), _) => Target::Account(account_id.clone()),
            (None, Some(contract_id)) => Target::Grant(contract_id.clone()),
            (None, None) => return Err(StoreError::Corrupt("a link without an account or a contract".into())),
        };
        Ok(Self {
            user_id: item.user_id.clone(),
            target,
            notice: item.notice.clone(),
            traceparent: item.traceparent,
            created_at: item.created_at.unwrap_or(item.expires_at),
            expires_at: item.expires_at,
        })
    }
}

/// A link as it was read, with its recent uses.
#[derive(Debug, Clone)]
pub struct StoredLink {
    pub link: Link,
    /// The recent uses, as they are stored.
    uses: Option<String>,
    ongoing: Option<OngoingUse>,
}

/// A use of a link whose reauthorization is being created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OngoingUse {
    id: String,
    /// The hash of the browser's cookie.
    browser: String,
    target: String,
    #[serde(with = "reauth_domain::time::rfc3339")]
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<UseAnswer>,
}

/// The answer to a use of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UseAnswer {
    #[serde(with = "reauth_domain::time::rfc3339")]
    at: Timestamp,
    /// The URL of digi.me's page, sealed.
    url: String,
}

impl OngoingUse {
    /// Whether another use is this one again: in the same browser, for the same target, while this one
    /// is not answered.
    fn is_repeated_by(&self, other: &Self) -> bool {
        let is_under_way = match &self.answer {
            Some(answer) => other.at < answer.at,
            None => other.at < after(self.at, ONGOING),
        };
        self.browser == other.browser && self.target == other.target && is_under_way
    }
}

/// The outcome of recording a use of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkUse {
    Recorded(RecordedUse),
    /// The same browser used the link for the same target a moment ago, and that use is not answered yet. This one is not
    /// recorded: wait for the answer of the other.
    Ongoing(OngoingUse),
    /// There were too many recent uses, and this one is not recorded. The link can be used again after this duration,
    /// which is in whole seconds.
    TooMany(Duration),
}

/// A recorded use, which can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedUse {
    ongoing: OngoingUse,
    /// The link's uses as they were written.
    uses: String,
}

/// What became of an ongoing use.
#[derive(Debug)]
pub enum OngoingResult {
    /// It is not answered yet.
    None,
    /// It led to this URL of digi.me.
    Url(SecretString),
    /// It failed, or its process ended.
    Failed,
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

    /// The path of the reconnect link that the event of a notice contains. `None` if the link was derived with a service
    /// secret that has been rotated twice since.
    pub async fn link_path(&self, notice: &Notice) -> Result<Option<SecretString>, StoreError> {
        let token = self.keyring().await?.existing_link_token(&notice.event_id, &notice.link_key_id);
        Ok(token.map(|token| reconnect_path(&token)))
    }

    /// The reconnect link that the event of a notice contains, with its path. `None` if the link is not written yet, has expired, or was derived with a service secret that has been rotated twice since.
    pub async fn link_of_notice(&self, notice: &Notice) -> Result<Option<(SecretString, Link)>, StoreError> {
        let Some(token) = self.keyring().await?.existing_link_token(&notice.event_id, &notice.link_key_id) else {
            return Ok(None);
        };
        let stored = self.link(token.expose_secret()).await?;
        let works = stored.filter(|stored| self.ambient.now() < stored.link.expires_at);
        Ok(works.map(|stored| (reconnect_path(&token), stored.link)))
    }

    /// The reconnect links of these events, also expired ones: the path of each, and when it expires.
    pub async fn links_of(
        &self,
        events: &[LoggedEvent],
    ) -> Result<HashMap<EventId, (SecretString, Timestamp)>, StoreError> {
        let keyring = self.keyring().await?;
        let token = |stored: &LoggedEvent| {
            let id = &stored.event_id;
            let token = keyring.existing_link_token(id, &stored.link_key_id)?;
            Some((key::link(&sha256(token.expose_secret())).pk, (id.clone(), token)))
        };
        let with_link = events.iter().filter(|stored| stored.carries_link());
        let mut tokens: HashMap<String, (EventId, SecretString)> = with_link.filter_map(token).collect();
        let keys = tokens.keys().filter_map(|pk| Some(key::link(key::token_hash(pk)?))).collect();
        let wanted = KeysAndAttributes::builder().consistent_read(true).projection_expression("PK, expiresAt");
        let links = self.batch(keys, &wanted).await?.into_iter().filter_map(|item| {
            let (pk, expires_at) = key_and_expiry(&item)?;
            let (id, token) = tokens.remove(&pk)?;
            Some((id, (reconnect_path(&token), expires_at)))
        });
        Ok(links.collect())
    }

    /// Writes the reconnect link of an event. An existing link keeps its recorded uses, because an event can be
    /// delivered more than once.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the event was deleted because its user was erased.
    pub async fn put_link(&self, token: &SecretString, link: &Link, event: &Subject) -> Result<(), StoreError> {
        let ttl = after(link.expires_at, KEPT).as_second();
        let key = key::link(&sha256(token.expose_secret()));
        let pointer = item::write(key::pointer(&link.user_id, &key), &PointerItem { account_id: None, ttl })?;
        let (account_id, contract_id) = match link.target.clone() {
            Target::Account(account_id) => (Some(account_id), None),
            Target::Grant(contract_id) => (None, Some(contract_id)),
        };
        let item = LinkItem {
            user_id: link.user_id.clone(),
            account_id,
            contract_id,
            notice: link.notice.clone(),
            traceparent: link.traceparent,
            created_at: Some(link.created_at),
            expires_at: link.expires_at,
            ttl,
            uses: None,
            ongoing: None,
        };
        let mut transaction = self.transaction();
        transaction.check(
            Condition::Event,
            key::event(&event.user_id, &event.about.target(), event.sequence),
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
        let Some(item) = self.get::<LinkItem>(key::link(&sha256(token))).await? else { return Ok(None) };
        let link = Link::new(&item)?;
        let ongoing = item.ongoing.and_then(|ongoing| serde_json::from_str(&ongoing).ok());
        Ok(Some(StoredLink { link, uses: item.uses, ongoing }))
    }

    /// Records a use of a link for `target`, by a request that arrived at `at` from the browser with the cookie `browser`,
    /// unless the same use is under way or there were too many recent uses for this target.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the link was deleted because its user was erased.
    pub async fn record_use(
        &self,
        token: &str,
        read: StoredLink,
        target: &Target,
        browser: &SecretString,
        at: Timestamp,
    ) -> Result<LinkUse, StoreError> {
        let new = OngoingUse {
            id: format!("{:032x}", u128::from_be_bytes(self.ambient.bytes())),
            browser: sha256(browser.expose_secret()),
            target: target.to_string(),
            at,
            answer: None,
        };
        match self.try_to_record_use(token, &read, &new).await {
            Err(error) if was_overtaken(&error) => {
                let again = || async {
                    let read = self.link(token).await?.ok_or(StoreError::Erased)?;
                    self.try_to_record_use(token, &read, &new).await
                };
                retry(&self.ambient, CONCURRENT_USES, was_overtaken, again).await
            }
            result => result,
        }
    }

    async fn try_to_record_use(&self, token: &str, read: &StoredLink, new: &OngoingUse) -> Result<LinkUse, StoreError> {
        if let Some(ongoing) = read.ongoing.as_ref().filter(|ongoing| ongoing.is_repeated_by(new)) {
            // The reply to the first attempt may have been lost. The repeated attempt then meets this very use.
            if ongoing.id == new.id {
                let uses = read.uses.clone().unwrap_or_default();
                return Ok(LinkUse::Recorded(RecordedUse { ongoing: ongoing.clone(), uses }));
            }
            return Ok(LinkUse::Ongoing(ongoing.clone()));
        }
        let uses = match parsed(read.uses.as_deref()).record(&new.target, new.at) {
            Ok(uses) => uses.to_text(),
            Err(wait) => return Ok(LinkUse::TooMany(wait)),
        };
        self.set_uses(token, read.uses.as_deref(), &uses, Some(new)).await?;
        Ok(LinkUse::Recorded(RecordedUse { ongoing: new.clone(), uses }))
    }

    /// Takes a recorded use back, so that it does not count. After an error, the use still counts.
    pub async fn take_back_use(&self, token: &str, recorded: RecordedUse) -> Result<(), StoreError> {
        let RecordedUse { ongoing, uses } = &recorded;
        match self.try_to_take_back(token, Some(uses), Some(ongoing), ongoing).await {
            Err(error) if was_overtaken(&error) => {
                let again = || async {
                    // Without a link, the user was erased: there is nothing to take back.
                    let Some(read) = self.link(token).await? else { return Ok(()) };
                    self.try_to_take_back(token, read.uses.as_deref(), read.ongoing.as_ref(), ongoing).await
                };
                retry(&self.ambient, CONCURRENT_USES, was_overtaken, again).await
            }
            result => result,
        }
    }

    async fn try_to_take_back(
        &self,
        token: &str,
        read: Option<&str>,
        ongoing: Option<&OngoingUse>,
        taken_back: &OngoingUse,
    ) -> Result<(), StoreError> {
        let Some(uses) = parsed(read).without(&taken_back.target, taken_back.at) else { return Ok(()) };
        let ongoing = ongoing.filter(|ongoing| ongoing.id != taken_back.id);
        self.set_uses(token, read, &uses.to_text(), ongoing).await
    }

    /// Records the URL that a use led to, for an identical use that waits for it. Does nothing if there was another use
    /// meanwhile.
    pub async fn answer_use(&self, token: &str, recorded: &RecordedUse, url: &SecretString) -> Result<(), StoreError> {
        let key = key::link(&sha256(token));
        let sealed = self.keyring().await?.seal(&key.associated(), url.expose_secret(), &self.ambient);
        let answer = UseAnswer { at: self.ambient.now(), url: sealed };
        let answered = OngoingUse { answer: Some(answer), ..recorded.ongoing.clone() };
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key.into_item()))
            .update_expression("SET ongoing = :answered")
            .condition_expression("ongoing = :ongoing")
            .expression_attribute_values(":answered", text(ongoing_text(&answered)?))
            .expression_attribute_values(":ongoing", text(ongoing_text(&recorded.ongoing)?));
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => Ok(()),
            result => result.map(drop),
        }
    }

    /// What became of a use that was under way.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the link was deleted because its user was erased.
    pub async fn result_of_use(&self, token: &str, ongoing: &OngoingUse) -> Result<OngoingResult, StoreError> {
        let read = self.link(token).await?.ok_or(StoreError::Erased)?;
        let Some(stored) = read.ongoing.filter(|stored| stored.id == ongoing.id) else {
            return Ok(OngoingResult::Failed);
        };
        match stored.answer {
            Some(answer) => {
                let associated = key::link(&sha256(token)).associated();
                Ok(OngoingResult::Url(self.unseal(&associated, &answer.url, "the URL of a link's use").await?))
            }
            None if after(stored.at, ONGOING) <= self.ambient.now() => Ok(OngoingResult::Failed),
            None => Ok(OngoingResult::None),
        }
    }

    /// Writes the uses of a link if the stored uses are still those in `read`.
    async fn set_uses(
        &self,
        token: &str,
        read: Option<&str>,
        uses: &str,
        ongoing: Option<&OngoingUse>,
    ) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::link(&sha256(token)).into_item()))
            .expression_attribute_values(":uses", text(uses));
        update = match ongoing {
            Some(ongoing) => update
                .update_expression("SET uses = :uses, ongoing = :ongoing")
                .expression_attribute_values(":ongoing", text(ongoing_text(ongoing)?)),
            None => update.update_expression("SET uses = :uses REMOVE ongoing"),
        };
        update = match read {
            Some(read) => update.condition_expression("uses = :read").expression_attribute_values(":read", text(read)),
            None => update.condition_expression("attribute_exists(PK) AND attribute_not_exists(uses)"),
        };
        self.update(update).await.map(drop)
    }
}

fn key_and_expiry(item: &Item) -> Option<(String, Timestamp)> {
    let field = |name: &str| item.get(name)?.as_s().ok();
    Some((field("PK")?.clone(), field("expiresAt")?.parse().ok()?))
}

fn parsed(uses: Option<&str>) -> RecentUsesByName {
    uses.map(RecentUsesByName::from_text).unwrap_or_default()
}

fn ongoing_text(ongoing: &OngoingUse) -> Result<String, StoreError> {
    serde_json::to_string(ongoing).map_err(|error| StoreError::Corrupt(error.to_string()))
}
