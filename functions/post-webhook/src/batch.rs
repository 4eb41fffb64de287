//! The messages of one invocation: whether each is posted, and what follows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use digime::ambient::{Ambient, Deadline};
use futures::future::{join, join3};
use jiff::Timestamp;
use reauth_core::{
    error::Chain,
    metrics::{self, Channel},
    secrets::SecretError,
    store::{StoreError, StoredAttempt},
    webhook::{LONGEST_POST, Outcome, Outgoing},
};
use reauth_domain::{
    time::{after, rfc3339},
    webhook::{EndpointSignal, MAX_POSTS, WebhookHealth, pause_after, pause_while_disabled},
};
use tracing::{Span, field::display, instrument};

use crate::{
    PostWebhook,
    message::{Event, Message},
};

/// The remaining time that a post requires: that of the post itself, and five seconds to record it and to hide its message.
const POST_TIME: Duration = LONGEST_POST.saturating_add(Duration::from_secs(5));
/// What remains for the reply when the last call after a post is given up.
const REPLY_TIME: Duration = Duration::from_secs(1);
/// SQS's clock and this function's differ by less. A message that is received so much before its next post is posted.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(30);

pub(crate) struct Batch<'a> {
    function: &'a PostWebhook,
    /// The endpoint's health when the batch began, with what its posts have shown since.
    health: Mutex<WebhookHealth>,
    deadline: Deadline,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disposition {
    /// The event was accepted.
    Done,
    /// It is received again at this time.
    WaitUntil(Timestamp),
    DeadLetter(Reason),
}

/// Why a message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    NoEvent,
    AllPostsFailed,
    WaitedTooLong,
}

