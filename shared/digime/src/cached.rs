//! A value that is fetched when it is needed and kept for a while.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{ambient::Ambient, time::after};

/// How long values are kept.
#[derive(Debug)]
pub struct Lifetimes<T> {
    /// How long a value is used before it is fetched again.
    pub of: fn(&T) -> Duration,
    /// The shortest time between two fetches because a fresh value does not suit its caller.
    pub between_refetches: Duration,
}

/// A cached value. Only one fetch is in progress at a time; other callers wait for its result.
#[derive(Debug)]
pub struct Cached<T> {
    lifetimes: Lifetimes<T>,
    state: Mutex<Option<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    fetched_at: Timestamp,
    /// When the value was last fetched because a fresh one did not suit its caller.
    refetched_at: Option<Timestamp>,
}

impl<T: Clone> Cached<T> {
    /// An empty cache.
    #[must_use]
    pub fn new(lifetimes: Lifetimes<T>) -> Self {
        Self { lifetimes, state: Mutex::new(None) }
    }

    /// The cached value if it is fresh, else the fetched one.
    ///
    /// # Errors
    /// Those of `fetch`. The cache does not change then.
    pub async fn get<E>(&self, ambient: &Ambient, fetch: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        self.get_suitable(ambient, |_| true, fetch).await
    }

    /// The cached value if it is fresh and `suits` the caller, else the fetched one. A fresh value that does not suit
    /// is fetched again at most once in the configured time; until then it is returned all the same.
    ///
    /// # Errors
    /// Those of `fetch`. The cache does not change then.
    pub async fn get_suitable<E>(
        &self,
        ambient: &Ambient,
        suits: impl FnOnce(&T) -> bool,
        fetch: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut state = self.state.lock().await;
        let now = ambient.now();
        let mut refetched_at = None;
        if let Some(cached) = state.as_ref().filter(|cached| self.is_fresh(cached, now)) {
            let waits = cached.refetched_at.is_some_and(|at| now < after(at, self.lifetimes.between_refetches));
            if waits || suits(&cached.value) {
                return Ok(cached.value.clone());
            }
            refetched_at = Some(now);
        }
        let value = fetch.await?;
        *state = Some(State { value: value.clone(), fetched_at: ambient.now(), refetched_at });
        Ok(value)
    }

    fn is_fresh(&self, cached: &State<T>, now: Timestamp) -> bool {
        now < after(cached.fetched_at, (self.lifetimes.of)(&cached.value))
    }
}
