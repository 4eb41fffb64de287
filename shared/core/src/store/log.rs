//! The log: the events of all users in one order, that of their ids. The index `byTime` holds their keys in 16 shards; a
//! page merges these, and reads the events themselves from the table. An event that was deleted with its user is not in it.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::try_join_all;
use jiff::Timestamp;
use reauth_domain::{Event, EventDetail, EventId, InvalidValue, TraceParent, UserId, time::rfc3339};
use serde_json::Value;

use super::{
    Item, Store, StoreError, StoredEvent, error,
    item::{self, EventItem},
    key::{self, Key, SHARDS},
    transaction::{number, text},
};

/// How far back the log goes.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// A reader that begins with the oldest events has this long to read past them before its cursor expires.
const GRACE: Duration = Duration::from_secs(60 * 60);
/// Readers do not see younger events. An event gets its position directly before it is written. The write takes at most 8
/// seconds (`retry_in_progress`), and the index follows the table within a second, as DynamoDB's documentation says of its
/// usual case. An event that comes later than this is hidden from readers that are past it.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// The events that one call reads to find those of some types.
const MAX_EXAMINED: usize = 500;
/// DynamoDB returns up to 100 items of one `BatchGetItem` call.
const BATCH: usize = 100;
/// In bytes, of the stored events of a page. Lambda's replies have at most 6 MB, in which a quotation mark counts as two
/// characters, and links are added.
const MAX_SIZE: usize = 4 * 1024 * 1024;
/// In bytes, what the reply adds to a stored event: at most, its link.
const LINK_SIZE: usize = 512;

/// The position of an event in the log, as its id says it.
type Position = u128;

/// A position in the log: all events up to it were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogCursor(Position);

impl LogCursor {
    #[must_use]
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("log\n{:032x}", self.0))
    }

    pub fn decode(text: &str) -> Result<Self, InvalidValue> {
        let decode = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let digits = text.strip_prefix("log\n").filter(|digits| digits.len() == 32 && !digits.starts_with('+'))?;
            Position::from_str_radix(digits, 16).ok().map(Self)
        };
        decode().ok_or(InvalidValue("must be a cursor that this log gave"))
    }

    /// The cursor before the events of this time.
    #[must_use]
    pub fn before(time: Timestamp) -> Self {
        Self(first(time).saturating_sub(1))
    }

    /// The cursor behind an event.
    #[must_use]
    pub fn behind(event: &EventId) -> Self {
        Self(event.position())
    }
}

/// The first position of the events of a time.
fn first(time: Timestamp) -> Position {
    Position::from(u64::try_from(time.as_millisecond()).unwrap_or_default()) << 64
}

/// An event of the log. A later version of this service may have written it: its payload is not parsed, so that such an
/// event does not stop readers.
#[derive(Debug, Clone)]
pub struct LoggedEvent {
    key: Key,
    pub event_id: EventId,
    /// The event as it is delivered, without its reconnect link.
    pub payload: Value,
    pub(super) link_key_id: String,
    /// The receipt: when the topic accepted the event. None while it is delivered again.
    pub published_at: Option<Timestamp>,
    /// When the topic accepted the event last.
    pub last_published_at: Option<Timestamp>,
    /// When a reminder or a warning was withheld from the topic, because it was no longer true.
    pub withheld_at: Option<Timestamp>,
    pub traceparent: Option<TraceParent>,
    /// How often the application asked for the event again.
    pub redeliveries: u64,
}

impl LoggedEvent {
    fn new(key: Key, item: EventItem) -> Result<Self, StoreError> {
        let payload = serde_json::from_str(&item.payload).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Ok(Self {
            key,
            event_id: item.event_id.clone(),
            payload,
            link_key_id: item.link_key_id.clone(),
            published_at: item.published_at,
            last_published_at: item.last_published_at.or(item.published_at),
            withheld_at: item.withheld_at,
            traceparent: item.traceparent,
            redeliveries: item.redeliveries,
        })
    }

    /// The event's type.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.payload["type"].as_str().unwrap_or_default()
    }

    /// Whether the delivered event must contain a reconnect link.
    #[must_use]
    pub fn carries_link(&self) -> bool {
        EventDetail::kind_carries_link(self.kind())
    }

    /// The event in the types of this version.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when this version does not know its type or a value of its fields.
    pub fn parse(&self) -> Result<StoredEvent, StoreError> {
        let event = Event::from_json(self.payload.clone()).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let Self { link_key_id, published_at, traceparent, redeliveries, .. } = self.clone();
        Ok(StoredEvent { event, link_key_id, published_at, traceparent, redeliveries, service_logo: None })
    }
}

