//! What the service promises, whatever happens at the same time or fails: `docs/guarantees.md`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_messages;
mod channels;
mod concurrency;
mod configuration;
mod contacts;
mod cost;
mod crashes;
mod dependency_failures;
mod digime_client;
mod digime_http2;
mod due_items;
mod erasure;
mod failures;
mod healing;
mod identity;
mod logos;
mod logs;
mod mail_changes;
mod mails;
mod metrics;
mod model;
mod notices;
mod openapi;
mod outages;
mod permissions;
mod proxies;
mod races;
mod refresh;
mod schemas;
mod secrets;
mod security;
mod service_secret;
mod sweep;
mod template;
mod traces;
mod user_episodes;
mod verify_webhook;
mod warm_up;
mod webhook;
