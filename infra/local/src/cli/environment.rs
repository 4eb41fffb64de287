//! The functions' settings (the table in README.md, *Configuration*) in the environment of the local system.
//!
//! A setting is honoured, or refused with the reason: none is ignored.

use std::collections::BTreeMap;

pub(super) const WEBHOOK: &str = "WEBHOOK_URL";
pub(super) const ORIGINS: &str = "ALLOWED_RETURN_ORIGINS";
pub(super) const RETURN_URL: &str = "DEFAULT_RETURN_URL";
pub(super) const EMAIL_FROM: &str = "EMAIL_FROM";
pub(super) const LOG: &str = "RUST_LOG";

/// The settings that the functions get as they are.
const HONOURED: &[&str] = &[
    "APPLICATION_COLOR",
    "APPLICATION_LOGO_URL",
    "APPLICATION_NAME",
    "DEFAULT_LOCALE",
    "DEFAULT_TIME_ZONE",
    "DIGIME_CONNECT_TIMEOUT",
    "DIGIME_TIMEOUT",
    "NOTICE_RATE",
    "OUTAGE_FACTOR",
    "OUTAGE_HOLD",
    "OUTAGE_MIN_ACCOUNTS",
    "EMAIL_DELAY",
    EMAIL_FROM,
    "EMAIL_LINKS",
    "REAUTHORIZATION_TTL",
    "RECONNECT_LINK_TTL",
    "REMINDER_SCHEDULE",
    "SERVICE_LIFETIMES",
    "SSL_CERT_FILE",
    "SUPPORT_URL",
    LOG,
    ORIGINS,
    RETURN_URL,
    WEBHOOK,
];

const OWN_RESOURCE: &str = "names a resource in AWS, and the local system has its own";
const OWN_DIGIME: &str = "is that of the digi.me simulator, which --port sets";

/// The settings that cannot be honoured, and why.
const REFUSED: &[(&str, &str)] = &[
    ("ALARM_TOPIC_ARN", OWN_RESOURCE),
    ("CONTRACT_SECRET_PREFIX", OWN_RESOURCE),
    ("DIGIME_BASE_URL", OWN_DIGIME),
    ("DIGIME_ONBOARD_URL", OWN_DIGIME),
    ("EMAILS_QUEUE_URL", OWN_RESOURCE),
    ("EMAIL_CONFIGURATION_SET", OWN_RESOURCE),
    ("LOGO_ALLOW_LOOPBACK", "is always true in the local system"),
    ("METRICS_NAMESPACE", "is not used: the local system writes no metrics"),
    ("NOTIFICATIONS_QUEUE_URL", OWN_RESOURCE),
    ("NOTIFICATION_TOPIC_ARN", OWN_RESOURCE),
    ("PUBLIC_BASE_URL", "is the address of the local system, which --port sets"),
    ("READ_RESULTS_QUEUE_URL", OWN_RESOURCE),
    ("SERVICE_SECRET_ID", OWN_RESOURCE),
    ("TABLE_NAME", OWN_RESOURCE),
    ("WEBHOOKS_DEAD_LETTERS_URL", OWN_RESOURCE),
    ("WEBHOOKS_QUEUE_URL", OWN_RESOURCE),
    ("WEBHOOK_ALLOW_LOOPBACK", "is always true in the local system"),
    ("WEBHOOK_SECRET_ID", OWN_RESOURCE),
];

/// The variables of this process that are settings of the functions.
pub(super) fn of_process() -> Result<BTreeMap<String, String>, String> {
    let names = HONOURED.iter().copied().chain(REFUSED.iter().map(|(name, _)| *name));
    let mut variables = BTreeMap::new();
    for name in names {
        if let Some(value) = std::env::var_os(name) {
            let value = value.into_string().map_err(|_| format!("{name} must be UTF-8"))?;
            variables.insert(name.to_owned(), value);
        }
    }
    Ok(variables)
}

/// The settings that are honoured. An empty value counts as not set.
pub(super) fn read(variables: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    let set: BTreeMap<_, _> = variables.into_iter().filter(|(_, value)| !value.trim().is_empty()).collect();
    match REFUSED.iter().find(|(name, _)| set.contains_key(*name)) {
        Some((name, reason)) => Err(format!("{name} {reason}. Unset it.")),
        None => Ok(set),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{endpoints, invoke::Function};

    fn variables(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn a_setting_that_cannot_be_honoured_is_refused_by_its_name() {
        for (name, reason) in REFUSED {
            assert_eq!(read(variables(name, "x")), Err(format!("{name} {reason}. Unset it.")));
            assert_eq!(read(variables(name, " ")), Ok(BTreeMap::new()));
        }
    }

    #[test]
    fn every_setting_of_a_function_is_honoured_or_refused() {
        let decided: BTreeSet<_> = HONOURED.iter().copied().chain(REFUSED.iter().map(|(name, _)| *name)).collect();
        for function in Function::ALL {
            for name in endpoints::example().environment(function).into_keys() {
                // The AWS SDK's variables are often set for other programs.
                assert!(name.starts_with("AWS_") || decided.contains(name.as_str()), "{name}");
            }
        }
    }

    /// The README's table is what a developer knows.
    #[test]
    fn every_setting_of_the_readme_is_honoured_or_refused() {
        let readme = include_str!("../../../../README.md");
        let table = readme.split("## Configuration").nth(1).unwrap().split("\n## ").next().unwrap();
        let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
        let names: Vec<_> = cells.flat_map(|cell| cell.split('`').step_by(2)).filter(|name| !name.is_empty()).collect();
        assert!(names.len() > 15, "{names:?}");
        for name in names {
            let refused = REFUSED.iter().any(|(known, _)| *known == name);
            assert!(refused || HONOURED.contains(&name), "{name}");
        }
    }
}
