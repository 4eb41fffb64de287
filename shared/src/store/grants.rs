//! Grants: a user's token pair under a contract, sealed, and the lease under which it is refreshed.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{
    Condition, Item, Store, StoreError, Versioned,
    item::{self, GrantItem},
    key,
    transaction::{next_version, number, text},
};
use crate::{
    ambient::{after, rfc3339},
    domain::{ContractId, TokenPair, UserId},
};

/// Longer than the call that it is for can take, with its retries, and the write after it.
const LEASE: Duration = Duration::from_secs(30);

/// A user's token pair under a contract.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The user.
    pub user_id: UserId,
    /// The contract.
    pub contract_id: ContractId,
    /// The pair.
    pub tokens: TokenPair,
    /// Whether digi.me said that the refresh token is dead: only the user can help.
    pub refresh_dead: bool,
    /// Until when another invocation refreshes it.
    pub leased_until: Option<Timestamp>,
    /// When the user's accounts were last read from digi.me with it.
    pub accounts_listed_at: Option<Timestamp>,
}

/// The right to refresh a grant, for a while.
#[derive(Debug, Clone)]
pub struct Lease {
    id: String,
    /// The version that the grant has under the lease.
    version: u64,
}

impl Store {
    /// A user's grant under a contract.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grant(&self, user: &UserId, contract: &ContractId) -> Result<Option<Versioned<Grant>>, StoreError> {
        match self.get::<GrantItem>(key::grant(user, contract)).await? {
            Some(item) => self.open(item).await.map(Some),
            None => Ok(None),
        }
    }

    /// All grants of a user, by contract.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grants(&self, user: &UserId) -> Result<Vec<Versioned<Grant>>, StoreError> {
        let mut grants = Vec::new();
        for item in self.query(key::user(user), key::GRANT).await? {
            grants.push(self.open(item::read(item)?).await?);
        }
        Ok(grants)
    }

    /// Stores a grant that the application hands in, if it is as it was read. It ends a lease: the refresh under way
    /// finds that the grant has changed. Gives the version that it has now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it changed; [`StoreError::Forgotten`] when the user is being forgotten.
    pub async fn put_grant(&self, grant: &Grant, read: u64, triggered_at: Timestamp) -> Result<u64, StoreError> {
        let version = next_version(read, self.ambient.now());
        let item = self.sealed(grant, version).await?;
        if read == 0 {
            let mut transaction = self.restoring(&grant.user_id, triggered_at).await?;
            transaction.put_version(Condition::Grant, item, read)?;
            transaction.commit().await?;
        } else {
            self.put_if_unchanged(Condition::Grant, item, read).await?;
        }
        Ok(version)
    }

    /// Takes the lease on a grant that is as it was read and not leased.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another holds it, or the grant changed.
    pub async fn lease(&self, grant: &Versioned<Grant>) -> Result<Lease, StoreError> {
        let now = self.ambient.now();
        let lease =
            Lease { id: format!("{:032x}", u128::from_be_bytes(self.ambient.bytes())), version: grant.version + 1 };
        let values = [
            (":id", text(&*lease.id)),
            (":until", text(rfc3339::text(after(now, LEASE)))),
            (":now", text(rfc3339::text(now))),
        ];
        self.update_grant(
            &grant.value,
            "SET leaseId = :id, leaseUntil = :until ADD version :one",
            "version = :read AND (attribute_not_exists(leaseUntil) OR leaseUntil <= :now)",
            &[&values[..], &at_version(grant.version)].concat(),
        )
        .await?;
        Ok(lease)
    }

    /// Stores the pair that a refresh under the lease brought, and gives the lease back. Gives the version that the
    /// grant has now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the grant changed meanwhile.
    pub async fn put_refreshed(&self, grant: &Grant, lease: &Lease) -> Result<u64, StoreError> {
        let version = lease.version + 1;
        let item = self.sealed(grant, version).await?;
        let values = [(":id", text(&*lease.id)), (":read", number(lease.version))];
        self.put_if(Condition::Grant, item, "version = :read AND leaseId = :id", &values).await?;
        Ok(version)
    }

    /// Gives the lease back without a new pair; with `refresh_dead`, after digi.me called the refresh token dead.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the grant changed meanwhile.
    pub async fn release(&self, grant: &Grant, lease: &Lease, refresh_dead: bool) -> Result<(), StoreError> {
        let values = [(":id", text(&*lease.id)), (":dead", AttributeValue::Bool(refresh_dead))];
        self.update_grant(
            grant,
            "SET refreshDead = :dead REMOVE leaseId, leaseUntil ADD version :one",
            "version = :read AND leaseId = :id",
            &[&values[..], &at_version(lease.version)].concat(),
        )
        .await
    }

    /// Notes that the user's accounts were read from digi.me. The version stays: no other write depends on it. A grant
    /// that is gone stays gone.
    ///
    /// # Errors
    /// [`StoreError`].
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

    async fn sealed(&self, grant: &Grant, version: u64) -> Result<Item, StoreError> {
        let key = key::grant(&grant.user_id, &grant.contract_id);
        let tokens = Zeroizing::new(grant.tokens.to_node_form().to_string());
        let item = GrantItem {
            version,
            user_id: grant.user_id.clone(),
            contract_id: grant.contract_id.clone(),
            tokens: self.keyring().await?.seal(&key.associated(), &tokens, &self.ambient),
            refresh_dead: grant.refresh_dead,
            lease_id: None,
            lease_until: None,
            accounts_listed_at: grant.accounts_listed_at,
        };
        item::write(key, &item)
    }

    pub(super) async fn open(&self, item: GrantItem) -> Result<Versioned<Grant>, StoreError> {
        let associated = key::grant(&item.user_id, &item.contract_id).associated();
        let opened = match self.keyring().await?.open(&associated, &item.tokens) {
            Ok(opened) => opened,
            // Sealed after a rotation that this process has not seen yet.
            Err(_) => {
                let keyring = self.keys.newer().await;
                let keyring = keyring.map_err(|error| StoreError::Unavailable(error.to_string()))?;
                keyring.open(&associated, &item.tokens).map_err(|error| StoreError::Corrupt(error.to_string()))?
            }
        };
        let corrupt = || StoreError::Corrupt("a grant's tokens".into());
        let tokens = serde_json::from_str(opened.expose_secret()).map_err(|_| corrupt())?;
        let grant = Grant {
            user_id: item.user_id,
            contract_id: item.contract_id,
            tokens: TokenPair::parse(&tokens).map_err(|_| corrupt())?,
            refresh_dead: item.refresh_dead,
            leased_until: item.lease_until,
            accounts_listed_at: item.accounts_listed_at,
        };
        Ok(Versioned { value: grant, version: item.version })
    }
}

fn at_version(read: u64) -> [(&'static str, AttributeValue); 2] {
    [(":read", number(read)), (":one", number(1))]
}
