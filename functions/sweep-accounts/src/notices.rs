//! Reminders of accounts that need their user, and warnings before an authorization expires: tells those that are due, and
//! plans the next ones.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use reauth_core::{
    config::{ConfigError, Environment},
    lambda::RequestContext,
    store::{AccountChange, Commit, DueItem, GrantCondition, StoreError, Versioned},
};
use reauth_domain::{
    Account, Grant, Outcome, Signal, UserId,
    account::NoticePlan,
    contact::TimeZoneName,
    notice_rate::minute_of,
    notices::{Circumstances, Lifetimes, NextNotice, NextWarning, ReminderSchedule, Wait},
    outage::resume_at,
    time::after,
};
use tracing::instrument;

use crate::{RETRY_INTERVAL, SweepAccounts, SweepError, summary::SweepOutcome};

/// What the sweep is told about notices.
#[derive(Debug)]
pub(crate) struct NoticeSettings {
    schedule: ReminderSchedule,
    lifetimes: Lifetimes,
    /// Of users whose contact names none.
    default_zone: TimeZone,
}

impl NoticeSettings {
    pub(crate) fn new(environment: &Environment) -> Result<Self, ConfigError> {
        let zone = environment.parsed::<TimeZoneName>("DEFAULT_TIME_ZONE")?;
        Ok(Self {
            schedule: environment.parsed("REMINDER_SCHEDULE")?.unwrap_or_default(),
            lifetimes: environment.parsed("SERVICE_LIFETIMES")?.unwrap_or_default(),
            default_zone: zone.map_or(TimeZone::UTC, |zone| zone.time_zone()),
        })
    }
}

impl SweepAccounts {
    /// Tells the notice of an account that is due, or plans its next one. The account is claimed first: if this process ends in
    /// between, it is due again.
    #[instrument(skip_all, fields(trace_id = %context.traceparent.trace_id(), user_id = %item.user_id, account_id = item.account_id()))]
    pub(crate) async fn notice(&self, item: &DueItem, context: RequestContext) -> Result<SweepOutcome, SweepError> {
        let store = &self.authorized.store;
        let until = after(context.triggered_at, RETRY_INTERVAL);
        let Some(claimed) = store.claim_account(item, until).await? else { return Ok(SweepOutcome::Lost) };
        let account = &claimed.value;
        let last_read = async {
            if !self.notices.lifetimes.depends_on_reads(account) {
                return Ok(None);
            }
            store.last_completed_read(&account.user_id, &account.account_id).await
        };
        let (zone, last_read) = tokio::try_join!(self.zone_of(&account.user_id), last_read)?;
        let NoticeSettings { schedule, lifetimes, .. } = &self.notices;
        let now = self.ambient.now();
        let mut circumstances = Circumstances { schedule, lifetimes, zone: &zone, last_read, not_before: None, now };
        let mut next = account.next_notice(&circumstances);
        if next == NextNotice::Remind
            && let Some(until) = self.held_until(account).await?
        {
            circumstances.not_before = Some(until);
            next = account.next_notice(&circumstances);
        }
        let (signal, outcome) = match next {
            NextNotice::Remind => (Signal::ReminderDue, SweepOutcome::Reminded),
            NextNotice::Warn(warning) => (Signal::ExpiryDue(warning), SweepOutcome::Warned),
            NextNotice::Wait(wait) => {
                store.plan_account(&claimed, &wait).await?;
                return Ok(SweepOutcome::Planned);
            }
        };
        match self.within_rate(self.tell(&claimed, signal, &circumstances, context)).await? {
            Some(true) => Ok(outcome),
            Some(false) => Ok(SweepOutcome::Open),
            None => {
                let wait = Wait { plan: NoticePlan::At(next_minute(now)), warned: account.warned.clone() };
                store.plan_account(&claimed, &wait).await?;
                Ok(SweepOutcome::Held)
            }
        }
    }

    /// Tells a notice as one of those of this minute. `None` if the minute has none left.
    async fn within_rate(
        &self,
        tell: impl Future<Output = Result<bool, StoreError>>,
    ) -> Result<Option<bool>, StoreError> {
        if !self.notice_budget.take().await? {
            return Ok(None);
        }
        let told = tell.await?;
        if !told {
            self.notice_budget.give_back().await;
        }
        Ok(Some(told))
    }

