//! Reauthorizations, stored under their own key, with a pointer from their user.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use digime::CodeVerifier;
use jiff::Timestamp;
use reauth_domain::{
    AccountId, ReauthorizationId, RecentUses,
    account::Settlement,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
    time::after,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Condition, Store, StoreError,
    item::{self, PointerItem, ReauthorizationItem},
    key,
    transaction::{Transaction, number, text},
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
    /// Sealed.
    verifier: Option<String>,
}

/// The secrets of a new reauthorization.
#[derive(Debug, Clone, Copy)]
pub struct NewReauthorizationSecrets<'a> {
    /// The secret part of the `state`. Its hash is stored.
    pub state: &'a SecretString,
    /// The cookie of the browser that starts the reauthorization. Its hash is stored. `None` when the application creates
    /// the reauthorization.
    pub browser: Option<&'a SecretString>,
    /// The code verifier of a user reauthorization. It is stored sealed.
    pub verifier: Option<&'a CodeVerifier>,
}

/// New progress of a reauthorization, to be written in one transaction with what it follows from.
#[derive(Debug, Clone)]
pub struct ReauthorizationChange {
    pub id: ReauthorizationId,
    /// The version that was read. `None` if it is enough that the reauthorization exists.
    pub read_version: Option<u64>,
    pub settlement: Option<Settlement>,
    pub exchange: Option<Exchange>,
    /// The account that the user goes on to.
    pub account_id: Option<AccountId>,
}

impl ReauthorizationChange {
    /// A change of the progress alone.
    #[must_use]
    pub fn settled(id: &ReauthorizationId, read_version: Option<u64>, settlement: &Settlement) -> Self {
        let (id, settlement) = (id.clone(), Some(settlement.clone()));
        Self { id, read_version, settlement, exchange: None, account_id: None }
    }

    pub(super) fn add_to(&self, transaction: &mut Transaction<'_>, now: Timestamp) -> Result<(), StoreError> {
        let (mut set, mut values) = (Vec::new(), vec![(":one", number(1))]);
        let mut add = "ADD version :one".to_owned();
        if let Some(settlement) = &self.settlement {
            set.push("progress = :progress");
            values.push((":progress", attribute(&Progress::settled(settlement.clone(), now))?));
            if let Settlement::Failed(code) = settlement {
                add.push_str(", told :code");
                values.push((":code", AttributeValue::Ss(vec![code.to_string()])));
            }
        }
        if let Some(exchange) = &self.exchange {
            set.push("exchange = :exchange");
            values.push((":exchange", attribute(exchange)?));
        }
        if let Some(account_id) = &self.account_id {
            set.push("accountId = :account");
            values.push((":account", text(account_id.as_str())));
        }
        let (about, condition) = match self.read_version {
            Some(version) => {
                values.push((":read", number(version)));
                (Condition::Reauthorization, "version = :read")
            }
            None => (Condition::Settled(self.id.clone()), "attribute_exists(PK)"),
        };
        let expression = format!("SET {} {add}", set.join(", "));
        transaction.update(about, key::reauthorization(&self.id), &expression, condition, &values)
    }
}

