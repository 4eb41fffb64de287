//! The logs of the functions: JSON lines on standard output, at the levels of `RUST_LOG`.

use tracing::Level;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    layer::{Filter, SubscriberExt},
    util::SubscriberInitExt,
};

use crate::config::{ConfigError, Environment};

/// The crates whose log lines are written at every level. Other crates log whole requests and replies, which may
/// contain secrets, below `info`.
pub const OURS: [&str; 11] = [
    "digime",
    "reauth_core",
    "accounts",
    "create_reauth_url",
    "email_user",
    "events",
    "notify_reauth",
    "post_webhook",
    "reauth_callback",
    "record_read_result",
    "sweep_accounts",
];

/// Reads the log levels from `RUST_LOG`. The default is `info`.
pub fn levels(environment: &Environment) -> Result<Targets, ConfigError> {
    let problem = "must be a level (error, warn, info, debug, trace, off) or comma-separated directives target=level";
    let text = environment.optional("RUST_LOG").unwrap_or("info");
    parse_levels(text).ok_or_else(|| ConfigError::new("RUST_LOG", problem))
}

/// Parses comma-separated levels and directives. `None` if an entry is neither. The parser of [`Targets`] is not used:
/// it reads a misspelled level as a target, which turns off all other targets.
fn parse_levels(text: &str) -> Option<Targets> {
    let mut levels = Targets::new();
    for directive in text.split(',').map(str::trim) {
        levels = match directive.split_once('=') {
            None => levels.with_default(parse_level(directive)?),
            Some((target, level)) => levels.with_target(parse_target(target)?, parse_level(level)?),
        };
    }
    Some(levels)
}

fn parse_level(text: &str) -> Option<LevelFilter> {
    let named = ["error", "warn", "info", "debug", "trace", "off"].iter().find(|name| text.eq_ignore_ascii_case(name));
    named.and_then(|name| name.parse().ok())
}

/// Parses a target: the path of a module, such as `reauth_core::store`.
fn parse_target(text: &str) -> Option<&str> {
    let part_of_path = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    (!text.is_empty() && text.bytes().all(part_of_path)).then_some(text)
}

/// Writes the logs as JSON lines.
pub(crate) fn initialize(levels: Targets) {
    let lines = tracing_subscriber::fmt::layer().json().with_current_span(false).with_span_list(true);
    // The error means that the process already has a subscriber. That is not a reason to stop.
    let _ = tracing_subscriber::registry().with(lines.with_filter(filter(levels, &[]))).try_init();
}

/// Lets the lines of the given levels through; below `info`, only those of [`OURS`] and of the crates `others`.
pub fn filter<S>(levels: Targets, others: &'static [&'static str]) -> impl Filter<S> {
    let harmless = filter_fn(|line| {
        let krate = line.target().split("::").next().unwrap_or_default();
        *line.level() <= Level::INFO || OURS.contains(&krate) || others.contains(&krate)
    });
    // In one invocation, at most 100 latencies of an endpoint are recorded. The crate would log an error for each other.
    let levels = levels.with_target("metrics_cloudwatch_embedded", LevelFilter::OFF);
    levels.and(harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(levels: &str, target: &str, level: Level) -> bool {
        parse_levels(levels).unwrap().would_enable(target, &level)
    }

    #[test]
    fn a_level_counts_for_every_target_and_a_directive_for_its_own() {
        assert!(writes("info", "accounts", Level::INFO) && !writes("info", "accounts", Level::DEBUG));
        assert!(writes("WARN", "accounts", Level::WARN) && !writes("WARN", "accounts", Level::INFO));
        assert!(!writes("off", "accounts", Level::ERROR));
        let levels = "warn, reauth_core::store=trace,accounts=off";
        assert!(writes(levels, "reauth_core::store::links", Level::TRACE) && writes(levels, "hyper", Level::WARN));
        assert!(!writes(levels, "hyper", Level::INFO) && !writes(levels, "accounts", Level::ERROR));
    }

    #[test]
    fn what_names_no_level_is_refused() {
        for wrong in
            ["warning", "verbose", "", ",", "info,", "reauth_core", "reauth_core=", "=info", "a=loud", "a[b]=info", "3"]
        {
            assert_eq!(parse_levels(wrong), None, "{wrong}");
        }
    }
}
