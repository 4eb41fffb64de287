//! Grants: a user's sealed token pair under a contract, and the lease under which the pair is refreshed.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use digime::{Token, TokenPair};
use jiff::Timestamp;
use reauth_domain::{
    About, ContractId, Grant, GrantChange, GrantEpisode, GrantStatus, Target, UserId,
    account::{Notice, Warned},
    event::{AboutGrant, sequence_when_written},
    time::{after, before, rfc3339},
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{
    Condition, ContactChange, Item, Store, StoreError, Unavailable, Versioned,
    events::log_recorded,
    item::{self, GrantItem},
    key,
    reauthorizations::ReauthorizationChange,
    transaction::{next_version, number, text},
};
use crate::{error::Chain, keyring::Keyring, lambda::RequestContext, metrics};

/// Longer than a refresh can take with its retries and the write of the new pair.
const LEASE: Duration = Duration::from_secs(30);
/// The first warning comes on the day 14 days before the refresh token expires. The sweep, which knows the user's time zone,
/// plans its time. Before, a grant is not due.
const PLANNED_BEFORE_EXPIRY: Duration = Duration::from_secs(16 * 24 * 60 * 60);

/// The right to refresh a grant for a limited time.
#[derive(Debug, Clone)]
pub struct Lease {
    id: String,
    /// The version that the grant has while it is leased.
    version: u64,
}

/// What a write of a grant requires of the stored one.
#[derive(Debug, Clone, Copy)]
pub enum GrantCondition<'a> {
    /// It has the version that was read; 0 when there was none. A lease ends with the write: a refresh in progress finds
    /// that the grant has changed.
    Version(u64),
    /// The lease is still held, and the grant has not changed since it was taken. The lease ends with the write.
    Lease(&'a Lease),
}

/// What is written with a grant.
struct GrantWrite<'a> {
    reauthorization: Option<&'a ReauthorizationChange>,
    contact: Option<&'a ContactChange>,
}

/// A grant without its tokens.
#[derive(Debug, Clone)]
pub struct GrantState {
    pub user_id: UserId,
    pub contract_id: ContractId,
    pub episode: Option<GrantEpisode>,
    /// The expiry of the refresh token that the user is warned of.
    pub warned: Option<Warned>,
    pub version: u64,
    refresh_expires_at: Option<Timestamp>,
}

impl GrantState {
    #[must_use]
    pub fn status(&self, now: Timestamp) -> GrantStatus {
        if self.episode.is_some() || self.refresh_expires_at.is_some_and(|at| at <= now) {
            GrantStatus::UserReauthorizationRequired
        } else {
            GrantStatus::Active
        }
    }

    /// Whether digi.me's page can renew the refresh token once it is dead. If not, only the application can.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        self.episode.as_ref().is_none_or(|episode| episode.recoverable)
    }

    /// Since when the refresh token is dead.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        let of_episode = self.episode.as_ref().map(|episode| episode.since);
        of_episode.or(self.refresh_expires_at.filter(|at| *at <= now))
    }

    /// When the refresh token expires, as far as that is known.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.refresh_expires_at
    }

    pub(super) fn new(item: GrantItem) -> Self {
        Self {
            user_id: item.user_id,
            contract_id: item.contract_id,
            episode: item.episode,
            warned: item.warned,
            version: item.version,
            refresh_expires_at: item.refresh_expires_at,
        }
    }
}

impl Store {
    pub async fn grant(&self, user: &UserId, contract: &ContractId) -> Result<Option<Versioned<Grant>>, StoreError> {
        match self.get::<GrantItem>(key::grant(user, contract)).await? {
            Some(item) => self.open(item).await.map(Some),
            None => Ok(None),
        }
    }

