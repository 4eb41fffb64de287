//! The whole system, driven as applications, browsers and digi.me drive it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod bad_messages;
mod callback;
mod channels;
mod concurrency;
mod configuration;
mod cost;
mod crashes;
mod dependency_failures;
mod digime_client;
mod forgetting;
mod grants;
mod identity;
mod listed_accounts;
mod loops;
mod model;
mod openapi;
mod permissions;
mod races;
mod read_results;
mod reconnect;
mod secrets;
mod security;
mod service_secret;
mod sweep;
mod template;

use local::{DEMO_CONTRACT, DEMO_USER};

/// The demo user's bank account.
const BANK: &str = "1_demo-bank";

/// digi.me's documented error for an account.
fn broken(account: &str) -> serde_json::Value {
    serde_json::json!({account: {"state": "partial", "error": {"code": "ServiceAuthorizationError",
        "error": {"message": "Service authorization required", "reauth": true}, "statusCode": 511}}})
}

/// A healthy read of an account.
fn healthy(account: &str) -> serde_json::Value {
    serde_json::json!({account: {"state": "completed"}})
}
