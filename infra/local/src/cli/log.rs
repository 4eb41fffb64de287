//! The log lines, on standard error. Events are printed on standard output.

use std::collections::BTreeMap;

use reauth_core::{config::Environment, logs};
use tracing_subscriber::{Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use super::environment;
use crate::causes;

/// The project's other crates, of which levels below `info` are written too.
const LOCAL: [&str; 2] = ["local", "digime_simulator"];
/// Each request of the API in one line, and what the local system says itself. The events have lines of their own on standard
/// output; more lines would bury them.
const DEFAULT: &str = "warn,reauth_core::web=info,local=info,digime_simulator=info";

/// Writes the log lines at the levels of `RUST_LOG`, else at the default ones.
pub(super) fn initialize(settings: &BTreeMap<String, String>) -> Result<(), String> {
    let text = settings.get(environment::LOG).cloned().unwrap_or_else(|| DEFAULT.to_owned());
    let settings: Environment = [(environment::LOG.to_owned(), text)].into_iter().collect();
    let levels = logs::levels(&settings).map_err(|error| error.to_string())?;
    // A closed terminal takes no lines. Reports of that would go to the terminal, and panic.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = lines.with_filter(logs::filter(levels, &LOCAL));
    tracing_subscriber::registry().with(lines).with(causes::layer()).init();
    Ok(())
}
