//! `GET /events/{eventId}/deliveries`: what became of an event.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    store::{LoggedEvent, MessageAttempts, StoredAttempt},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{EventId, time::after};
use tracing::instrument;

use crate::{
    Events,
    replies::{AttemptBody, Channel, DeliveriesBody, DeliveryBody, DeliveryStatus},
};

/// An event without attempts, longer after its publication than this, is not on its way to an endpoint that works: it was
/// accepted before the attempts that are kept, or there was no webhook.
const FIRST_POST_WITHIN: Duration = Duration::from_secs(60 * 60);
/// How long an event waits for an endpoint that is disabled: SQS keeps it no longer.
const WAITS_FOR: Duration = Duration::from_secs(14 * 24 * 60 * 60);

impl Events {
    #[instrument(skip_all)]
    pub(crate) async fn deliveries(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let id: Option<EventId> = input.path("eventId");
        let event_id = input.finish(|| id)?;
        let webhook = self.store.webhook();
        let messages = webhook.attempts_by_message(&event_id);
        let (stored, messages) = tokio::join!(Box::pin(self.find(&event_id)), messages);
        let (stored, messages) = (stored?, messages?);
        let mut deliveries = vec![to_topic(&stored)];
        if messages.is_empty() {
            let waits = self.waits_for_its_first_post(&stored).await?;
            deliveries.extend(waits.then(|| DeliveryBody::new(Channel::Webhook, DeliveryStatus::Pending)));
        } else {
            deliveries.push(to_webhook(messages, self.ambient.now()));
        }
        Ok(response::json(StatusCode::OK, &DeliveriesBody { event_id, deliveries }))
    }

    /// Whether an event that was never posted still waits for that, as far as can be known.
    async fn waits_for_its_first_post(&self, stored: &LoggedEvent) -> Result<bool, Problem> {
        let Some(endpoint) = self.endpoint.as_ref().filter(|_| stored.withheld_at.is_none()) else { return Ok(false) };
        let Some(published_at) = stored.published_at else { return Ok(true) };
        let is_within = |duration| self.ambient.now() < after(published_at, duration);
        Ok(is_within(FIRST_POST_WITHIN) || (is_within(WAITS_FOR) && endpoint.is_disabled().await?))
    }
}

/// The event waits while one of its messages does. Otherwise, the message that was posted last decides.
fn to_webhook(messages: Vec<MessageAttempts>, now: Timestamp) -> DeliveryBody {
    let last = messages.iter().filter_map(MessageAttempts::last);
    let next_attempt_at = last.clone().filter_map(|last| last.next_attempt_at).min();
    let is_delivered = last.max_by_key(|last| last.attempted_at).is_some_and(is_accepted);
    let status = match (next_attempt_at, is_delivered) {
        (Some(_), _) => DeliveryStatus::Pending,
        (None, true) => DeliveryStatus::Delivered,
        (None, false) => DeliveryStatus::Failed,
    };
    let mut attempts: Vec<_> = messages.into_iter().flat_map(|message| message.0).collect();
    attempts.sort_by_key(|attempt| attempt.attempted_at);
    let delivered_at = attempts.iter().rfind(|attempt| is_accepted(attempt)).map(|attempt| attempt.attempted_at);
    let attempts = attempts.into_iter().filter(|attempt| attempt.is_shown(now)).map(AttemptBody::from).collect();
    DeliveryBody { delivered_at, attempts, next_attempt_at, ..DeliveryBody::new(Channel::Webhook, status) }
}

/// While it is delivered again, the event is pending, and the earlier time is still shown.
fn to_topic(stored: &LoggedEvent) -> DeliveryBody {
    let status = match (stored.published_at, stored.withheld_at) {
        (Some(_), _) => DeliveryStatus::Delivered,
        (None, Some(_)) => DeliveryStatus::Withheld,
        (None, None) => DeliveryStatus::Pending,
    };
    DeliveryBody { delivered_at: stored.last_published_at, ..DeliveryBody::new(Channel::Topic, status) }
}

fn is_accepted(attempt: &StoredAttempt) -> bool {
    attempt.status_code.is_some_and(|status| (200..300).contains(&status))
}
