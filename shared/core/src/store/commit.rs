//! The transaction that writes the changes of accounts: the accounts, their events, the progress of reauthorizations, and
//! the last reads.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use reauth_domain::{
    About, Change, Event, LastReads, ReauthorizationId, UserId, Watermark,
    account::Notice,
    event::{AboutAccount, sequence_when_written},
    time::after,
};

use super::{
    Condition, Store, StoreError, Versioned,
    events::log_recorded,
    item::{self, AccountItem},
    key,
    last_reads::add_last_reads,
    reauthorizations::ReauthorizationChange,
    transaction::{Transaction, next_version},
};
use crate::{lambda::RequestContext, metrics};

/// How long after a claim the sweep first verifies the account. The sweep sets the later times.
const FIRST_VERIFICATION: Duration = Duration::from_secs(60);
/// DynamoDB takes 100 operations in one transaction. Half of that keeps each transaction far below the time limit of one
/// call.
const MAX_OPERATIONS: usize = 50;

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
    /// If the user was erased since the operation was triggered, nothing is written. The events belong to its trace.
    pub context: RequestContext,
}

impl Store {
    /// Writes the changes: the accounts, their events, and the progress of reauthorizations. One transaction if the
    /// operations fit; else several, split between accounts, never within one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when an item changed since it was read. [`StoreError::Erased`] when the user was
    /// erased.
    pub async fn commit(&self, mut commit: Commit) -> Result<(), StoreError> {
        if let Some(last_reads) = commit.last_reads.take_if(|last_reads| last_reads.version == 0) {
            commit.last_reads = Some(self.first_reads(&commit.user_id, last_reads, commit.context.triggered_at).await?);
        }
        let mut changes = std::mem::take(&mut commit.changes).into_iter().peekable();
        while changes.peek().is_some() {
            let (mut part, mut operations) = (Vec::new(), 0);
            while let Some(change) = changes.next_if(|change| {
                operations += 1 + change.change.events.len() + change.change.settled.len();
                part.is_empty() || operations <= MAX_OPERATIONS
            }) {
                part.push(change);
            }
            let Written { part, now } = self.commit_part(&commit, &part).await?;
            if let Some(last_reads) = &mut commit.last_reads {
                part.iter().for_each(|part| part.record_in(&mut last_reads.value));
                last_reads.version = next_version(last_reads.version, now);
            }
        }
        Ok(())
    }

    async fn commit_part(&self, commit: &Commit, part: &[AccountChange]) -> Result<Written, StoreError> {
        let mut gone = BTreeSet::new();
        let written = loop {
            match self.try_commit(commit, part, &gone).await {
                // The reauthorization was deleted. The account must not wait for it: write the change without it.
                Err(StoreError::Conflict(Some(Condition::Settled(id)))) if gone.insert(id.clone()) => {}
                Err(error) => return Err(error),
                Ok(written) => break written,
            }
        };
        for one in &written.part {
            one.events.iter().for_each(log_recorded);
            let settled = one.change.settled.iter().filter(|(id, _)| !gone.contains(id));
            metrics::account_change(&one.events, one.change.ended_episode_since, settled.map(|(_, settled)| settled));
        }
        Ok(written)
    }

    async fn try_commit(
        &self,
        commit: &Commit,
        part: &[AccountChange],
        gone: &BTreeSet<ReauthorizationId>,
    ) -> Result<Written, StoreError> {
        let reads_exist = commit.last_reads.as_ref().is_some_and(|last_reads| last_reads.version > 0);
        let depends_on_existing_item =
            reads_exist || commit.reauthorization.is_some() || part.iter().any(|one| one.read_version > 0);
        let mut transaction = if depends_on_existing_item {
            self.transaction()
        } else {
            self.unless_erased(&commit.user_id, commit.context.triggered_at).await?
        };
        let link_key_id = self.keyring().await?.link_key_id();
        // Nothing but the write comes between this time, which the ids of the events begin with, and their appearance: the
        // log relies on it (`SETTLED_AFTER`).
        let now = self.ambient.now();
        let part: Vec<_> = part.iter().map(|change| self.with_events(change.clone(), now, &link_key_id)).collect();
        for one in &part {
            write_account(&mut transaction, one, now)?;
            for event in &one.events {
                let logo = one.change.account.service_logo.as_deref();
                transaction.put_event(event, &link_key_id, commit.context.traceparent, logo)?;
            }
            for (id, settlement) in &one.change.settled {
                let own = commit.reauthorization.as_ref().filter(|(own, _)| own == id).map(|(_, version)| *version);
                if own.is_some() || !gone.contains(id) {
                    ReauthorizationChange::settled(id, own, settlement).add_to(&mut transaction, now)?;
                }
            }
        }
        if let Some(last_reads) = &commit.last_reads {
            let mut afterwards = last_reads.clone();
            part.iter().for_each(|one| one.record_in(&mut afterwards.value));
            add_last_reads(&mut transaction, &commit.user_id, &afterwards, now)?;
        }
        transaction.commit().await?;
        Ok(Written { part, now })
    }

    /// The change with its events as they are stored. The episode records the event that announced it or reminded of it.
    fn with_events(&self, change: AccountChange, now: Timestamp, link_key_id: &str) -> ChangeWithEvents {
        let AccountChange { mut change, read_version, read } = change;
        let account = &mut change.account;
        account.sequence = sequence_when_written(account.sequence, change.events.len(), now);
        let about = About::Account(AboutAccount {
            account_id: account.account_id.clone(),
            contract_id: account.contract_id.clone(),
            service_name: account.service_name.clone(),
        });
        let events = self.numbered(&account.user_id, &about, account.sequence, &change.events, now);
        let is_notice = |event: &&Event| event.detail.carries_link();
        if let Some(event) = events.iter().rfind(is_notice) {
            let event_id = event.subject.event_id.clone();
            change.account.set_notice(Notice { event_id, link_key_id: link_key_id.to_owned() });
        }
        ChangeWithEvents { version: next_version(read_version, now), change, events, read_version, read }
    }
}

/// Changes that were written.
struct Written {
    part: Vec<ChangeWithEvents>,
    /// The time of the write.
    now: Timestamp,
}

/// A change with its events as they are stored.
struct ChangeWithEvents {
    change: Change,
    events: Vec<Event>,
    read_version: u64,
    /// The version of the account's item after the write.
    version: u64,
    read: Option<Watermark>,
}

impl ChangeWithEvents {
    /// Records the read that caused the change, and the version that the account's item has after the write.
    fn record_in(&self, last_reads: &mut LastReads) {
        let account = &self.change.account.account_id;
        if self.change.removes {
            last_reads.remove(account);
        } else if let Some(read) = self.read {
            last_reads.record(account.clone(), read);
            last_reads.account_versions.insert(account.clone(), self.version);
        }
    }
}

fn write_account(transaction: &mut Transaction<'_>, one: &ChangeWithEvents, now: Timestamp) -> Result<(), StoreError> {
    let account = &one.change.account;
    let key = key::account(&account.user_id, &account.account_id);
    if one.change.removes {
        return transaction.delete_version(Condition::Account, key, one.read_version);
    }
    let item = AccountItem::new(account, one.version, now, after(now, FIRST_VERIFICATION));
    let item = item::write(key, &item)?;
    transaction.put_version(Condition::Account, item, one.read_version)
}
