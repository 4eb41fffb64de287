//! Asks the sweep to fetch the logos of services, each once in the life of the process.

use std::{collections::HashSet, sync::Mutex};

use reauth_core::{
    error::Chain,
    store::{Store, StoredEvent},
};

/// More URLs are not remembered: asking again changes nothing.
const MOST: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct AskedLogos(Mutex<HashSet<String>>);

impl AskedLogos {
    /// An event is published without waiting for its logo, and if this fails.
    pub(crate) async fn ask(&self, store: &Store, event: &StoredEvent) {
        let Some(url) = event.service_logo.as_deref().filter(|url| !self.contains(url)) else { return };
        match store.request_logo(url).await {
            Ok(()) => self.insert(url),
            Err(error) => {
                let event_id = &event.event.subject.event_id;
                tracing::warn!(%event_id, error = %Chain(&error), "notify-reauth: could not ask for a logo");
            }
        }
    }

    fn contains(&self, url: &str) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).contains(url)
    }

    fn insert(&self, url: &str) {
        let mut asked = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if asked.len() >= MOST {
            asked.clear();
        }
        asked.insert(url.to_owned());
    }
}
