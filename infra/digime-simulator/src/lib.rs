//! A digi.me to talk to: the API, the consent pages, and a control API that breaks things on purpose.
//!
//! The official SDKs, pointed at [`Simulator::base_url`] and [`Simulator::onboard_url`], can
//! authorize a user, read accounts, run a read session up to the 511 error, refresh tokens and
//! reauthorize. Requests are checked as digi.me checks them. The protocol is implemented here on
//! its own, so that a misreading of it in the service shows. There is no data: file lists are
//! always empty.

mod ambient;
mod api_access;
mod api_manage;
mod api_oauth;
mod auth;
mod consent;
mod control;
mod control_http;
mod error;
mod faults;
mod guard;
mod keys;
mod listener;
mod model;
mod nonces;
mod observer;
mod pages;
mod routes;
mod shared;
mod simulator;
mod state;

pub use ambient::{Clock, Random};
pub use control::Control;
pub use faults::Failure;
pub use keys::{ContractKeys, KeyError, KeyForm};
pub use model::{AccessTokenStatus, Account, Contract, ErrorShape, Settings, Token, TokenPair};
pub use observer::{Moment, Observer};
pub use shared::RecordedRequest;
pub use simulator::{Builder, Simulator, StartError};

/// Where the API is.
pub(crate) const API_PATH: &str = "/v1.7/";
/// Where the consent pages are.
pub(crate) const ONBOARD_PATH: &str = "/apps/saas/";
