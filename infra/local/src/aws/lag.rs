//! Indexes that lag behind the table.
//!
//! DynamoDB brings a write into an index after it has answered, as a rule within a second. The embedded database does both
//! at once. While the indexes lag, queries of them see the table as it was when the lag began.

use std::sync::Mutex;

use dynoxide::Database;
use serde_json::{Value, json};

use super::lock;
use crate::{
    names,
    table::{TableDefinition, TableError},
};

/// A copy of the table, which queries of indexes see. `None` while the indexes do not lag.
#[derive(Default)]
pub(super) struct IndexLag(Mutex<Option<Database>>);

impl IndexLag {
    pub(super) fn begin(&self, database: &Database) -> Result<(), TableError> {
        *lock(&self.0) = Some(copy(database)?);
        Ok(())
    }

    pub(super) fn end(&self) {
        *lock(&self.0) = None;
    }

    /// The database that the call sees.
    pub(super) fn seen_by(&self, operation: &str, body: &str, database: &Database) -> Database {
        let copy = lock(&self.0).clone();
        copy.filter(|_| is_of_index(operation, body)).unwrap_or_else(|| database.clone())
    }
}

fn is_of_index(operation: &str, body: &str) -> bool {
    let names_index = || serde_json::from_str(body).is_ok_and(|body: Value| body["IndexName"].is_string());
    operation == "Query" && names_index()
}

fn copy(database: &Database) -> Result<Database, TableError> {
    let copy = Database::memory()?;
    TableDefinition::from_template()?.create(&copy, names::TABLE)?;
    let mut request = json!({"TableName": names::TABLE});
    loop {
        let mut page = serde_json::to_value(database.scan(serde_json::from_value(request.clone())?)?)?;
        let items = serde_json::from_value(page["Items"].take())?;
        copy.import_items(names::TABLE, items, Default::default())?;
        match page["LastEvaluatedKey"].take() {
            Value::Null => return Ok(copy),
            last => request["ExclusiveStartKey"] = last,
        }
    }
}
