//! The domain: accounts, read results, reauthorizations and events, and every decision about them.
//!
//! The code is pure: it does no I/O, and callers pass in the time and random values. The manifest has no dependency
//! that could do otherwise.

pub mod account;
pub mod contact;
pub mod event;
mod event_schema;
pub mod failure;
pub mod grant;
pub mod id;
pub mod last_reads;
pub mod notice_rate;
pub mod notices;
pub mod operator_notice;
pub mod outage;
pub mod person;
pub mod quiet_hours;
pub mod rate_limit;
pub mod reauthorization;
pub mod return_url;
pub mod submission;
pub mod test_event;
pub mod time;
pub mod told_state;
pub mod trace;
pub mod verification;
pub mod webhook;

pub use account::{Account, Attempt, Change, Outcome, Signal, Status};
pub use digime::{AccountId, ContractId, InvalidField, InvalidFields, InvalidValue};
pub use event::{About, EmailStop, Event, EventDetail, ExpiryBasis, NewEvent, Target, UserVia, Via};
pub use event_schema::DeliveredForm;
pub use failure::FailureCode;
pub use grant::{Grant, GrantChange, GrantEpisode, GrantStatus};
pub use id::{EpisodeId, EventId, Locale, ReauthorizationId, UserId};
pub use last_reads::{LastReads, Watermark};
pub use notice_rate::NoticeRate;
pub use operator_notice::OperatorNotice;
pub use outage::{Outage, OutageSettings, ServiceKey};
pub use person::Person;
pub use rate_limit::{RecentUses, RecentUsesByName};
pub use return_url::{AllowedOrigins, InvalidReturnUrl, ReturnUrl};
pub use test_event::TestEvent;
pub use told_state::ToldState;
pub use trace::TraceParent;
