//! The addresses of all components, and the environment variables that configure the functions with them.

use std::collections::BTreeMap;

use crate::{
    invoke::Function,
    names::{self, Queue},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The base URL of the API and the console, such as `http://127.0.0.1:9000`.
    pub public_base_url: String,
    /// The base URL of the stand-ins for DynamoDB, Secrets Manager, SQS and SNS.
    pub aws_url: String,
    /// The base URL of the simulator's digi.me API.
    pub digime_base_url: String,
    /// The base URL of the simulator's consent pages.
    pub digime_onboard_url: String,
    /// The value of `RUST_LOG` in every function.
    pub rust_log: String,
    /// The origins that a return URL may have, besides that of `public_base_url`.
    pub return_origins: Vec<String>,
    /// Whether the functions get no `DEFAULT_RETURN_URL`.
    pub no_return_url: bool,
    /// Environment variables that replace the default values, by name.
    pub overrides: BTreeMap<String, String>,
}

impl Endpoints {
    /// The URL of a logo that the simulator serves.
    #[must_use]
    pub fn logo_url(&self, name: &str) -> String {
        self.digime_base_url.replace("/v1.7/", &format!("/logos/{name}.svg"))
    }

    /// The URL of a queue, as used in `SendMessage`.
    #[must_use]
    pub fn queue_url(&self, queue: Queue) -> String {
        format!("{}/{}/{}", self.aws_url, names::ACCOUNT, queue.name())
    }

    /// The URL of a queue's dead-letter queue.
    #[must_use]
    pub fn dead_letters_url(&self, queue: Queue) -> String {
        format!("{}/{}/{}", self.aws_url, names::ACCOUNT, queue.dead_letters_name())
    }

    #[must_use]
    pub fn topic_arn(&self) -> String {
        names::arn("sns", names::TOPIC)
    }

    /// The service's callback.
    #[must_use]
    pub fn callback_url(&self) -> String {
        format!("{}/callback", self.public_base_url)
    }

    /// The return URL of the demo application.
    #[must_use]
    pub fn return_url(&self) -> String {
        format!("{}/returned", self.public_base_url)
    }

    /// The origins that a return URL may have.
    #[must_use]
    pub fn allowed_return_origins(&self) -> Vec<String> {
        std::iter::once(&self.public_base_url).chain(&self.return_origins).cloned().collect()
    }

    /// The environment of a function: its own settings and the addresses of the stand-ins.
    ///
    /// The access key id is the function's name, so that the stand-ins can tell which function calls.
    #[must_use]
    pub fn environment(&self, function: Function) -> BTreeMap<String, String> {
        settings_of(function)
            .into_iter()
            .filter(|name| function != Function::Events || self.has_webhook() || !name.starts_with("WEBHOOK"))
            .filter(|name| function != Function::SweepAccounts || self.has_mails() || *name != "EMAILS_QUEUE_URL")
            .filter(|name| !(self.no_return_url && *name == "DEFAULT_RETURN_URL"))
            .map(|name| {
                let other = self.overrides.get(name).cloned();
                (name.to_owned(), other.unwrap_or_else(|| self.value(name, function)))
            })
            .chain(self.overrides.get_key_value("SSL_CERT_FILE").map(|(name, value)| (name.clone(), value.clone())))
            .collect()
    }

    fn has_webhook(&self) -> bool {
        self.overrides.contains_key("WEBHOOK_URL")
    }

    /// Whether this service writes to users.
    fn has_mails(&self) -> bool {
        self.overrides.contains_key("EMAIL_FROM")
    }