fn attribute(value: &impl serde::Serialize) -> Result<AttributeValue, StoreError> {
    serde_dynamo::to_attribute_value(value).map_err(|error| StoreError::Corrupt(error.to_string()))
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
    /// Writes a new reauthorization.
    pub async fn create_reauthorization(
        &self,
        new: &Reauthorization,
        secrets: NewReauthorizationSecrets<'_>,
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        let ttl = after(new.created_at, KEPT).as_second();
        let key = key::reauthorization(&new.id);
        let pointer = item::write(key::pointer(&new.user_id, &key), &PointerItem { ttl })?;
        let verifier = match secrets.verifier {
            Some(verifier) => {
                let secret = verifier.secret().expose_secret();
                Some(self.keyring().await?.seal(&key.associated(), secret, &self.ambient))
            }
            None => None,
        };
        let exchange = match new.flow {
            Flow::Account { .. } => None,
            Flow::User { exchange, .. } => Some(exchange),
        };
        let item = ReauthorizationItem {
            version: 1,
            id: new.id.clone(),
            user_id: new.user_id.clone(),
            account_id: new.account_id().cloned(),
            contract_id: new.contract_id.clone(),
            kind: new.kind(),
            exchange,
            exchange_id: None,
            verifier,
            progress: new.progress.clone(),
            told: Vec::new(),
            verifications: None,
            secret_hash: sha256(secrets.state.expose_secret()),
            browser_hash: secrets.browser.map(|cookie| sha256(cookie.expose_secret())),
            return_url: new.return_url.clone(),
            locale: new.locale.clone(),
            link: new.link.clone(),
            traceparent: new.traceparent,
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
        let stored = |item: ReauthorizationItem| {
            Ok(StoredReauthorization {
                version: item.version,
                verifications: item.verifications.as_deref().map(RecentUses::from_text).unwrap_or_default(),
                secret_hash: item.secret_hash.clone(),
                browser_hash: item.browser_hash.clone(),
                verifier: item.verifier.clone(),
                reauthorization: item.into_reauthorization()?,
            })
        };
        item.map(stored).transpose()
    }

    /// Records that this callback exchanges the code, and removes the code verifier: the exchange is not repeated. A
    /// reauthorization that had failed before is pending again. Returns the verifier, and the new version of the
    /// reauthorization.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another callback changed the reauthorization first.
    pub async fn begin_exchange(
        &self,
        read: &StoredReauthorization,
        until: Timestamp,
    ) -> Result<(CodeVerifier, u64), StoreError> {
        let key = key::reauthorization(&read.reauthorization.id);
        let sealed = read.verifier.as_ref().ok_or_else(|| StoreError::Corrupt("there is no code verifier".into()))?;
        let verifier = CodeVerifier::stored(self.unseal(&key.associated(), sealed, "a code verifier").await?);
        let exchange_id = format!("{:032x}", u128::from_be_bytes(self.ambient.bytes()));
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key.clone().into_item()))
            .update_expression(
                "SET exchange = :exchange, exchangeId = :id, progress = :pending REMOVE verifier ADD version :one",
            )
            .condition_expression("version = :read")
            .expression_attribute_values(":exchange", attribute(&Exchange::Started { until })?)
            .expression_attribute_values(":id", text(&*exchange_id))
            .expression_attribute_values(":pending", attribute(&Progress::Pending)?)
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":read", number(read.version));
        match self.update(update).await {
            Ok(_) => {}
            Err(error @ StoreError::Conflict(Some(_))) => {
                // The reply to the first attempt may have been lost. The repeated attempt then meets this very exchange.
                let stored = self.get::<ReauthorizationItem>(key).await?.and_then(|stored| stored.exchange_id);
                if stored.as_ref() != Some(&exchange_id) {
                    return Err(error.about(Condition::Reauthorization));
                }
            }
            Err(error) => return Err(error),
        }
        Ok((verifier, read.version + 1))
    }

    /// Records that digi.me is about to be asked for this reauthorization. If it was asked too often recently, nothing is
    /// recorded, and the result is how long to wait, in whole seconds.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another callback of the reauthorization recorded a verification meanwhile.
    pub async fn record_verification(&self, read: &StoredReauthorization) -> Result<Result<(), Duration>, StoreError> {
        let verifications = match read.verifications.record(self.ambient.now()) {
            Ok(verifications) => verifications,
            Err(wait) => return Ok(Err(wait)),
        };
        let key = key::reauthorization(&read.reauthorization.id);
        let written = self.set_recent_uses(key, "verifications", &read.verifications, &verifications).await;
        written.map_err(|error| error.about(Condition::Reauthorization))?;
        Ok(Ok(()))
    }
}
