//! The domain: accounts, read results, reauthorizations, events. Pure: no I/O, no clock, no randomness of its own.

pub mod account;
pub mod event;
pub mod failure;
pub mod id;
pub mod read_result;
pub mod reauthorization;
pub mod return_url;
pub mod token;
pub mod verification;

pub use account::{Account, Change, Outcome, Signal, Status};
pub use event::{Event, EventDetail, Via};
pub use failure::FailureCode;
pub use id::{AccountId, ContractId, EpisodeId, EventId, InvalidValue, Locale, ReauthorizationId, UserId};
pub use return_url::{AllowedOrigins, ReturnUrl};
pub use token::{Token, TokenPair};
