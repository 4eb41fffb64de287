//! Conflicts between concurrent transactions.
//!
//! DynamoDB refuses a write of an item that a running transaction holds. The embedded database runs calls one after the
//! other, so its transactions never conflict. While this module holds transactions, each call takes a set time, and a
//! transaction holds its items from its arrival until it is executed.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use dynoxide::Database;
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use super::{dynamodb, lock, protocol::ApiError};

const ONGOING: &str = "Transaction is ongoing for the item";

/// A table, and the values of its key attributes in the order of the key schema.
type ItemKey = (String, Vec<String>);

pub(super) struct Holds {
    /// How long each call takes. `None` while transactions are not held.
    duration: watch::Sender<Option<Duration>>,
    items: Mutex<BTreeSet<ItemKey>>,
}

/// The items that one transaction holds. Dropping the value releases them.
pub(super) struct Held<'a> {
    holds: &'a Holds,
    items: Vec<ItemKey>,
}

impl Default for Holds {
    fn default() -> Self {
        Self { duration: watch::Sender::new(None), items: Mutex::default() }
    }
}

impl Holds {
    /// Calls in progress keep the duration that was set at their arrival. `None` ends their wait at once.
    pub(super) fn set_duration(&self, duration: Option<Duration>) {
        self.duration.send_replace(duration);
    }

    /// Waits for the set duration. A call that conflicts with a running transaction is refused at once.
    ///
    /// The items of a transaction are held until the result is dropped.
    pub(super) async fn enter(&self, database: &Database, operation: &str, body: &str) -> Result<Held<'_>, ApiError> {
        let mut duration = self.duration.subscribe();
        let Some(time) = *duration.borrow_and_update() else {
            return Ok(Held { holds: self, items: Vec::new() });
        };
        let held = self.take(database, operation, body)?;
        let _ = timeout(time, duration.wait_for(Option::is_none)).await;
        Ok(held)
    }

    /// Detects the conflicts that DynamoDB detects: of a transaction, or of a write of one item, with a running
    /// transaction. The item of a `ConditionCheck` is held too.
    fn take(&self, database: &Database, operation: &str, body: &str) -> Result<Held<'_>, ApiError> {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let mut held = lock(&self.items);
        let conflicts_with = |item: &Option<ItemKey>| item.as_ref().is_some_and(|item| held.contains(item));
        let mut items = Vec::new();
        match operation {
            "TransactWriteItems" => {
                let operations = body["TransactItems"].as_array().into_iter().flatten();
                let operations = operations.filter_map(|operation| operation.as_object()?.values().next());
                let keys: Vec<_> = operations.map(|operation| item_key(database, operation)).collect();
                let conflicts: Vec<_> = keys.iter().map(conflicts_with).collect();
                if conflicts.contains(&true) {
                    return Err(transaction_canceled(&conflicts));
                }
                items.extend(keys.into_iter().flatten());
            }
            "PutItem" | "UpdateItem" if conflicts_with(&item_key(database, &body)) => {
                return Err(ApiError::new(400, "TransactionConflictException", ONGOING));
            }
            _ => {}
        }
        held.extend(items.iter().cloned());
        Ok(Held { holds: self, items })
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = lock(&self.holds.items);
        for item in &self.items {
            held.remove(item);
        }
    }
}

/// DynamoDB's answer to a transaction when another transaction holds some of its items, given by position.
pub(super) fn transaction_canceled(conflicts: &[bool]) -> ApiError {
    let code = |conflict: &bool| if *conflict { "TransactionConflict" } else { "None" };
    let reasons = conflicts.iter().map(|conflict| match conflict {
        true => json!({"Code": code(conflict), "Message": ONGOING}),
        false => json!({"Code": code(conflict)}),
    });
    let codes = conflicts.iter().map(code).collect::<Vec<_>>().join(", ");
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": format!("Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"),
        "CancellationReasons": reasons.collect::<Vec<_>>(),
    });
    ApiError { body: Some(body.to_string()), ..ApiError::new(400, "TransactionCanceledException", "") }
}

/// The item of a request or of one operation of a transaction. `None` if it names no item; the database then refuses
/// it.
fn item_key(database: &Database, request: &Value) -> Option<ItemKey> {
    let table = request["TableName"].as_str()?;
    let attributes = if request["Key"].is_object() { &request["Key"] } else { &request["Item"] };
    let description = dynamodb::answer(database, "DescribeTable", &json!({"TableName": table}).to_string()).ok()?;
    let description: Value = serde_json::from_str(&description).ok()?;
    let names = description["Table"]["KeySchema"].as_array()?.iter();
    let values = names.map(|name| Some(attributes.get(name["AttributeName"].as_str()?)?.to_string()));
    Some((table.to_owned(), values.collect::<Option<_>>()?))
}
