//! Requests to addresses that come from outside: the webhook's endpoint, and the logos of services.

pub(crate) mod guard;
pub(crate) mod logo;

pub use self::{
    guard::InvalidUrl,
    logo::{FetchError, LogoFetcher},
};
