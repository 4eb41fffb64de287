//! The HTTP API, route by route, as applications and browsers use it: `infra/openapi.yaml`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accept_identity;
mod accounts;
mod bad_input;
mod callback;
mod choices;
mod contacts;
mod event_deliveries;
mod event_redelivery;
mod events;
mod grants;
mod history;
mod languages;
mod read_results;
mod reauthorizations;
mod reconnect;
mod renewals;
mod user_reauthorizations;
mod webhook;
