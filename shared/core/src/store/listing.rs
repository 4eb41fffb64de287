//! The two indexes: the accounts and grants that need their user (`byStatus`), and the due items (`byDue`).

use std::{collections::BTreeSet, time::Duration};

use aws_sdk_dynamodb::{
    operation::query::QueryOutput,
    types::{AttributeValue, KeysAndAttributes, builders::KeysAndAttributesBuilder},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use reauth_domain::{Account, ContractId, InvalidValue, Target, UserId, time::rfc3339};

use super::{
    Item, Store, StoreError, error,
    grants::GrantState,
    item::{self, AccountItem},
    key::{self, SHARDS},
    transaction::text,
};

/// In bytes: a time, a user and an account or a grant, with two separators. DynamoDB refuses a longer key than 1,024
/// bytes.
const MAX_POSITION: usize = 24 + 1 + 128 + 1 + 6 + 128;

/// DynamoDB returns up to 100 items of one `BatchGetItem` call.
const MAX_BATCH: usize = 100;
/// The longest pause before the keys are requested that DynamoDB left out.
const UNPROCESSED_PAUSE: Duration = Duration::from_millis(100);

/// Where a page of accounts ends. The next page begins after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    #[must_use]
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("reauth_required\n{}", self.0))
    }

    pub fn decode(text: &str) -> Result<Self, InvalidValue> {
        let wrong = InvalidValue("must be a cursor that this list gave");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong)?;
        let position = text.strip_prefix("reauth_required\n").filter(|position| position.len() <= MAX_POSITION);
        position.map(|position| Self(position.to_owned())).ok_or(wrong)
    }
}

/// One page of the accounts and grants that need their user, oldest first.
#[derive(Debug, Clone)]
pub struct StatusPage {
    pub entries: Vec<InNeed>,
    /// The cursor of the next page, if there is one.
    pub next: Option<Cursor>,
}

/// An account or a grant that needs its user.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "most entries are accounts")]
pub enum InNeed {
    Account(Account),
    Grant(GrantState),
}

/// The kinds of due items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueKind {
    /// An event that the topic has not taken.
    Event,
    /// An account that is `verifying`.
    Verification,
    /// An account with a reminder or a warning to come, or with none planned yet.
    Notice,
    /// A grant whose refresh token has expired, or of whose expiry the user is to be warned.
    Grant,
    /// A contact to whom a mail is due.
    Mail,
}

impl DueKind {
    pub const ALL: [Self; 5] = [Self::Event, Self::Grant, Self::Notice, Self::Mail, Self::Verification];

    /// For log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Verification => "verification",
            Self::Notice => "notice",
            Self::Grant => "grant",
            Self::Mail => "mail",
        }
    }
}

/// Due items of one shard.
#[derive(Debug, Clone)]
pub struct DueShard {
    pub number: u8,
    pub items: Vec<DueItem>,
    /// Where the next items begin. `None` if there are no more.
    pub next: Option<DuePosition>,
}

/// Where the next due items of a shard begin: behind one that was read.
#[derive(Debug, Clone)]
pub struct DuePosition(Item);

/// An item of a user with a `dueAt` in the past: an account, a grant, an event of either, or the contact.
#[derive(Debug, Clone)]
pub struct DueItem {
    pub(super) key: key::Key,
    pub(super) due_at: String,
    pub user_id: UserId,
    /// `None` of the contact.
    pub target: Option<Target>,
}

impl DueItem {
    /// For log lines.
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        self.target.as_ref().and_then(Target::account_id)
    }

    /// For log lines.
    #[must_use]
    pub fn contract_id(&self) -> Option<&str> {
        self.target.as_ref().and_then(Target::contract_id)
    }
}

