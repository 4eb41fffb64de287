//! The outbox: events, their history, and the receipts of their publication.

use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnValue;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reauth_domain::{
    About, AccountId, Event, EventId, InvalidValue, NewEvent, Target, TraceParent, UserId,
    event::Subject,
    time::{after, rfc3339},
};
use serde_json::{Value, json};

use super::{
    Condition, Item, Store, StoreError, error,
    item::{self, EventItem},
    key,
    listing::DueItem,
    transaction::{Transaction, number, text},
};

/// An event that the topic has not accepted by then is put on the queue again by the sweep.
const UNDELIVERED_AFTER: Duration = Duration::from_secs(5 * 60);

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    pub event: Event,
    /// The id of the key that the reconnect link's token is derived with.
    pub link_key_id: String,
    /// The receipt: when the topic accepted the event.
    pub published_at: Option<Timestamp>,
    /// The trace that the event belongs to. An event of an earlier version of this service has none.
    pub traceparent: Option<TraceParent>,
    /// How often the application asked for the event again.
    pub redeliveries: u64,
    /// The URL of the logo of the account's service.
    pub service_logo: Option<String>,
}

/// An undelivered event that was rescheduled and is to be put on the queue again.
#[derive(Debug, Clone)]
pub struct DueEvent {
    /// A stream record of the same form as the table's stream delivers.
    pub stream_record: Value,
}

/// Where a page of an account's history begins. The next page holds older events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCursor(u64);

impl HistoryCursor {
    #[must_use]
    pub fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("history\n{}", self.0))
    }

    pub fn decode(text: &str) -> Result<Self, InvalidValue> {
        let decode = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            text.strip_prefix("history\n")?.parse().ok().map(Self)
        };
        decode().ok_or(InvalidValue("must be a cursor that this history gave"))
    }
}

/// One page of an account's events.
#[derive(Debug, Clone)]
pub struct HistoryPage {
    /// The events, oldest first.
    pub events: Vec<Value>,
    /// The cursor of the page with older events, if there are any.
    pub older: Option<HistoryCursor>,
}

/// Logs an event that was written.
pub(super) fn log_recorded(event: &Event) {
    let Subject { event_id, user_id, about, .. } = &event.subject;
    let (account_id, contract_id) = (about.account_id(), about.contract_id());
    tracing::info!(%event_id, event_type = event.detail.kind(), %user_id, account_id, contract_id, "store: recorded an event");
}

fn payload(item: Item) -> Result<Value, StoreError> {
    let item: EventItem = item::read(item)?;
    serde_json::from_str(&item.payload).map_err(|error| StoreError::Corrupt(error.to_string()))
}

impl StoredEvent {
    pub(super) fn new(item: EventItem) -> Result<Self, StoreError> {
        let corrupt = |error: serde_json::Error| StoreError::Corrupt(error.to_string());
        let payload = serde_json::from_str(&item.payload).map_err(corrupt)?;
        let event = Event::from_json(payload).map_err(corrupt)?;
        let EventItem { link_key_id, published_at, traceparent, redeliveries, service_logo, .. } = item;
        Ok(Self { event, link_key_id, published_at, traceparent, redeliveries, service_logo })
    }

    /// Parses the body of a `Notifications` message: one DynamoDB stream record in JSON with the new image of an event.
    pub fn from_stream_record(record: &Value) -> Result<Self, StoreError> {
        let image = record.get("dynamodb").and_then(|change| change.get("NewImage"));
        let image = image.ok_or_else(|| StoreError::Corrupt("a stream record without a new image".into()))?;
        let image: serde_dynamo::Item = serde::Deserialize::deserialize(image)
            .map_err(|_| StoreError::Corrupt("a new image of another form".into()))?;
        let item: EventItem = serde_dynamo::from_item(image).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        Self::new(item)
    }
}

