//! The sweep: puts undelivered events on the queue again, notices refresh tokens that have expired, reminds and warns users, and
//! verifies accounts that digi.me has not confirmed. It also tells the operator when the webhook's endpoint begins or ends to fail, and when a
//! service is probably down.

pub mod budget;
mod logos;
mod mails;
mod notices;
mod operator;
mod outages;
mod slices;
mod summary;
mod verify;

use std::{sync::Arc, time::Duration};

use digime::ambient::Ambient;
use futures::{
    FutureExt,
    future::{join, join_all, join3},
};
use lambda_runtime::Error;
use reauth_core::{
    authorized_client::{AuthorizedClient, AuthorizedClientError},
    aws::{Aws, AwsError},
    config::{ConfigError, Environment},
    lambda::{Function, Invocation},
    metrics,
    store::{DueItem, DueKind, NoticeKind, StoreError},
    warm_up::Step,
};
use reauth_domain::time::after;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::instrument;

use crate::{
    budget::Budget,
    logos::Logos,
    notices::NoticeSettings,
    operator::Operator,
    outages::Outages,
    slices::Run,
    summary::{RunResult, Summary, SweepOutcome},
};

/// An item that was claimed is due again after this time, unless what it was claimed for is done by then.
const RETRY_INTERVAL: Duration = Duration::from_secs(15 * 60);

#[derive(Debug)]
pub struct SweepAccounts {
    authorized: AuthorizedClient,
    ambient: Ambient,
    queue: aws_sdk_sqs::Client,
    notifications_queue: Arc<str>,
    operator: Operator,
    logos: Logos,
    notices: NoticeSettings,
    /// Of reminders and warnings.
    notice_budget: Budget,
    mail_budget: Budget,
    /// `None` if this service writes to nobody.
    emails_queue: Option<Arc<str>>,
}

/// Why processing an item failed.
#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    AuthorizedClient(AuthorizedClientError),
    #[error("SQS did not accept the message")]
    Queue(#[source] AwsError),
}

impl From<AuthorizedClientError> for SweepError {
    fn from(error: AuthorizedClientError) -> Self {
        match error {
            AuthorizedClientError::Store(error) => Self::Store(error),
            error => Self::AuthorizedClient(error),
        }
    }
}

impl SweepError {
    /// Whether digi.me is down or overloaded.
    fn is_outage(&self) -> bool {
        matches!(self, Self::AuthorizedClient(AuthorizedClientError::Digime(error)) if error.is_retryable())
    }
}

impl Function for SweepAccounts {
    type Event = Value;
    type Reply = Value;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        // The configuration contract requires this variable. The function does not use it yet.
        environment.base_url("PUBLIC_BASE_URL")?.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?;
        let aws = Aws::new(environment)?;
        let authorized = AuthorizedClient::new(&aws, ambient)?;
        let rate = environment.parsed("NOTICE_RATE")?.unwrap_or_default();
        let budget = |kind| Budget::new(authorized.store.clone(), kind, rate, ambient);
        Ok(Self {
            logos: Logos::new(&aws, &authorized.store, ambient)?,
            notices: NoticeSettings::new(environment)?,
            notice_budget: budget(NoticeKind::Event),
            mail_budget: budget(NoticeKind::Mail),
            emails_queue: environment.optional("EMAILS_QUEUE_URL").map(Into::into),
            operator: Operator::new(&aws, authorized.store.clone(), ambient)?,
            authorized,
            ambient: ambient.clone(),
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            notifications_queue: environment.required("NOTIFICATIONS_QUEUE_URL")?.into(),
        })
    }

    /// Most sweeps find nothing due: they only list.
    fn warm_up(&self) -> Vec<Step<'_>> {
        let store = &self.authorized.store;
        store.warm_up().into_iter().chain(store.warm_up_lists()).collect()
    }

    /// Processes due items, looks at the outages of services, fetches logos, and tells the operator. None waits for another, or fails
    /// because of it.
    #[instrument(skip_all)]
    async fn handle(&self, _event: Value, invocation: Invocation) -> Result<Value, Error> {
        let deadline = invocation.deadline;
        let (store, operator, ambient) = (&self.authorized.store, &self.operator, &self.ambient);
        let outages = Outages { store, operator, ambient, deadline };
        let told = join3(operator.tell_of_webhook(deadline), outages.look_at_due(), self.logos.fetch_due(deadline));
        let (summary, _) = join(self.process_due_items(&invocation), told).await;
        let summary = summary?;
        let Summary { requeued, settled, expired, reminded, warned, mailed, planned, held, failed, left } = summary;
        metrics::sweep_run(left);
        tracing::info!(
            requeued,
            settled,
            expired,
            reminded,
            warned,
            mailed,
            planned,
            held,
            failed,
            left,
            "sweep: done"
        );
        Ok(serde_json::to_value(summary)?)
    }
}

impl SweepAccounts {
    /// Processes due items, all kinds at the same time: none waits until another is done, and what cannot be listed does not
    /// affect the rest. Returns the first error at the end.
    async fn process_due_items(&self, invocation: &Invocation) -> Result<Summary, StoreError> {
        // A service that writes to nobody has no mails to look for.
        let kinds = DueKind::ALL.into_iter().filter(|kind| *kind != DueKind::Mail || self.emails_queue.is_some());
        // One list after another uses the connections that the warm-up has opened.
        let lists = Mutex::new(());
        let runs = kinds.map(|kind| Run::new(self, invocation, kind).work_through(&lists).boxed());
        let RunResult { summary, error } = join_all(runs).await.into_iter().fold(RunResult::default(), RunResult::and);
        error.map_or(Ok(summary), Err)
    }

    /// Puts an event on the queue again. The event is rescheduled first: if this process ends before the message is
    /// sent, the event is due again.
    #[instrument(skip_all, fields(user_id = %item.user_id, account_id = item.account_id(), contract_id = item.contract_id()))]
    async fn requeue(&self, item: &DueItem) -> Result<SweepOutcome, SweepError> {
        let next = after(self.ambient.now(), RETRY_INTERVAL);
        let Some(event) = self.authorized.store.reschedule_event(item, next).await? else {
            return Ok(SweepOutcome::Lost);
        };
        let request = self.queue.send_message().queue_url(&*self.notifications_queue);
        let sent = request.message_body(event.stream_record.to_string()).send().await;
        sent.map_err(|error| SweepError::Queue(AwsError::from(&error)))?;
        Ok(SweepOutcome::Requeued)
    }
}
