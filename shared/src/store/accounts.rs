//! Accounts, what was read of them, and the one write that changes a state and tells of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use jiff::Timestamp;

use super::{
    Item, Part, Store, StoreError, Versioned, error,
    grants::Grant,
    item::{self, AccountItem, EventItem},
    key,
    transaction::{Transaction, number, text},
};
use crate::{
    ambient::{after, rfc3339},
    domain::{
        Account, AccountId, Change, ContractId, Event, EventId, ReauthorizationId, UserId, event::Subject,
        reauthorization::Progress,
    },
};

/// An account that is being verified is looked at after this; then less and less often.
const FIRST_VERIFICATION: Duration = Duration::from_secs(60);
/// An event that no channel took by then is put on the queue again.
const UNDELIVERED_AFTER: Duration = Duration::from_secs(5 * 60);
/// DynamoDB takes 100 operations in one transaction; some are for the checks.
const MAX_OPERATIONS: usize = 90;

/// What stands of a user's accounts before read results are taken in.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The accounts that the table knows.
    pub accounts: BTreeMap<AccountId, Versioned<Account>>,
    /// When each was last read, by contract; none for results that named no contract.
    pub reads: BTreeMap<Option<ContractId>, Versioned<Reads>>,
}

/// When each account was last read, as far as the read decided anything.
pub type Reads = BTreeMap<AccountId, ReadMark>;

/// A read that was taken in. At equal times an error comes after a healthy read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadMark {
    /// When the read session was started.
    pub observed_at: Timestamp,
    /// Whether the account needed its user.
    pub needs_user: bool,
}

impl ReadMark {
    /// Sorts as text as marks do.
    fn to_text(self) -> String {
        format!("{}{}", rfc3339::text(self.observed_at), u8::from(self.needs_user))
    }

    fn from_text(text: &str) -> Option<Self> {
        let (time, flag) = text.split_at_checked(text.len().checked_sub(1)?)?;
        Some(Self { observed_at: time.parse().ok()?, needs_user: flag == "1" })
    }
}

impl Scene {
    /// The last read of an account that was taken in, under any contract.
    #[must_use]
    pub fn last_read(&self, account: &AccountId) -> Option<ReadMark> {
        self.reads.values().filter_map(|reads| reads.value.get(account).copied()).max()
    }

    /// Every account that is known, also those of which only healthy reads are.
    #[must_use]
    pub fn all_accounts(&self, user: &UserId) -> Vec<Account> {
        let mut accounts: BTreeMap<&AccountId, Account> =
            self.accounts.iter().map(|(id, account)| (id, account.value.clone())).collect();
        for (contract, reads) in &self.reads {
            for id in reads.value.keys() {
                let account = accounts.entry(id).or_insert_with(|| Account::new(user.clone(), id.clone()));
                account.contract_id = account.contract_id.take().or_else(|| contract.clone());
            }
        }
        accounts.into_values().collect()
    }
}

/// A change of an account, and on which reading of the table it rests.
#[derive(Debug)]
pub struct Commit {
    /// The account afterwards, the events, the settled reauthorizations.
    pub change: Change,
    /// The version of the account that was read; 0 when there was none.
    pub read_version: u64,
    /// The read that brought the change, under which contract.
    pub read: Option<(Option<ContractId>, ReadMark)>,
    /// The reauthorization whose callback brought the change, where it stands afterwards, and its version as read.
    pub callback: Option<(ReauthorizationId, Progress, u64)>,
    /// When the invocation was triggered: if the user was forgotten since, nothing is written.
    pub triggered_at: Timestamp,
}

