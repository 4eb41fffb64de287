//! The contact of a user, sealed, with the state of the mails to it. One item for each user.
//!
//! Every write requires the version that was read, so that an unsubscription, a bounce or another address that comes between
//! is never overwritten. The item is created only together with a grant, so that it does not come back after its user was
//! erased.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use reauth_domain::{
    ContractId, EmailStop, EpisodeId, Locale, Target, UserId,
    contact::{Contact, ContactState, Stopped},
    time::rfc3339,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Condition, GrantCondition, Item, Store, StoreError, Versioned, item, key,
    transaction::{Transaction, next_version, number},
};
use crate::{keyring::unsubscribe_path, lambda::RequestContext, retry::retry_on_conflict};

/// The associated data of the tokens with which users stop the mails to them.
const UNSUBSCRIBE: &str = "UNSUBSCRIBE";

/// DynamoDB takes 100 operations in one transaction.
const MOST_CHECKED: usize = 99;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContactItem {
    version: u64,
    user_id: UserId,
    contract_id: ContractId,
    /// The contact as JSON, sealed. Removed when the application removes the contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    last_sent_at: Option<Timestamp>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    last_asked_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    told: BTreeMap<String, EpisodeId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asks: bool,
}

/// A contact as it will be written, and the version that was read; 0 when there was none.
#[derive(Debug, Clone)]
pub struct ContactChange {
    pub state: ContactState,
    pub read_version: u64,
}

impl Store {
    /// The user's contact. `None` if there never was one.
    pub async fn contact(&self, user: &UserId) -> Result<Option<Versioned<ContactState>>, StoreError> {
        let key = key::contact(user);
        let associated = key.associated();
        let Some(item) = self.get::<ContactItem>(key).await? else { return Ok(None) };
        let contact = match &item.contact {
            Some(sealed) => Some(self.open_contact(&associated, sealed).await?),
            None => None,
        };
        let ContactItem { version, contract_id, stopped, last_sent_at, last_asked_at, told, due_at, asks, .. } = item;
        let state = ContactState { contact, contract_id, stopped, last_sent_at, last_asked_at, told, due_at, asks };
        Ok(Some(Versioned { value: state, version }))
    }

    async fn open_contact(&self, associated: &str, sealed: &str) -> Result<Contact, StoreError> {
        let opened = self.unseal(associated, sealed, "a contact").await?;
        serde_json::from_str(opened.expose_secret()).map_err(|_| StoreError::Corrupt("a contact".into()))
    }

    /// The time zone of the user's contact.
    pub async fn time_zone_of(&self, user: &UserId) -> Result<Option<TimeZone>, StoreError> {
        let contact = self.contact(user).await?.and_then(|read| read.value.contact);
        Ok(contact.and_then(|contact| contact.time_zone).map(|name| name.time_zone()))
    }

    /// The language of the user's contact.
    pub async fn locale_of(&self, user: &UserId) -> Result<Option<Locale>, StoreError> {
        let contact = self.contact(user).await?.and_then(|read| read.value.contact);
        Ok(contact.and_then(|contact| contact.locale))
    }

    /// Writes a contact that exists, if it has the version that was read. Returns the new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it changed, or was deleted with its user.
    pub async fn put_contact(&self, user: &UserId, change: &ContactChange) -> Result<u64, StoreError> {
        let version = next_version(change.read_version, self.ambient.now());
        let item = self.sealed_contact(user, &change.state, version).await?;
        self.put_if_unchanged(Condition::Contact, item, change.read_version).await?;
        Ok(version)
    }

    /// The path of the page that stops the mails to a user.
    pub async fn unsubscribe_path(&self, user: &UserId) -> Result<SecretString, StoreError> {
        Ok(unsubscribe_path(&self.keyring().await?.seal(UNSUBSCRIBE, user.as_str(), &self.ambient)))
    }

    /// The user that the token of such a page names. `None` if it is not one of this service, or was made with a service secret
    /// that has been rotated twice since.
    pub async fn user_of_unsubscribe_token(&self, token: &str) -> Result<Option<UserId>, StoreError> {
        match self.unseal(UNSUBSCRIBE, token, "an unsubscribe token").await {
            Ok(user) => Ok(user.expose_secret().parse().ok()),
            Err(StoreError::Corrupt(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Claims a mail: writes the contact, if it has the version that was read, and so has everything that the mail names.
    /// Returns the new version. So no mail is claimed about an account that works again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of them changed.
    pub async fn claim_mail(
        &self,
        user: &UserId,
        change: &ContactChange,
        named: &[(Target, u64)],
    ) -> Result<u64, StoreError> {
        let now = self.ambient.now();
        let mut transaction = self.transaction();
        self.add_contact(&mut transaction, user, change, now).await?;
        for (target, version) in named.iter().take(MOST_CHECKED) {
            let (condition, key) = match target {
                Target::Account(account) => (Condition::Account, key::account(user, account)),
                Target::Grant(contract) => (Condition::Grant, key::grant(user, contract)),
            };
            transaction.check(condition, key, "version = :read", &[(":read", number(*version))])?;
        }
        transaction.commit().await?;
        Ok(next_version(change.read_version, now))
    }

    /// Stops the mails to a user, with the event `user.emails_stopped` in the same transaction. With an address, only if it is
    /// still the user's. Returns whether that changed anything.
    pub async fn stop_emails(
        &self,
        user: &UserId,
        reason: EmailStop,
        address: Option<&str>,
        context: RequestContext,
    ) -> Result<bool, StoreError> {
        retry_on_conflict(&self.ambient, context.deadline, || async move {
            let Some(read) = self.contact(user).await? else { return Ok(false) };
            let now = self.ambient.now();
            let Some(state) = read.value.with_stop(reason, address, now) else { return Ok(false) };
            let change = ContactChange { state, read_version: read.version };
            let Some(grant) = self.grant(user, &change.state.contract_id).await? else {
                return self.put_contact(user, &change).await.map(|_| true);
            };
            let condition = GrantCondition::Version(grant.version);
            let stopped = grant.value.emails_stopped(reason, now);
            self.put_grant_and_contact(stopped, condition, Some(&change), context).await?;
            Ok(true)
        })
        .await
    }

    async fn sealed_contact(&self, user: &UserId, state: &ContactState, version: u64) -> Result<Item, StoreError> {
        let key = key::contact(user);
        let contact = match &state.contact {
            Some(contact) => {
                let json = serde_json::to_string(contact).map_err(|error| StoreError::Corrupt(error.to_string()))?;
                Some(self.keyring().await?.seal(&key.associated(), &Zeroizing::new(json), &self.ambient))
            }
            None => None,
        };
        let item = ContactItem {
            version,
            user_id: user.clone(),
            contract_id: state.contract_id.clone(),
            contact,
            stopped: state.stopped,
            last_sent_at: state.last_sent_at,
            last_asked_at: state.last_asked_at,
            told: state.told.clone(),
            due_shard: state.due_at.map(|_| key::due_mails_shard(user)),
            due_at: state.due_at,
            asks: state.asks,
        };
        item::write(key, &item)
    }

    /// Adds the write of a contact to the transaction that writes a grant of the same user.
    pub(super) async fn add_contact(
        &self,
        transaction: &mut Transaction<'_>,
        user: &UserId,
        change: &ContactChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let version = next_version(change.read_version, now);
        let item = self.sealed_contact(user, &change.state, version).await?;
        transaction.put_version(Condition::Contact, item, change.read_version)
    }
}
