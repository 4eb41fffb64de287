//! Works through due items in slices. Several sweeps at once do no work twice: each claims an item before it processes it.
//! Each begins with another shard, so that they seldom meet; where they meet, one leaves the shard to the other.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};
use reauth_core::{
    error::Chain,
    lambda::Invocation,
    store::{DueItem, DueKind, DueShard, StoreError},
};

use crate::{
    SweepAccounts, SweepError,
    summary::{Summary, SweepOutcome},
};

/// Items that are read from a shard at a time.
const SLICE: usize = 50;
/// Items that are processed at the same time.
const CONCURRENCY: usize = 16;
/// Shards that are worked through at the same time.
const SHARDS_AT_ONCE: usize = 4;
/// When another sweep was first with so many items in a row, it works on the shard. The index is eventually consistent, so that
/// a single one may just be no longer due.
const LOST_IN_A_ROW: usize = 3;
/// The remaining time that a change of an item in AWS requires: a call takes up to 6 seconds.
const CHANGE_TIME: Duration = Duration::from_secs(8);
/// The remaining time that verifying an account requires, so that no call to digi.me or AWS is cut off.
const VERIFICATION_TIME: Duration = Duration::from_secs(15);
/// After this many consecutive calls that digi.me does not answer or answers with a temporary error, digi.me counts as
/// down, and the next sweep verifies the remaining accounts.
const MAX_OUTAGES_IN_A_ROW: u32 = 5;

/// One run of the sweep through the due items of one kind.
pub(crate) struct Run<'a> {
    sweep: &'a SweepAccounts,
    invocation: &'a Invocation,
    kind: DueKind,
    outages_in_a_row: AtomicU32,
}

impl<'a> Run<'a> {
    pub(crate) fn new(sweep: &'a SweepAccounts, invocation: &'a Invocation, kind: DueKind) -> Self {
        Self { sweep, invocation, kind, outages_in_a_row: AtomicU32::new(0) }
    }

    /// Processes the due items, until there are none, or an item is left: the time is too short, or something is down.
    pub(crate) async fn work_through(&self) -> Result<Summary, StoreError> {
        let (store, ambient) = (&self.sweep.authorized.store, &self.sweep.ambient);
        let mut shards = store.due(self.kind, ambient.now(), SLICE).await?;
        let first = usize::from(u16::from_be_bytes(ambient.bytes())) % shards.len().max(1);
        shards.rotate_left(first);
        let at_once = CONCURRENCY / shards.len().clamp(1, SHARDS_AT_ONCE);
        let worked = shards.into_iter().map(|shard| Box::pin(self.work_through_shard(shard, at_once)));
        let summaries = stream::iter(worked).buffer_unordered(SHARDS_AT_ONCE);
        summaries.try_fold(Summary::default(), |whole, part| async move { Ok(whole.with(&part)) }).await
    }

    async fn work_through_shard(
        &self,
        DueShard { number, mut items }: DueShard,
        at_once: usize,
    ) -> Result<Summary, StoreError> {
        let mut summary = Summary::default();
        loop {
            let mut items_of_slice = items.into_iter();
            let mut lost = 0;
            let first = loop {
                let Some(item) = items_of_slice.next() else { return Ok(summary) };
                match self.process(item).await {
                    SweepOutcome::Lost if lost + 1 == LOST_IN_A_ROW => return Ok(summary),
                    SweepOutcome::Lost => lost += 1,
                    outcome => break outcome,
                }
            };
            let rest = stream::iter(items_of_slice).map(|item| self.process(item)).buffer_unordered(at_once);
            if !summary.add(&stream::iter([first]).chain(rest).collect::<Vec<_>>().await) {
                return Ok(summary);
            }
            let (store, now) = (&self.sweep.authorized.store, self.sweep.ambient.now());
            items = store.due_of_shard(self.kind, number, now, SLICE).await?.items;
        }
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
