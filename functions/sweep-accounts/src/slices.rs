//! Works through due items in slices. Several sweeps at once do no work twice: each claims an item before it processes it.
//! Each begins with another shard, so that they seldom meet. Where they meet, one leaves the slice to the other.
//!
//! The index is eventually consistent: it can still contain items that this sweep has just rescheduled. So each slice is read
//! behind the one before, and a run tries each item once.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use reauth_core::{
    error::Chain,
    lambda::Invocation,
    store::{DueItem, DueKind, DuePosition, DueShard, StoreError},
};
use tokio::sync::Mutex;

use crate::{
    SweepAccounts, SweepError,
    summary::{RunResult, Summary, SweepOutcome},
};

/// Items that are read from a shard at a time.
const SLICE: usize = 50;
/// Items of one kind that are processed at the same time.
const CONCURRENCY: usize = 16;
/// Shards that are worked through at the same time.
const SHARDS_AT_ONCE: usize = 4;
/// When so many items at the beginning of a slice are no longer due, another sweep most likely works through it.
const LOST_IN_A_ROW: usize = 3;
/// The remaining time that a change of an item in AWS requires: a call takes up to 6 seconds.
const CHANGE_TIME: Duration = Duration::from_secs(8);
/// The remaining time that verifying an account requires, so that no call to digi.me or AWS is cut off.
const VERIFICATION_TIME: Duration = Duration::from_secs(15);
/// After this many consecutive calls that digi.me does not answer or answers with a temporary error, digi.me counts as
/// down, and the next sweep verifies the remaining accounts.
const MAX_OUTAGES_IN_A_ROW: u32 = 5;

/// One run of the sweep through the items of one kind that are due when it begins.
pub(crate) struct Run<'a> {
    sweep: &'a SweepAccounts,
    invocation: &'a Invocation,
    kind: DueKind,
    begun_at: Timestamp,
    outages_in_a_row: AtomicU32,
}

impl<'a> Run<'a> {
    pub(crate) fn new(sweep: &'a SweepAccounts, invocation: &'a Invocation, kind: DueKind) -> Self {
        Self { sweep, invocation, kind, begun_at: sweep.ambient.now(), outages_in_a_row: AtomicU32::new(0) }
    }

    /// Processes the due items of each shard, until there are none, or an item is left: the time is too short, or something is
    /// down. A shard that fails does not affect the others. Holds `lists` while it lists the shards.
    pub(crate) async fn work_through(self, lists: &Mutex<()>) -> RunResult {
        let (mut shards, result) = {
            let _listing = lists.lock().await;
            self.list().await
        };
        let first = usize::from(u16::from_be_bytes(self.sweep.ambient.bytes())) % shards.len().max(1);
        shards.rotate_left(first);
        let at_once = CONCURRENCY / shards.len().clamp(1, SHARDS_AT_ONCE);
        let worked = shards.into_iter().map(|shard| Box::pin(self.work_through_shard(shard, at_once)));
        let worked: Vec<_> = stream::iter(worked).buffer_unordered(SHARDS_AT_ONCE).collect().await;
        worked.into_iter().fold(result, RunResult::and)
    }

    /// The first slice of each shard that has due items, and the error of one that cannot be listed.
    async fn list(&self) -> (Vec<DueShard>, RunResult) {
        let (mut shards, mut error) = (Vec::new(), None);
        // DynamoDB has not answered the lists before.
        if self.sweep.ambient.remaining(self.invocation.deadline) < CHANGE_TIME {
            return (shards, RunResult::default());
        }
        for listed in self.sweep.authorized.store.due(self.kind, self.begun_at, SLICE).await {
            match listed {
                Ok(shard) => shards.push(shard),
                Err(failed) => error = error.or(Some(failed)),
            }
        }
        shards.retain(|shard| !shard.items.is_empty() || shard.next.is_some());
        (shards, error.map_or_else(RunResult::default, |error| self.not_listed(error)))
    }

    async fn work_through_shard(&self, mut shard: DueShard, at_once: usize) -> RunResult {
        let mut summary = Summary::default();
        loop {
            let can_go_on = summary.add(&self.work_through_slice(shard.items, at_once).await);
            let Some(next) = shard.next.filter(|_| can_go_on) else { return summary.into() };
            shard = match self.next_slice(shard.number, next).await {
                Ok(shard) => shard,
                Err(error) => return RunResult::from(summary).and(self.not_listed(error)),
            };
        }
    }

    async fn next_slice(&self, shard: u8, next: DuePosition) -> Result<DueShard, StoreError> {
        self.sweep.authorized.store.due_of_shard(self.kind, shard, self.begun_at, SLICE, Some(next)).await
    }

    /// The items at the beginning are processed one by one, until one was still due: no other sweep works through the slice.
    async fn work_through_slice(&self, items: Vec<DueItem>, at_once: usize) -> Vec<SweepOutcome> {
        let (mut items, mut outcomes) = (items.into_iter(), Vec::new());
        while outcomes.iter().all(|outcome| *outcome == SweepOutcome::Lost) {
            let Some(item) = items.next().filter(|_| outcomes.len() < LOST_IN_A_ROW) else { return outcomes };
            outcomes.push(self.process(item).await);
        }
        let rest = stream::iter(items).map(|item| self.process(item)).buffer_unordered(at_once);
        outcomes.extend(rest.collect::<Vec<_>>().await);
        outcomes
    }

    fn not_listed(&self, error: StoreError) -> RunResult {
        tracing::warn!(error = %Chain(&error), kind = self.kind.name(), "sweep: could not list due items");
        error.into()
    }

    /// Processes one item, if enough time remains. An item that fails does not affect the others, and is due again later.
    async fn process(&self, item: DueItem) -> SweepOutcome {
        let time = if self.kind == DueKind::Verification { VERIFICATION_TIME } else { CHANGE_TIME };
        let is_down = self.outages_in_a_row.load(Ordering::Relaxed) >= MAX_OUTAGES_IN_A_ROW;
        if is_down || self.sweep.ambient.remaining(self.invocation.deadline) < time {
            return SweepOutcome::Left;
        }
        let result = self.try_to_process(&item).await;
        if result.as_ref().is_err_and(SweepError::is_outage) {
            self.outages_in_a_row.fetch_add(1, Ordering::Relaxed);
        } else {
            self.outages_in_a_row.store(0, Ordering::Relaxed);
        }
        match result {
            Ok(outcome) => outcome,
            Err(SweepError::Store(StoreError::Erased)) => SweepOutcome::Open,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), user_id = %item.user_id, account_id = item.account_id(), contract_id = item.contract_id(), kind = self.kind.name(), "sweep: could not process a due item");
                SweepOutcome::Failed
            }
        }
    }

    async fn try_to_process(&self, item: &DueItem) -> Result<SweepOutcome, SweepError> {
        let Self { sweep, invocation, kind, .. } = self;
        let context = invocation.context(sweep.ambient.now(), None, &sweep.ambient);
        // Boxed, because the futures of calls to AWS are large.
        match kind {
            DueKind::Event => Box::pin(sweep.requeue(item)).await,
            DueKind::Grant => Box::pin(sweep.look_at_grant(item, context)).await,
            DueKind::Notice => Box::pin(sweep.notice(item, context)).await,
            DueKind::Mail => Box::pin(sweep.start_mail(item)).await,
            DueKind::Verification => Box::pin(sweep.verify(item, context)).await,
        }
    }
}
