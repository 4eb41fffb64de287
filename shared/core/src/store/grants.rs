//! Grants: a user's sealed token pair under a contract, and the lease under which the pair is refreshed.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use digime::TokenPair;
use jiff::Timestamp;
use reauth_domain::{
    ContractId, UserId,
    time::{after, rfc3339},
};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::{
    Condition, Item, Store, StoreError, Unavailable, Versioned,
    item::{self, GrantItem},
    key,
    transaction::{next_version, number, text},
};

/// Longer than a refresh can take with its retries and the write of the new pair.
const LEASE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Grant {
    pub user_id: UserId,
    pub contract_id: ContractId,
    pub tokens: TokenPair,
    /// Whether digi.me refused the refresh token: only the user can authorize a new pair.
    pub refresh_dead: bool,
    /// Until when an invocation holds the lease to refresh the grant.
    pub leased_until: Option<Timestamp>,
    /// When the user's accounts were last listed at digi.me with this grant.
    pub accounts_listed_at: Option<Timestamp>,
}

/// The right to refresh a grant for a limited time.
#[derive(Debug, Clone)]
pub struct Lease {
    id: String,
    /// The version that the grant has while it is leased.
    version: u64,
}

impl Store {
    pub async fn grant(&self, user: &UserId, contract: &ContractId) -> Result<Option<Versioned<Grant>>, StoreError> {
        match self.get::<GrantItem>(key::grant(user, contract)).await? {
            Some(item) => self.open(item).await.map(Some),
            None => Ok(None),
        }
    }

    /// All grants of a user, by contract.
    pub async fn grants(&self, user: &UserId) -> Result<Vec<Versioned<Grant>>, StoreError> {
        let mut grants = Vec::new();
        for item in self.query(key::user(user), key::GRANT).await? {
            grants.push(self.open(item::read(item)?).await?);
        }
        Ok(grants)
    }

    /// Stores a grant that the application submits, if the stored grant still has the version `expected_version`, and
    /// returns the new version. A lease ends with it: a refresh in progress finds that the grant has changed.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the grant changed. [`StoreError::Erased`] when the user was erased after
    /// `triggered_at`.
    pub async fn put_grant(
        &self,
        grant: &Grant,
        expected_version: u64,
        triggered_at: Timestamp,
    ) -> Result<u64, StoreError> {
        let version = next_version(expected_version, self.ambient.now());
        let item = self.sealed(grant, version).await?;
        if expected_version == 0 {
            let mut transaction = self.restoring(&grant.user_id, triggered_at).await?;
            transaction.put_version(Condition::Grant, item, expected_version)?;
            transaction.commit().await?;
        } else {
            self.put_if_unchanged(Condition::Grant, item, expected_version).await?;
        }
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

    /// Stores the pair from a refresh under the lease, ends the lease, and returns the new version of the grant.
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

    /// Ends the lease without a new pair. `refresh_dead` records that digi.me refused the refresh token.
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

    async fn sealed(&self, grant: &Grant, version: u64) -> Result<Item, StoreError> {
        let key = key::grant(&grant.user_id, &grant.contract_id);
        let tokens = Zeroizing::new(
            serde_json::to_string(&grant.tokens.to_node_form())
                .map_err(|error| StoreError::Corrupt(error.to_string()))?,
        );
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
        let keyring = self.keyring().await?;
        let opened = match keyring.open(&associated, &item.tokens) {
            Ok(opened) => opened,
            // The tokens may be sealed with a service secret that was rotated in after this process cached its keys.
            Err(_) => {
                let newer = self.keys.newer_than(&keyring).await;
                let newer = newer.map_err(|error| StoreError::Unavailable(Unavailable::ServiceSecret(error)))?;
                newer.open(&associated, &item.tokens).map_err(|error| StoreError::Corrupt(error.to_string()))?
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

fn at_version(expected_version: u64) -> [(&'static str, AttributeValue); 2] {
    [(":read", number(expected_version)), (":one", number(1))]
}
