//! A simulator of digi.me: the API, the consent pages, and a control API that injects faults.
//!
//! The official SDKs work with [`Simulator::base_url`] and [`Simulator::onboard_url`]: they can authorize a user, read
//! accounts, run a read session up to the 511 error, refresh tokens and reauthorize. The simulator checks requests as
//! digi.me does. It shares no protocol code with the service, so that a misreading of the protocol in the service shows
//! in tests. File lists are always empty.

mod api_access;
mod api_manage;
mod api_oauth;
mod auth;
mod consent;
mod control;
mod control_call;
mod control_http;
mod error;
mod faults;
mod guard;
mod keys;
mod listener;
mod logos;
mod model;
mod nonces;
mod observer;
mod pages;
mod private_file;
mod root;
mod routes;
mod settings;
mod shared;
mod simulator;
mod state;
mod visit;

pub use control::Control;
pub use control_call::{ControlCall, ControlError, Forgery, ROUTES as CONTROL_ROUTES};
pub use control_http::Refused;
pub use faults::{ActiveFaults, Failure};
pub use guard::guard;
pub use keys::{ContractKeys, KeyError, KeyForm};
pub use model::{Account, Contract, ErrorShape, Token, TokenPair};
pub use observer::{Moment, Observer};
pub use private_file::write_private_file;
pub use settings::{AccessTokenStatus, Settings, SettingsChange};
pub use shared::RecordedRequest;
pub use simulator::{Builder, Simulator, StartError};

/// The description of the control API, and of the local system's `/_local/`, in OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("../openapi.yaml");

/// The base path of the API.
pub(crate) const API_PATH: &str = "/v1.7/";
/// The base path of the consent pages.
pub(crate) const ONBOARD_PATH: &str = "/apps/saas/";
