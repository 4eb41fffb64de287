//! How many accounts of each service broke and healed, in counters of five minutes, and the outages of services. All items of a service
//! are in one partition.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnValue};
use digime::ambient::Deadline;
use jiff::Timestamp;
use reauth_domain::{
    Outage, ServiceKey,
    outage::{Counts, ServiceCounts, usual_from},
    time::{after, rfc3339},
};
use serde::{Deserialize, Serialize};

use super::{
    Condition, Item, Store, StoreError, Versioned, all_pages, item, key,
    transaction::{next_version, number, text, unchanged},
};
use crate::retry::retry_on_conflict;

/// How long a counter and an outage are kept. Seven days are compared.
const KEPT: Duration = Duration::from_secs(15 * 24 * 60 * 60);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutageItem {
    version: u64,
    #[serde(flatten)]
    pub(super) outage: Outage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_shard: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
    ttl: i64,
}

impl Store {
    /// Counts accounts that broke or healed in the five minutes from `bucket` on. Returns the counters.
    ///
    /// The counts are not exact: the SDK repeats the write if its answer is lost.
    pub async fn count_accounts(
        &self,
        service: &ServiceKey,
        bucket: Timestamp,
        counts: Counts,
    ) -> Result<Counts, StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key::account_counts(service, bucket).into_item()))
            .update_expression("ADD accounts :broken, healed :healed SET #ttl = :ttl")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":broken", number(counts.broken))
            .expression_attribute_values(":healed", number(counts.healed))
            .expression_attribute_values(":ttl", number(after(bucket, KEPT).as_second()))
            .return_values(ReturnValue::UpdatedNew);
        Ok(self.update(update).await?.as_ref().map(counts_of).unwrap_or_default())
    }

    /// The counters of the five minutes from `from` to `until`. Eventually consistent: they say what is usual, or roughly
    /// how many accounts broke and healed.
    pub async fn account_counts(
        &self,
        service: &ServiceKey,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<ServiceCounts, StoreError> {
        // DynamoDB refuses an interval that ends before it begins.
        if until < from {
            return Ok(ServiceCounts::default());
        }
        let (first, last) = (key::account_counts(service, from), key::account_counts(service, until));
        let query = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("PK = :pk AND SK BETWEEN :first AND :last")
            .projection_expression("SK, accounts, healed")
            .expression_attribute_values(":pk", text(first.pk))
            .expression_attribute_values(":first", text(first.sk))
            .expression_attribute_values(":last", text(last.sk));
        let bucket = |item: &Item| key::bucket(item.get("SK")?.as_s().ok()?);
        let counters = all_pages(&query).await?;
        Ok(counters.iter().filter_map(|item| Some((bucket(item)?, counts_of(item)))).collect())
    }

    /// How many accounts of a service usually break in the busiest five minutes of a day.
    pub async fn usual_broken_accounts(&self, service: &ServiceKey, bucket: Timestamp) -> Result<u64, StoreError> {
        Ok(self.account_counts(service, usual_from(bucket), bucket).await?.usual(bucket))
    }

    /// The last outage of a service, which may have ended.
    pub async fn outage(&self, service: &ServiceKey) -> Result<Option<Versioned<Outage>>, StoreError> {
        let item = self.get::<OutageItem>(key::outage(service)).await?;
        Ok(item.map(|item| Versioned { value: item.outage, version: item.version }))
    }

    /// Reads the outage of a service, decides, and writes what was decided, until no other write comes between. `decide`
    /// returns `None` to leave it as it is. Returns what was written.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when other writes came first several times.
    pub async fn change_outage(
        &self,
        service: &ServiceKey,
        deadline: Deadline,
        decide: impl Fn(Option<&Outage>) -> Option<Outage>,
    ) -> Result<Option<Outage>, StoreError> {
        let decide = &decide;
        retry_on_conflict(&self.ambient, deadline, || async move {
            let read = self.outage(service).await?;
            let (known, version) = read.map_or((None, 0), |read| (Some(read.value), read.version));
            let Some(outage) = decide(known.as_ref()) else { return Ok(None) };
            self.put_outage(service, &outage, version).await?;
            Ok(Some(outage))
        })
        .await
    }

    async fn put_outage(&self, service: &ServiceKey, outage: &Outage, read_version: u64) -> Result<(), StoreError> {
        let now = self.ambient.now();
        let due_at = outage.due_at(now);
        let item = OutageItem {
            version: next_version(read_version, now),
            outage: outage.clone(),
            due_shard: due_at.map(|_| key::DUE_SERVICES.to_owned()),
            due_at,
            ttl: after(now, KEPT).as_second(),
        };
        let (condition, read) = unchanged(read_version);
        let values: Vec<_> = read.map(|read| (":read", read)).into_iter().collect();
        self.put_if(Condition::Outage, item::write(key::outage(service), &item)?, condition, &values).await
    }

    /// The services whose outage is due at `now`, up to `limit`, longest due first. They are in one partition of the index:
    /// few services are down at the same time.
    pub async fn due_outages(&self, now: Timestamp, limit: usize) -> Result<Vec<ServiceKey>, StoreError> {
        let service = |item: &Item| key::service(item.get("PK")?.as_s().ok()?);
        let due = self.due_in(key::DUE_SERVICES, now, limit).await?;
        Ok(due.iter().filter_map(service).collect())
    }

    /// The services, of the given names, whose notices wait now, and until when. Accounts without a service wait for none.
    ///
    /// Eventually consistent: an outage is found within five minutes of the first broken account, and the first notice is
    /// due later than that. The read costs half as much.
    pub async fn open_outages(
        &self,
        services: impl IntoIterator<Item = &str> + Send,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut names: HashMap<ServiceKey, Vec<String>> = HashMap::new();
        for name in services {
            if let Some(service) = ServiceKey::of(name) {
                names.entry(service).or_default().push(name.to_owned());
            }
        }
        let keys = names.keys().map(key::outage).collect();
        let now = self.ambient.now();
        let mut open = BTreeMap::new();
        for found in self.batch(keys, &KeysAndAttributes::builder()).await? {
            let service = found.get("PK").and_then(|key| key::service(key.as_s().ok()?));
            let outage = item::read::<OutageItem>(found)?.outage;
            if outage.holds(now) {
                let of_service = service.and_then(|service| names.remove(&service)).unwrap_or_default();
                open.extend(of_service.into_iter().map(|name| (name, outage.held_until())));
            }
        }
        Ok(open)
    }
}

fn counts_of(counter: &Item) -> Counts {
    let count = |name| counter.get(name).and_then(|count| count.as_n().ok()?.parse().ok()).unwrap_or_default();
    Counts { broken: count("accounts"), healed: count("healed") }
}
