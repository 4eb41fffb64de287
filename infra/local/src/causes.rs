//! Why messages failed: what the functions logged about them. A dead letter is shown with its cause.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    layer::Context,
    registry::LookupSpan,
};

/// More causes than this are not kept: all are dropped. The event source takes a cause when the batch of its message ends, so
/// that only causes of messages outside of a batch are left.
const REMEMBERED: usize = 1_000;

/// The causes by message id. Message ids are unique, so that all systems of a process can share them, as they share the
/// process's log.
static CAUSES: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

fn causes() -> MutexGuard<'static, Option<HashMap<String, String>>> {
    CAUSES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was logged last about the message since the last call.
pub(crate) fn take(message_id: &str) -> Option<String> {
    causes().as_mut()?.remove(message_id)
}

/// A layer that remembers warnings and errors with a field `message_id`. The functions must run in this process.
pub(crate) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    CausesLayer.with_filter(Targets::new().with_default(LevelFilter::WARN))
}

struct CausesLayer;

impl<S: Subscriber> Layer<S> for CausesLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::WARN {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Some(message_id) = fields.message_id.take() else { return };
        let mut causes = causes();
        let causes = causes.get_or_insert_default();
        if causes.len() >= REMEMBERED {
            causes.clear();
        }
        causes.insert(message_id, fields.cause());
    }
}

#[derive(Default)]
struct Fields {
    message_id: Option<String>,
    /// The fixed sentence of the log line.
    message: String,
    /// What varies, without the ids.
    details: Vec<String>,
}

impl Fields {
    fn cause(self) -> String {
        let details = self.details.join(", ");
        if details.is_empty() { self.message } else { format!("{}: {details}", self.message) }
    }

    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message_id" => self.message_id = Some(value),
            "message" => self.message = value,
            "error" => self.details.push(value),
            name if name.ends_with("_id") => {}
            name => self.details.push(format!("{name} {value}")),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_warning_about_a_message_is_its_cause_until_it_is_taken() {
        let subscriber = tracing_subscriber::registry().with(layer());
        tracing::subscriber::with_default(subscriber, || {
            let (id, error) = ("causes-test-1", "connection refused");
            tracing::warn!(message_id = id, event_id = "evt", %error, "post-webhook: could not post an event");
            tracing::error!(message_id = %"causes-test-2", field = "body", "a message holds no event");
            tracing::info!(message_id = %"causes-test-3", "posted an event");
            tracing::warn!(error, "about no message");
        });
        let expected = "post-webhook: could not post an event: connection refused";
        assert_eq!(take("causes-test-1").as_deref(), Some(expected));
        assert_eq!(take("causes-test-1"), None);
        assert_eq!(take("causes-test-2").as_deref(), Some("a message holds no event: field body"));
        assert_eq!(take("causes-test-3"), None);
    }
}