    /// The grant, to store another pair. A pair that cannot be decrypted any more counts as one of nobody that expired long ago:
    /// any other may replace it.
    pub async fn grant_to_replace(
        &self,
        user: &UserId,
        contract: &ContractId,
    ) -> Result<Option<Versioned<Grant>>, StoreError> {
        let Some(item) = self.get::<GrantItem>(key::grant(user, contract)).await? else { return Ok(None) };
        let tokens = match self.open_tokens(&item).await {
            Err(error @ StoreError::Corrupt(_)) => {
                tracing::warn!(user_id = %user, contract_id = %contract, error = %Chain(&error), "store: the pair of a grant cannot be read, and any other may replace it");
                lost_tokens()
            }
            opened => opened?,
        };
        Ok(Some(opened_grant(item, tokens)))
    }

    /// All grants of a user, by contract.
    pub async fn grants(&self, user: &UserId) -> Result<Vec<Versioned<Grant>>, StoreError> {
        let mut grants = Vec::new();
        for item in self.query(key::user(user), key::GRANT).await? {
            grants.push(self.open(item::read(item)?).await?);
        }
        Ok(grants)
    }

    /// When the refresh token of a grant expires. `None` if it is known to be dead, or there is no grant.
    pub async fn refresh_expires_at(
        &self,
        user: &UserId,
        contract: &ContractId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let item = self.get::<GrantItem>(key::grant(user, contract)).await?;
        Ok(item.filter(|item| item.episode.is_none()).and_then(|item| item.refresh_expires_at))
    }

    /// All grants of a user without their tokens, by contract.
    pub async fn grant_states(&self, user: &UserId) -> Result<Vec<GrantState>, StoreError> {
        let items = self.query(key::user(user), key::GRANT).await?;
        items.into_iter().map(|item| Ok(GrantState::new(item::read(item)?))).collect()
    }

    /// Writes a change of a grant with its events, and returns the new version of the grant. With `reauthorization`, the
    /// progress of a reauthorization is written in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the grant or the reauthorization changed. [`StoreError::Erased`] when the user was
    /// erased after the operation was triggered.
    pub async fn put_grant(
        &self,
        change: GrantChange,
        condition: GrantCondition<'_>,
        reauthorization: Option<&ReauthorizationChange>,
        context: RequestContext,
    ) -> Result<u64, StoreError> {
        Box::pin(self.put_grant_with(change, condition, GrantWrite { reauthorization, contact: None }, context)).await
    }

    /// Writes a change of a grant as [`Store::put_grant`] does, and the user's contact in the same transaction.
    ///
    /// # Errors
    /// Those of [`Store::put_grant`]; [`StoreError::Conflict`] also when the contact changed.
    pub async fn put_grant_and_contact(
        &self,
        change: GrantChange,
        condition: GrantCondition<'_>,
        contact: Option<&ContactChange>,
        context: RequestContext,
    ) -> Result<u64, StoreError> {
        Box::pin(self.put_grant_with(change, condition, GrantWrite { reauthorization: None, contact }, context)).await
    }

