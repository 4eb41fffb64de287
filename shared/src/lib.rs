//! The code that two or more functions of digime-reauth share.
//!
//! [`domain`] is pure. [`digime`] is the digi.me client, [`store`] the DynamoDB table, [`secrets`] the access to
//! Secrets Manager, and [`web`] the HTTP API. [`authorized_client`] combines the client, the table and the secrets: it
//! calls digi.me with a valid access token.

pub mod ambient;
pub mod authorized_client;
pub mod aws;
pub mod config;
pub mod digime;
pub mod domain;
pub mod http_client;
pub mod keyring;
pub mod lambda;
pub mod secrets;
pub mod services;
pub mod store;
pub mod web;