impl Store {
    /// One account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn account(&self, user: &UserId, account: &AccountId) -> Result<Option<Versioned<Account>>, StoreError> {
        self.get::<AccountItem>(key::account(user, account)).await?.map(versioned).transpose()
    }

    /// The user's grants and one account, in one round trip.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn grants_and_account(
        &self,
        user: &UserId,
        account: &AccountId,
    ) -> Result<(Vec<Versioned<Grant>>, Option<Versioned<Account>>), StoreError> {
        tokio::try_join!(self.grants(user), self.account(user, account))
    }

    /// One account and the user's grants under some contracts, in one call. None if DynamoDB gives only a part of it, as
    /// it may.
    ///
    /// # Errors
    /// [`StoreError`].
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

    /// The user's accounts and reads, in one round trip.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn scene(&self, user: &UserId) -> Result<Scene, StoreError> {
        let (accounts, reads) =
            tokio::try_join!(self.query(key::user(user), key::ACCOUNT), self.query(key::user(user), key::READS))?;
        let account = |item| {
            let account = versioned(item::read(item)?)?;
            Ok((account.value.account_id.clone(), account))
        };
        Ok(Scene {
            accounts: accounts.into_iter().map(account).collect::<Result<_, StoreError>>()?,
            reads: reads.into_iter().map(read_marks).collect::<Result<_, StoreError>>()?,
        })
    }

    /// Writes a change: the account, its events, what is settled, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when something changed since it was read; [`StoreError::Forgotten`].
    pub async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let now = self.ambient.now();
        let events = self.events_of(&commit.change, now);
        let mut gone = BTreeSet::new();
        loop {
            match self.try_commit(&commit, &events, &gone, now).await {
                // A waiting reauthorization that is not there any more must not keep its account waiting.
                Err(StoreError::Conflict(Some(Part::Settled(index)))) if gone.insert(index) => {}
                result => return result,
            }
        }
    }

    async fn try_commit(
        &self,
        commit: &Commit,
        events: &[Event],
        gone: &BTreeSet<usize>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let account = &commit.change.account;
        let mut transaction = self.unless_erased(&account.user_id, commit.triggered_at).await?;
        put_account(&mut transaction, account, commit.read_version, now)?;
        for event in events {
            self.put_event(&mut transaction, event).await?;
        }
        if let Some((contract, mark)) = &commit.read {
            mark_read(&mut transaction, account, contract.as_ref(), *mark)?;
        }
        if let Some((id, progress, version)) = &commit.callback {
            let read = [(":read", number(version))];
            set_progress(&mut transaction, Part::Reauthorization, id, progress, "version = :read", &read)?;
        }
        let own = commit.callback.as_ref().map(|(id, ..)| id);
        for (index, (id, settlement)) in commit.change.settled.iter().enumerate() {
            if own != Some(id) && !gone.contains(&index) {
                let progress = Progress::settled(settlement.clone(), now);
                set_progress(&mut transaction, Part::Settled(index), id, &progress, "attribute_exists(PK)", &[])?;
            }
        }
        transaction.commit().await
    }

    /// Writes where a reauthorization stands, when nothing else changes with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_progress(
        &self,
        user: &UserId,
        id: &ReauthorizationId,
        progress: &Progress,
        read_version: u64,
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.unless_erased(user, triggered_at).await?;
        let read = [(":read", number(read_version))];
        set_progress(&mut transaction, Part::Reauthorization, id, progress, "version = :read", &read)?;
        transaction.commit().await
    }

    /// Writes which accounts a healthy read was taken in for: the whole item, if it is as it was read.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another read was faster; [`StoreError::Forgotten`].
    pub async fn put_reads(
        &self,
        user: &UserId,
        contract: Option<&ContractId>,
        reads: &Versioned<Reads>,
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut item = key::reads(user, contract).into_item();
        item.insert("version".into(), number(reads.version + 1));
        item.extend(reads.value.iter().map(|(account, mark)| (mark_name(account), text(mark.to_text()))));
        let mut transaction = self.unless_erased(user, triggered_at).await?;
        transaction.put_version(Part::Reads, item, reads.version)?;
        transaction.commit().await
    }

    /// Writes what digi.me's list says of accounts; no status changes with it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_accounts(
        &self,
        user: &UserId,
        accounts: &[Versioned<Account>],
        triggered_at: Timestamp,
    ) -> Result<(), StoreError> {
        for some in accounts.chunks(MAX_OPERATIONS) {
            let mut transaction = self.unless_erased(user, triggered_at).await?;
            for account in some {
                put_account(&mut transaction, &account.value, account.version, self.ambient.now())?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    fn events_of(&self, change: &Change, now: Timestamp) -> Vec<Event> {
        let account = &change.account;
        let before = account.sequence - change.events.len() as u64;
        let event = |(sequence, (detail, episode)): (u64, &(_, Option<_>))| Event {
            timestamp: now,
            subject: Subject {
                event_id: EventId::from(self.ambient.bytes()),
                user_id: account.user_id.clone(),
                account_id: account.account_id.clone(),
                sequence,
                contract_id: account.contract_id.clone(),
                service_name: account.service_name.clone(),
                episode_id: episode.clone(),
            },
            detail: Clone::clone(detail),
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
            delivered: BTreeMap::new(),
            requeued: 0,
            due_shard: Some(key::due_shard(user_id)),
            due_at: Some(after(event.timestamp, UNDELIVERED_AFTER)),
        };
        let item = item::write(key::event(user_id, account_id, *sequence), &item)?;
        transaction.put(Part::Event, item, "attribute_not_exists(PK)", &[])
    }
}

fn versioned(item: AccountItem) -> Result<Versioned<Account>, StoreError> {
    Ok(Versioned { version: item.version, value: item.into_account()? })
}

fn put_account(
    transaction: &mut Transaction<'_>,
    account: &Account,
    read_version: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let item = AccountItem::new(account, read_version + 1, after(now, FIRST_VERIFICATION));
    let item = item::write(key::account(&account.user_id, &account.account_id), &item)?;
    transaction.put_version(Part::Account, item, read_version)
}

fn mark_name(account: &AccountId) -> String {
    format!("a#{account}")
}

fn read_marks(item: Item) -> Result<(Option<ContractId>, Versioned<Reads>), StoreError> {
    let corrupt = || StoreError::Corrupt("when accounts were read".into());
    let field = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let contract = field("SK").and_then(|sk| sk.strip_prefix(key::READS)).ok_or_else(corrupt)?;
    let contract = if contract.is_empty() { None } else { Some(contract.parse().map_err(|_| corrupt())?) };
    let version = item.get("version").and_then(|value| value.as_n().ok()).and_then(|version| version.parse().ok());
    let mark = |(name, value): (&String, &AttributeValue)| {
        Some((name.strip_prefix("a#")?.parse().ok()?, ReadMark::from_text(value.as_s().ok()?)?))
    };
    let value = item.iter().filter_map(mark).collect();
    Ok((contract, Versioned { value, version: version.ok_or_else(corrupt)? }))
}

/// Marks the read that a change comes from, unless a newer one was taken in meanwhile.
fn mark_read(
    transaction: &mut Transaction<'_>,
    account: &Account,
    contract: Option<&ContractId>,
    mark: ReadMark,
) -> Result<(), StoreError> {
    transaction.update(
        Part::Reads,
        key::reads(&account.user_id, contract),
        "SET #account = :mark ADD version :one",
        "attribute_not_exists(#account) OR #account < :mark",
        &[("#account", &mark_name(&account.account_id))],
        &[(":mark", text(mark.to_text())), (":one", number(1))],
    )
}

fn set_progress(
    transaction: &mut Transaction<'_>,
    part: Part,
    id: &ReauthorizationId,
    progress: &Progress,
    condition: &str,
    values: &[(&str, AttributeValue)],
) -> Result<(), StoreError> {
    let progress: AttributeValue =
        serde_dynamo::to_attribute_value(progress).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let values = [&[(":progress", progress), (":one", number(1))], values].concat();
    let expression = "SET progress = :progress ADD version :one";
    transaction.update(part, key::reauthorization(id), expression, condition, &[], &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_sort_as_text_as_they_sort_as_marks() {
        let mark = |text: &str, needs_user| ReadMark { observed_at: text.parse().unwrap(), needs_user };
        let marks = [
            mark("2026-11-23T09:00:00Z", false),
            mark("2026-11-23T09:00:00Z", true),
            mark("2026-11-23T09:00:00.001Z", false),
            mark("2026-11-23T10:00:00Z", false),
        ];
        assert!(marks.is_sorted());
        assert!(marks.map(ReadMark::to_text).is_sorted());
        for mark in marks {
            assert_eq!(ReadMark::from_text(&mark.to_text()), Some(mark));
        }
    }
}