impl Transaction<'_> {
    /// Writes a new event.
    pub(super) fn put_event(
        &mut self,
        event: &Event,
        link_key_id: &str,
        traceparent: TraceParent,
        service_logo: Option<&str>,
    ) -> Result<(), StoreError> {
        let Subject { user_id, about, sequence, event_id, .. } = &event.subject;
        let payload = event.to_json(None).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let item = EventItem {
            event_id: event_id.clone(),
            event_type: Some(event.detail.kind().to_owned()),
            payload: payload.to_string(),
            link_key_id: link_key_id.to_owned(),
            published_at: None,
            last_published_at: None,
            withheld_at: None,
            traceparent: Some(traceparent),
            redeliveries: 0,
            service_logo: service_logo.filter(|_| event.detail.carries_link()).map(str::to_owned),
            log_shard: Some(key::log_shard(event_id)),
            due_shard: Some(key::due_events_shard(user_id)),
            due_at: Some(after(event.timestamp, UNDELIVERED_AFTER)),
        };
        let item = item::write(key::event(user_id, &about.target(), *sequence), &item)?;
        self.put(Condition::Event, item, "attribute_not_exists(PK)", &[])
    }
}

impl Store {
    /// New events as they are stored. `last` is the sequence number of the last one.
    pub(super) fn numbered(
        &self,
        user: &UserId,
        about: &About,
        last: u64,
        events: &[NewEvent],
        now: Timestamp,
    ) -> Vec<Event> {
        let event = |(sequence, event): (u64, &NewEvent)| Event {
            timestamp: now,
            subject: Subject {
                event_id: EventId::new(sequence, self.ambient.bytes()),
                user_id: user.clone(),
                about: about.clone(),
                sequence,
                episode_id: event.episode_id.clone(),
            },
            detail: event.detail.clone(),
        };
        (last + 1 - events.len() as u64..).zip(events).map(event).collect()
    }

