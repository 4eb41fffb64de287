//! Latencies, failures and forged answers that the control API sets. They are lost at a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;

/// The longest latency. It is shorter than the connection's idle timeout.
pub(crate) const MAX_LATENCY: Duration = Duration::from_secs(60);
/// The largest number of rules. A new rule beyond it replaces the oldest rule.
const MAX_RULES: usize = 100;

/// How requests for a path fail. [`Failure::status`] and [`Failure::reset`] create the common failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// The number of requests that fail before the path works again.
    pub times: u32,
    /// The `Retry-After` header, in seconds.
    pub retry_after: Option<u32>,
    /// The `code` of the error. The default is `ServerError`.
    pub code: Option<String>,
    /// The `message` of the error.
    pub message: Option<String>,
    /// A body that replaces the error in digi.me's form.
    pub body: Option<String>,
    /// The content type of `body`. The default is `text/html`.
    pub content_type: Option<String>,
    /// Reset the connection instead of answering.
    pub reset: bool,
    /// Carry out the request first, so that only its answer is lost.
    pub executed: bool,
}

impl Default for Failure {
    fn default() -> Self {
        Self {
            status: 500,
            times: 1,
            retry_after: None,
            code: None,
            message: None,
            body: None,
            content_type: None,
            reset: false,
            executed: false,
        }
    }
}

impl Failure {
    /// Fails `times` requests with `status`.
    pub fn status(status: u16, times: u32) -> Self {
        Self { status, times, ..Self::default() }
    }

    /// Resets the connection of `times` requests.
    pub fn reset(times: u32) -> Self {
        Self { times, reset: true, ..Self::default() }
    }

    pub(crate) fn response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.body {
            Some(body) => {
                let content_type = self.content_type.unwrap_or_else(|| "text/html".to_owned());
                (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
            }
            None => ApiError {
                status,
                code: self.code.unwrap_or_else(|| "ServerError".to_owned()),
                message: self.message.unwrap_or_else(|| "The control API asked for this failure".to_owned()),
            }
            .into_response(),
        };
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// The delays and failures that requests meet now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFaults {
    /// Path prefixes and their delays in milliseconds. An empty prefix means all paths.
    pub latencies: Vec<(String, u64)>,
    /// Paths and the status of their failures; 0 if the connection is reset.
    pub failures: Vec<(String, u16)>,
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    latencies: Vec<(String, Duration)>,
    failures: Vec<(String, Failure)>,
    pub(crate) forged_jku: Option<String>,
    pub(crate) forged_kid: Option<String>,
    pub(crate) bad_signatures: bool,
    pub(crate) answer_claims: BTreeMap<String, Value>,
}

impl Faults {
    /// Zero removes the latency of the prefix.
    pub(crate) fn set_latency(&mut self, path_prefix: Option<&str>, latency: Duration) {
        let prefix = path_prefix.map(full_path).unwrap_or_default();
        self.latencies.retain(|(known, _)| *known != prefix);
        if !latency.is_zero() {
            make_room(&mut self.latencies);
            self.latencies.push((prefix, latency.min(MAX_LATENCY)));
        }
    }

    /// `path` matches exactly, or as a prefix if it ends in `*`.
    pub(crate) fn fail(&mut self, path: &str, failure: Failure) {
        make_room(&mut self.failures);
        self.failures.push((full_path(path), failure));
    }

    pub(crate) fn clear_failures(&mut self) {
        self.failures.clear();
    }

    pub(crate) fn clear_latencies(&mut self) {
        self.latencies.clear();
    }

    pub(crate) fn active(&self) -> ActiveFaults {
        let milliseconds = |latency: &Duration| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        let failures = self.failures.iter().filter(|(_, failure)| failure.times > 0);
        ActiveFaults {
            latencies: self.latencies.iter().map(|(path, latency)| (path.clone(), milliseconds(latency))).collect(),
            failures: failures.map(|(path, one)| (path.clone(), if one.reset { 0 } else { one.status })).collect(),
        }
    }

    /// The faults of a request for `path`: the longest matching latency, and the first matching failure, whose count
    /// decreases by one.
    pub(crate) fn take(&mut self, path: &str) -> (Duration, Option<Failure>) {
        let latency = self
            .latencies
            .iter()
            .filter(|(prefix, _)| path.starts_with(prefix.as_str()))
            .map(|(_, latency)| *latency)
            .max()
            .unwrap_or_default();
        self.failures.retain(|(_, failure)| failure.times > 0);
        let failure = self.failures.iter_mut().find(|(pattern, _)| matches(pattern, path)).map(|(_, failure)| {
            failure.times -= 1;
            failure.clone()
        });
        (latency, failure)
    }
}

/// A path without a leading slash is relative to the API: `oauth/token` is `/v1.7/oauth/token`.
pub(crate) fn full_path(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}{path}", crate::API_PATH) }
}

fn matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

fn make_room<T>(rules: &mut Vec<T>) {
    if rules.len() >= MAX_RULES {
        rules.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_affects_its_own_path_as_often_as_asked() {
        let mut faults = Faults::default();
        faults.fail("oauth/token", Failure::status(503, 2));
        assert!(faults.take("/v1.7/oauth/token/reference").1.is_none());
        assert!(faults.take("/v1.7/oauth/token").1.is_some());
        assert!(faults.take("/v1.7/oauth/token").1.is_some());
        assert!(faults.take("/v1.7/oauth/token").1.is_none());
    }

    #[test]
    fn a_star_makes_the_path_a_prefix() {
        let mut faults = Faults::default();
        faults.fail("permission-access/query/*", Failure::reset(1));
        assert!(faults.take("/v1.7/permission-access/query/abc").1.is_some());
    }

    #[test]
    fn the_longest_latency_that_matches_counts_and_zero_takes_it_away() {
        let mut faults = Faults::default();
        faults.set_latency(None, Duration::from_millis(5));
        faults.set_latency(Some("oauth"), Duration::from_millis(50));
        assert_eq!(faults.take("/v1.7/oauth/token").0, Duration::from_millis(50));
        assert_eq!(faults.take("/v1.7/reference").0, Duration::from_millis(5));
        faults.set_latency(None, Duration::ZERO);
        assert_eq!(faults.take("/v1.7/reference").0, Duration::ZERO);
    }

    #[test]
    fn the_number_of_rules_is_limited() {
        let mut faults = Faults::default();
        for _ in 0..500 {
            faults.fail("reference", Failure::default());
        }
        assert_eq!(faults.failures.len(), MAX_RULES);
    }
}