/// A part of the log.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only events behind it. `None` begins with the oldest event.
    pub after: Option<LogCursor>,
    /// Only events before this time.
    pub until: Option<Timestamp>,
    /// Only events of these types. Empty for all.
    pub types: BTreeSet<&'static str>,
    /// Only events of this user.
    pub user: Option<UserId>,
    /// At most this many events.
    pub limit: usize,
}

impl LogQuery {
    fn wants(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.contains(kind)
    }
}

/// One page of the log.
#[derive(Debug, Clone)]
pub struct LogPage {
    pub events: Vec<LoggedEvent>,
    /// Where the next page begins.
    pub cursor: LogCursor,
    /// Whether there may be more events already. The next page can be empty all the same.
    pub has_more: bool,
}

/// What a redelivery did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivery {
    /// The sweep puts the event on its way to the topic again.
    Rescheduled,
    /// The event is on its way to the topic already.
    Pending,
    /// The event was deleted with its user.
    Gone,
}

/// The keys, or the events, up to a position.
struct Listed<T> {
    /// In order.
    found: Vec<(Position, T)>,
    /// Everything up to it is listed.
    complete_to: Position,
}

impl<T> Listed<T> {
    fn map<U>(self, change: impl Fn(T) -> U) -> Listed<U> {
        let found = self.found.into_iter().map(|(position, entry)| (position, change(entry))).collect();
        Listed { found, complete_to: self.complete_to }
    }

    /// Merges lists. What is behind the end of one list is left for the next page.
    fn merge(lists: Vec<Self>, until: Position, limit: usize) -> Self {
        let mut complete_to = lists.iter().map(|list| list.complete_to).min().unwrap_or(until);
        let mut found: Vec<_> = lists.into_iter().flat_map(|list| list.found).collect();
        found.retain(|(position, _)| *position <= complete_to);
        found.sort_by_key(|(position, _)| *position);
        if found.len() > limit {
            found.truncate(limit);
            complete_to = found.last().map_or(complete_to, |(position, _)| *position);
        }
        Self { found, complete_to }
    }
}

/// Collects the events of a page.
struct Collector<'a> {
    query: &'a LogQuery,
    events: Vec<LoggedEvent>,
    size: usize,
    /// Everything up to it is in the page, or was left out on purpose.
    reached: Option<Position>,
}

impl Collector<'_> {
    /// Adds the event at a position, if there still is one. Returns whether the page is full.
    fn add(&mut self, position: Position, item: Option<(Key, EventItem)>) -> Result<bool, StoreError> {
        if let Some((key, item)) = item.filter(|(_, item)| item.event_id.position() == position) {
            let size = size_in_reply(&item.payload);
            let event = LoggedEvent::new(key, item)?;
            if self.query.wants(event.kind()) {
                if !self.events.is_empty() && self.size + size > MAX_SIZE {
                    return Ok(true);
                }
                self.size += size;
                self.events.push(event);
            }
        }
        self.reached = Some(position);
        Ok(self.events.len() >= self.query.limit)
    }
}

/// A reply is a string in Lambda's JSON: quotation marks and backslashes become two characters.
fn size_in_reply(payload: &str) -> usize {
    payload.len() + payload.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count() + LINK_SIZE
}

impl Store {
    /// Whether a cursor is too old to be continued: events behind it may not be in the log any more.
    #[must_use]
    pub fn has_expired(&self, cursor: LogCursor) -> bool {
        cursor < LogCursor::before(ago(self.ambient.now(), KEPT + GRACE))
    }

    /// The cursor before the oldest event of the log.
    #[must_use]
    pub fn beginning_of_log(&self) -> LogCursor {
        LogCursor::before(ago(self.ambient.now(), KEPT))
    }

