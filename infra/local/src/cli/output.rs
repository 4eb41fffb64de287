//! What the local system prints on standard output: at its start, what a developer needs; then a line for each event.

use std::io::Write;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{info::Info, topic::Publication};

/// Prints a text. The system runs on if standard output is closed.
pub(super) fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Prints each event or notice that a topic gets, from a thread of its own: a reader who pauses must not delay the system.
pub(super) fn print_events(mut events: Receiver<Publication>) {
    std::thread::spawn(move || {
        let zone = TimeZone::system();
        loop {
            match events.blocking_recv() {
                Ok(publication) => print(&line(&publication.json(), &zone)),
                Err(RecvError::Lagged(missed)) => print(&format!("… {missed} events are not shown\n")),
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// The addresses, names and keys. Each line is a name of one word, and what it names.
pub(super) fn introduction(info: &Info) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| text.push_str(&format!("{name:<12} {value}\n"));
    add("Console", &format!("{}/", info.api_url));
    add("API", &format!("{} (described by /openapi.yaml; all of this: /_local/info)", info.api_url));
    add("Callback", &format!("{} (the redirect URI of a contract)", info.callback_url));
    add("digi.me", &format!("{} (baseUrl of an SDK)", info.digime_base_url));
    add("Pages", &format!("{} (onboardUrl of an SDK)", info.digime_onboard_url));
    add("Control", &format!("{} (described by /_local/openapi.yaml)", info.digime_control_url));
    add("AWS", &format!("{} (DynamoDB, Secrets Manager, SQS, SNS, SES)", info.aws_url));
    add("User", info.demo_user_id);
    for contract in &info.contracts {
        add("Contract", &format!("{} (application {})", contract.contract_id, contract.application_id));
        add("Key", &contract.private_key_file.display().to_string());
    }
    let checked = if info.signatures_verified { "signatures are checked" } else { "signatures are not checked" };
    let credentials = &info.credentials;
    add("Credentials", &format!("{} {} ({checked})", credentials.access_key_id, credentials.secret_access_key));
    if let Some(webhook) = &info.webhook {
        let public_key = webhook.public_key.as_deref().map(|key| format!(", verified with {key}"));
        let public_key = public_key.unwrap_or_default();
        add("Webhook", &format!("{} (signed with {}{public_key})", webhook.url, webhook.secret));
    }
    add("Returns", &info.return_origins.join(", "));
    match &info.data_directory {
        Some(directory) => add("Data", &directory.display().to_string()),
        None => add("Data", "in memory"),
    }
    add("Try", &first_command(info));
    text.push_str("Press Ctrl-C to stop.\n");
    text
}

/// Lists the demo user's accounts.
fn first_command(info: &Info) -> String {
    let signed = info.signatures_verified.then(|| {
        let credentials = &info.credentials;
        let (region, service) = (credentials.region, credentials.service);
        let (id, secret) = (&credentials.access_key_id, &credentials.secret_access_key);
        format!(" --aws-sigv4 aws:amz:{region}:{service} --user {id}:{secret}")
    });
    let signed = signed.unwrap_or_default();
    format!("curl -sS{signed} {}/users/{}/accounts", info.api_url, info.demo_user_id)
}

/// The line of an event: local time, user, account or contract, what happened.
fn line(event: &Value, zone: &TimeZone) -> String {
    let data = &event["data"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = text(&event["timestamp"])
        .parse::<Timestamp>()
        .map(|at| at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string());
    let words = [at.unwrap_or_default(), text(&data["userId"]), subject(data), what(event)];
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("{}\n", words.join(" "))
}

/// The account's service. Nothing for an event of a grant.
fn subject(data: &Value) -> String {
    let name = data["serviceName"].as_str().or_else(|| data["accountId"].as_str());
    name.unwrap_or_default().to_owned()
}

fn what(event: &Value) -> String {
    let data = &event["data"];
    let text = |name: &str| data[name].as_str().unwrap_or("unknown").to_owned();
    let told = || data["reconnectUrl"].as_str().map(|url| format!(" → told {url}")).unwrap_or_default();
    match event["type"].as_str().unwrap_or_default() {
        "account.reauthorization_required" => match data["reminder"].as_u64() {
            None | Some(0) => format!("lost{}", told()),
            Some(number) => format!("still lost, reminder {number}{}", told()),
        },
        "account.reauthorized" => {
            let verified = if data["verified"] == true { "verified" } else { "not verified" };
            format!("healed ({}, {verified})", text("via"))
        }
        "account.reauthorization_failed" | "user.reauthorization_failed" => {
            format!("reauthorization failed {}", text("errorCode"))
        }
        "account.removed" => "removed at digi.me".to_owned(),
        "account.dismissed" => "dismissed by the user".to_owned(),
        "account.authorization_expiring" => format!("expires in {} days{}", data["daysLeft"], told()),
        "user.authorization_expiring" => format!("digi.me consent expires in {} days{}", data["daysLeft"], told()),
        "user.emails_stopped" => format!("no more e-mails ({})", text("reason")),
        "user.reauthorization_required" if data["recoverable"] == false => {
            "digi.me consent needed, by a first authorization".to_owned()
        }
        "user.reauthorization_required" => format!("digi.me consent needed{}", told()),
        "user.reauthorized" => format!("digi.me consent renewed ({})", text("via")),
        "webhook.failing" => "the webhook's endpoint is failing".to_owned(),
        "webhook.disabled" => format!("the webhook's endpoint is disabled ({}), events wait", text("reason")),
        "webhook.recovered" => "the webhook's endpoint has recovered".to_owned(),
        other => format!("{other}{}", told()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(kind: &str, data: Value) -> String {
        let mut event = json!({"type": kind, "timestamp": "2026-11-26T15:55:55.123Z", "data": data});
        event["data"]["userId"] = json!("demo-user");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        line(&event, &zone)
    }

    #[test]
    fn a_notice_for_the_operator_names_no_user() {
        let notice = json!({"type": "webhook.disabled", "timestamp": "2026-11-26T15:55:55.123Z",
            "data": {"state": "disabled", "since": "2026-11-26T15:55:01.000Z", "reason": "gone"}});
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(line(&notice, &zone), "16:55:55 the webhook's endpoint is disabled (gone), events wait\n");
    }

    #[test]
    fn an_event_is_one_line_with_the_local_time_of_day() {
        let bank = |more: Value| {
            let mut data = json!({"accountId": "1_demo-bank", "serviceName": "Meadow Bank"});
            data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            data
        };
        let url = "http://127.0.0.1:9000/reconnect/token";
        let cases = [
            (
                "account.reauthorization_required",
                bank(json!({"reminder": 0, "reconnectUrl": url})),
                "Meadow Bank lost → told http://127.0.0.1:9000/reconnect/token",
            ),
            (
                "account.reauthorization_required",
                bank(json!({"reminder": 2, "reconnectUrl": url})),
                "Meadow Bank still lost, reminder 2 → told http://127.0.0.1:9000/reconnect/token",
            ),
            (
                "account.reauthorized",
                bank(json!({"via": "callback", "verified": true})),
                "Meadow Bank healed (callback, verified)",
            ),
            (
                "account.reauthorized",
                json!({"accountId": "4_x", "via": "sweep", "verified": false}),
                "4_x healed (sweep, not verified)",
            ),
            (
                "account.reauthorization_failed",
                bank(json!({"errorCode": "USER_CANCEL"})),
                "Meadow Bank reauthorization failed USER_CANCEL",
            ),
            ("account.removed", bank(json!({})), "Meadow Bank removed at digi.me"),
            ("account.dismissed", bank(json!({})), "Meadow Bank dismissed by the user"),
            (
                "account.authorization_expiring",
                bank(json!({"daysLeft": 7, "reconnectUrl": url})),
                "Meadow Bank expires in 7 days → told http://127.0.0.1:9000/reconnect/token",
            ),
            (
                "user.authorization_expiring",
                json!({"daysLeft": 14, "reconnectUrl": url}),
                "digi.me consent expires in 14 days → told http://127.0.0.1:9000/reconnect/token",
            ),
            ("user.emails_stopped", json!({"reason": "bounced"}), "no more e-mails (bounced)"),
            (
                "user.reauthorization_required",
                json!({"recoverable": true, "reconnectUrl": url}),
                "digi.me consent needed → told http://127.0.0.1:9000/reconnect/token",
            ),
            (
                "user.reauthorization_required",
                json!({"recoverable": false}),
                "digi.me consent needed, by a first authorization",
            ),
            ("user.reauthorized", json!({"via": "callback"}), "digi.me consent renewed (callback)"),
            ("account.new_kind", bank(json!({})), "Meadow Bank account.new_kind"),
        ];
        for (kind, data, expected) in cases {
            assert_eq!(printed(kind, data), format!("16:55:55 demo-user {expected}\n"));
        }
    }
}
