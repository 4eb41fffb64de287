//! Reauthorizations, stored under their own key, with a pointer from their user.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use digime::CodeVerifier;
use jiff::Timestamp;
use reauth_domain::{
    AccountId, ReauthorizationId, RecentUses, UserId,
    account::Settlement,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
    time::{after, rfc3339},
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Condition, Item, Store, StoreError, all_pages,
    item::{self, PointerItem, ReauthorizationItem},
    key,
    transaction::{Transaction, number, text},
};
use crate::{
    error::Chain,
    keyring::{equal_in_constant_time, sha256},
};

/// Long after the last callback, so that the application can still read the outcome.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A history reads at most this many of the user's reauthorizations whose pointer names no account, to find out which account
/// they are of. All pointers that an earlier version wrote name none.
const MAX_UNKNOWN: usize = 50;
/// A part of an update expression. It sets the time of the first return, and does not change it later.
const FIRST_RETURN: &str = "returnedAt = if_not_exists(returnedAt, :now)";

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
    /// Whether the user came back through the callback. The time of the first return is kept.
    pub returned: bool,
}

impl ReauthorizationChange {
    /// A change of the progress. A callback knows the version of its own reauthorization. Without a version, another source
    /// settles the reauthorization: a read result, or the sweep.
    #[must_use]
    pub fn settled(id: &ReauthorizationId, read_version: Option<u64>, settlement: &Settlement) -> Self {
        let (id, settlement, returned) = (id.clone(), Some(settlement.clone()), read_version.is_some());
        Self { id, read_version, settlement, exchange: None, account_id: None, returned }
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
        if self.returned {
            set.push(FIRST_RETURN);
            values.push((":now", text(rfc3339::text(now))));
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
        let pointer =
            item::write(key::pointer(&new.user_id, &key), &PointerItem { account_id: new.account_id().cloned(), ttl })?;
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
            clicked_at: new.clicked_at,
            returned_at: new.returned_at,
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

    /// The latest reauthorizations of an account, up to `limit`, oldest first. They are kept for 30 days. One that cannot be
    /// read is left out.
    pub async fn reauthorizations_of_account(
        &self,
        user: &UserId,
        account: &AccountId,
        limit: usize,
    ) -> Result<Vec<Reauthorization>, StoreError> {
        let keys = self.reauthorization_keys(user, account, limit).await?;
        let wanted = KeysAndAttributes::builder().consistent_read(true);
        let mut found = Vec::new();
        for item in self.batch(keys, &wanted).await? {
            let key = item.get("PK").and_then(|key| key.as_s().ok()).cloned();
            match item::read::<ReauthorizationItem>(item).and_then(ReauthorizationItem::into_reauthorization) {
                Ok(reauthorization) if reauthorization.account_id() == Some(account) => found.push(reauthorization),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(key, user_id = %user, account_id = %account, error = %Chain(&error), "store: could not read a reauthorization for a history");
                }
            }
        }
        found.sort_by(|a, b| (a.created_at, a.id.as_str()).cmp(&(b.created_at, b.id.as_str())));
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    /// The keys of the newest `limit` reauthorizations that were created for the account, and of the newest of which that is
    /// not known: a user reauthorization may get its account after its pointer was written.
    async fn reauthorization_keys(
        &self,
        user: &UserId,
        account: &AccountId,
        limit: usize,
    ) -> Result<Vec<key::Key>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND begins_with(SK, :prefix)")
            .filter_expression("accountId = :account OR attribute_not_exists(accountId)")
            .projection_expression("SK, #ttl, accountId")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":pk", text(key::user(user)))
            .expression_attribute_values(":prefix", text(key::REAUTHORIZATIONS))
            .expression_attribute_values(":account", text(account.as_str()));
        let pointer = |item: Item| {
            // A reauthorization expires from the table a fixed time after its creation, so `ttl` sorts them by age.
            let ttl: i64 = item.get("ttl")?.as_n().ok()?.parse().ok()?;
            let is_own = item.contains_key("accountId");
            Some((is_own, ttl, key::pointed_to(item.get("SK")?.as_s().ok()?)?))
        };
        let mut pointers: Vec<_> = all_pages(&query).await?.into_iter().filter_map(pointer).collect();
        pointers.sort_by_key(|(_, ttl, _)| std::cmp::Reverse(*ttl));
        let (own, unknown): (Vec<_>, Vec<_>) = pointers.into_iter().partition(|(is_own, ..)| *is_own);
        let own = own.into_iter().take(limit);
        let unknown = unknown.into_iter().take(MAX_UNKNOWN);
        Ok(own.chain(unknown).map(|(_, _, key)| key).collect())
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
            .update_expression(format!(
                "SET exchange = :exchange, exchangeId = :id, progress = :pending, {FIRST_RETURN} \
                     REMOVE verifier ADD version :one"
            ))
            .expression_attribute_values(":now", text(rfc3339::text(self.ambient.now())))
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

    /// Records that the user came back, and that digi.me is about to be asked about this reauthorization. If digi.me was asked
    /// too often recently, nothing is recorded, and the result is how long to wait, in whole seconds. The return is then
    /// recorded already.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another callback of the reauthorization recorded a verification meanwhile.
    pub async fn record_verification(&self, read: &StoredReauthorization) -> Result<Result<(), Duration>, StoreError> {
        let verifications = match read.verifications.record(self.ambient.now()) {
            Ok(verifications) => verifications,
            Err(wait) => return Ok(Err(wait)),
        };
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::reauthorization(&read.reauthorization.id).into_item()))
            .update_expression(format!("SET verifications = :verifications, {FIRST_RETURN}"))
            .expression_attribute_values(":verifications", text(verifications.to_text()))
            .expression_attribute_values(":now", text(rfc3339::text(self.ambient.now())));
        let before = read.verifications.to_text();
        let update = if before.is_empty() {
            update
                .condition_expression(
                    "attribute_exists(PK) AND (attribute_not_exists(verifications) OR verifications = :none)",
                )
                .expression_attribute_values(":none", text(""))
        } else {
            update.condition_expression("verifications = :read").expression_attribute_values(":read", text(before))
        };
        self.update(update).await.map_err(|error| error.about(Condition::Reauthorization))?;
        Ok(Ok(()))
    }
}
