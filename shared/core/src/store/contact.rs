//! The contact of a user, sealed, with the state of the mails to it. One item for each user.
//!
//! Every write requires the version that was read, so that an unsubscription, a bounce or another address that comes between
//! is never overwritten. The item is created only together with a grant, so that it does not come back after its user was
//! erased.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use reauth_domain::{
    About, ContractId, EmailStop, EpisodeId, EventDetail, NewEvent, Target, UserId,
    contact::{ContactState, Reader, Stopped, StoredContact},
    event::{AboutGrant, next_sequence},
    time::rfc3339,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Condition, Item, Store, StoreError, Versioned,
    events::log_recorded,
    item::{self, GrantItem},
    key,
    transaction::{Transaction, next_version, number, text},
};
use crate::{
    error::Chain,
    keyring::{Keyring, unsubscribe_path},
    lambda::RequestContext,
    metrics,
    retry::retry_on_conflict,
};

/// The associated data of the tokens with which users stop the mails to them.
const UNSUBSCRIBE: &str = "UNSUBSCRIBE";

/// Of what one mail names, so much is checked when it is claimed: DynamoDB takes 100 operations in one transaction.
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
        let ContactItem {
            version, contact, contract_id, stopped, last_sent_at, last_asked_at, told, due_at, asks, ..
        } = item;
        let contact = match contact {
            Some(sealed) => Some(self.open_contact(user, &associated, sealed).await?),
            None => None,
        };
        let state = ContactState { contact, contract_id, stopped, last_sent_at, last_asked_at, told, due_at, asks };
        Ok(Some(Versioned { value: state, version }))
    }

    async fn open_contact(&self, user: &UserId, associated: &str, sealed: String) -> Result<StoredContact, StoreError> {
        let opened = self.unseal(associated, &sealed, "a contact").await.and_then(|opened| {
            serde_json::from_str(opened.expose_secret()).map_err(|_| StoreError::Corrupt("a contact".into()))
        });
        match opened {
            Ok(contact) => Ok(StoredContact::Readable(contact)),
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::warn!(user_id = %user, error = %Chain(&error), "store: the contact of a user cannot be read");
                Ok(StoredContact::Unreadable { sealed })
            }
            Err(error) => Err(error),
        }
    }

    /// The time zone of the user's contact. `None` also if the contact cannot be read.
    pub async fn time_zone_of(&self, user: &UserId) -> Result<Option<TimeZone>, StoreError> {
        Ok(self.reader(user).await?.time_zone.map(|name| name.time_zone()))
    }

    /// What the user's contact says about the reader of a page. Nothing also if the contact cannot be read.
    pub async fn reader(&self, user: &UserId) -> Result<Reader, StoreError> {
        let state = self.contact(user).await?.map(|read| read.value);
        Ok(state.as_ref().and_then(ContactState::contact).map(Reader::from).unwrap_or_default())
    }

    /// Writes a contact that exists, if it has the version that was read. Returns the new version.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it changed, or was deleted with its user.
    pub async fn put_contact(&self, user: &UserId, change: &ContactChange) -> Result<u64, StoreError> {
        let version = next_version(change.read_version, self.ambient.now());
        let item = self.sealed_contact(&*self.keyring().await?, user, &change.state, version)?;
        self.put_if_unchanged(Condition::Contact, item, change.read_version).await?;
        Ok(version)
    }

    /// Seals the contact of a user again if the previous version of the service secret sealed it. This happens beside each write
    /// of a grant, so that a contact stays readable as long as the pair of its user does. A failure is logged only.
    pub(super) async fn reseal_contact(&self, keyring: &Keyring, user: &UserId) {
        if !keyring.has_previous() {
            return;
        }
        match self.try_to_reseal_contact(keyring, user).await {
            // Another write came first, which sealed it, or the user was erased.
            Ok(()) | Err(StoreError::Conflict(Some(_))) => {}
            Err(error) => {
                tracing::warn!(user_id = %user, error = %Chain(&error), "store: could not seal the contact of a user again");
            }
        }
    }

    /// The version does not change, because the contact does not: no other write fails because of this one.
    async fn try_to_reseal_contact(&self, keyring: &Keyring, user: &UserId) -> Result<(), StoreError> {
        let Some(sealed) = self.get::<ContactItem>(key::contact(user)).await?.and_then(|item| item.contact) else {
            return Ok(());
        };
        let Some(resealed) = keyring.reseal(&key::contact(user).associated(), &sealed, &self.ambient) else {
            return Ok(());
        };
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::contact(user).into_item()))
            .update_expression("SET contact = :resealed")
            .condition_expression("contact = :sealed")
            .expression_attribute_values(":resealed", text(resealed))
            .expression_attribute_values(":sealed", text(sealed));
        self.update(update).await.map(drop)
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
        let keyring = self.keyring().await?;
        let now = self.ambient.now();
        let mut transaction = self.transaction();
        self.add_contact(&mut transaction, &keyring, user, change, now)?;
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
            let Some(state) = read.value.with_stop(reason, address, self.ambient.now()) else { return Ok(false) };
            let change = ContactChange { state, read_version: read.version };
            match self.get::<GrantItem>(key::grant(user, &change.state.contract_id)).await? {
                Some(grant) => self.put_stop(&change, grant, reason, context).await?,
                None => self.put_contact(user, &change).await.map(drop)?,
            }
            Ok(true)
        })
        .await
    }

    /// Writes the stop, and the event under the grant. The grant's tokens are not needed, and stay as they are. Its version stays
    /// too: a refresh in progress keeps its lease. A write that read the grant before this one writes the old sequence number.
    /// The next event has a greater one all the same, because it is at least the time.
    async fn put_stop(
        &self,
        change: &ContactChange,
        mut grant: GrantItem,
        reason: EmailStop,
        context: RequestContext,
    ) -> Result<(), StoreError> {
        let keyring = self.keyring().await?;
        // Nothing but the write comes after this time, which the id of the event begins with: the log relies on it.
        let now = self.ambient.now();
        let (user, contract_id) = (grant.user_id.clone(), grant.contract_id.clone());
        let event = NewEvent { detail: EventDetail::UserEmailsStopped { reason }, episode_id: None };
        grant.sequence = next_sequence(grant.sequence, 1, now);
        let about = About::Grant(AboutGrant { contract_id: contract_id.clone() });
        let events = self.numbered(&user, &about, grant.sequence, &[event], now);
        let read = [(":read", number(grant.version))];
        let mut transaction = self.transaction();
        let key = key::grant(&user, &contract_id);
        transaction.put(Condition::Grant, item::write(key, &grant)?, "version = :read", &read)?;
        for event in &events {
            transaction.put_event(event, &keyring.link_key_id(), context.traceparent, None)?;
        }
        self.add_contact(&mut transaction, &keyring, &user, change, now)?;
        transaction.commit().await?;
        for event in &events {
            log_recorded(event);
            metrics::event(event);
        }
        Ok(())
    }

    fn sealed_contact(
        &self,
        keyring: &Keyring,
        user: &UserId,
        state: &ContactState,
        version: u64,
    ) -> Result<Item, StoreError> {
        let key = key::contact(user);
        let contact = match &state.contact {
            Some(StoredContact::Readable(contact)) => {
                let json = serde_json::to_string(contact).map_err(|error| StoreError::Corrupt(error.to_string()))?;
                Some(keyring.seal(&key.associated(), &Zeroizing::new(json), &self.ambient))
            }
            Some(StoredContact::Unreadable { sealed }) => Some(sealed.clone()),
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
    pub(super) fn add_contact(
        &self,
        transaction: &mut Transaction<'_>,
        keyring: &Keyring,
        user: &UserId,
        change: &ContactChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let version = next_version(change.read_version, now);
        let item = self.sealed_contact(keyring, user, &change.state, version)?;
        transaction.put_version(Condition::Contact, item, change.read_version)
    }
}
