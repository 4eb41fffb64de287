//! The code that two or more functions share.
//!
//! [`store`] is the DynamoDB table, [`secrets`] the access to Secrets Manager, [`lambda`] the runtime of a function,
//! [`web`] the HTTP API, and [`webhook`] the signed posts of events. [`authorized_client`] combines the digi.me client,
//! the table and the secrets: it calls digi.me with a valid access token. Decisions are in the crate `reauth-domain`.

pub mod authorized_client;
pub mod aws;
pub mod config;
pub mod error;
pub mod http_client;
pub mod keyring;
pub mod lambda;
pub mod logos;
pub mod logs;
pub mod metrics;
pub mod outbound;
pub mod retry;
pub mod secrets;
pub mod services;
pub mod store;
pub mod warm_up;
pub mod web;
pub mod webhook;
