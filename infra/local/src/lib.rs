//! The whole system on one machine: stand-ins for AWS, the digi.me simulator, the functions, a console.
//!
//! `cargo run` starts a [`System`] with the functions in this process. The end-to-end tests can start one with the
//! functions' binaries.

mod application;
pub mod aws;
mod background;
mod causes;
mod cli;
mod clock;
mod console;
mod contracts;
mod database;
mod demo;
mod endpoints;
mod event_source;
mod functions;
mod gateway;
mod ids;
mod index;
mod info;
mod invoke;
mod json;
mod local_api;
mod mails;
pub mod names;
mod operations;
mod options;
mod pipe;
mod port_holder;
mod queues;
mod schedule;
mod secrets_file;
mod server;
mod service_outage;
mod storage;
mod system;
mod table;
mod topic;

pub use self::{
    application::{Application, ReadError},
    background::BackgroundError,
    cli::run,
    clock::{ClockError, MovableClock},
    contracts::{ContractError, ContractInfo, Contracts, NewContract},
    endpoints::{DEMO_SENDER, Endpoints},
    functions::in_process,
    gateway::{Gateway, ROUTES, Route},
    ids::random_hex,
    info::{Credentials, Info, InfoReader, Webhook},
    invoke::{Function, Functions, INVOCATION_TIMEOUT, Invoke, InvokeError, REPLY_LIMIT},
    json::JsonError,
    mails::{MailFeedback, Mails, SentMail},
    options::Options,
    queues::{Depth, Message, QueueError, QueueSettings, Queues, batch_size},
    secrets_file::DemoSecrets,
    system::{PortRole, StartError, System},
    table::{TableDefinition, TableError, template, yaml},
    topic::{Publication, Topic},
};

/// The contract of the demo application.
pub const DEMO_CONTRACT: &str = "demo-contract";
pub const DEMO_APPLICATION: &str = "demo-application";
/// The demo user, whose accounts the console shows by default.
pub const DEMO_USER: &str = "demo-user";
