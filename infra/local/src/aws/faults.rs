//! Faults that tests and the console inject into calls.

use super::{holds::transaction_canceled, protocol::ApiError};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The service refuses the call and does nothing.
    Refused,
    /// The service carries out the call, and answers with an error.
    ReplyLost,
}

/// Makes the next calls of an operation fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The operation, such as `sns:Publish`.
    pub action: String,
    /// The number of calls that fail. Retries of the SDKs count too.
    pub times: u32,
    pub effect: Effect,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's code, such as `ThrottlingException`.
    pub code: String,
    /// The whole body of the answer. `None` for the usual body with the code and a message.
    pub body: Option<String>,
}

impl Fault {
    /// The service answers 500 to `times` calls and does nothing.
    #[must_use]
    pub fn refuse(action: &str, times: u32) -> Self {
        let (effect, code) = (Effect::Refused, "InternalFailure".to_owned());
        Self { action: action.to_owned(), times, effect, status: 500, code, body: None }
    }

    /// The service answers `times` calls with the given error and does nothing.
    #[must_use]
    pub fn error(action: &str, status: u16, code: &str, times: u32) -> Self {
        Self { status, code: code.to_owned(), ..Self::refuse(action, times) }
    }

    /// DynamoDB refuses `times` writes with the conflict that it reports while another transaction holds one of the
    /// items.
    #[must_use]
    pub fn conflict(action: &str, times: u32) -> Self {
        if action != "dynamodb:TransactWriteItems" {
            return Self::error(action, 400, "TransactionConflictException", times);
        }
        let fault = Self::error(action, 400, "TransactionCanceledException", times);
        Self { body: transaction_canceled(&[true]).body, ..fault }
    }

    /// The service carries out `times` calls, and answers 500 to each.
    #[must_use]
    pub fn lose_reply(action: &str, times: u32) -> Self {
        Self { effect: Effect::ReplyLost, ..Self::refuse(action, times) }
    }

    pub(super) fn answer(&self) -> ApiError {
        let error = ApiError::new(self.status, &self.code, "A fault was set for this call.");
        ApiError { body: self.body.clone(), ..error }
    }
}

/// The faults that are still to happen.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        // A new fault replaces the earlier fault of the same operation.
        self.0.retain(|other| other.action != fault.action);
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Uses up one failure of the operation's fault, if it has one.
    pub(super) fn take(&mut self, action: &str) -> Option<Fault> {
        let fault = self.0.iter_mut().find(|fault| fault.action == action && fault.times > 0)?;
        fault.times -= 1;
        let fault = fault.clone();
        self.0.retain(|fault| fault.times > 0);
        Some(fault)
    }
}