    /// The newest `limit` events of an account before the cursor, oldest first. Each is as it was delivered, without
    /// its reconnect link.
    pub async fn history(
        &self,
        user: &UserId,
        account: &AccountId,
        before: Option<HistoryCursor>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let last = before.map_or(u64::MAX, |HistoryCursor(sequence)| sequence.saturating_sub(1));
        let account = Target::Account(account.clone());
        let (first, last) = (key::event(user, &account, 0), key::event(user, &account, last));
        let mut query = self
            .client
            .query()
            .table_name(&*self.table)
            .consistent_read(true)
            .key_condition_expression("PK = :pk AND SK BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(first.pk))
            .expression_attribute_values(":first", text(first.sk))
            .expression_attribute_values(":last", text(last.sk))
            .scan_index_forward(false)
            .limit(i32::try_from(limit + 1).unwrap_or(i32::MAX));
        let mut items: Vec<Item> = Vec::new();
        loop {
            let page = query.clone().send().await.map_err(|error| error::unavailable(&error))?;
            items.extend(page.items.unwrap_or_default());
            match page.last_evaluated_key {
                Some(start) if items.len() <= limit => query = query.set_exclusive_start_key(Some(start)),
                _ => break,
            }
        }
        let more = items.len() > limit;
        items.truncate(limit);
        let mut events: Vec<Value> = items.into_iter().map(payload).collect::<Result<_, _>>()?;
        events.reverse();
        let oldest = events.first().and_then(|event| event["data"]["sequence"].as_u64());
        Ok(HistoryPage { events, older: oldest.filter(|_| more).map(HistoryCursor) })
    }

    /// The event as it is stored now, with its receipt. `None` after the user was erased.
    pub async fn event(&self, event: &Event) -> Result<Option<StoredEvent>, StoreError> {
        let subject = &event.subject;
        let key = key::event(&subject.user_id, &subject.about.target(), subject.sequence);
        self.get::<EventItem>(key).await?.map(StoredEvent::new).transpose()
    }

    /// Writes the receipt of an event that the topic accepted, so that the sweep does not put it on the queue again. Does
    /// nothing if the event was deleted with its user, or if the application asked for it again since `stored` was read: the
    /// event is then still due.
    pub async fn record_publication(&self, stored: &StoredEvent, at: Timestamp) -> Result<(), StoreError> {
        let subject = &stored.event.subject;
        let (condition, read) = match stored.redeliveries {
            0 => ("eventId = :event AND attribute_not_exists(redeliveries)", None),
            read => ("eventId = :event AND redeliveries = :read", Some(number(read))),
        };
        let mut update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::event(&subject.user_id, &subject.about.target(), subject.sequence).into_item()))
            .condition_expression(condition)
            .update_expression("SET publishedAt = :at, lastPublishedAt = :at REMOVE dueShard, dueAt")
            .expression_attribute_values(":event", text(subject.event_id.as_str()))
            .expression_attribute_values(":at", text(rfc3339::text(at)));
        if let Some(read) = read {
            update = update.expression_attribute_values(":read", read);
        }
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Records that an event is not published, because it is no longer true. The sweep does not put it on the queue again.
    /// Does nothing if the event was deleted with its user, or if the application asked for it.
    pub async fn record_withholding(&self, stored: &StoredEvent, at: Timestamp) -> Result<(), StoreError> {
        let subject = &stored.event.subject;
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::event(&subject.user_id, &subject.about.target(), subject.sequence).into_item()))
            .condition_expression("eventId = :event AND attribute_not_exists(redeliveries)")
            .update_expression("SET withheldAt = :at REMOVE dueShard, dueAt")
            .expression_attribute_values(":event", text(subject.event_id.as_str()))
            .expression_attribute_values(":at", text(rfc3339::text(at)));
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => Ok(()),
            result => result.map(drop),
        }
    }

    /// Reschedules a due event to `next` and returns it as a stream record. `None` if another sweep rescheduled it
    /// first, or it was deleted.
    pub async fn reschedule_event(&self, due: &DueItem, next: Timestamp) -> Result<Option<DueEvent>, StoreError> {
        let Some(item) = self.reschedule(due, next).await? else {
            return Ok(None);
        };
        let image: serde_dynamo::Item = item.into();
        let image = serde_json::to_value(image).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let keys = json!({"PK": {"S": due.key.pk}, "SK": {"S": due.key.sk}});
        let stream_record = json!({
            "eventName": "INSERT",
            "eventSource": "aws:dynamodb",
            "dynamodb": {"Keys": keys, "NewImage": image, "StreamViewType": "NEW_IMAGE"},
        });
        Ok(Some(DueEvent { stream_record }))
    }

    /// Reschedules a due item to `next` and returns it. `None` if its `dueAt` changed since it was read.
    pub(super) async fn reschedule(&self, due: &DueItem, next: Timestamp) -> Result<Option<Item>, StoreError> {
        self.reschedule_key(&due.key, &due.due_at, next).await
    }

    /// As [`Store::reschedule`], of the item with this key and this `dueAt`.
    pub(super) async fn reschedule_key(
        &self,
        key: &key::Key,
        due_at: &str,
        next: Timestamp,
    ) -> Result<Option<Item>, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key.clone().into_item()))
            .update_expression("SET dueAt = :next")
            .condition_expression("dueAt = :read")
            .expression_attribute_values(":next", text(rfc3339::text(next)))
            .expression_attribute_values(":read", text(due_at))
            .return_values(ReturnValue::AllNew);
        match self.update(update).await {
            Err(StoreError::Conflict(Some(_))) => Ok(None),
            result => result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any JSON on the queue is either read as an event or refused.
    #[test]
    fn fuzz_stream_records() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(record) = serde_json::from_slice::<Value>(bytes) else { return };
            let Ok(stored) = StoredEvent::from_stream_record(&record) else { return };
            let payload = stored.event.to_json(None).unwrap();
            assert_eq!(Event::from_json(payload.clone()).unwrap().to_json(None).unwrap(), payload);
        });
    }
}
