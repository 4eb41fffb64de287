//! The seam between the system and the functions: an event goes in, a reply comes out, whoever runs the function.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

/// A Lambda function, whoever runs it: a JSON event in, a JSON reply out.
pub trait Invoke: Send + Sync {
    /// Runs the function once.
    ///
    /// # Errors
    /// [`InvokeError`], when the function gave an error reply, ended, or took too long.
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>>;
}

/// Why an invocation gave no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function answered with an error, or its process ended.
    #[error("the function failed with {error_type}")]
    Failed {
        /// What kind of error, such as `Runtime.ExitError`.
        error_type: String,
        /// What the function said about it.
        error_message: String,
    },
    /// The function took longer than it may.
    #[error("the function timed out")]
    TimedOut,
}

/// Every function of the system, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Makes a reauthorization and its URL; serves the reconnect link.
    CreateReauthUrl,
    /// Receives digi.me's callback.
    ReauthCallback,
    /// Takes in read results from their queue.
    RecordReadResult,
    /// Publishes events on the topic.
    NotifyReauth,
    /// Posts events to the application's URL.
    PostWebhook,
    /// Grants, lists, status, history.
    Accounts,
    /// Looks at what is due.
    SweepAccounts,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::CreateReauthUrl,
        Self::ReauthCallback,
        Self::RecordReadResult,
        Self::NotifyReauth,
        Self::PostWebhook,
        Self::Accounts,
        Self::SweepAccounts,
    ];

    /// The name of the function and of its binary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CreateReauthUrl => "create-reauth-url",
            Self::ReauthCallback => "reauth-callback",
            Self::RecordReadResult => "record-read-result",
            Self::NotifyReauth => "notify-reauth",
            Self::PostWebhook => "post-webhook",
            Self::Accounts => "accounts",
            Self::SweepAccounts => "sweep-accounts",
        }
    }
}

/// The functions of one system.
#[derive(Clone)]
pub struct Functions {
    /// `create-reauth-url`
    pub create_reauth_url: Arc<dyn Invoke>,
    /// `reauth-callback`
    pub reauth_callback: Arc<dyn Invoke>,
    /// `record-read-result`
    pub record_read_result: Arc<dyn Invoke>,
    /// `notify-reauth`
    pub notify_reauth: Arc<dyn Invoke>,
    /// `post-webhook`; nothing invokes it without a webhook.
    pub post_webhook: Arc<dyn Invoke>,
    /// `accounts`
    pub accounts: Arc<dyn Invoke>,
    /// `sweep-accounts`
    pub sweep_accounts: Arc<dyn Invoke>,
}

impl Functions {
    /// All functions, each as `get` gives it.
    #[must_use]
    pub fn each(get: impl Fn(Function) -> Arc<dyn Invoke>) -> Self {
        Self {
            create_reauth_url: get(Function::CreateReauthUrl),
            reauth_callback: get(Function::ReauthCallback),
            record_read_result: get(Function::RecordReadResult),
            notify_reauth: get(Function::NotifyReauth),
            post_webhook: get(Function::PostWebhook),
            accounts: get(Function::Accounts),
            sweep_accounts: get(Function::SweepAccounts),
        }
    }

    /// The function of that name.
    #[must_use]
    pub fn get(&self, function: Function) -> &Arc<dyn Invoke> {
        match function {
            Function::CreateReauthUrl => &self.create_reauth_url,
            Function::ReauthCallback => &self.reauth_callback,
            Function::RecordReadResult => &self.record_read_result,
            Function::NotifyReauth => &self.notify_reauth,
            Function::PostWebhook => &self.post_webhook,
            Function::Accounts => &self.accounts,
            Function::SweepAccounts => &self.sweep_accounts,
        }
    }
}

impl std::fmt::Debug for Functions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Functions")
    }
}

/// What the tests of this crate run in a function's place.
#[cfg(test)]
pub(crate) mod testing {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Reply = Box<dyn Fn(&serde_json::Value) -> Result<serde_json::Value, InvokeError> + Send + Sync>;

    /// Answers with what a closure makes of the event, and remembers the events.
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

    /// The same function in every place.
    pub(crate) fn everywhere(function: &Arc<Scripted>) -> Functions {
        Functions {
            create_reauth_url: function.clone(),
            reauth_callback: function.clone(),
            record_read_result: function.clone(),
            notify_reauth: function.clone(),
            post_webhook: function.clone(),
            accounts: function.clone(),
            sweep_accounts: function.clone(),
        }
    }
}
