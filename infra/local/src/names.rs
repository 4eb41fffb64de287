//! The names that things have in this system, in the forms that AWS gives them.

/// The AWS region that everything claims to be in.
pub const REGION: &str = "eu-west-1";
/// The AWS account that everything claims to belong to.
pub const ACCOUNT: &str = "000000000000";
/// The DynamoDB table.
pub const TABLE: &str = "digime-reauth";
/// The SNS topic of the notifications.
pub const TOPIC: &str = "digime-reauth-notifications";
/// What the ids of the contracts' secrets begin with.
pub const CONTRACT_SECRET_PREFIX: &str = "digime-reauth/contracts/";
/// The id of the service secret.
pub const SERVICE_SECRET: &str = "digime-reauth/service-secret";
/// The id of the secret that a webhook is signed with, where there is one.
pub const WEBHOOK_SECRET: &str = "digime-reauth/webhook-secret";

/// An ARN in this region and account.
#[must_use]
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

/// The queues of the system; each has a dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Read results, on their way to `record-read-result`.
    ReadResults,
    /// Events out of the table, on their way to `notify-reauth`.
    Notifications,
    /// Events that the topic took, on their way to `post-webhook`.
    Webhooks,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ReadResults, Self::Notifications, Self::Webhooks];

    /// The name of the queue.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadResults => "ReadResults",
            Self::Notifications => "Notifications",
            Self::Webhooks => "Webhooks",
        }
    }

    /// The queue of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }

    /// The ARN of the queue.
    #[must_use]
    pub fn arn(self) -> String {
        arn("sqs", self.name())
    }
}
