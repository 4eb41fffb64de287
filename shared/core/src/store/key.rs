//! The keys of the table's items and indexes.

use std::collections::HashMap;

use aws_lc_rs::digest;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use reauth_domain::{AccountId, ContractId, EventId, ReauthorizationId, ServiceKey, Target, UserId, time::rfc3339};

use super::{Item, NoticeKind};
use crate::keyring::sha256;

/// The number of partitions of each index.
pub(super) const SHARDS: u8 = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) pk: String,
    pub(super) sk: String,
}

impl Key {
    pub(super) fn into_item(self) -> Item {
        HashMap::from([("PK".to_owned(), AttributeValue::S(self.pk)), ("SK".to_owned(), AttributeValue::S(self.sk))])
    }

    /// The associated data of the item's sealed values: a value cannot be opened in another item.
    pub(super) fn associated(&self) -> String {
        format!("{}\n{}", self.pk, self.sk)
    }
}

const USER: &str = "USER#";
pub(super) const EVENT: &str = "EVENT#";
const EVENTS_OF_GRANT: &str = "grant:";
pub(super) const ACCOUNT: &str = "ACCOUNT#";
pub(super) const GRANT: &str = "GRANT#";
const REAUTHORIZATION: &str = "REAUTH";
const LINK: &str = "LINK";
const DELIVERY: &str = "DELIVERY#";
const CONTACT: &str = "CONTACT";
const WEBHOOK: &str = "WEBHOOK";
const SERVICE: &str = "SERVICE#";
const OUTAGE: &str = "OUTAGE";
const BREAKS: &str = "BREAKS#";
/// The partition of the due outages.
pub(super) const DUE_SERVICES: &str = "due-service#00";
const LOGO: &str = "LOGO";
/// The partition of the due logos.
pub(super) const DUE_LOGOS: &str = "due-logo#00";
/// The prefix of the sort keys of the attempts to post an event.
pub(super) const ATTEMPTS: &str = "webhook#";
/// The prefix of the sort keys of a user's pointers to reauthorizations.
pub(super) const REAUTHORIZATIONS: &str = "REAUTH#";
/// The sort key of a user's last reads. It sorts directly after the accounts, so that one query reads both.
pub(super) const LAST_READS: &str = "ACCOUNTS";
/// The prefix of the sort keys of accounts and last reads.
pub(super) const ACCOUNTS_AND_LAST_READS: &str = "ACCOUNT";

pub(super) fn user(user: &UserId) -> String {
    format!("{USER}{user}")
}

pub(super) fn grant(user_id: &UserId, contract: &ContractId) -> Key {
    Key { pk: user(user_id), sk: format!("{GRANT}{contract}") }
}

pub(super) fn account(user_id: &UserId, account: &AccountId) -> Key {
    Key { pk: user(user_id), sk: format!("{ACCOUNT}{account}") }
}

/// The prefix of the sort keys of the events of one account or grant. Account ids have no colon.
pub(super) fn events(target: &Target) -> String {
    match target {
        Target::Account(account) => format!("{EVENT}{account}#"),
        Target::Grant(contract) => format!("{EVENT}{EVENTS_OF_GRANT}{contract}#"),
    }
}

pub(super) fn event(user_id: &UserId, target: &Target, sequence: u64) -> Key {
    Key { pk: user(user_id), sk: format!("{}{sequence:020}", events(target)) }
}

/// The user, and the account or grant, of an item: of the account or the grant itself, or of one of its events.
pub(super) fn user_and_target(key: &Key) -> Option<(UserId, Target)> {
    let user = key.pk.strip_prefix(USER)?.parse().ok()?;
    let account = |id: &str| Some(Target::Account(id.parse().ok()?));
    let grant = |id: &str| Some(Target::Grant(id.parse().ok()?));
    let target = if let Some(id) = key.sk.strip_prefix(ACCOUNT) {
        account(id)
    } else if let Some(id) = key.sk.strip_prefix(GRANT) {
        grant(id)
    } else {
        let (id, _sequence) = key.sk.strip_prefix(EVENT)?.rsplit_once('#')?;
        id.strip_prefix(EVENTS_OF_GRANT).map_or_else(|| account(id), grant)
    };
    Some((user, target?))
}