    async fn put_grant_with(
        &self,
        change: GrantChange,
        condition: GrantCondition<'_>,
        with: GrantWrite<'_>,
        context: RequestContext,
    ) -> Result<u64, StoreError> {
        let GrantWrite { reauthorization, contact } = with;
        let is_new = matches!(condition, GrantCondition::Version(0));
        let mut transaction = if is_new {
            self.restoring(&change.grant.user_id, context.triggered_at).await?
        } else {
            self.transaction()
        };
        let keyring = self.keyring().await?;
        let link_key_id = keyring.link_key_id();
        // Nothing but the write comes between this time, which the ids of the events begin with, and their appearance: the
        // log relies on it (`SETTLED_AFTER`).
        let now = self.ambient.now();
        let GrantChange { mut grant, events } = change;
        grant.sequence = sequence_when_written(grant.sequence, events.len(), now);
        let about = About::Grant(AboutGrant { contract_id: grant.contract_id.clone() });
        let events = self.numbered(&grant.user_id, &about, grant.sequence, &events, now);
        let begins_episode = grant.episode.as_ref().is_some_and(|episode| episode.notice.is_none());
        if let Some(event) = events.iter().rfind(|event| event.detail.carries_link()) {
            let event_id = event.subject.event_id.clone();
            grant.set_notice(Notice { event_id, link_key_id: link_key_id.clone() });
        }
        let (version, condition, values) = match condition {
            GrantCondition::Version(0) => (next_version(0, now), "attribute_not_exists(PK)", Vec::new()),
            GrantCondition::Version(read) => (read + 1, "version = :read", vec![(":read", number(read))]),
            GrantCondition::Lease(lease) => {
                let values = vec![(":id", text(&*lease.id)), (":read", number(lease.version))];
                (lease.version + 1, "version = :read AND leaseId = :id", values)
            }
        };
        let item = self.sealed(&keyring, &grant, version)?;
        // Beside the write, which must not wait: the stored tokens may be dead already.
        let resealed = async {
            if contact.is_none() {
                self.reseal_contact(&keyring, &grant.user_id).await;
            }
        };
        if !is_new && events.is_empty() && reauthorization.is_none() && contact.is_none() {
            let (written, ()) = tokio::join!(self.put_if(Condition::Grant, item, condition, &values), resealed);
            return written.map(|()| version);
        }
        transaction.put(Condition::Grant, item, condition, &values)?;
        for event in &events {
            transaction.put_event(event, &link_key_id, context.traceparent, None)?;
        }
        if let Some(change) = reauthorization {
            change.add_to(&mut transaction, now)?;
        }
        if let Some(contact) = contact {
            self.add_contact(&mut transaction, &keyring, &grant.user_id, contact, now)?;
        }
        let (written, ()) = tokio::join!(transaction.commit(), resealed);
        written?;
        if begins_episode {
            metrics::user_lost();
        }
        for event in &events {
            log_recorded(event);
            metrics::event(event);
        }
        reauthorization.and_then(|change| change.settlement.as_ref()).into_iter().for_each(metrics::settled);
        Ok(version)
    }

