//! DynamoDB: passes calls to the embedded database.
//!
//! The database's own server is not compiled in: it accepts CORS preflights from every origin, and the guard cannot
//! protect it.

use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{protocol::ApiError, record::Needed};

pub(super) fn answer(database: &Database, operation: &str, body: &str) -> Result<String, ApiError> {
    match operation {
        "GetItem" => run(body, |request| database.get_item(request)),
        "PutItem" => run(body, |request| database.put_item(request)),
        "UpdateItem" => run(body, |request| database.update_item(request)),
        "Query" => run(body, |request| database.query(request)),
        "Scan" => run(body, |request| database.scan(request)),
        "BatchGetItem" => run(body, |request| database.batch_get_item(request)),
        "TransactWriteItems" => run(body, |request| database.transact_write_items(request)),
        "DescribeTable" => run(body, |request| database.describe_table(request)),
        _ => Err(ApiError::unknown_operation()),
    }
}

/// Runs the operation. Returns its answer and the capacity units that it consumed.
pub(super) fn metered(database: &Database, operation: &str, body: &str) -> Result<(String, f64), ApiError> {
    let mut request: Value = serde_json::from_str(body).map_err(|error| malformed(&error))?;
    request["ReturnConsumedCapacity"] = "TOTAL".into();
    let reply = answer(database, operation, &request.to_string())?;
    let mut reply: Value = serde_json::from_str(&reply).map_err(ApiError::internal)?;
    let consumed = reply.as_object_mut().and_then(|reply| reply.remove("ConsumedCapacity")).unwrap_or_default();
    // The answer to a transaction has one entry per table.
    let tables = consumed.as_array().cloned().unwrap_or_else(|| vec![consumed]);
    let units = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
    Ok((reply.to_string(), units))
}

fn run<Q: DeserializeOwned, P: Serialize>(
    body: &str,
    run: impl FnOnce(Q) -> Result<P, DynoxideError>,
) -> Result<String, ApiError> {
    let request = serde_json::from_str(body).map_err(|error| malformed(&error))?;
    let reply = run(request).map_err(|error| {
        let body = Some(error.to_json());
        ApiError { body, ..ApiError::new(error.status_code(), error.error_type(), "") }
    })?;
    serde_json::to_string(&reply).map_err(ApiError::internal)
}

/// DynamoDB reports a missing field as a validation error. The database's types report it as a malformed request.
fn malformed(error: &serde_json::Error) -> ApiError {
    let message = error.to_string();
    match message.split_once("VALIDATION:") {
        Some((_, message)) => ApiError::new(400, "ValidationException", message),
        None if message.contains("missing field") => ApiError::new(400, "ValidationException", message),
        None => ApiError::new(400, "SerializationException", message),
    }
}

/// The permissions that this call needs. A transaction needs the permissions of each of its operations.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let action = |name: &str| format!("dynamodb:{name}");
    let table = |request: &Value| {
        let table = request["TableName"].as_str()?;
        Some(match request["IndexName"].as_str() {
            Some(index) => format!("table/{table}/index/{index}"),
            None => format!("table/{table}"),
        })
    };
    if let Some(tables) = body["RequestItems"].as_object() {
        return tables.keys().map(|name| (action(operation), format!("table/{name}"))).collect();
    }
    if let Some(operations) = body["TransactItems"].as_array() {
        let operations = operations.iter().filter_map(Value::as_object).flatten();
        return operations
            .filter_map(|(kind, request)| {
                let name = if kind == "ConditionCheck" { "ConditionCheckItem" } else { &format!("{kind}Item") };
                Some((action(name), table(request)?))
            })
            .collect();
    }
    table(&body).map(|resource| (action(operation), resource)).into_iter().collect()
}