    /// A page of the log. The order of the events never changes, and no event comes before a cursor later on: the youngest
    /// events are left out.
    pub async fn log(&self, query: &LogQuery) -> Result<LogPage, StoreError> {
        let settled = first(ago(self.ambient.now(), SETTLED_AFTER));
        let until = query.until.map_or(settled, |until| first(until).min(settled)).saturating_sub(1);
        let after = query.after.unwrap_or_else(|| self.beginning_of_log()).0;
        // DynamoDB refuses a range whose end is before its beginning.
        if after >= until {
            return Ok(LogPage { events: Vec::new(), cursor: LogCursor(after), has_more: false });
        }
        let range = (after + 1, until);
        let examined = if query.types.is_empty() { query.limit } else { query.limit.max(MAX_EXAMINED) };
        let mut page = Collector { query, events: Vec::new(), size: 0, reached: None };
        let (complete_to, is_full) = match &query.user {
            Some(user) => {
                let listed = self.events_of_user(user, range, examined).await?;
                let mut found = listed.found.into_iter();
                let is_full = loop {
                    let Some((position, item)) = found.next() else { break false };
                    if page.add(position, Some(item))? {
                        break found.next().is_some() || page.reached != Some(position);
                    }
                };
                (listed.complete_to, is_full)
            }
            None => {
                let mut listed = self.keys_of_log(range, examined).await?;
                listed.found.retain(|(_, entry)| entry.kind.as_deref().is_none_or(|kind| query.wants(kind)));
                let listed = listed.map(|entry| entry.key);
                let is_full = self.collect(&listed.found, &mut page).await?;
                (listed.complete_to, is_full)
            }
        };
        let end = if is_full { page.reached.unwrap_or(after) } else { complete_to };
        Ok(LogPage { events: page.events, cursor: LogCursor(end), has_more: end < until })
    }

    /// Reads events into the page until it is full. Returns whether any were left out.
    async fn collect(&self, listed: &[(Position, Key)], page: &mut Collector<'_>) -> Result<bool, StoreError> {
        let wanted = KeysAndAttributes::builder().consistent_read(true);
        let last = listed.last().map(|(position, _)| *position);
        for chunk in listed.chunks(BATCH) {
            let keys = chunk.iter().map(|(_, key)| key.clone()).collect();
            let items = self.batch(keys, &wanted).await?.into_iter().filter_map(with_key);
            let items: Vec<(Key, EventItem)> = items.collect::<Result<_, _>>()?;
            let mut items: HashMap<Position, (Key, EventItem)> =
                items.into_iter().map(|(key, item)| (item.event_id.position(), (key, item))).collect();
            for (position, _) in chunk {
                if page.add(*position, items.remove(position))? {
                    return Ok(page.reached != last);
                }
            }
        }
        Ok(false)
    }

    /// The keys of the log's next events.
    async fn keys_of_log(&self, range: (Position, Position), limit: usize) -> Result<Listed<Entry>, StoreError> {
        let each = per_part(limit, SHARDS.into());
        let shards = (0..SHARDS).map(|shard| self.shard_of_log(key::log_partition(shard), range, each));
        Ok(Listed::merge(try_join_all(shards).await?, range.1, limit))
    }

    async fn shard_of_log(
        &self,
        shard: String,
        (first, last): (Position, Position),
        limit: usize,
    ) -> Result<Listed<Entry>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .index_name("byTime")
            .key_condition_expression("logShard = :shard AND eventId BETWEEN :first AND :last")
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":first", text(EventId::at(first).as_str()))
            .expression_attribute_values(":last", text(EventId::at(last).as_str()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = query.send().await.map_err(|error| error::unavailable(&error))?;
        let end = answer.last_evaluated_key.as_ref().and_then(position);
        let found = answer.items.unwrap_or_default().into_iter();
        let found = found.filter_map(|item| Some((position(&item)?, Entry::of(&item)?))).collect();
        Ok(Listed { found, complete_to: end.unwrap_or(last) })
    }

    /// The next events of a user. The user's partition has them by account and grant: all are read, and sorted here.
    async fn events_of_user(
        &self,
        user: &UserId,
        (first, last): (Position, Position),
        limit: usize,
    ) -> Result<Listed<(Key, EventItem)>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND begins_with(SK, :event)")
            .filter_expression("attribute_exists(logShard) AND eventId BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(key::user(user)))
            .expression_attribute_values(":event", text(key::EVENT))
            .expression_attribute_values(":first", text(EventId::at(first).as_str()))
            .expression_attribute_values(":last", text(EventId::at(last).as_str()));
        let (mut listed, mut start) = (Listed { found: Vec::new(), complete_to: last }, None);
        loop {
            let page = query.clone().set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| error::unavailable(&error))?;
            let items = page.items.unwrap_or_default().into_iter().filter_map(with_key);
            let items: Vec<(Key, EventItem)> = items.collect::<Result<_, _>>()?;
            let found = items.into_iter().map(|(key, item)| (item.event_id.position(), (key, item))).collect();
            // Cut after each page, so that a user with many events takes no more memory.
            listed = Listed::merge(vec![listed, Listed { found, complete_to: last }], last, limit);
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(listed);
            }
        }
    }

    /// An event of the log. `None` if it never existed, is older than the log, or was deleted with its user.
    pub async fn event_of_log(&self, id: &EventId) -> Result<Option<LoggedEvent>, StoreError> {
        if LogCursor::behind(id) <= self.beginning_of_log() {
            return Ok(None);
        }
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .index_name("byTime")
            .key_condition_expression("logShard = :shard AND eventId = :event")
            .expression_attribute_values(":shard", text(key::log_shard(id)))
            .expression_attribute_values(":event", text(id.as_str()))
            .limit(1);
        let answer = query.send().await.map_err(|error| error::unavailable(&error))?;
        let Some(key) = answer.items.unwrap_or_default().first().and_then(key_of) else { return Ok(None) };
        let stored = self.get::<EventItem>(key.clone()).await?.filter(|item| item.event_id == *id);
        stored.map(|item| LoggedEvent::new(key, item)).transpose()
    }

    /// Puts a published event, or one that was withheld, on its way to the topic again: its receipt is removed, and the sweep finds it due. Doing so
    /// twice is doing so once, until the event is published.
    pub async fn redeliver(&self, event: &LoggedEvent) -> Result<Redelivery, StoreError> {
        let shard = key::due_events_shard_of(&event.key).ok_or_else(|| StoreError::Corrupt("an event's key".into()))?;
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(event.key.clone().into_item()))
            .condition_expression(
                "eventId = :event AND (attribute_exists(publishedAt) OR attribute_exists(withheldAt))",
            )
            .update_expression(
                "SET dueShard = :shard, dueAt = :now ADD redeliveries :one REMOVE publishedAt, withheldAt",
            )
            .expression_attribute_values(":event", text(event.event_id.as_str()))
            .expression_attribute_values(":shard", text(shard))
            .expression_attribute_values(":now", text(rfc3339::text(self.ambient.now())))
            .expression_attribute_values(":one", number(1));
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => {
                let stored = self.get::<EventItem>(event.key.clone()).await?;
                let is_there = stored.is_some_and(|stored| stored.event_id == event.event_id);
                Ok(if is_there { Redelivery::Pending } else { Redelivery::Gone })
            }
            result => result.map(|_| Redelivery::Rescheduled),
        }
    }
}