    /// Writes a notice, and plans the next one in the same transaction. False if the account has changed since it was claimed:
    /// that change made it due again.
    async fn tell(
        &self,
        claimed: &Versioned<Account>,
        signal: Signal,
        circumstances: &Circumstances<'_>,
        context: RequestContext,
    ) -> Result<bool, StoreError> {
        let Outcome::Changed(mut change) = claimed.value.clone().take(signal, circumstances.now) else {
            return Ok(false);
        };
        change.account.notices = match change.account.next_notice(circumstances) {
            NextNotice::Wait(wait) => wait.plan,
            NextNotice::Remind | NextNotice::Warn(_) => NoticePlan::Unplanned,
        };
        let commit = Commit {
            user_id: change.account.user_id.clone(),
            changes: vec![AccountChange { change, read_version: claimed.version, read: None }],
            last_reads: None,
            reauthorization: None,
            context,
        };
        match self.authorized.store.commit(commit).await {
            Err(StoreError::Conflict(_)) => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// The grant's refresh token has expired, or its user is to be warned, or nothing is planned yet. The grant is claimed
    /// first, so that one that cannot be read does not stay before the others.
    #[instrument(skip_all, fields(trace_id = %context.traceparent.trace_id(), user_id = %item.user_id, contract_id = item.contract_id()))]
    pub(crate) async fn look_at_grant(
        &self,
        item: &DueItem,
        context: RequestContext,
    ) -> Result<SweepOutcome, SweepError> {
        let until = after(context.triggered_at, RETRY_INTERVAL);
        let Some(claimed) = self.authorized.store.claim_grant(item, until).await? else {
            return Ok(SweepOutcome::Lost);
        };
        if claimed.value.has_expired_unnoticed(context.triggered_at) {
            self.authorized.notice_expiry(claimed, context).await?;
            return Ok(SweepOutcome::Expired);
        }
        Ok(self.warn_or_plan_grant(claimed, until, context).await?)
    }

    async fn warn_or_plan_grant(
        &self,
        claimed: Versioned<Grant>,
        until: Timestamp,
        context: RequestContext,
    ) -> Result<SweepOutcome, StoreError> {
        let (store, grant) = (&self.authorized.store, &claimed.value);
        let zone = self.zone_of(&grant.user_id).await?;
        let now = self.ambient.now();
        let (next, warned) = match grant.next_warning(&zone, now) {
            NextWarning::Now { days_left } => {
                return match self.within_rate(self.warn_of_grant(&claimed, days_left, context)).await? {
                    Some(true) => Ok(SweepOutcome::Warned),
                    Some(false) => Ok(SweepOutcome::Open),
                    None => {
                        store.plan_grant(&claimed, until, next_minute(now), grant.warned.as_ref()).await?;
                        Ok(SweepOutcome::Held)
                    }
                };
            }
            NextWarning::Later { at, warned } => (at, Some(warned)),
            NextWarning::Never => (grant.tokens.refresh.expires_at, grant.warned.clone()),
        };
        store.plan_grant(&claimed, until, next, warned.as_ref()).await?;
        Ok(SweepOutcome::Planned)
    }

    /// The write makes the grant due again: the next warning is planned then.
    async fn warn_of_grant(
        &self,
        claimed: &Versioned<Grant>,
        days_left: u32,
        context: RequestContext,
    ) -> Result<bool, StoreError> {
        let condition = GrantCondition::Version(claimed.version);
        // A write would end the lease. The grant is due again in some minutes.
        let is_leased = claimed.value.leased_until.is_some_and(|until| self.ambient.now() < until);
        let Some(change) = claimed.value.clone().warned_of(days_left, self.ambient.now()).filter(|_| !is_leased) else {
            return Ok(false);
        };
        match Box::pin(self.authorized.store.put_grant(change, condition, None, context)).await {
            Err(StoreError::Conflict(_)) => Ok(false),
            written => written.map(|_| true),
        }
    }

    async fn zone_of(&self, user: &UserId) -> Result<TimeZone, StoreError> {
        let of_contact = self.authorized.store.time_zone_of(user).await?;
        Ok(of_contact.unwrap_or_else(|| self.notices.default_zone.clone()))
    }

    /// Until when reminders of the account wait, because its service is probably down.
    async fn held_until(&self, account: &Account) -> Result<Option<Timestamp>, StoreError> {
        let Some(service) = account.service_name.as_deref() else { return Ok(None) };
        let open = self.authorized.store.open_outages([service]).await?;
        Ok(open.get(service).map(|until| resume_at(*until, &account.user_id)))
    }
}

/// When a notice is due for which this minute has none left.
fn next_minute(now: Timestamp) -> Timestamp {
    after(minute_of(now), Duration::from_secs(60))
}