    fn value(&self, name: &str, function: Function) -> String {
        match name {
            "AWS_REGION" => names::REGION.to_owned(),
            "AWS_ACCESS_KEY_ID" => function.name().to_owned(),
            "AWS_SECRET_ACCESS_KEY" => "local".to_owned(),
            "AWS_ENDPOINT_URL_DYNAMODB"
            | "AWS_ENDPOINT_URL_SECRETS_MANAGER"
            | "AWS_ENDPOINT_URL_SQS"
            | "AWS_ENDPOINT_URL_SNS"
            | "AWS_ENDPOINT_URL_SESV2" => self.aws_url.clone(),
            "RUST_LOG" => self.rust_log.clone(),
            "METRICS_NAMESPACE" => names::METRICS_NAMESPACE.to_owned(),
            "TABLE_NAME" => names::TABLE.to_owned(),
            "CONTRACT_SECRET_PREFIX" => names::CONTRACT_SECRET_PREFIX.to_owned(),
            "SERVICE_SECRET_ID" => names::SERVICE_SECRET.to_owned(),
            "DIGIME_BASE_URL" => self.digime_base_url.clone(),
            "DIGIME_ONBOARD_URL" => self.digime_onboard_url.clone(),
            "PUBLIC_BASE_URL" => self.public_base_url.clone(),
            "ALLOWED_RETURN_ORIGINS" => self.allowed_return_origins().join(","),
            "DEFAULT_RETURN_URL" => self.return_url(),
            "DEFAULT_LOCALE" => "en".to_owned(),
            "APPLICATION_NAME" => "Demo Application".to_owned(),
            "APPLICATION_COLOR" => "#1652c6".to_owned(),
            "APPLICATION_LOGO_URL" => self.logo_url("demo-application"),
            "LOGO_ALLOW_LOOPBACK" => "true".to_owned(),
            "SUPPORT_URL" => "mailto:support@demo.example".to_owned(),
            "READ_RESULTS_QUEUE_URL" => self.queue_url(Queue::ReadResults),
            "NOTIFICATIONS_QUEUE_URL" => self.queue_url(Queue::Notifications),
            "WEBHOOKS_QUEUE_URL" => self.queue_url(Queue::Webhooks),
            "WEBHOOKS_DEAD_LETTERS_URL" => self.dead_letters_url(Queue::Webhooks),
            "EMAILS_QUEUE_URL" => self.queue_url(Queue::Emails),
            // `email-user` requires a sender to start. Without an override no mails are configured, and nothing invokes it.
            "EMAIL_FROM" => DEMO_SENDER.to_owned(),
            "EMAIL_CONFIGURATION_SET" => names::EMAIL_CONFIGURATION_SET.to_owned(),
            "EMAIL_LINKS" => "true".to_owned(),
            "EMAIL_DELAY" => "10m".to_owned(),
            "NOTIFICATION_TOPIC_ARN" => self.topic_arn(),
            "ALARM_TOPIC_ARN" => names::arn("sns", names::ALARM_TOPIC),
            // `post-webhook` requires a URL to start. Without an override no webhook is configured, and nothing invokes
            // the function. `events` then gets no settings of a webhook.
            "WEBHOOK_URL" => format!("{}/webhook", self.public_base_url),
            "WEBHOOK_SECRET_ID" => names::WEBHOOK_SECRET.to_owned(),
            "WEBHOOK_ALLOW_LOOPBACK" => "true".to_owned(),
            "RECONNECT_LINK_TTL" => "14d".to_owned(),
            "REMINDER_SCHEDULE" => "1d,3d,7d".to_owned(),
            "DEFAULT_TIME_ZONE" => "UTC".to_owned(),
            "SERVICE_LIFETIMES" => "Spotify=180d,MedMij=idle 90d".to_owned(),
            "NOTICE_RATE" => "600".to_owned(),
            "OUTAGE_MIN_ACCOUNTS" => "50".to_owned(),
            "OUTAGE_FACTOR" => "10".to_owned(),
            "OUTAGE_HOLD" => "2h".to_owned(),
            "REAUTHORIZATION_TTL" => "1h".to_owned(),
            "DIGIME_CONNECT_TIMEOUT" => "2s".to_owned(),
            "DIGIME_TIMEOUT" => "5s".to_owned(),
            other => unreachable!("no value is known for {other}"),
        }
    }
}

/// The sender of the demo application's mails.
pub const DEMO_SENDER: &str = "connections@demo-application.example";

/// The variables of every function.
const COMMON: &[&str] = &[
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SNS",
    "RUST_LOG",
    "METRICS_NAMESPACE",
];

/// The variables of a function that uses the table.
const TABLE: &[&str] = &["TABLE_NAME", "SERVICE_SECRET_ID"];

/// The variables of a function that calls digi.me.
const DIGIME: &[&str] =
    &["CONTRACT_SECRET_PREFIX", "DIGIME_BASE_URL", "DIGIME_ONBOARD_URL", "DIGIME_CONNECT_TIMEOUT", "DIGIME_TIMEOUT"];
/// The settings of the functions that show pages.
const PAGES: &[&str] = &[
    "APPLICATION_NAME",
    "APPLICATION_COLOR",
    "APPLICATION_LOGO_URL",
    "SUPPORT_URL",
    "DEFAULT_LOCALE",
    "DEFAULT_TIME_ZONE",
];