    /// Takes the lease on a grant, if the grant is unchanged and not leased.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another invocation holds the lease, or the grant changed.
    pub async fn lease(&self, grant: &Versioned<Grant>) -> Result<Lease, StoreError> {
        let now = self.ambient.now();
        let lease =
            Lease { id: format!("{:032x}", u128::from_be_bytes(self.ambient.bytes())), version: grant.version + 1 };
        let values = [
            (":id", text(&*lease.id)),
            (":until", text(rfc3339::text(after(now, LEASE)))),
            (":now", text(rfc3339::text(now))),
        ];
        let values = [&values[..], &at_version(grant.version)].concat();
        let set = "SET leaseId = :id, leaseUntil = :until ADD version :one";
        let free = "version = :read AND (attribute_not_exists(leaseUntil) OR leaseUntil <= :now)";
        match self.update_grant(&grant.value, set, free, &values).await {
            Ok(()) => Ok(lease),
            Err(error @ StoreError::Conflict(_)) => {
                // The reply to the first attempt may have been lost. The repeated attempt then meets this very lease.
                let key = key::grant(&grant.value.user_id, &grant.value.contract_id);
                let stored = self.get::<GrantItem>(key).await?.and_then(|stored| stored.lease_id);
                if stored.as_ref() == Some(&lease.id) { Ok(lease) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the lease without a new pair.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the grant changed meanwhile.
    pub async fn release(&self, grant: &Grant, lease: &Lease) -> Result<(), StoreError> {
        self.update_grant(
            grant,
            "REMOVE leaseId, leaseUntil ADD version :one",
            "version = :read AND leaseId = :id",
            &[&[(":id", text(&*lease.id))][..], &at_version(lease.version)].concat(),
        )
        .await
    }

    /// Records that the user's accounts were listed at digi.me. The version does not change, because no other write
    /// depends on this field. Does nothing if the grant was deleted.
    pub async fn mark_accounts_listed(&self, grant: &Grant) -> Result<(), StoreError> {
        let now = [(":now", text(rfc3339::text(self.ambient.now())))];
        match self.update_grant(grant, "SET accountsListedAt = :now", "attribute_exists(PK)", &now).await {
            Err(StoreError::Conflict(Some(_))) => Ok(()),
            result => result,
        }
    }

    async fn update_grant(
        &self,
        grant: &Grant,
        expression: &str,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<(), StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::grant(&grant.user_id, &grant.contract_id).into_item()))
            .update_expression(expression)
            .condition_expression(condition);
        for (name, value) in values {
            update = update.expression_attribute_values(*name, value.clone());
        }
        self.update(update).await.map(drop).map_err(|error| error.about(Condition::Grant))
    }

    fn sealed(&self, keyring: &Keyring, grant: &Grant, version: u64) -> Result<Item, StoreError> {
        let key = key::grant(&grant.user_id, &grant.contract_id);
        let tokens = Zeroizing::new(
            serde_json::to_string(&grant.tokens.to_node_form())
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
        );
        let item = GrantItem {
            version,
            user_id: grant.user_id.clone(),
            contract_id: grant.contract_id.clone(),
            tokens: keyring.seal(&key.associated(), &tokens, &self.ambient),
            episode: grant.episode.clone(),
            warned: grant.warned.clone(),
            sequence: grant.sequence,
            lease_id: None,
            lease_until: None,
            accounts_listed_at: grant.accounts_listed_at,
            status_shard: grant.episode.as_ref().map(|_| key::status_shard(&grant.user_id)),
            status_since: grant.episode.as_ref().map(|episode| {
                key::status_position(episode.since, &grant.user_id, &Target::Grant(grant.contract_id.clone()))
            }),
            refresh_expires_at: Some(grant.tokens.refresh.expires_at),
            due_shard: grant.episode.is_none().then(|| key::due_grants_shard(&grant.user_id)),
            due_at: grant.episode.is_none().then(|| before(grant.tokens.refresh.expires_at, PLANNED_BEFORE_EXPIRY)),
        };
        item::write(key, &item)
    }

    pub(super) async fn open(&self, item: GrantItem) -> Result<Versioned<Grant>, StoreError> {
        let tokens = self.open_tokens(&item).await?;
        Ok(opened_grant(item, tokens))
    }

    async fn open_tokens(&self, item: &GrantItem) -> Result<TokenPair, StoreError> {
        let associated = key::grant(&item.user_id, &item.contract_id).associated();
        let opened = self.unseal(&associated, &item.tokens, "a grant's tokens").await?;
        let corrupt = || StoreError::Corrupt("a grant's tokens".into());
        let tokens = serde_json::from_str(opened.expose_secret()).map_err(|_| corrupt())?;
        TokenPair::parse(&tokens).map_err(|_| corrupt())
    }

    /// Opens a sealed value. It may be sealed with a service secret that was rotated in after this process cached its
    /// keys: then the keys are fetched again.
    pub(super) async fn unseal(&self, associated: &str, sealed: &str, what: &str) -> Result<SecretString, StoreError> {
        let keyring = self.keyring().await?;
        if let Ok(opened) = keyring.open(associated, sealed) {
            return Ok(opened);
        }
        let newer = self.keys.newer_than(&keyring).await;
        let newer = newer.map_err(|error| StoreError::Unavailable(Unavailable::ServiceSecret(error)))?;
        newer.open(associated, sealed).map_err(|error| StoreError::Corrupt(format!("{what}: {error}")))
    }
}

fn opened_grant(item: GrantItem, tokens: TokenPair) -> Versioned<Grant> {
    let grant = Grant {
        user_id: item.user_id,
        contract_id: item.contract_id,
        tokens,
        episode: item.episode,
        warned: item.warned,
        sequence: item.sequence,
        leased_until: item.lease_until,
        accounts_listed_at: item.accounts_listed_at,
    };
    Versioned { value: grant, version: item.version }
}

/// In place of a pair that cannot be decrypted. No token is empty, so that it equals no other.
fn lost_tokens() -> TokenPair {
    let token = || Token { value: SecretString::default(), expires_at: Timestamp::UNIX_EPOCH };
    TokenPair { access: token(), refresh: token(), user: None, consent_id: None }
}

fn at_version(expected_version: u64) -> [(&'static str, AttributeValue); 2] {
    [(":read", number(expected_version)), (":one", number(1))]
}
