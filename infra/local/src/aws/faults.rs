//! Faults that a test or the console asks for.

use super::{holds::transaction_canceled, protocol::ApiError};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The service refuses, and does nothing.
    Refused,
    /// The service does what was asked, and the caller is told that it failed.
    ReplyLost,
}

/// The next calls of an operation fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation, such as `sns:Publish`.
    pub action: String,
    /// How often; the SDKs' own retries count.
    pub times: u32,
    /// What goes wrong.
    pub effect: Effect,
    /// The status of the answer.
    pub status: u16,
    /// The error's code, such as `ThrottlingException`.
    pub code: String,
    /// The whole body of the answer, where a code is not all of it.
    pub body: Option<String>,
}

impl Fault {
    /// The service answers 500 `times` times, and does nothing.
    #[must_use]
    pub fn refuse(action: &str, times: u32) -> Self {
        let (effect, code) = (Effect::Refused, "InternalFailure".to_owned());
        Self { action: action.to_owned(), times, effect, status: 500, code, body: None }
    }

    /// The service answers `times` times with an error of its own, and does nothing.
    #[must_use]
    pub fn error(action: &str, status: u16, code: &str, times: u32) -> Self {
        Self { status, code: code.to_owned(), ..Self::refuse(action, times) }
    }

    /// DynamoDB answers a write `times` times as it does while another transaction holds one of the items.
    #[must_use]
    pub fn conflict(action: &str, times: u32) -> Self {
        if action != "dynamodb:TransactWriteItems" {
            return Self::error(action, 400, "TransactionConflictException", times);
        }
        let fault = Self::error(action, 400, "TransactionCanceledException", times);
        Self { body: transaction_canceled(&[true]).body, ..fault }
    }

    /// The service does what was asked `times` times, and answers 500.
    #[must_use]
    pub fn lose_reply(action: &str, times: u32) -> Self {
        Self { effect: Effect::ReplyLost, ..Self::refuse(action, times) }
    }

    pub(super) fn answer(&self) -> ApiError {
        let error = ApiError::new(self.status, &self.code, "The local system was told to let this call fail.");
        ApiError { body: self.body.clone(), ..error }
    }
}

/// The faults that have not happened yet.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        // One plan per operation: the last one counts.
        self.0.retain(|other| other.action != fault.action);
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that this call runs into, if there is one.
    pub(super) fn take(&mut self, action: &str) -> Option<Fault> {
        let fault = self.0.iter_mut().find(|fault| fault.action == action && fault.times > 0)?;
        fault.times -= 1;
        let fault = fault.clone();
        self.0.retain(|fault| fault.times > 0);
        Some(fault)
    }
}
