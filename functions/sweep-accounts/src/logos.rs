//! Fetches logos that are due: new ones, and those that were fetched a month ago.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use digime::ambient::{Ambient, Deadline};
use futures::{StreamExt, stream};
use reauth_core::{
    aws::Aws,
    config::ConfigError,
    error::Chain,
    outbound::LogoFetcher,
    store::{DueLogo, Store, StoreError},
};
use tracing::instrument;

/// Logos that one sweep fetches.
const LIMIT: usize = 16;
/// Logos that are fetched at the same time.
const CONCURRENCY: usize = 4;
/// The remaining time that fetching a logo requires: five seconds, and two calls to DynamoDB.
const TIME: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Logos {
    fetcher: LogoFetcher,
    /// The application's logo.
    own: Option<String>,
    /// Whether this process has asked for the application's logo.
    asked: AtomicBool,
    store: Store,
    ambient: Ambient,
}

impl Logos {
    pub(crate) fn new(aws: &Aws<'_>, store: &Store, ambient: &Ambient) -> Result<Self, ConfigError> {
        let own = aws.environment().optional("APPLICATION_LOGO_URL").map(str::to_owned);
        let fetcher = LogoFetcher::new(aws)?;
        Ok(Self { fetcher, asked: AtomicBool::new(own.is_none()), own, store: store.clone(), ambient: ambient.clone() })
    }

    /// Fetches what is due. A logo that cannot be fetched holds up nothing: its page is shown without it, or with the one that
    /// is stored.
    #[instrument(skip_all)]
    pub(crate) async fn fetch_due(&self, deadline: Deadline) {
        if let Err(error) = self.ask_for_own().await {
            tracing::warn!(error = %Chain(&error), "sweep: could not ask for the application's logo");
        }
        let due = match self.store.due_logos(self.ambient.now(), LIMIT).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "sweep: could not list the logos that are due");
                return;
            }
        };
        let fetched = stream::iter(due).map(|logo| async move {
            if self.ambient.remaining(deadline) >= TIME
                && let Err(error) = Box::pin(self.fetch(&logo)).await
            {
                tracing::warn!(logo = logo.id(), error = %Chain(&error), "sweep: could not store a logo");
            }
        });
        fetched.buffer_unordered(CONCURRENCY).collect::<()>().await;
    }

    async fn ask_for_own(&self) -> Result<(), StoreError> {
        if let Some(url) = self.own.as_deref().filter(|_| !self.asked.load(Ordering::Relaxed)) {
            self.store.request_logo(url).await?;
            self.asked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The logo is claimed first, so that of two sweeps one fetches it.
    async fn fetch(&self, due: &DueLogo) -> Result<(), StoreError> {
        let Some(url) = self.store.claim_logo(due).await? else { return Ok(()) };
        match self.fetcher.fetch(&url).await {
            Ok(logo) => {
                self.store.put_logo(&url, &logo).await?;
                tracing::info!(
                    logo = due.id(),
                    bytes = logo.bytes.len(),
                    media_type = logo.media_type.media_type(),
                    "sweep: stored a logo"
                );
            }
            // Not a failure of this service. The sweep tries again in six hours.
            Err(error) => tracing::info!(logo = due.id(), error = %Chain(&error), "sweep: could not fetch a logo"),
        }
        Ok(())
    }
}
