//! The log lines, on standard error. Events are printed on standard output.

use std::collections::BTreeMap;

use reauth_core::{config::Environment, logs};
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::environment;
use crate::causes;

/// The project's other crates, whose lines are written by default like those of the functions.
const LOCAL: [&str; 2] = ["local", "digime_simulator"];
const SWEEP: &str = "sweep_accounts";

/// Writes the log lines at the levels of `RUST_LOG`. By default, the project's own crates write `info`, and others `warn`. The
/// sweep runs every few seconds: it writes `warn`.
pub(super) fn initialize(settings: &BTreeMap<String, String>) -> Result<(), String> {
    let text = settings.get(environment::LOG).cloned().unwrap_or_else(default);
    let settings: Environment = [(environment::LOG.to_owned(), text)].into_iter().collect();
    let levels = logs::levels(&settings).map_err(|error| error.to_string())?;
    // A closed terminal takes no lines. Reports of that would go to the terminal, and panic.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = lines.with_filter(logs::filter(levels, &LOCAL));
    tracing_subscriber::registry().with(lines).with(causes::layer()).init();
    Ok(())
}

fn default() -> String {
    let ours = logs::OURS.iter().chain(&LOCAL).filter(|name| **name != SWEEP);
    std::iter::once("warn".to_owned()).chain(ours.map(|name| format!(",{name}=info"))).collect()
}
