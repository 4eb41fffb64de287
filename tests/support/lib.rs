//! The harness of the end-to-end tests: one [`World`] for each test, with a system of its own, a clock that only the
//! test moves, and a user whose browser and application the test plays.

mod ambient;
mod binaries;
mod browser;
mod crash;
mod permissions;
pub mod runtime_api;
mod table;
mod webhook;
mod world;

pub use self::{
    ambient::{ManualClock, START},
    binaries::{binaries, start_binary, start_concurrent, start_instances},
    browser::{CallbackResult, Decision, decide},
    crash::Crashes,
    permissions::{granted, needed},
    table::create_table,
    webhook::{Answer, Delivery, Receiver, WEBHOOK_SECRET},
    world::{Reply, World, options, published},
};
