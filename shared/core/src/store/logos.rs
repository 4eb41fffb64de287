//! Logos, stored under the hash of the URL that they were fetched from. They belong to no user.

use std::time::Duration;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use jiff::Timestamp;
use reauth_domain::time::{after, rfc3339};

use super::{Condition, Item, Store, StoreError, key, transaction::text};
use crate::logos::{ImageType, Logo};

/// A stored logo is fetched again after this time: services change their logos.
const REFRESH: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A fetch that failed, or whose process ended, is repeated after this time.
const RETRY: Duration = Duration::from_secs(6 * 60 * 60);

/// A logo that is to be fetched.
#[derive(Debug, Clone)]
pub struct DueLogo {
    key: key::Key,
    due_at: String,
}

impl DueLogo {
    /// Names the logo in log lines: its partition key, which has a hash of its URL.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.key.pk
    }
}

impl Store {
    /// Asks the sweep to fetch a logo, unless it was asked for before.
    pub async fn request_logo(&self, url: &str) -> Result<(), StoreError> {
        let mut item = key::logo(url).into_item();
        item.extend([
            ("url".to_owned(), text(url)),
            ("dueShard".to_owned(), text(key::DUE_LOGOS)),
            ("dueAt".to_owned(), text(rfc3339::text(self.ambient.now()))),
        ]);
        match self.put_if(Condition::Logo, item, "attribute_not_exists(PK)", &[]).await {
            Err(StoreError::Conflict(Some(Condition::Logo))) => Ok(()),
            result => result,
        }
    }

    /// The logo that was fetched from this URL. `None` if none was.
    pub async fn logo(&self, url: &str) -> Result<Option<Logo>, StoreError> {
        Ok(self.get_item(key::logo(url)).await?.as_ref().and_then(logo))
    }

    /// The logos that are due at `now`, up to `limit`, longest due first. They are in one partition of the index: there are
    /// about as many as services.
    pub async fn due_logos(&self, now: Timestamp, limit: usize) -> Result<Vec<DueLogo>, StoreError> {
        let due = self.due_in(key::DUE_LOGOS, now, limit).await?;
        Ok(due.iter().filter_map(due_logo).collect())
    }

    /// Reschedules a due logo, so that no other sweep fetches it. Returns its URL. `None` if another sweep was first. If this
    /// process ends before the logo is stored, it is due again in six hours.
    pub async fn claim_logo(&self, due: &DueLogo) -> Result<Option<String>, StoreError> {
        let next = after(self.ambient.now(), RETRY);
        let claimed = self.reschedule_key(&due.key, &due.due_at, next).await?;
        Ok(claimed.as_ref().and_then(|item| field(item, "url")))
    }

    /// Stores a logo that was fetched. The one that was stored before stays until then.
    pub async fn put_logo(&self, url: &str, logo: &Logo) -> Result<(), StoreError> {
        let now = self.ambient.now();
        let mut item = key::logo(url).into_item();
        item.extend([
            ("url".to_owned(), text(url)),
            ("bytes".to_owned(), AttributeValue::B(Blob::new(logo.bytes.clone()))),
            ("type".to_owned(), text(logo.media_type.media_type())),
            ("fetchedAt".to_owned(), text(rfc3339::text(now))),
            ("dueShard".to_owned(), text(key::DUE_LOGOS)),
            ("dueAt".to_owned(), text(rfc3339::text(after(now, REFRESH)))),
        ]);
        self.put_if(Condition::Logo, item, "attribute_exists(PK)", &[]).await
    }
}

fn field(item: &Item, name: &str) -> Option<String> {
    item.get(name)?.as_s().ok().cloned()
}

fn due_logo(item: &Item) -> Option<DueLogo> {
    let key = key::Key { pk: field(item, "PK")?, sk: field(item, "SK")? };
    Some(DueLogo { key, due_at: field(item, "dueAt")? })
}

fn logo(item: &Item) -> Option<Logo> {
    let bytes = item.get("bytes")?.as_b().ok()?.clone().into_inner();
    let media_type: ImageType = field(item, "type")?.parse().ok()?;
    Some(Logo { bytes, media_type })
}
