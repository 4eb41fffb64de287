//! What a function does before its first invocation: it opens the connections that it will need, and fetches what it
//! caches. Lambda gives a whole CPU during init, and the share of the memory size afterwards.

use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tower::BoxError;

use crate::error::Chain;

/// The time limit of the warm-up. Lambda ends an init after 10 seconds.
const TIME_LIMIT: Duration = Duration::from_millis(1_500);

/// One thing to open or to fetch.
pub struct Step<'a> {
    /// What is opened or fetched, for the log.
    name: &'static str,
    work: BoxFuture<'a, Result<(), BoxError>>,
}

impl<'a> Step<'a> {
    pub fn new<E: Into<BoxError>>(name: &'static str, work: impl Future<Output = Result<(), E>> + Send + 'a) -> Self {
        Self { name, work: Box::pin(async move { work.await.map_err(Into::into) }) }
    }
}

/// Executes the steps side by side. A step that fails or takes too long is logged, and left to the first invocation
/// that needs it.
pub async fn run(steps: Vec<Step<'_>>) {
    join_all(steps.into_iter().map(execute)).await;
}

async fn execute(step: Step<'_>) {
    let name = step.name;
    match tokio::time::timeout(TIME_LIMIT, step.work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(step = name, error = %Chain(&*error), "warm-up: a step failed"),
        Err(_) => tracing::warn!(step = name, "warm-up: a step took too long"),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_run_side_by_side_and_none_holds_the_start_up_for_long() {
        let done = AtomicU32::new(0);
        let count = || async {
            tokio::task::yield_now().await;
            done.fetch_add(1, Ordering::Relaxed);
            Ok::<_, BoxError>(())
        };
        let steps = vec![
            Step::new("first", count()),
            Step::new("stuck", pending::<Result<(), BoxError>>()),
            Step::new("failing", async { Err::<(), BoxError>("no answer".into()) }),
            Step::new("stuck too", pending::<Result<(), BoxError>>()),
            Step::new("last", count()),
        ];
        // The test's clock moves on when nothing else can. One after the other, the stuck steps would take twice the limit.
        let soon = TIME_LIMIT + Duration::from_millis(1);
        tokio::time::timeout(soon, run(steps)).await.unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 2);
    }
}
