//! `GET /events/{eventId}/deliveries`: what became of an event.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    store::{StoredAttempt, StoredEvent},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{EventId, time::after};
use tracing::instrument;

use crate::{
    Events,
    replies::{AttemptBody, Channel, DeliveriesBody, DeliveryBody, DeliveryStatus},
};

/// How long the attempts to post an event are kept. An older event without attempts may have had some.
const ATTEMPTS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Events {
    #[instrument(skip_all)]
    pub(crate) async fn deliveries(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let id: Option<EventId> = input.path("eventId");
        let event_id = input.finish(|| id)?;
        let webhook = self.store.webhook();
        let (stored, attempts) = tokio::join!(Box::pin(self.find(&event_id)), webhook.attempts(&event_id));
        let (stored, attempts) = (stored?, attempts?);
        let mut deliveries = vec![to_topic(&stored)];
        deliveries.extend(self.to_webhook(&stored, attempts));
        Ok(response::json(StatusCode::OK, &DeliveriesBody { event_id, deliveries }))
    }

    /// `None` if nothing is known of it: there is no webhook, or the attempts are no longer kept.
    fn to_webhook(&self, stored: &StoredEvent, attempts: Vec<StoredAttempt>) -> Option<DeliveryBody> {
        let Some(last) = attempts.last() else {
            let is_recent = stored.published_at.is_none_or(|at| self.ambient.now() < after(at, ATTEMPTS_KEPT));
            let waits = self.endpoint.is_some() && is_recent;
            return waits.then(|| DeliveryBody::new(Channel::Webhook, DeliveryStatus::Pending));
        };
        let status = match (is_accepted(last), last.next_attempt_at) {
            (true, _) => DeliveryStatus::Delivered,
            (false, Some(_)) => DeliveryStatus::Pending,
            (false, None) => DeliveryStatus::Failed,
        };
        let (delivered_at, next_attempt_at) = (accepted_at(last), last.next_attempt_at);
        let attempts = attempts.into_iter().map(AttemptBody::from).collect();
        let delivery = DeliveryBody::new(Channel::Webhook, status);
        Some(DeliveryBody { delivered_at, attempts, next_attempt_at, ..delivery })
    }
}

fn to_topic(stored: &StoredEvent) -> DeliveryBody {
    let delivered_at = stored.published_at;
    let status = if delivered_at.is_some() { DeliveryStatus::Delivered } else { DeliveryStatus::Pending };
    DeliveryBody { delivered_at, ..DeliveryBody::new(Channel::Topic, status) }
}

fn is_accepted(attempt: &StoredAttempt) -> bool {
    attempt.status_code.is_some_and(|status| (200..300).contains(&status))
}

fn accepted_at(attempt: &StoredAttempt) -> Option<Timestamp> {
    is_accepted(attempt).then_some(attempt.attempted_at)
}
