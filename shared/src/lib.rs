//! What two functions or more of digime-reauth need.
//!
//! [`domain`] is pure. Beside it stand, each alone: the [`digime`] client, the [`store`] on DynamoDB, the [`secrets`],
//! and the [`web`] helpers. [`access`] brings the first three together: a call at digi.me with a token that works.

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