impl Store {
    /// The accounts and grants that need their user, oldest first, after `cursor`. The index is eventually consistent.
    pub async fn in_need(&self, limit: usize, cursor: Option<&Cursor>) -> Result<StatusPage, StoreError> {
        let behind = cursor.map_or("", |cursor| cursor.0.as_str());
        let shards = (0..SHARDS).map(|shard| self.status_shard(key::status_partition(shard), behind, limit));
        let mut found: Vec<(String, Item)> = try_join_all(shards).await?.into_iter().flatten().collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(position, _)| Cursor(position.clone()));
        let entries = found.into_iter().map(|(_, item)| in_need(item)).collect::<Result<_, _>>()?;
        Ok(StatusPage { entries, next })
    }

    /// The grants, of the given ones, whose refresh token is known to be dead. Eventually consistent, as the list.
    pub async fn dead_grants(
        &self,
        grants: &BTreeSet<(UserId, ContractId)>,
    ) -> Result<BTreeSet<(UserId, ContractId)>, StoreError> {
        let keys = grants.iter().map(|(user, contract)| key::grant(user, contract)).collect();
        let wanted = KeysAndAttributes::builder().projection_expression("userId, contractId, episode");
        let dead = self.batch(keys, &wanted).await?.into_iter().filter(|item| item.contains_key("episode"));
        let grant = |item: Item| {
            let field = |name: &str| item.get(name)?.as_s().ok();
            Some((field("userId")?.parse().ok()?, field("contractId")?.parse().ok()?))
        };
        Ok(dead.filter_map(grant).collect())
    }

    /// The items with the given keys, in no order. Keys without an item are left out. `wanted` sets the attributes and the
    /// consistency of the read.
    pub(super) async fn batch(
        &self,
        keys: Vec<key::Key>,
        wanted: &KeysAndAttributesBuilder,
    ) -> Result<Vec<Item>, StoreError> {
        let keys: Vec<Item> = keys.into_iter().map(key::Key::into_item).collect();
        let chunks = keys.chunks(MAX_BATCH).map(|keys| async move {
            let (mut keys, mut found) = (keys.to_vec(), Vec::new());
            loop {
                let request = wanted.clone().set_keys(Some(keys)).build();
                let request = request.map_err(|error| StoreError::Corrupt(error.to_string()))?;
                let answer = self.client.batch_get_item().request_items(&*self.table, request).send().await;
                let answer = answer.map_err(|error| error::unavailable(&error))?;
                found.extend(answer.responses.unwrap_or_default().into_values().flatten());
                // DynamoDB returns only a part of the items when they are large, or when it throttles.
                let rest = answer.unprocessed_keys.unwrap_or_default().remove(&*self.table).map(|rest| rest.keys);
                keys = rest.unwrap_or_default();
                if keys.is_empty() {
                    return Ok(found);
                }
                tokio::time::sleep(self.ambient.jitter(UNPROCESSED_PAUSE)).await;
            }
        });
        Ok(try_join_all(chunks).await?.into_iter().flatten().collect())
    }

    /// Whether an account under the contract needs the user. With `or_without`, an account without a contract counts too.
    pub async fn has_account_in_need(
        &self,
        user: &UserId,
        contract: &ContractId,
        or_without: bool,
    ) -> Result<bool, StoreError> {
        let items = self.query(key::user(user), key::ACCOUNT).await?;
        let is_in_need = |item: Item| {
            let field = |name: &str| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok());
            field("status").is_some_and(|status| status == "reauth_required")
                && field("contractId").map_or(or_without, |known| known == contract.as_str())
        };
        Ok(items.into_iter().any(is_in_need))
    }

    /// Up to `limit + 1` accounts of a shard, so that the caller knows whether there are more. DynamoDB returns at most
    /// 1 MB per query, so that a page may hold fewer items than requested.
    async fn status_shard(&self, shard: String, behind: &str, limit: usize) -> Result<Vec<(String, Item)>, StoreError> {
        let (key, value) = match behind {
            "" => ("statusShard = :shard", None),
            position => ("statusShard = :shard AND statusSince > :behind", Some(text(position))),
        };
        let mut query = self
            .client
            .query()
            .table_name(&*self.table)
            .index_name("byStatus")
            .key_condition_expression(key)
            .expression_attribute_values(":shard", text(shard));
        if let Some(value) = value {
            query = query.expression_attribute_values(":behind", value);
        }
        let positioned = |item: Item| Some((item.get("statusSince")?.as_s().ok()?.clone(), item));
        let (mut found, mut start) = (Vec::new(), None);
        loop {
            let missing = i32::try_from(limit + 1 - found.len()).unwrap_or(i32::MAX);
            let page = query.clone().limit(missing).set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| error::unavailable(&error))?;
            found.extend(page.items.unwrap_or_default().into_iter().filter_map(positioned));
            start = page.last_evaluated_key;
            if start.is_none() || found.len() > limit {
                return Ok(found);
            }
        }
    }

    /// The items that are due at `now`, of each of the 16 shards: up to `limit`, longest due first. A shard that cannot be read
    /// does not affect the others.
    pub async fn due(&self, kind: DueKind, now: Timestamp, limit: usize) -> Vec<Result<DueShard, StoreError>> {
        join_all((0..SHARDS).map(|shard| self.due_of_shard(kind, shard, now, limit, None))).await
    }

    /// As [`Store::due`], of one shard, from `next` on.
    pub async fn due_of_shard(
        &self,
        kind: DueKind,
        number: u8,
        now: Timestamp,
        limit: usize,
        next: Option<DuePosition>,
    ) -> Result<DueShard, StoreError> {
        let shard = match kind {
            DueKind::Event => key::due_events_partition(number),
            DueKind::Verification => key::due_accounts_partition(number),
            DueKind::Notice => key::due_notices_partition(number),
            DueKind::Grant => key::due_grants_partition(number),
            DueKind::Mail => key::due_mails_partition(number),
        };
        let page = self.due_page(shard, now, limit, next.map(|DuePosition(key)| key)).await?;
        let items = page.items.unwrap_or_default().into_iter().filter_map(due_item).collect();
        Ok(DueShard { number, items, next: page.last_evaluated_key.map(DuePosition) })
    }

    /// The keys in a partition of the index that are due at `now`, with their `dueAt`: up to `limit`, longest due first. The
    /// index is eventually consistent.
    pub(super) async fn due_in(
        &self,
        partition: impl Into<String>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        Ok(self.due_page(partition, now, limit, None).await?.items.unwrap_or_default())
    }

    async fn due_page(
        &self,
        partition: impl Into<String>,
        now: Timestamp,
        limit: usize,
        behind: Option<Item>,
    ) -> Result<QueryOutput, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .index_name("byDue")
            .key_condition_expression("dueShard = :shard AND dueAt <= :now")
            .expression_attribute_values(":shard", text(partition))
            .expression_attribute_values(":now", text(rfc3339::text(now)))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .set_exclusive_start_key(behind);
        query.send().await.map_err(|error| error::unavailable(&error))
    }

    /// Reschedules an item to `next`. False if another sweep rescheduled it first, or it is no longer due.
    pub async fn reschedule_item(&self, due: &DueItem, next: Timestamp) -> Result<bool, StoreError> {
        Ok(self.reschedule(due, next).await?.is_some())
    }
}

