//! Reauthorizations, stored under their own key, with a pointer from their user.

use std::time::Duration;

use jiff::Timestamp;
use reauth_domain::{ReauthorizationId, RecentUses, reauthorization::Reauthorization, time::after};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Condition, Store, StoreError,
    item::{self, PointerItem, ReauthorizationItem},
    key,
};
use crate::keyring::{equal_in_constant_time, sha256};

/// Long after the last callback, so that the application can still read the outcome.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A reauthorization as it was read.
#[derive(Debug, Clone)]
pub struct StoredReauthorization {
    pub reauthorization: Reauthorization,
    /// The version that a write must find unchanged.
    pub version: u64,
    /// The recent verifications at digi.me.
    verifications: RecentUses,
    secret_hash: String,
    browser_hash: Option<String>,
}

impl StoredReauthorization {
    /// Whether the secret part of a callback's `state` matches this reauthorization.
    #[must_use]
    pub fn has_secret(&self, secret: &str) -> bool {
        equal_in_constant_time(&sha256(secret), &self.secret_hash)
    }

    /// Whether a browser started the reauthorization from a reconnect link. If not, the application created it.
    #[must_use]
    pub fn is_from_link(&self) -> bool {
        self.browser_hash.is_some()
    }

    /// Whether one of these cookies is from the browser that started the reauthorization. A reauthorization that the
    /// application created is not bound to a browser, so that any browser is accepted.
    pub fn is_bound_to<'a>(&self, mut cookies: impl Iterator<Item = &'a str>) -> bool {
        let Some(hash) = &self.browser_hash else { return true };
        cookies.any(|cookie| equal_in_constant_time(&sha256(cookie), hash))
    }
}

impl Store {
    /// Writes a new reauthorization. Only hashes of the `state`'s secret and of the browser's cookie are stored.
    pub async fn create_reauthorization(
        &self,
        new: &Reauthorization,
        secret: &SecretString,
        browser: Option<&SecretString>,
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        let ttl = after(new.created_at, KEPT).as_second();
        let key = key::reauthorization(&new.id);
        let pointer = item::write(key::pointer(&new.user_id, &key), &PointerItem { ttl })?;
        let item = ReauthorizationItem {
            version: 1,
            id: new.id.clone(),
            user_id: new.user_id.clone(),
            account_id: new.account_id.clone(),
            contract_id: new.contract_id.clone(),
            kind: new.kind,
            progress: new.progress.clone(),
            told: Vec::new(),
            verifications: None,
            secret_hash: sha256(secret.expose_secret()),
            browser_hash: browser.map(|cookie| sha256(cookie.expose_secret())),
            return_url: new.return_url.clone(),
            created_at: new.created_at,
            expires_at: new.expires_at,
            ttl,
        };
        let mut transaction = self.unless_erased(&new.user_id, triggered_at).await?;
        transaction.put_version(Condition::Reauthorization, item::write(key, &item)?, 0)?;
        transaction.put_unconditionally(Condition::Reauthorization, pointer)?;
        transaction.commit().await
    }

    /// A reauthorization. `None` if it is unknown or its user was erased.
    pub async fn reauthorization(&self, id: &ReauthorizationId) -> Result<Option<StoredReauthorization>, StoreError> {
        let item = self.get::<ReauthorizationItem>(key::reauthorization(id)).await?;
        Ok(item.map(|item| StoredReauthorization {
            version: item.version,
            verifications: item.verifications.as_deref().map(RecentUses::from_text).unwrap_or_default(),
            secret_hash: item.secret_hash.clone(),
            browser_hash: item.browser_hash.clone(),
            reauthorization: item.into_reauthorization(),
        }))
    }

    /// Records that this reauthorization is about to be verified at digi.me. Returns false, and records nothing, if
    /// there were too many recent verifications.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another callback of the reauthorization recorded a verification meanwhile.
    pub async fn record_verification(&self, read: &StoredReauthorization) -> Result<bool, StoreError> {
        let Ok(verifications) = read.verifications.record(self.ambient.now()) else { return Ok(false) };
        let key = key::reauthorization(&read.reauthorization.id);
        let written = self.set_recent_uses(key, "verifications", &read.verifications, &verifications).await;
        written.map_err(|error| error.about(Condition::Reauthorization))?;
        Ok(true)
    }
}
