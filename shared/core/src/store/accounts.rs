//! Reading accounts, grants and last reads.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use reauth_domain::{Account, AccountId, ContractId, Grant, LastReads, UserId};

use super::{
    Condition, Store, StoreError, Versioned, error,
    item::{self, AccountItem},
    key,
    last_reads::read_last_reads,
};

/// A user's accounts and their last reads, as they were read before a decision.
#[derive(Debug, Clone)]
pub struct UserAccounts {
    pub accounts: BTreeMap<AccountId, Versioned<Account>>,
    /// The last reads of all accounts. Every decision about a read result depends on their version.
    pub last_reads: Versioned<LastReads>,
}

impl UserAccounts {
    /// One account. If the table does not have it: a new one with version 0.
    #[must_use]
    pub fn account(&self, user: &UserId, account: &AccountId) -> Versioned<Account> {
        let unknown = || Versioned { value: Account::new(user.clone(), account.clone()), version: 0 };
        self.accounts.get(account).cloned().unwrap_or_else(unknown)
    }

    /// Every account that the table has, and every account of which it has only a watermark.
    #[must_use]
    pub fn all(&self, user: &UserId) -> Vec<Account> {
        let ids: BTreeSet<_> = self.accounts.keys().chain(self.last_reads.value.watermarks.keys()).collect();
        ids.into_iter().map(|id| self.account(user, id).value).collect()
    }

    /// Whether an account's item is older than the version in the last reads: the query saw only a part of a
    /// transaction.
    fn is_torn(&self) -> bool {
        let version = |account| self.accounts.get(account).map_or(0, |account| account.version);
        self.last_reads.value.account_versions.iter().any(|(account, written)| version(account) < *written)
    }
}

impl Store {
    pub async fn account(&self, user: &UserId, account: &AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        self.get::<AccountItem>(key::account(user, account)).await?.map(versioned).transpose()
    }

    /// The user's grants and one account, read in parallel.
    pub async fn grants_and_account(
        &self,
        user: &UserId,
        account: &AccountId,
    ) -> Result<(Vec<Versioned<Grant>>, Option<Versioned<Account>>), StoreError> {
        tokio::try_join!(self.grants(user), self.account(user, account))
    }

    /// One account and the user's grants under the given contracts, in one call. `None` if DynamoDB returned only a
    /// part of the items, which `BatchGetItem` may do.
    pub async fn grants_under_and_account(
        &self,
        user: &UserId,
        contracts: &[ContractId],
        account: &AccountId,
    ) -> Result<Option<(Vec<Versioned<Grant>>, Option<Versioned<Account>>)>, StoreError> {
        let grants = contracts.iter().map(|contract| key::grant(user, contract));
        let keys = grants.chain([key::account(user, account)]).map(key::Key::into_item).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let wanted = wanted.map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let answer = self.client.batch_get_item().request_items(&*self.table, wanted).send().await;
        let answer = answer.map_err(|error| error::unavailable(&error))?;
        if answer.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            return Ok(None);
        }
        let (mut grants, mut account) = (Vec::new(), None);
        for item in answer.responses.unwrap_or_default().into_values().flatten() {
            let sort_key = item.get("SK").and_then(|key| key.as_s().ok());
            if sort_key.is_some_and(|key| key.starts_with(key::GRANT)) {
                grants.push(self.open(item::read(item)?).await?);
            } else {
                account = Some(versioned(item::read(item)?)?);
            }
        }
        Ok(Some((grants, account)))
    }

    /// The user's accounts and their last reads, with one query.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the query saw only a part of a transaction. Read again.
    pub async fn user_accounts(&self, user: &UserId) -> Result<UserAccounts, StoreError> {
        let mut read = UserAccounts { accounts: BTreeMap::new(), last_reads: Versioned::default() };
        for item in self.query(key::user(user), key::ACCOUNTS_AND_LAST_READS).await? {
            if item.get("SK").and_then(|key| key.as_s().ok()).is_some_and(|key| key == key::LAST_READS) {
                read.last_reads = read_last_reads(&item)?;
            } else {
                let account = versioned(item::read(item)?)?;
                read.accounts.insert(account.value.account_id.clone(), account);
            }
        }
        if read.is_torn() { Err(StoreError::Conflict(Some(Condition::LastReads))) } else { Ok(read) }
    }
}

pub(super) fn versioned(item: AccountItem) -> Result<Versioned<Account>, StoreError> {
    Ok(Versioned { version: item.version, value: item.into_account()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountId {
        format!("{number}_a").parse().unwrap()
    }

    #[test]
    fn a_query_that_saw_a_part_of_a_transaction_is_noticed() {
        let user: UserId = "u".parse().unwrap();
        let seen = |account_version| UserAccounts {
            accounts: BTreeMap::from([(
                account(1),
                Versioned { value: Account::new(user.clone(), account(1)), version: account_version },
            )]),
            last_reads: Versioned {
                value: LastReads { account_versions: BTreeMap::from([(account(1), 5)]), ..LastReads::default() },
                version: 1,
            },
        };
        assert!(seen(4).is_torn());
        assert!(!seen(5).is_torn() && !seen(6).is_torn());
    }
}
