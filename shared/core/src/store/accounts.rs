//! Accounts and last reads, and the transaction that writes the change of an account together with its events.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::Timestamp;
use reauth_domain::{
    Account, AccountId, Change, ContractId, Event, EventDetail, EventId, LastReads, ReauthorizationId, UserId,
    Watermark,
    account::{NewEvent, Notice, Settlement},
    event::Subject,
    reauthorization::Progress,
    time::{after, rfc3339},
};

use super::{
    Condition, Item, Store, StoreError, Versioned, error,
    grants::Grant,
    item::{self, AccountItem, EventItem},
    key,
    transaction::{Transaction, next_version, number, text},
};

/// How long after a claim the sweep first verifies the account. The sweep sets the later times.
const FIRST_VERIFICATION: Duration = Duration::from_secs(60);
/// An event that the topic has not taken by then is put on the queue again by the sweep.
const UNDELIVERED_AFTER: Duration = Duration::from_secs(5 * 60);
/// DynamoDB takes 100 operations in one transaction. Half of that keeps each transaction far below the time limit of one
/// call.
const MAX_OPERATIONS: usize = 50;

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

/// A change of one account, and the version of the account that it was decided on.
#[derive(Debug, Clone)]
pub struct AccountChange {
    pub change: Change,
    /// The version of the account that was read; 0 when there was none.
    pub read_version: u64,
    /// The read result that caused the change.
    pub read: Option<Watermark>,
}

/// Changes of a user's accounts, and the versions that they were decided on.
#[derive(Debug, Clone)]
pub struct Commit {
    pub user_id: UserId,
    pub changes: Vec<AccountChange>,
    /// The last reads as they were read. Set when the change comes from a read result or from digi.me's list. They are
    /// written with the changes, on the condition that their version is unchanged.
    pub last_reads: Option<Versioned<LastReads>>,
    /// The reauthorization whose callback caused the change, and its version as read.
    pub reauthorization: Option<(ReauthorizationId, u64)>,
    /// When the invocation was triggered. If the user was erased since then, nothing is written.
    pub triggered_at: Timestamp,
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

    /// Writes the last reads when the read result changed no account.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another read result was processed meanwhile. [`StoreError::Forgotten`] when the
    /// user was erased.
    pub async fn put_last_reads(
        &self,
        user: &UserId,
        last_reads: Versioned<LastReads>,
        handed_in_at: Timestamp,
    ) -> Result<(), StoreError> {
        if last_reads.version == 0 {
            let last_reads = self.first_reads(user, last_reads, handed_in_at).await?;
            let mut transaction = self.unless_erased(user, handed_in_at).await?;
            add_last_reads(&mut transaction, user, &last_reads, self.ambient.now())?;
            return transaction.commit().await;
        }
        let item = last_reads_item(user, &last_reads.value, last_reads.version + 1);
        self.put_if_unchanged(Condition::LastReads, item, last_reads.version).await
    }

