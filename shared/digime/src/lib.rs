#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "ambient")]
pub mod ambient;
#[cfg(feature = "client")]
pub mod cached;
#[cfg(feature = "client")]
mod client;
pub mod id;
pub mod invalid;
mod listed_account;
pub mod read_result;
pub mod time;
mod token;

#[cfg(feature = "client")]
pub use self::client::{
    ApiError, Cause, Client, CodeVerifier, Contract, Error, KeyError, ReferenceCode, Refused, Session, Settings,
};
pub use self::{
    id::{AccountId, ContractId, InvalidValue},
    invalid::{InvalidField, InvalidFields},
    listed_account::ListedAccount,
    read_result::ReadResult,
    token::{NodeForm, Token, TokenPair},
};