/// The user's contact.
pub(super) fn contact(user_id: &UserId) -> Key {
    Key { pk: user(user_id), sk: CONTACT.to_owned() }
}

/// The user of a contact's item.
pub(super) fn user_of_contact(key: &Key) -> Option<UserId> {
    key.pk.strip_prefix(USER).filter(|_| key.sk == CONTACT)?.parse().ok()
}

pub(super) fn last_reads(user_id: &UserId) -> Key {
    Key { pk: user(user_id), sk: LAST_READS.to_owned() }
}

pub(super) fn reauthorization(id: &ReauthorizationId) -> Key {
    Key { pk: format!("{REAUTHORIZATION}#{id}"), sk: REAUTHORIZATION.to_owned() }
}

pub(super) fn link(token_hash: &str) -> Key {
    Key { pk: format!("{LINK}#{token_hash}"), sk: LINK.to_owned() }
}

/// The pointer from a user to an item in another partition.
pub(super) fn pointer(user_id: &UserId, to: &Key) -> Key {
    Key { pk: user(user_id), sk: to.pk.clone() }
}

/// The kinds of items that hold a state of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Account,
    Grant,
    Event,
    Reauthorization,
    Link,
    WebhookHealth,
    Attempt,
    Outage,
}

/// The kind of the item with this sort key. `None` for last reads, pointers, tombstones and counters.
pub(super) fn kind(sk: &str) -> Option<Kind> {
    match sk {
        REAUTHORIZATION => Some(Kind::Reauthorization),
        LINK => Some(Kind::Link),
        WEBHOOK => Some(Kind::WebhookHealth),
        OUTAGE => Some(Kind::Outage),
        sk if sk.starts_with(ATTEMPTS) => Some(Kind::Attempt),
        sk if sk.starts_with(ACCOUNT) => Some(Kind::Account),
        sk if sk.starts_with(GRANT) => Some(Kind::Grant),
        sk if sk.starts_with(EVENT) => Some(Kind::Event),
        _ => None,
    }
}

/// The hash of the token of the link with this partition key.
pub(super) fn token_hash(pk: &str) -> Option<&str> {
    pk.strip_prefix(LINK)?.strip_prefix('#')
}

/// The item that a pointer's sort key names.
pub(super) fn pointed_to(sk: &str) -> Option<Key> {
    let kind = [REAUTHORIZATION, LINK].into_iter().find(|kind| sk.starts_with(&format!("{kind}#")))?;
    Some(Key { pk: sk.to_owned(), sk: kind.to_owned() })
}

/// The health of the webhook's endpoint.
pub(super) fn webhook() -> Key {
    Key { pk: WEBHOOK.to_owned(), sk: WEBHOOK.to_owned() }
}

/// The partition of an event's attempts.
pub(super) fn attempts(event: &EventId) -> String {
    format!("{DELIVERY}{event}")
}

/// The event whose attempts are in this partition.
pub(super) fn event_of_attempts(pk: &str) -> Option<EventId> {
    pk.strip_prefix(DELIVERY)?.parse().ok()
}

/// The prefix of the sort keys of the attempts to post one message of the webhook's queue.
pub(super) fn attempts_of_message(message_id: &str) -> String {
    format!("{ATTEMPTS}{message_id}#")
}

/// The attempt with this number, from 1, to post one message.
pub(super) fn attempt(event: &EventId, message_id: &str, number: usize) -> Key {
    Key { pk: attempts(event), sk: format!("{}{number:02}", attempts_of_message(message_id)) }
}

pub(super) fn tombstone(tombstone_id: &str) -> Key {
    Key { pk: format!("FORGOTTEN#{tombstone_id}"), sk: "FORGOTTEN".to_owned() }
}

/// The counter of the notices of one kind that were started in one minute.
pub(super) fn notice_budget(kind: NoticeKind, minute: Timestamp) -> Key {
    Key { pk: format!("NOTICES#{}#{}", kind.name(), rfc3339::text(minute)), sk: "NOTICES".to_owned() }
}

/// The partition of the items of a service.
fn service_partition(service: &ServiceKey) -> String {
    format!("{SERVICE}{service}")
}

/// The service of a partition key.
pub(super) fn service(pk: &str) -> Option<ServiceKey> {
    pk.strip_prefix(SERVICE).map(ServiceKey::stored)
}

