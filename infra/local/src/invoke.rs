//! The interface between the system and the functions. A function runs in this process or as a separate binary.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;

/// The time limit of one invocation: `Timeout` in `template.yaml`. API Gateway waits for 30 seconds.
pub const INVOCATION_TIMEOUT: Duration = Duration::from_secs(29);

/// In bytes. Lambda refuses larger replies.
pub const REPLY_LIMIT: usize = 6 * 1024 * 1024;

/// A Lambda function that takes a JSON event and returns a JSON reply.
pub trait Invoke: Send + Sync {
    /// Invokes the function once.
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>>;
}

/// Why an invocation returned no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function returned an error, or its process ended.
    #[error("the function failed with {error_type}")]
    Failed {
        /// Such as `Runtime.ExitError`.
        error_type: String,
        error_message: String,
    },
    #[error("the function timed out")]
    TimedOut,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    CreateReauthUrl,
    EmailUser,
    ReauthCallback,
    RecordReadResult,
    NotifyReauth,
    PostWebhook,
    Accounts,
    Events,
    SweepAccounts,
}

impl Function {
    pub const ALL: [Self; 9] = [
        Self::CreateReauthUrl,
        Self::EmailUser,
        Self::ReauthCallback,
        Self::RecordReadResult,
        Self::NotifyReauth,
        Self::PostWebhook,
        Self::Accounts,
        Self::Events,
        Self::SweepAccounts,
    ];

    /// The name of the function, which is also the name of its binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateReauthUrl => "create-reauth-url",
            Self::EmailUser => "email-user",
            Self::ReauthCallback => "reauth-callback",
            Self::RecordReadResult => "record-read-result",
            Self::NotifyReauth => "notify-reauth",
            Self::PostWebhook => "post-webhook",
            Self::Accounts => "accounts",
            Self::Events => "events",
            Self::SweepAccounts => "sweep-accounts",
        }
    }
}

#[derive(Clone)]
pub struct Functions {
    pub create_reauth_url: Arc<dyn Invoke>,
    /// Not invoked unless mails are configured.
    pub email_user: Arc<dyn Invoke>,
    pub reauth_callback: Arc<dyn Invoke>,
    pub record_read_result: Arc<dyn Invoke>,
    pub notify_reauth: Arc<dyn Invoke>,
    /// Not invoked unless a webhook is configured.
    pub post_webhook: Arc<dyn Invoke>,
    pub accounts: Arc<dyn Invoke>,
    pub events: Arc<dyn Invoke>,
    pub sweep_accounts: Arc<dyn Invoke>,
}

impl Functions {
    /// Builds all functions by calling `get` for each.
    #[must_use]
    pub fn each(get: impl Fn(Function) -> Arc<dyn Invoke>) -> Self {
        Self {
            create_reauth_url: get(Function::CreateReauthUrl),
            email_user: get(Function::EmailUser),
            reauth_callback: get(Function::ReauthCallback),
            record_read_result: get(Function::RecordReadResult),
            notify_reauth: get(Function::NotifyReauth),
            post_webhook: get(Function::PostWebhook),
            accounts: get(Function::Accounts),
            events: get(Function::Events),
            sweep_accounts: get(Function::SweepAccounts),
        }
    }

    #[must_use]
    pub fn get(&self, function: Function) -> &Arc<dyn Invoke> {
        match function {
            Function::CreateReauthUrl => &self.create_reauth_url,
            Function::EmailUser => &self.email_user,
            Function::ReauthCallback => &self.reauth_callback,
            Function::RecordReadResult => &self.record_read_result,
            Function::NotifyReauth => &self.notify_reauth,
            Function::PostWebhook => &self.post_webhook,
            Function::Accounts => &self.accounts,
            Function::Events => &self.events,
            Function::SweepAccounts => &self.sweep_accounts,
        }
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Functions")
    }
}

/// A function for the tests of this crate.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Reply = Box<dyn Fn(&serde_json::Value) -> Result<serde_json::Value, InvokeError> + Send + Sync>;

    /// Replies with the result of a closure, and records the events.
    pub(crate) struct Scripted {
        reply: Reply,
        pub(crate) events: Mutex<Vec<serde_json::Value>>,
    }

    impl Scripted {
        pub(crate) fn new(
            reply: impl Fn(&serde_json::Value) -> Result<serde_json::Value, InvokeError> + Send + Sync + 'static,
        ) -> Arc<Self> {
            Arc::new(Self { reply: Box::new(reply), events: Mutex::default() })
        }
    }

    impl Invoke for Scripted {
        fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
            let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
            let reply = (self.reply)(&event).map(|reply| Bytes::from(reply.to_string()));
            self.events.lock().unwrap().push(event);
            Box::pin(std::future::ready(reply))
        }
    }

    pub(crate) fn failed() -> InvokeError {
        InvokeError::Failed { error_type: "Broken".to_owned(), error_message: "as the test wants it".to_owned() }
    }

    /// Uses the same function for every name.
    pub(crate) fn everywhere(function: &Arc<Scripted>) -> Functions {
        Functions::each(|_| Arc::clone(function) as Arc<dyn Invoke>)
    }
}