    /// Writes the changes: the accounts, their events, and the progress of reauthorizations. One transaction if the
    /// operations fit; else several, split between accounts, never within one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an item changed since it was read. [`StoreError::Forgotten`] when the user was
    /// erased.
    pub async fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        if let Some(last_reads) = commit.last_reads.take_if(|last_reads| last_reads.version == 0) {
            commit.last_reads = Some(self.first_reads(&commit.user_id, last_reads, commit.triggered_at).await?);
        }
        let now = self.ambient.now();
        let mut changes = std::mem::take(&mut commit.changes).into_iter().peekable();
        while changes.peek().is_some() {
            let (mut part, mut operations) = (Vec::new(), 0);
            while let Some(change) = changes.next_if(|change| {
                operations += 1 + change.change.events.len() + change.change.settled.len();
                part.is_empty() || operations <= MAX_OPERATIONS
            }) {
                part.push(self.numbered(change, now).await?);
            }
            self.commit_part(&commit, &part, now).await?;
            if let Some(last_reads) = &mut commit.last_reads {
                part.iter().for_each(|part| part.note(&mut last_reads.value));
                last_reads.version = next_version(last_reads.version, now);
            }
        }
        Ok(())
    }

    async fn commit_part(&self, commit: &Commit, part: &[Numbered], now: Timestamp) -> Result<(), StoreError> {
        let mut gone = BTreeSet::new();
        loop {
            match self.try_commit(commit, part, &gone, now).await {
                // The reauthorization was deleted. The account must not wait for it: write the change without it.
                Err(StoreError::Conflict(Some(Condition::Settled(id)))) if gone.insert(id.clone()) => {}
                result => return result,
            }
        }
    }

    async fn try_commit(
        &self,
        commit: &Commit,
        part: &[Numbered],
        gone: &BTreeSet<ReauthorizationId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reads_exist = commit.last_reads.as_ref().is_some_and(|last_reads| last_reads.version > 0);
        let rests = reads_exist || commit.reauthorization.is_some() || part.iter().any(|one| one.read_version > 0);
        let mut transaction =
            if rests { self.transaction() } else { self.unless_erased(&commit.user_id, commit.triggered_at).await? };
        for one in part {
            write_account(&mut transaction, one, now)?;
            for event in &one.events {
                self.put_event(&mut transaction, event).await?;
            }
            for (id, settlement) in &one.change.settled {
                let own = commit.reauthorization.as_ref().filter(|(own, _)| own == id).map(|(_, version)| *version);
                if own.is_some() || !gone.contains(id) {
                    set_progress(&mut transaction, id, own, settlement, now)?;
                }
            }
        }
        if let Some(last_reads) = &commit.last_reads {
            let mut afterwards = last_reads.clone();
            part.iter().for_each(|one| one.note(&mut afterwards.value));
            add_last_reads(&mut transaction, &commit.user_id, &afterwards, now)?;
        }
        transaction.commit().await
    }

    /// The first last reads of a user. If the user was erased before, they hold the time of the erasure.
    async fn first_reads(
        &self,
        user: &UserId,
        mut last_reads: Versioned<LastReads>,
        handed_in_at: Timestamp,
    ) -> Result<Versioned<LastReads>, StoreError> {
        last_reads.value.erased_at = self.erased_at(user).await?;
        if last_reads.value.is_void(handed_in_at) { Err(StoreError::Forgotten) } else { Ok(last_reads) }
    }

    /// The change with its events as they are stored. The episode records the event that announced it.
    async fn numbered(&self, change: AccountChange, now: Timestamp) -> Result<Numbered, StoreError> {
        let AccountChange { mut change, read_version, read } = change;
        let events = self.events_of(&change, now);
        let told = |event: &&Event| matches!(event.detail, EventDetail::ReauthorizationRequired { .. });
        if let Some(event) = events.iter().rfind(told) {
            let link_key_id = self.keyring().await?.link_key_id();
            let event_id = event.subject.event_id.clone();
            change.account.set_notice(Notice { event_id, link_key_id, at: event.timestamp });
        }
        Ok(Numbered { version: next_version(read_version, now), change, events, read_version, read })
    }

    fn events_of(&self, change: &Change, now: Timestamp) -> Vec<Event> {
        let account = &change.account;
        let before = account.sequence - change.events.len() as u64;
        let event = |(sequence, event): (u64, &NewEvent)| Event {
            timestamp: now,
            subject: Subject {
                event_id: EventId::from(self.ambient.bytes()),
                user_id: account.user_id.clone(),
                account_id: account.account_id.clone(),
                sequence,
                contract_id: account.contract_id.clone(),
                service_name: account.service_name.clone(),
                episode_id: event.episode_id.clone(),
            },
            detail: event.detail.clone(),
        };
        (before + 1..).zip(&change.events).map(event).collect()
    }

    async fn put_event(&self, transaction: &mut Transaction<'_>, event: &Event) -> Result<(), StoreError> {
        let Subject { user_id, account_id, sequence, event_id, .. } = &event.subject;
        let payload = event.to_json(None).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let item = EventItem {
            event_id: event_id.clone(),
            payload: payload.to_string(),
            link_key_id: self.keyring().await?.link_key_id(),
            published_at: None,
            requeued: 0,
            due_shard: Some(key::due_events_shard(user_id)),
            due_at: Some(after(event.timestamp, UNDELIVERED_AFTER)),
        };
        let item = item::write(key::event(user_id, account_id, *sequence), &item)?;
        transaction.put(Condition::Event, item, "attribute_not_exists(PK)", &[])
    }
}

fn versioned(item: AccountItem) -> Result<Versioned<Account>, StoreError> {
    Ok(Versioned { version: item.version, value: item.into_account()? })
}

/// A change with its events as they are stored.
struct Numbered {
    change: Change,
    events: Vec<Event>,
    read_version: u64,
    /// The version of the account's item after the write.
    version: u64,
    read: Option<Watermark>,
}

impl Numbered {
    /// Records the read that caused the change, and the version that the account's item has after the write.
    fn note(&self, last_reads: &mut LastReads) {
        let account = &self.change.account.account_id;
        if self.change.removes {
            last_reads.remove(account);
        } else if let Some(read) = self.read {
            last_reads.record(account.clone(), read);
            last_reads.account_versions.insert(account.clone(), self.version);
        }
    }
}

fn write_account(transaction: &mut Transaction<'_>, one: &Numbered, now: Timestamp) -> Result<(), StoreError> {
    let account = &one.change.account;
    let key = key::account(&account.user_id, &account.account_id);
    if one.change.removes {
        return transaction.delete_version(Condition::Account, key, one.read_version);
    }
    let item = item::write(key, &AccountItem::new(account, one.version, after(now, FIRST_VERIFICATION)))?;
    transaction.put_version(Condition::Account, item, one.read_version)
}

