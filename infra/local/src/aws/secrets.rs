//! Secrets Manager: `GetSecretValue`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::{lock, protocol::ApiError, record::Needed};
use crate::names;

/// The secrets, in memory. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<BTreeMap<String, Versions>>>);

struct Versions {
    current: Version,
    previous: Option<Version>,
}

#[derive(Clone)]
struct Version {
    number: u64,
    value: String,
}

impl Secrets {
    /// Stores a new current value. The old current value becomes the previous value, and the old previous value is
    /// dropped.
    pub fn put(&self, id: &str, value: &str) {
        let mut secrets = lock(&self.0);
        let previous = secrets.remove(id).map(|versions| versions.current);
        let number = previous.as_ref().map_or(1, |previous| previous.number + 1);
        let current = Version { number, value: value.to_owned() };
        secrets.insert(id.to_owned(), Versions { current, previous });
    }

    #[must_use]
    pub fn get(&self, id: &str) -> Option<String> {
        lock(&self.0).get(id).map(|versions| versions.current.value.clone())
    }

    /// Removes a secret with both of its versions.
    pub fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(lock(&self.0).keys()).finish()
    }
}

pub(super) fn answer(secrets: &Secrets, operation: &str, body: &str) -> Result<String, ApiError> {
    if operation != "GetSecretValue" {
        return Err(ApiError::unknown_operation());
    }
    let request: Value = serde_json::from_str(body)
        .map_err(|_| ApiError::new(400, "SerializationException", "The request is not JSON."))?;
    let name = request["SecretId"].as_str().unwrap_or_default();
    let stage = request["VersionStage"].as_str().unwrap_or("AWSCURRENT");

    let secrets = lock(&secrets.0);
    let not_found = |message: String| ApiError::new(400, "ResourceNotFoundException", message);
    let versions =
        secrets.get(name).ok_or_else(|| not_found("Secrets Manager can't find the specified secret.".to_owned()))?;
    let version = match stage {
        "AWSCURRENT" => Some(&versions.current),
        "AWSPREVIOUS" => versions.previous.as_ref(),
        _ => None,
    };
    let version = version.ok_or_else(|| {
        not_found(format!("Secrets Manager can't find the specified secret value for staging label: {stage}"))
    })?;
    Ok(json!({
        "ARN": names::arn("secretsmanager", &format!("secret:{name}")),
        "CreatedDate": 1.7e9,
        "Name": name,
        "SecretString": version.value,
        // At least 32 characters, as on AWS.
        "VersionId": format!("00000000-0000-0000-0000-{:012}", version.number),
        "VersionStages": [stage],
    })
    .to_string())
}

/// The permission that this call needs.
pub(super) fn permissions(operation: &str, body: &str) -> Vec<Needed> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let resource = body["SecretId"].as_str().unwrap_or_default();
    vec![(format!("secretsmanager:{operation}"), format!("secret:{resource}"))]
}
