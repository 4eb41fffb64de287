//! A value that is fetched when it is needed and kept for a while.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{ambient::Ambient, time::after};

/// How long values are kept.
#[derive(Debug)]
pub struct Lifetimes<T> {
    /// How long a value is used before it is fetched again.
    pub lifetime: fn(&T) -> Duration,
    /// The shortest time between two refetches. A refetch replaces a fresh value that a caller rejected.
    pub between_refetches: Duration,
}

/// A cached value. Only one fetch is in progress at a time; other callers wait for its result.
#[derive(Debug)]
pub struct Cached<T> {
    /// The dimension `Cache` of the metrics `CacheHits` and `CacheMisses`.
    name: &'static str,
    lifetimes: Lifetimes<T>,
    state: Mutex<Option<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    value: T,
    fetched_at: Timestamp,
    /// When a value was last fetched because a caller rejected a fresh one.
    refetched_at: Option<Timestamp>,
}

impl<T: Clone> Cached<T> {
    /// An empty cache. Metrics show it under its name.
    #[must_use]
    pub fn new(name: &'static str, lifetimes: Lifetimes<T>) -> Self {
        Self { name, lifetimes, state: Mutex::new(None) }
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
                metrics::counter!("CacheHits", "Cache" => self.name).increment(1);
                return Ok(cached.value.clone());
            }
            refetched_at = Some(now);
        }
        metrics::counter!("CacheMisses", "Cache" => self.name).increment(1);
        let value = fetch.await?;
        *state = Some(State { value: value.clone(), fetched_at: ambient.now(), refetched_at });
        Ok(value)
    }

    fn is_fresh(&self, cached: &State<T>, now: Timestamp) -> bool {
        now < after(cached.fetched_at, (self.lifetimes.lifetime)(&cached.value))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, AtomicU32, Ordering::Relaxed},
    };

    use futures::{FutureExt, future::join_all};
    use tokio::task::yield_now;

    use super::*;
    use crate::ambient::{Clock, Random};

    const LIFETIME: Duration = Duration::from_secs(60);
    const BETWEEN_REFETCHES: Duration = Duration::from_secs(10);

    /// A clock that a test sets, in milliseconds.
    #[derive(Debug, Default)]
    struct TestClock(AtomicI64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millisecond(self.0.load(Relaxed)).unwrap()
        }
    }

    impl Random for TestClock {
        fn fill(&self, _: &mut [u8]) {
            unreachable!("a cache needs no randomness");
        }
    }

    /// A cache with a clock, and a source that returns 1, 2, 3, …
    struct World {
        clock: Arc<TestClock>,
        ambient: Ambient,
        cached: Cached<u32>,
        fetches: AtomicU32,
    }

    impl World {
        fn new() -> Self {
            let clock = Arc::new(TestClock::default());
            let ambient = Ambient::new(clock.clone(), clock.clone());
            let cached =
                Cached::new("test", Lifetimes { lifetime: |_| LIFETIME, between_refetches: BETWEEN_REFETCHES });
            Self { clock, ambient, cached, fetches: AtomicU32::new(0) }
        }

        fn advance(&self, time: Duration) {
            self.clock.0.fetch_add(time.as_millis().try_into().unwrap(), Relaxed);
        }

        /// A fetch that lets other callers run before it returns.
        async fn fetch(&self) -> Result<u32, &'static str> {
            let number = self.fetches.fetch_add(1, Relaxed) + 1;
            yield_now().await;
            Ok(number)
        }

        async fn get(&self) -> Result<u32, &'static str> {
            self.cached.get(&self.ambient, self.fetch()).await
        }

        async fn failing(&self) -> Result<u32, &'static str> {
            let fails = async {
                self.fetch().await?;
                Err("no answer")
            };
            self.cached.get(&self.ambient, fails).await
        }

        /// A value that is at least `minimum`, if there is one.
        async fn at_least(&self, minimum: u32) -> Result<u32, &'static str> {
            self.cached.get_suitable(&self.ambient, |value| *value >= minimum, self.fetch()).await
        }
    }

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_fetch() {
        let world = World::new();
        let values = join_all((0..10).map(|_| world.get())).await;
        assert_eq!(values, [Ok(1); 10]);
    }

    #[tokio::test]
    async fn a_value_is_used_for_its_lifetime() {
        let world = World::new();
        assert_eq!(world.get().await, Ok(1));
        world.advance(LIFETIME - Duration::from_millis(1));
        assert_eq!(world.get().await, Ok(1));
        world.advance(Duration::from_millis(1));
        assert_eq!(world.get().await, Ok(2));
    }

    #[tokio::test]
    async fn the_lifetime_begins_when_the_fetch_ends() {
        let world = World::new();
        let slow = async {
            world.advance(LIFETIME);
            world.fetch().await
        };
        assert_eq!(world.cached.get(&world.ambient, slow).await, Ok(1));
        assert_eq!(world.get().await, Ok(1));
    }

    #[tokio::test]
    async fn a_failure_is_not_cached() {
        let world = World::new();
        assert_eq!(world.failing().await, Err("no answer"));
        assert_eq!(world.get().await, Ok(2));
    }

    #[tokio::test]
    async fn a_caller_that_waited_for_a_failed_fetch_fetches_itself() {
        let world = World::new();
        assert_eq!(tokio::join!(world.failing(), world.get(), world.get()), (Err("no answer"), Ok(2), Ok(2)));
    }

    #[tokio::test]
    async fn a_caller_that_waited_for_a_cancelled_fetch_fetches_itself() {
        let world = World::new();
        let mut first = Box::pin(world.get());
        assert_eq!(first.as_mut().now_or_never(), None);
        let mut second = Box::pin(world.get());
        assert_eq!(second.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!(second.await, Ok(2));
        assert_eq!(world.get().await, Ok(2));
    }

    #[tokio::test]
    async fn a_fresh_value_that_does_not_suit_is_fetched_again_once_in_the_configured_time() {
        let world = World::new();
        assert_eq!(world.get().await, Ok(1));
        assert_eq!(world.at_least(9).await, Ok(2));
        world.advance(BETWEEN_REFETCHES - Duration::from_millis(1));
        assert_eq!(world.at_least(9).await, Ok(2));
        world.advance(Duration::from_millis(1));
        assert_eq!(world.at_least(9).await, Ok(3));
        assert_eq!(world.at_least(3).await, Ok(3));
    }

    #[tokio::test]
    async fn a_failed_refetch_keeps_the_value_and_may_be_repeated_at_once() {
        let world = World::new();
        assert_eq!(world.get().await, Ok(1));
        let failed = world.cached.get_suitable(&world.ambient, |_| false, async { Err("no answer") }).await;
        assert_eq!(failed, Err("no answer"));
        assert_eq!(world.get().await, Ok(1));
        assert_eq!(world.at_least(2).await, Ok(2));
    }
}