fn due_item(item: Item) -> Option<DueItem> {
    let field = |name: &str| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned();
    let key = key::Key { pk: field("PK")?, sk: field("SK")? };
    let (user_id, target) = match key::user_of_contact(&key) {
        Some(user) => (user, None),
        None => key::user_and_target(&key).map(|(user, target)| (user, Some(target)))?,
    };
    Some(DueItem { due_at: field("dueAt")?, key, user_id, target })
}

fn in_need(item: Item) -> Result<InNeed, StoreError> {
    let sort_key = item.get("SK").and_then(|key| key.as_s().ok());
    if sort_key.is_some_and(|key| key.starts_with(key::GRANT)) {
        Ok(InNeed::Grant(GrantState::new(item::read(item)?)))
    } else {
        Ok(InNeed::Account(item::read::<AccountItem>(item)?.into_account()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = Cursor("2026-11-23T09:00:00.000Z#u#1_a".into());
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        let too_long = URL_SAFE_NO_PAD.encode(format!("reauth_required\n{}", "a".repeat(MAX_POSITION + 1)));
        for wrong in ["", "abc", "!", &URL_SAFE_NO_PAD.encode("other\nposition"), &too_long] {
            assert!(Cursor::decode(wrong).is_err(), "{wrong}");
        }
    }
}
