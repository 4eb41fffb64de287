//! The domain: accounts, read results, reauthorizations, events. The code is pure: it does no I/O, and callers pass in
//! the time and random values.

pub mod account;
pub mod event;
pub mod failure;
pub mod id;
pub mod invalid;
pub mod last_reads;
pub mod rate_limit;
pub mod read_result;
pub mod reauthorization;
pub mod return_url;
pub mod token;
pub mod verification;

pub use account::{Account, Attempt, Change, Outcome, Signal, Status};
pub use event::{Event, EventDetail, Via};
pub use failure::FailureCode;
pub use id::{AccountId, ContractId, EpisodeId, EventId, InvalidValue, Locale, ReauthorizationId, UserId};
pub use invalid::{InvalidField, InvalidFields};
pub use last_reads::{LastReads, Watermark};
pub use rate_limit::RecentUses;
pub use return_url::{AllowedOrigins, InvalidReturnUrl, ReturnUrl};
pub use token::{Token, TokenPair};
