//! The harness of the end-to-end tests: one [`World`] for each test, with a system of its own, a clock that only the
//! test moves, and a user whose browser and application the test plays.

mod ambient;
mod binaries;
mod browser;
mod builder;
mod crash;
mod delivered_event;
mod event_schemas;
mod messages;
mod permissions;
mod relay;
mod relays;
mod reply;
pub mod runtime_api;
mod scenarios;
mod table;
mod webhook;
mod world;

pub use local::{DEMO_CONTRACT, DEMO_USER};

pub use self::{
    ambient::{ManualClock, START},
    binaries::{binaries, start_binary, start_concurrent, start_instances},
    browser::{CallbackResult, Decision, decide},
    builder::{WorldBuilder, options},
    crash::Crashes,
    delivered_event::{DeliveredError, DeliveredEvent},
    event_schemas::{assert_delivered, assert_recorded, read_schemas},
    messages::{BANK, ReadResult, SqsMessage, broken, healthy, inserted, sqs_batch},
    permissions::{granted_permissions, used_permissions},
    relay::{Authority, HTTP1, HTTP2, Relay},
    relays::{Relays, address},
    reply::Reply,
    table::create_table,
    webhook::{Answer, Delivery, Receiver, WEBHOOK_SECRET},
    world::{World, published},
};