/// The name of an account's watermark attribute in the item of last reads.
fn watermark_name(account: &AccountId) -> String {
    format!("a#{account}")
}

/// The text of a watermark attribute: `<time><0 or 1>[#<version of the account's item>]`.
fn watermark_text(read: Watermark, account_version: Option<u64>) -> String {
    let version = account_version.map(|version| format!("#{version}")).unwrap_or_default();
    format!("{}{}{version}", rfc3339::text(read.observed_at), u8::from(read.needs_user))
}

fn watermark(text: &str) -> Option<(Watermark, Option<u64>)> {
    let (read, version) = text.split_once('#').map_or((text, None), |(read, version)| (read, Some(version)));
    let (time, flag) = read.split_at_checked(read.len().checked_sub(1)?)?;
    let read = Watermark { observed_at: time.parse().ok()?, needs_user: flag == "1" };
    Some((read, version.map(str::parse).transpose().ok()?))
}

fn last_reads_item(user: &UserId, last_reads: &LastReads, version: u64) -> Item {
    let mut item = key::last_reads(user).into_item();
    item.insert("version".into(), number(version));
    item.extend(last_reads.floor.map(|floor| ("floor".into(), text(watermark_text(floor, None)))));
    item.extend(last_reads.erased_at.map(|at| ("erasedAt".into(), text(rfc3339::text(at)))));
    item.extend(last_reads.watermarks.iter().map(|(account, read)| {
        let version = last_reads.account_versions.get(account).copied();
        (watermark_name(account), text(watermark_text(*read, version)))
    }));
    item
}

fn add_last_reads(
    transaction: &mut Transaction<'_>,
    user: &UserId,
    last_reads: &Versioned<LastReads>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let item = last_reads_item(user, &last_reads.value, next_version(last_reads.version, now));
    transaction.put_version(Condition::LastReads, item, last_reads.version)
}

fn read_last_reads(item: &Item) -> Result<Versioned<LastReads>, StoreError> {
    let corrupt = || StoreError::Corrupt("the last reads of a user".into());
    let field = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let version = item.get("version").and_then(|value| value.as_n().ok()).and_then(|version| version.parse().ok());
    let mut value = LastReads {
        floor: field("floor").and_then(|text| watermark(text)).map(|(floor, _)| floor),
        erased_at: field("erasedAt").and_then(|at| at.parse().ok()),
        ..LastReads::default()
    };
    for (name, attribute) in item {
        let Some(account) = name.strip_prefix("a#") else { continue };
        let account: AccountId = account.parse().map_err(|_| corrupt())?;
        let (read, version) = attribute.as_s().ok().and_then(|text| watermark(text)).ok_or_else(corrupt)?;
        value.account_versions.extend(version.map(|version| (account.clone(), version)));
        value.watermarks.insert(account, read);
    }
    Ok(Versioned { value, version: version.ok_or_else(corrupt)? })
}

/// Writes the progress of a reauthorization. `own_version` is set for the reauthorization of the current callback: it
/// must still have that version. Any other reauthorization must only exist.
fn set_progress(
    transaction: &mut Transaction<'_>,
    id: &ReauthorizationId,
    own_version: Option<u64>,
    settlement: &Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let progress: AttributeValue = serde_dynamo::to_attribute_value(Progress::settled(settlement.clone(), now))
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let mut values = vec![(":progress", progress), (":one", number(1))];
    let mut expression = "SET progress = :progress ADD version :one".to_owned();
    if let Settlement::Failed(code) = settlement {
        expression.push_str(", told :code");
        values.push((":code", AttributeValue::Ss(vec![code.to_string()])));
    }
    let (about, condition) = match own_version {
        Some(version) => {
            values.push((":read", number(version)));
            (Condition::Reauthorization, "version = :read")
        }
        None => (Condition::Settled(id.clone()), "attribute_exists(PK)"),
    };
    transaction.update(about, key::reauthorization(id), &expression, condition, &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u8) -> AccountId {
        format!("{number}_a").parse().unwrap()
    }

    #[test]
    fn last_reads_read_back_as_they_were_written() {
        let read = |text: &str, needs_user| Watermark { observed_at: text.parse().unwrap(), needs_user };
        let last_reads = LastReads {
            watermarks: BTreeMap::from([
                (account(1), read("2026-11-23T09:00:00Z", false)),
                (account(2), read("2026-11-23T09:00:00.001Z", true)),
            ]),
            floor: Some(read("2026-11-22T09:00:00Z", true)),
            account_versions: BTreeMap::from([(account(2), 1_795_424_400_000)]),
            erased_at: Some("2026-11-21T09:00:00Z".parse().unwrap()),
        };
        let item = last_reads_item(&"u".parse().unwrap(), &last_reads, 7);
        let read = read_last_reads(&item).unwrap();
        assert_eq!((read.value, read.version), (last_reads, 7));
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