/// The logo that is fetched from a URL. A URL may be longer than a key.
pub(super) fn logo(url: &str) -> Key {
    Key { pk: format!("{LOGO}#{}", sha256(url)), sk: LOGO.to_owned() }
}

/// The last outage of a service.
pub(super) fn outage(service: &ServiceKey) -> Key {
    Key { pk: service_partition(service), sk: OUTAGE.to_owned() }
}

/// The counters of the accounts of a service that broke and healed in the five minutes from `bucket` on.
pub(super) fn account_counts(service: &ServiceKey, bucket: Timestamp) -> Key {
    Key { pk: service_partition(service), sk: format!("{BREAKS}{}", rfc3339::text(bucket)) }
}

/// The bucket of a counter's sort key.
pub(super) fn bucket(sk: &str) -> Option<Timestamp> {
    sk.strip_prefix(BREAKS)?.parse().ok()
}

fn shard(user: &UserId) -> u8 {
    digest::digest(&digest::SHA256, user.as_str().as_bytes()).as_ref()[0] % SHARDS
}

pub(super) fn status_partition(shard: u8) -> String {
    format!("reauth_required#{shard:02}")
}

/// Due events, accounts and grants are in separate partitions, so that many items of one kind do not delay another kind.
pub(super) fn due_events_partition(shard: u8) -> String {
    format!("due-event#{shard:02}")
}

pub(super) fn due_accounts_partition(shard: u8) -> String {
    format!("due-account#{shard:02}")
}

/// Accounts with a reminder or a warning to come.
pub(super) fn due_notices_partition(shard: u8) -> String {
    format!("due-notice#{shard:02}")
}

pub(super) fn due_grants_partition(shard: u8) -> String {
    format!("due-grant#{shard:02}")
}

pub(super) fn due_mails_partition(shard: u8) -> String {
    format!("due-mail#{shard:02}")
}

pub(super) fn log_partition(shard: u8) -> String {
    format!("log#{shard:02}")
}

/// The last hexadecimal digit of an event's id is random.
pub(super) fn log_shard(event: &EventId) -> String {
    log_partition((event.position() % u128::from(SHARDS)) as u8)
}

pub(super) fn status_shard(user: &UserId) -> String {
    status_partition(shard(user))
}

pub(super) fn due_events_shard(user: &UserId) -> String {
    due_events_partition(shard(user))
}

/// The shard of the event with this key. `None` for a key that is not of a user.
pub(super) fn due_events_shard_of(key: &Key) -> Option<String> {
    Some(due_events_shard(&key.pk.strip_prefix(USER)?.parse().ok()?))
}

pub(super) fn due_accounts_shard(user: &UserId) -> String {
    due_accounts_partition(shard(user))
}

pub(super) fn due_notices_shard(user: &UserId) -> String {
    due_notices_partition(shard(user))
}

pub(super) fn due_grants_shard(user: &UserId) -> String {
    due_grants_partition(shard(user))
}

pub(super) fn due_mails_shard(user: &UserId) -> String {
    due_mails_partition(shard(user))
}

/// Sorts by time, then by user and account or grant, so that every position is unique and a page can end anywhere.
pub(super) fn status_position(since: Timestamp, user: &UserId, target: &Target) -> String {
    let since = rfc3339::text(since);
    match target {
        Target::Account(account) => format!("{since}#{user}#{account}"),
        Target::Grant(contract) => format!("{since}#{user}#{EVENTS_OF_GRANT}{contract}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_accounts_grants_and_events_name_what_they_belong_to() {
        let user: UserId = "u".parse().unwrap();
        let (id, contract): (AccountId, ContractId) = ("1_a".parse().unwrap(), "1_a".parse().unwrap());
        let (of_account, of_grant) = (Target::Account(id.clone()), Target::Grant(contract.clone()));
        for key in [account(&user, &id), event(&user, &of_account, 7)] {
            assert_eq!(user_and_target(&key), Some((user.clone(), of_account.clone())), "{key:?}");
        }
        for key in [grant(&user, &contract), event(&user, &of_grant, 7)] {
            assert_eq!(user_and_target(&key), Some((user.clone(), of_grant.clone())), "{key:?}");
        }
        assert_eq!(user_and_target(&last_reads(&user)), None);
    }
}