/// Why a message was not posted now. It is received again after the queue's visibility timeout.
#[derive(Debug, thiserror::Error)]
enum NotPosted {
    #[error("the earlier attempts cannot be read")]
    Attempts(#[source] StoreError),
    #[error("too little time is left")]
    OutOfTime,
    #[error("the post cannot be signed")]
    Secret(#[source] SecretError),
}

/// Why a call after a post did not succeed.
#[derive(Debug, thiserror::Error)]
enum CallError<E> {
    #[error("it did not end in time")]
    OutOfTime,
    #[error(transparent)]
    Failed(E),
}

impl<'a> Batch<'a> {
    pub(crate) fn new(function: &'a PostWebhook, health: WebhookHealth, deadline: Deadline) -> Self {
        Self { function, health: Mutex::new(health), deadline }
    }

    /// Returns whether the message is done with. If not, it is received again.
    #[instrument(skip_all, fields(trace_id))]
    pub(crate) async fn process(&self, message: &Message) -> bool {
        if let Some(traceparent) = &message.traceparent {
            Span::current().record("trace_id", display(traceparent.trace_id()));
        }
        let Some(event) = message.event() else {
            if message.is_first_receipt {
                tracing::error!(message_id = message.id, "post-webhook: a message holds no event");
            }
            return self.dispose(message, None, Disposition::DeadLetter(Reason::NoEvent)).await;
        };
        match self.post(message, &event).await {
            Ok(done) => done,
            Err(error) => {
                let Event { id, user_id, account_id } = &event;
                tracing::warn!(message_id = message.id, event_id = %id, user_id, account_id, error = %Chain(&error), "post-webhook: could not try to post an event");
                false
            }
        }
    }

    fn wait_while_disabled(&self, message: &Message) -> Disposition {
        let now = self.ambient().now();
        if message.is_overdue(now) {
            return Disposition::DeadLetter(Reason::WaitedTooLong);
        }
        Disposition::WaitUntil(after(now, whole_seconds(pause_while_disabled(self.random()))))
    }

    /// Posts the message, unless that is not due or the endpoint is disabled. If a process ends before it hides or deletes its
    /// messages, they are received too early, or once more.
    async fn post(&self, message: &Message, event: &Event) -> Result<bool, NotPosted> {
        let attempts = if message.is_first_receipt {
            Vec::new()
        } else {
            let attempts = self.function.store.attempts_of_message(&event.id, &message.id).await;
            attempts.map_err(NotPosted::Attempts)?
        };
        if let Some(disposition) = self.before_post(&attempts) {
            return Ok(self.dispose(message, Some(event), disposition).await);
        }
        if self.health().state.is_disabled() {
            return Ok(self.dispose(message, Some(event), self.wait_while_disabled(message)).await);
        }
        // First the keys, which can take some time too.
        let webhook = self.function.webhook.ready().await.map_err(NotPosted::Secret)?;
        if self.ambient().remaining(self.deadline) < POST_TIME {
            return Err(NotPosted::OutOfTime);
        }
        let outgoing = Outgoing { event_id: &event.id, body: &message.body, traceparent: message.traceparent };
        let outcome = webhook.post(outgoing).await;
        metrics::delivery(Channel::Webhook, outcome.is_accepted());
        let number = attempts.len() + 1;
        let disposition = self.after_post(message, number, &outcome);
        log(message, event, number, &outcome, disposition);
        let record = self.record_attempt(message, event, number, &outcome, disposition);
        let dispose = self.dispose(message, Some(event), disposition);
        let record_health = self.record_health(&outcome);
        Ok(if let Disposition::WaitUntil(_) = disposition {
            // A table that is slow does not keep the message from being hidden.
            join3(record, record_health, dispose).await.2
        } else {
            // A message that goes away has its last attempt first.
            let recorded = async {
                record.await;
                dispose.await
            };
            join(recorded, record_health).await.0
        })
    }

    /// What becomes of a message with these attempts. `None` if it is posted now.
    fn before_post(&self, attempts: &[StoredAttempt]) -> Option<Disposition> {
        let last = attempts.last()?;
        if last.is_accepted() {
            return Some(Disposition::Done);
        }
        if attempts.len() >= MAX_POSTS {
            return Some(Disposition::DeadLetter(Reason::AllPostsFailed));
        }
        let at = last.next_attempt_at.filter(|at| after(self.ambient().now(), CLOCK_DIFFERENCE) < *at);
        at.map(Disposition::WaitUntil)
    }

    /// What becomes of a message after its post of this number.
    fn after_post(&self, message: &Message, number: usize, outcome: &Outcome) -> Disposition {
        if outcome.is_accepted() {
            return Disposition::Done;
        }
        let Some(pause) = pause_after(number, outcome.retry_after(), self.random()) else {
            return Disposition::DeadLetter(Reason::AllPostsFailed);
        };
        let at = after(self.ambient().now(), whole_seconds(pause));
        if message.is_overdue(at) { Disposition::DeadLetter(Reason::WaitedTooLong) } else { Disposition::WaitUntil(at) }
    }

    /// If this fails, the post is not counted, so that the message is posted once more than others.
    async fn record_attempt(
        &self,
        message: &Message,
        event: &Event,
        number: usize,
        outcome: &Outcome,
        disposition: Disposition,
    ) {
        let attempt = StoredAttempt {
            attempted_at: outcome.began,
            status_code: outcome.status(),
            error: outcome.error().map(str::to_owned),
            response: outcome.response().map(str::to_owned),
            next_attempt_at: disposition.wait_until(),
        };
        let record = self.function.store.record_attempt(&event.id, &message.id, number, &attempt);
        // The dead letter is sent after it.
        if let Err(error) = self.before(self.deadline.less(2 * REPLY_TIME), record).await {
            tracing::warn!(message_id = message.id, event_id = %event.id, error = %Chain(&error), "post-webhook: could not record an attempt");
        }
    }

    /// Hides the message until its next time, or moves it to the dead-letter queue. If SQS refuses that, the message is
    /// received again after the queue's visibility timeout. Returns whether the message is done with.
    async fn dispose(&self, message: &Message, event: Option<&Event>, disposition: Disposition) -> bool {
        let event_id = event.map(|event| display(&event.id));
        let deadline = self.deadline.less(REPLY_TIME);
        match disposition {
            Disposition::Done => true,
            Disposition::WaitUntil(at) => {
                let pause = Duration::try_from(at.duration_since(self.ambient().now())).unwrap_or_default();
                let hide = self.function.queue.hide(message, whole_seconds(pause));
                if let Err(error) = self.before(deadline, hide).await {
                    tracing::warn!(message_id = message.id, event_id, error = %Chain(&error), "post-webhook: could not hide a message");
                }
                false
            }
            Disposition::DeadLetter(reason) => {
                let reason = reason.code();
                match self.before(deadline, self.function.queue.send_to_dead_letters(message)).await {
                    Ok(()) => {
                        tracing::warn!(message_id = message.id, event_id, reason, "post-webhook: gave a message up");
                        true
                    }
                    Err(error) => {
                        tracing::warn!(message_id = message.id, event_id, reason, error = %Chain(&error), "post-webhook: could not move a message to the dead-letter queue");
                        false
                    }
                }
            }
        }
    }

    /// Stores what a post shows of the endpoint, if that is news. The posts of a batch share what they know, so that most
    /// batches write nothing or once. If the write fails, a later post shows the same.
    async fn record_health(&self, outcome: &Outcome) {
        let (signal, began, now) = (outcome.signal(), outcome.began, self.ambient().now());
        let after_post = |health: &WebhookHealth| health.after_post(signal, began, now);
        let (before, is_news) = {
            let mut health = self.health();
            match after_post(&health) {
                Some(after_post) => (std::mem::replace(&mut *health, after_post), true),
                None => (health.clone(), false),
            }
        };
        if !is_news && signal != EndpointSignal::Accepted {
            return;
        }
        // A success also ends a failure that another function has stored since the batch began.
        let decide = |health: &WebhookHealth| {
            let is_due = is_news || health.failing_since.is_some();
            is_due.then(|| after_post(health)).flatten()
        };
        let deadline = self.deadline.less(REPLY_TIME);
        let change = self.function.store.change_health(&self.function.url_hash, deadline, decide);
        match self.before(deadline, change).await {
            Ok(health) if is_news && health.state.name() != before.state.name() => {
                let (state, reason) = (health.state.name(), health.state.reason());
                tracing::warn!(?state, ?reason, "post-webhook: the state of the endpoint changed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "post-webhook: could not store the endpoint's health");
            }
        }
    }

    /// Gives a call up when it is too late for it, so that the batch gets its reply.
    async fn before<T, E>(
        &self,
        deadline: Deadline,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let remaining = self.ambient().remaining(deadline);
        let result = tokio::time::timeout(remaining, Box::pin(call)).await.map_err(|_| CallError::OutOfTime)?;
        result.map_err(CallError::Failed)
    }

    fn health(&self) -> MutexGuard<'_, WebhookHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ambient(&self) -> &Ambient {
        &self.function.ambient
    }

    /// In `0.0..1.0`.
    fn random(&self) -> f64 {
        self.ambient().jitter(Duration::from_secs(1)).as_secs_f64()
    }
}

impl Disposition {
    fn wait_until(self) -> Option<Timestamp> {
        match self {
            Self::WaitUntil(at) => Some(at),
            Self::Done | Self::DeadLetter(_) => None,
        }
    }
}

impl Reason {
    fn code(self) -> &'static str {
        match self {
            Self::NoEvent => "no_event",
            Self::AllPostsFailed => "all_posts_failed",
            Self::WaitedTooLong => "waited_too_long",
        }
    }
}

/// SQS hides a message for whole seconds. Rounded up, so that no post is early.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs() + u64::from(duration.subsec_nanos() > 0))
}

/// One line for each post. `attempt` counts the posts of the message.
fn log(message: &Message, event: &Event, attempt: usize, outcome: &Outcome, disposition: Disposition) {
    let message_id = &*message.id;
    let Event { id: event_id, user_id, account_id } = event;
    let (status, error) = (outcome.status(), outcome.error());
    if outcome.is_accepted() {
        tracing::info!(message_id, %event_id, user_id, account_id, attempt, status, "post-webhook: posted an event");
    } else {
        let next_attempt_at = disposition.wait_until().map(rfc3339::text);
        tracing::warn!(message_id, %event_id, user_id, account_id, attempt, status, error, next_attempt_at, "post-webhook: could not post an event");
    }
}