/// How many entries to ask of each part, so that all together most likely have as many as are wanted, and few more. A page
/// ends where one part ends.
fn per_part(wanted: usize, parts: usize) -> usize {
    wanted.div_ceil(parts.max(1)).saturating_mul(2).saturating_add(8).min(wanted)
}

/// An entry of the index.
struct Entry {
    key: Key,
    /// The event's type. The first events of the log have none.
    kind: Option<String>,
}

impl Entry {
    fn of(item: &Item) -> Option<Self> {
        let kind = item.get("eventType").and_then(|kind| kind.as_s().ok()).cloned();
        Some(Self { key: key_of(item)?, kind })
    }
}

fn with_key(item: Item) -> Option<Result<(Key, EventItem), StoreError>> {
    let key = key_of(&item)?;
    Some(item::read(item).map(|item| (key, item)))
}

/// The position of an entry of the index.
fn position(item: &Item) -> Option<Position> {
    Some(item.get("eventId")?.as_s().ok()?.parse::<EventId>().ok()?.position())
}

fn key_of(item: &Item) -> Option<Key> {
    let field = |name: &str| item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned();
    Some(Key { pk: field("PK")?, sk: field("SK")? })
}

fn ago(now: Timestamp, duration: Duration) -> Timestamp {
    now.saturating_sub(duration).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        let cursor = LogCursor(1_795_424_400_000 << 64 | 7);
        assert_eq!(LogCursor::decode(&cursor.encode()), Ok(cursor));
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("log\n+{}", "0".repeat(31));
        for wrong in ["", "abc", "!", &encode("log\n12"), &encode("history\n1"), &encode(&signed)] {
            assert!(LogCursor::decode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_are_merged_up_to_the_end_of_the_shortest() {
        let list = |positions: &[Position], complete_to| Listed {
            found: positions.iter().map(|position| (*position, ())).collect(),
            complete_to,
        };
        let merged = |lists, limit| {
            let Listed { found, complete_to } = Listed::merge(lists, 100, limit);
            (found.into_iter().map(|(position, ())| position).collect::<Vec<_>>(), complete_to)
        };
        assert_eq!(merged(vec![list(&[1, 5, 9], 9), list(&[2, 30], 100)], 10), (vec![1, 2, 5, 9], 9));
        assert_eq!(merged(vec![list(&[1, 5, 9], 9), list(&[2, 30], 100)], 2), (vec![1, 2], 2));
        assert_eq!(merged(vec![list(&[], 100), list(&[2], 100)], 10), (vec![2], 100));
        assert_eq!(merged(Vec::new(), 10), (Vec::new(), 100));
    }
}
