//! The names and ARNs of this system's resources, in the form that AWS uses.

/// The AWS region in all ARNs.
pub const REGION: &str = "eu-west-1";
/// The AWS account in all ARNs.
pub const ACCOUNT: &str = "000000000000";
/// The service in the signatures of requests for API Gateway.
pub const API_SERVICE: &str = "execute-api";
/// The namespace of the metrics. The functions within the local system write none: only processes of their own do.
pub const METRICS_NAMESPACE: &str = "digime-reauth";
pub const TABLE: &str = "digime-reauth";
pub const TOPIC: &str = "digime-reauth-notifications";
/// The topic that tells the operator.
pub const ALARM_TOPIC: &str = "digime-reauth-alarms";
/// The prefix of the ids of the contracts' secrets.
pub const CONTRACT_SECRET_PREFIX: &str = "digime-reauth/contracts/";
pub const SERVICE_SECRET: &str = "digime-reauth/service-secret";
/// The id of the secret that signs webhooks. It exists only if a webhook is configured.
pub const WEBHOOK_SECRET: &str = "digime-reauth/webhook-secret";

/// SES's configuration set.
pub const EMAIL_CONFIGURATION_SET: &str = "digime-reauth";
/// The types of the events that the queue of mails receives, as in `template.yaml`.
pub const EMAIL_EVENTS: [&str; 7] = [
    "account.authorization_expiring",
    "account.dismissed",
    "account.reauthorization_required",
    "account.reauthorized",
    "user.authorization_expiring",
    "user.reauthorization_required",
    "user.reauthorized",
];

/// An ARN in this region and account.
#[must_use]
pub fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

/// The queues of the system. Each has a dead-letter queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Read results for `record-read-result`.
    ReadResults,
    /// Events from the table's stream, for `notify-reauth`.
    Notifications,
    /// Events published on the topic, for `post-webhook`.
    Webhooks,
    /// Events published on the topic that users are told of, and mails that are due, for `email-user`.
    Emails,
    /// What SES says about sent mails, for `email-user`.
    EmailFeedback,
}

impl Queue {
    pub const ALL: [Self; 5] =
        [Self::ReadResults, Self::Notifications, Self::Webhooks, Self::Emails, Self::EmailFeedback];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadResults => "ReadResults",
            Self::Notifications => "Notifications",
            Self::Webhooks => "Webhooks",
            Self::Emails => "Emails",
            Self::EmailFeedback => "EmailFeedback",
        }
    }

    /// The name of the queue's dead-letter queue.
    #[must_use]
    pub const fn dead_letters_name(self) -> &'static str {
        match self {
            Self::ReadResults => "ReadResultsDeadLetters",
            Self::Notifications => "NotificationsDeadLetters",
            Self::Webhooks => "WebhooksDeadLetters",
            Self::Emails => "EmailsDeadLetters",
            Self::EmailFeedback => "EmailFeedbackDeadLetters",
        }
    }

    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }

    /// The queue with the dead-letter queue of this name.
    #[must_use]
    pub fn by_dead_letters_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.dead_letters_name() == name)
    }

    #[must_use]
    pub fn arn(self) -> String {
        arn("sqs", self.name())
    }
}