fn settings_of(function: Function) -> Vec<&'static str> {
    match function {
        Function::CreateReauthUrl => {
            let own = ["PUBLIC_BASE_URL", "REAUTHORIZATION_TTL", "ALLOWED_RETURN_ORIGINS", "DEFAULT_RETURN_URL"];
            [COMMON, TABLE, DIGIME, PAGES, &own].concat()
        }
        Function::EmailUser => {
            let own = [
                "AWS_ENDPOINT_URL_SESV2",
                "PUBLIC_BASE_URL",
                "APPLICATION_NAME",
                "APPLICATION_COLOR",
                "DEFAULT_LOCALE",
                "DEFAULT_TIME_ZONE",
                "EMAIL_FROM",
                "EMAIL_CONFIGURATION_SET",
                "EMAIL_LINKS",
                "EMAIL_DELAY",
                "SUPPORT_URL",
                "SERVICE_LIFETIMES",
            ];
            [COMMON, TABLE, &own].concat()
        }
        Function::ReauthCallback => [COMMON, TABLE, DIGIME, PAGES, &["PUBLIC_BASE_URL"]].concat(),
        Function::RecordReadResult => [COMMON, TABLE, DIGIME].concat(),
        Function::NotifyReauth => {
            let own = [
                "PUBLIC_BASE_URL",
                "NOTIFICATION_TOPIC_ARN",
                "RECONNECT_LINK_TTL",
                "OUTAGE_MIN_ACCOUNTS",
                "OUTAGE_FACTOR",
                "OUTAGE_HOLD",
            ];
            [COMMON, TABLE, &own].concat()
        }
        Function::PostWebhook => {
            let own = [
                "TABLE_NAME",
                "WEBHOOK_URL",
                "WEBHOOK_SECRET_ID",
                "WEBHOOK_ALLOW_LOOPBACK",
                "WEBHOOKS_QUEUE_URL",
                "WEBHOOKS_DEAD_LETTERS_URL",
            ];
            [COMMON, &own].concat()
        }
        Function::Accounts => {
            let own = ["READ_RESULTS_QUEUE_URL", "PUBLIC_BASE_URL"];
            [COMMON, TABLE, DIGIME, &own].concat()
        }
        Function::Events => {
            let own =
                ["PUBLIC_BASE_URL", "WEBHOOK_URL", "WEBHOOK_SECRET_ID", "WEBHOOK_ALLOW_LOOPBACK", "WEBHOOKS_QUEUE_URL"];
            [COMMON, TABLE, &own].concat()
        }
        Function::SweepAccounts => {
            let own = [
                "PUBLIC_BASE_URL",
                "NOTIFICATIONS_QUEUE_URL",
                "EMAILS_QUEUE_URL",
                "ALARM_TOPIC_ARN",
                "REMINDER_SCHEDULE",
                "DEFAULT_TIME_ZONE",
                "SERVICE_LIFETIMES",
                "NOTICE_RATE",
                "APPLICATION_LOGO_URL",
                "LOGO_ALLOW_LOOPBACK",
            ];
            [COMMON, TABLE, DIGIME, &own].concat()
        }
    }
}

#[cfg(test)]
pub(crate) fn example() -> Endpoints {
    Endpoints {
        public_base_url: "http://127.0.0.1:9000".to_owned(),
        aws_url: "http://127.0.0.1:4566".to_owned(),
        digime_base_url: "http://127.0.0.1:9001/v1.7/".to_owned(),
        digime_onboard_url: "http://127.0.0.1:9001/apps/saas/".to_owned(),
        rust_log: "info".to_owned(),
        return_origins: Vec::new(),
        no_return_url: false,
        overrides: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_gets_a_value_for_each_of_its_settings() {
        for function in Function::ALL {
            let environment = example().environment(function);
            assert_eq!(environment["AWS_ACCESS_KEY_ID"], function.name());
            assert!(!environment.values().any(String::is_empty), "{}", function.name());
        }
    }

    #[test]
    fn return_origins_are_added_to_the_systems_own() {
        let endpoints = Endpoints { return_origins: vec!["http://localhost:3000".to_owned()], ..example() };
        let environment = endpoints.environment(Function::CreateReauthUrl);
        assert_eq!(environment["ALLOWED_RETURN_ORIGINS"], "http://127.0.0.1:9000,http://localhost:3000");
        assert_eq!(environment["DEFAULT_RETURN_URL"], "http://127.0.0.1:9000/returned");
    }

    #[test]
    fn without_a_return_url_the_function_gets_none() {
        let endpoints = Endpoints { no_return_url: true, ..example() };
        assert!(!endpoints.environment(Function::CreateReauthUrl).contains_key("DEFAULT_RETURN_URL"));
    }

    #[test]
    fn every_function_trusts_the_authorities_of_a_file_that_is_given() {
        let overrides = BTreeMap::from([("SSL_CERT_FILE".to_owned(), "authority.pem".to_owned())]);
        let endpoints = Endpoints { overrides, ..example() };
        for function in Function::ALL {
            assert_eq!(endpoints.environment(function)["SSL_CERT_FILE"], "authority.pem");
            assert!(!example().environment(function).contains_key("SSL_CERT_FILE"));
        }
    }

    #[test]
    fn only_the_function_that_publishes_has_the_topic() {
        for function in Function::ALL {
            let has_topic = example().environment(function).contains_key("NOTIFICATION_TOPIC_ARN");
            assert_eq!(has_topic, function == Function::NotifyReauth, "{}", function.name());
        }
    }

    #[test]
    fn the_function_that_posts_has_no_service_secret() {
        assert!(!example().environment(Function::PostWebhook).contains_key("SERVICE_SECRET_ID"));
    }
}
