//! A function with a missing or malformed environment variable does not start, and names the variable in one line.

use local::{Endpoints, Function};
use tests::{World, start_binary};

/// The variables that a function requires.
fn required(function: Function) -> &'static [&'static str] {
    match function {
        Function::CreateReauthUrl | Function::ReauthCallback => {
            &["TABLE_NAME", "SERVICE_SECRET_ID", "CONTRACT_SECRET_PREFIX", "AWS_REGION"]
        }
        Function::RecordReadResult => &["TABLE_NAME", "SERVICE_SECRET_ID"],
        Function::NotifyReauth => &["TABLE_NAME", "SERVICE_SECRET_ID", "PUBLIC_BASE_URL", "NOTIFICATION_TOPIC_ARN"],
        Function::PostWebhook => {
            &["TABLE_NAME", "WEBHOOK_URL", "WEBHOOK_SECRET_ID", "WEBHOOKS_QUEUE_URL", "AWS_REGION"]
        }
        Function::EmailUser => &[
            "TABLE_NAME",
            "SERVICE_SECRET_ID",
            "PUBLIC_BASE_URL",
            "EMAIL_FROM",
            "EMAIL_CONFIGURATION_SET",
            "AWS_REGION",
        ],
        Function::Accounts => &["TABLE_NAME", "SERVICE_SECRET_ID", "CONTRACT_SECRET_PREFIX", "READ_RESULTS_QUEUE_URL"],
        Function::Events => &["TABLE_NAME", "SERVICE_SECRET_ID", "AWS_REGION"],
        Function::SweepAccounts => {
            &["TABLE_NAME", "SERVICE_SECRET_ID", "CONTRACT_SECRET_PREFIX", "PUBLIC_BASE_URL", "NOTIFICATIONS_QUEUE_URL"]
        }
    }
}

async fn refusal(endpoints: &Endpoints, function: Function, variable: &str, value: Option<&str>) -> String {
    let mut environment = endpoints.environment(function);
    environment.remove(variable);
    environment.extend(value.map(|value| (variable.to_owned(), value.to_owned())));
    start_binary(function, environment).await.map(drop).expect_err("the function does not start")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable_stops_the_function_and_is_named() {
    let world = World::builder().start().await;
    for function in Function::ALL {
        for variable in required(function) {
            let said = refusal(&world.system.endpoints, function, variable, None).await;
            assert!(said.contains(&format!("{variable} is missing")), "{}: {said}", function.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_variable_stops_the_function_and_is_named_but_not_shown() {
    let world = World::builder().start().await;
    for (function, variable, value) in [
        (Function::EmailUser, "EMAIL_FROM", "wrong-value"),
        (Function::EmailUser, "EMAIL_LINKS", "wrong-value"),
        (Function::EmailUser, "EMAIL_DELAY", "wrong-value"),
        (Function::EmailUser, "DEFAULT_TIME_ZONE", "wrong-value"),
        (Function::EmailUser, "SERVICE_LIFETIMES", "wrong-value"),
        (Function::EmailUser, "SUPPORT_URL", "wrong-value"),
        (Function::CreateReauthUrl, "DIGIME_BASE_URL", "wrong-value"),
        (Function::CreateReauthUrl, "CONTRACT_SECRET_PREFIX", "wrong-value"),
        (Function::CreateReauthUrl, "ALLOWED_RETURN_ORIGINS", "wrong-value"),
        (Function::CreateReauthUrl, "DEFAULT_RETURN_URL", "wrong-value"),
        (Function::CreateReauthUrl, "DEFAULT_LOCALE", "wrong value"),
        (Function::CreateReauthUrl, "DEFAULT_TIME_ZONE", "wrong-value"),
        (Function::CreateReauthUrl, "REAUTHORIZATION_TTL", "wrong-value"),
        (Function::NotifyReauth, "RECONNECT_LINK_TTL", "wrong-value"),
        (Function::NotifyReauth, "PUBLIC_BASE_URL", "wrong-value"),
        (Function::NotifyReauth, "OUTAGE_MIN_ACCOUNTS", "wrong-value"),
        (Function::NotifyReauth, "OUTAGE_FACTOR", "wrong-value"),
        (Function::NotifyReauth, "OUTAGE_HOLD", "wrong-value"),
        (Function::SweepAccounts, "NOTICE_RATE", "wrong-value"),
        (Function::SweepAccounts, "REMINDER_SCHEDULE", "3d,1d"),
        (Function::SweepAccounts, "DEFAULT_TIME_ZONE", "Europe/Nowhere"),
        (Function::SweepAccounts, "SERVICE_LIFETIMES", "wrong-value"),
        (Function::PostWebhook, "WEBHOOK_URL", "http://wrong.example/"),
        (Function::PostWebhook, "WEBHOOK_URL", "https://169.254.169.254/latest/"),
        (Function::PostWebhook, "WEBHOOK_ALLOW_LOOPBACK", "TRUE"),
        (Function::Events, "WEBHOOK_URL", "http://wrong.example/"),
        (Function::Events, "PUBLIC_BASE_URL", "wrong-value"),
        (Function::Accounts, "AWS_ENDPOINT_URL_SQS", "wrong-value"),
        (Function::SweepAccounts, "RUST_LOG", "verbose"),
        (Function::SweepAccounts, "RUST_LOG", "warning"),
        (Function::SweepAccounts, "RUST_LOG", "reauth_core=loud"),
    ] {
        let said = refusal(&world.system.endpoints, function, variable, Some(value)).await;
        assert!(said.contains(variable) && !said.contains(value), "{}: {said}", function.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_of_the_log_needs_the_other_settings_of_a_webhook_that_has_a_url() {
    let world = World::builder().webhook().start().await;
    for variable in ["WEBHOOK_SECRET_ID", "WEBHOOKS_QUEUE_URL"] {
        let said = refusal(&world.system.endpoints, Function::Events, variable, None).await;
        assert!(said.contains(&format!("{variable} is missing")), "{said}");
    }
}
