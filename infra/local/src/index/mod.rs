//! An index of the table in memory, from which the console reads lists. It is filled once by a scan, and then follows the
//! table's stream, so that no page of the console needs a call for each account.

mod key;
mod queries;
mod tables;
pub(crate) mod timeline;

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{Arc, PoisonError, RwLock},
};

use digime::ambient::Ambient;
use dynoxide::Database;
use reauth_core::store::StoredItem;
use serde_json::{Value, json};

use self::key::ItemKey;
pub(crate) use self::{
    queries::{Filter, Found, Page},
    tables::{Counts, GRANT_SERVICE, Tables, User},
};

/// Why the index could not be filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    #[error("could not read the table: {0}")]
    Scan(#[from] dynoxide::DynoxideError),
    #[error("could not read an item of the table: {0}")]
    Json(#[from] serde_json::Error),
}

/// The index. Clones share it.
#[derive(Clone)]
pub(crate) struct Index {
    tables: Arc<RwLock<Tables>>,
    ambient: Ambient,
}

impl Index {
    /// The index of a table, with all its items.
    pub(crate) fn of(database: &Database, table: &str, ambient: &Ambient) -> Result<Self, IndexError> {
        let mut tables = Tables::default();
        let (mut start, mut changed) = (Value::Null, BTreeSet::new());
        loop {
            let mut request = json!({"TableName": table});
            if !start.is_null() {
                request["ExclusiveStartKey"] = start;
            }
            let page = serde_json::to_value(database.scan(serde_json::from_value(request)?)?)?;
            for item in page["Items"].as_array().into_iter().flatten() {
                changed.extend(read(item).map(|item| tables.put(item)).unwrap_or_default());
            }
            start = page["LastEvaluatedKey"].clone();
            if start.is_null() {
                break;
            }
        }
        for (user, target) in &changed {
            tables.update_standing(user, target);
        }
        Ok(Self { tables: Arc::new(RwLock::new(tables)), ambient: ambient.clone() })
    }

    /// Takes records of the table's stream, oldest first. After a restart, the stream repeats some: the last record of an
    /// item counts.
    pub(crate) fn apply(&self, records: &[Value]) {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            let change = &record["dynamodb"];
            let changed = if record["eventName"] == "REMOVE" {
                ItemKey::of(&change["Keys"]).map(|key| tables.remove(key))
            } else {
                read(&change["NewImage"]).map(|item| tables.put(item))
            };
            for (user, target) in changed.unwrap_or_default() {
                tables.update_standing(&user, &target);
            }
        }
    }

    /// Gives the tables to `read`.
    ///
    /// # Panics
    /// If `read` reads the index again: while the pipe waits to write, a second lock of the same thread waits for ever.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Tables) -> T) -> T {
        let _reading = Reading::begin();
        let now = self.ambient.now();
        let tables = || self.tables.read().unwrap_or_else(PoisonError::into_inner);
        if tables().has_expired(now) {
            self.tables.write().unwrap_or_else(PoisonError::into_inner).expire(now);
        }
        read(&tables())
    }
}

thread_local! {
    static READS: Cell<bool> = const { Cell::new(false) };
}

/// This thread reads the index, until the value is dropped.
struct Reading;

impl Reading {
    fn begin() -> Self {
        assert!(!READS.replace(true), "the index is read within a read");
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READS.set(false);
    }
}

/// An item that cannot be read is left out: the functions report it where it matters.
fn read(image: &Value) -> Option<StoredItem> {
    // Half of the items of a table are of no kind that the index knows. They need not be parsed.
    ItemKey::of(image)?;
    StoredItem::from_json(image).unwrap_or_else(|error| {
        let (pk, sk) = (image["PK"]["S"].as_str(), image["SK"]["S"].as_str());
        tracing::warn!(pk, sk, %error, "index: could not read an item of the table");
        None
    })
}

#[cfg(test)]
mod tests;
