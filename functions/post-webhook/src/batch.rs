//! The messages of one invocation: whether each is posted, and what follows.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use digime::ambient::{Ambient, Deadline};
use futures::future::join;
use jiff::Timestamp;
use reauth_core::{
    error::Chain,
    metrics::{self, Channel},
    secrets::SecretError,
    store::{StoreError, StoredAttempt},
    webhook::{Outcome, Outgoing, PostResult, Refusal},
};
use reauth_domain::{
    time::{after, rfc3339},
    webhook::{self, MAX_POSTS, WebhookHealth, pause_after, pause_while_disabled},
};
use tracing::{Span, field::display, instrument};

use crate::{
    PostWebhook,
    message::{Event, Message},
};

/// The remaining time that a post requires: 15 seconds, and time to record and to hide its message.
const POST_TIME: Duration = Duration::from_secs(19);
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
enum Next {
    Accepted,
    /// It is received again at this time.
    Wait(Timestamp),
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
            return self.follow(message, None, Next::DeadLetter(Reason::NoEvent)).await;
        };
        if self.health().state.is_disabled() {
            return self.follow(message, Some(&event), self.wait_while_disabled(message)).await;
        }
        match self.post(message, &event).await {
            Ok(done) => done,
            Err(error) => {
                let Event { id, user_id, account_id } = &event;
                tracing::warn!(message_id = message.id, event_id = %id, user_id, account_id, error = %Chain(&error), "post-webhook: could not try to post an event");
                false
            }
        }
    }

    fn wait_while_disabled(&self, message: &Message) -> Next {
        let now = self.ambient().now();
        if message.is_overdue(now) {
            return Next::DeadLetter(Reason::WaitedTooLong);
        }
        Next::Wait(after(now, whole_seconds(pause_while_disabled(self.random()))))
    }

    /// Posts the message, unless it was posted often enough or its next post is later: if a process ends before it hides its
    /// message, the message is received too early.
    async fn post(&self, message: &Message, event: &Event) -> Result<bool, NotPosted> {
        let attempts = if message.is_first_receipt {
            Vec::new()
        } else {
            let attempts = self.function.store.attempts_of_message(&event.id, &message.id).await;
            attempts.map_err(NotPosted::Attempts)?
        };
        if attempts.len() >= MAX_POSTS {
            return Ok(self.follow(message, Some(event), Next::DeadLetter(Reason::AllPostsFailed)).await);
        }
        let next = attempts.last().and_then(|attempt| attempt.next_attempt_at);
        if let Some(at) = next.filter(|at| after(self.ambient().now(), CLOCK_DIFFERENCE) < *at) {
            return Ok(self.follow(message, Some(event), Next::Wait(at)).await);
        }
        if self.ambient().remaining(self.deadline) < POST_TIME {
            return Err(NotPosted::OutOfTime);
        }
        let outgoing = Outgoing { event_id: &event.id, body: &message.body, traceparent: message.traceparent };
        let outcome = self.function.webhook.post(outgoing).await.map_err(NotPosted::Secret)?;
        metrics::delivery(Channel::Webhook, outcome.is_accepted());
        let number = attempts.len() + 1;
        let next = self.next(message, number, &outcome.result);
        log(message, event, number, &outcome.result, next);
        let recorded = async {
            self.record(message, event, number, &outcome, next).await;
            self.follow(message, Some(event), next).await
        };
        Ok(join(recorded, self.note(&outcome)).await.0)
    }

    /// What becomes of a message after its post of this number.
    fn next(&self, message: &Message, number: usize, result: &PostResult) -> Next {
        let retry_after = match result {
            PostResult::Accepted { .. } => return Next::Accepted,
            PostResult::Refused(refusal) => refusal.retry_after,
            PostResult::Failed(_) => None,
        };
        let Some(pause) = pause_after(number, retry_after, self.random()) else {
            return Next::DeadLetter(Reason::AllPostsFailed);
        };
        let at = after(self.ambient().now(), whole_seconds(pause));
        if message.is_overdue(at) { Next::DeadLetter(Reason::WaitedTooLong) } else { Next::Wait(at) }
    }

    /// If this fails, the post is not counted, so that the message is posted once more than others.
    async fn record(&self, message: &Message, event: &Event, number: usize, outcome: &Outcome, next: Next) {
        let (error, response) = match &outcome.result {
            PostResult::Accepted { .. } => (None, None),
            PostResult::Refused(Refusal { response, .. }) => (None, Some(response.clone())),
            PostResult::Failed(error) => (Some(error.code().to_owned()), None),
        };
        let attempt = StoredAttempt {
            attempted_at: outcome.began,
            status_code: outcome.status(),
            error,
            response,
            next_attempt_at: next.at(),
        };
        if let Err(error) = self.function.store.record_attempt(&event.id, &message.id, number, &attempt).await {
            tracing::warn!(message_id = message.id, event_id = %event.id, error = %Chain(&error), "post-webhook: could not record an attempt");
        }
    }

    /// Hides the message until its next time, or moves it to the dead-letter queue. If SQS refuses that, the message is
    /// received again after the queue's visibility timeout. Returns whether the message is done with.
    async fn follow(&self, message: &Message, event: Option<&Event>, next: Next) -> bool {
        let event_id = event.map(|event| display(&event.id));
        match next {
            Next::Accepted => true,
            Next::Wait(at) => {
                let pause = Duration::try_from(at.duration_since(self.ambient().now())).unwrap_or_default();
                if let Err(error) = self.function.queue.hide(message, whole_seconds(pause)).await {
                    tracing::warn!(message_id = message.id, event_id, error = %Chain(&error), "post-webhook: could not hide a message");
                }
                false
            }
            Next::DeadLetter(reason) => {
                let reason = reason.code();
                match self.function.queue.send_to_dead_letters(message).await {
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
    async fn note(&self, outcome: &Outcome) {
        let result = match &outcome.result {
            PostResult::Accepted { .. } => webhook::PostResult::Accepted,
            PostResult::Refused(Refusal { status: 410, .. }) => webhook::PostResult::Gone,
            PostResult::Refused(_) | PostResult::Failed(_) => webhook::PostResult::Failed,
        };
        let (began, now) = (outcome.began, self.ambient().now());
        let decide = |health: &WebhookHealth| health.after_post(result, began, now);
        let before = {
            let mut health = self.health();
            let Some(after_post) = decide(&health) else { return };
            std::mem::replace(&mut *health, after_post)
        };
        match self.function.store.change_health(&self.function.url_hash, self.deadline, decide).await {
            Ok(health) if health.state.name() != before.state.name() => {
                let (state, reason) = (health.state.name(), health.state.reason());
                tracing::warn!(?state, ?reason, "post-webhook: the state of the endpoint changed");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "post-webhook: could not store the endpoint's health");
            }
        }
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

impl Next {
    fn at(self) -> Option<Timestamp> {
        match self {
            Self::Wait(at) => Some(at),
            Self::Accepted | Self::DeadLetter(_) => None,
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
fn log(message: &Message, event: &Event, attempt: usize, result: &PostResult, next: Next) {
    let message_id = &*message.id;
    let Event { id: event_id, user_id, account_id } = event;
    let (status, error) = match result {
        PostResult::Accepted { status } => {
            tracing::info!(message_id, %event_id, user_id, account_id, attempt, status, "post-webhook: posted an event");
            return;
        }
        PostResult::Refused(refusal) => (Some(refusal.status), None),
        PostResult::Failed(error) => (None, Some(error.code())),
    };
    let next_attempt_at = next.at().map(rfc3339::text);
    tracing::warn!(message_id, %event_id, user_id, account_id, attempt, status, error, next_attempt_at, "post-webhook: could not post an event");
}
