//! The webhook: the health of its endpoint on the overview, and the attempts to post one event on the event's page.

use maud::{Markup, html};
use reauth_core::store::StoredAttempt;
use reauth_domain::{
    EventId,
    webhook::{DisabledReason, MAX_POSTS, WebhookState},
};

use super::{
    actions::{self, Action, Subject},
    layout::{View, badge},
    outages,
};
use crate::names::Queue;

/// Attempts on a page.
const ATTEMPTS: usize = MAX_POSTS;

/// The state of the endpoint, what waits for it, and what can be done. Nothing if no webhook is configured.
pub(super) fn overview(view: &View<'_>) -> Markup {
    let info = view.console.info.read();
    let depth = view.console.operations.queues.depth(Queue::Webhooks).unwrap_or_default();
    html! {
        @if let Some(webhook) = &info.webhook {
            @let health = view.tables.webhook_health(&webhook.url);
            section id="webhook" data-live aria-labelledby="webhook-title" {
                h2 id="webhook-title" { "Webhook" }
                p { (state(view, health.state)) " " code.url { (webhook.url) } }
                dl.values {
                    dt { "Last success" }
                    dd { @if let Some(at) = health.last_success_at { (view.time(at)) } @else { "none yet" } }
                    dt { "Waiting" } dd { (depth.visible + depth.hidden) }
                    @if let Some(key) = &webhook.public_key { dt { "Public key" } dd { code.url { (key) } } }
                }
                (outages::told(view, "webhook."))
                (view.actions(offered(health.state), Subject::default(), "the webhook"))
            }
        }
    }
}

fn offered(state: WebhookState) -> &'static [&'static Action] {
    if state.is_disabled() { &[&actions::ENABLE_WEBHOOK, &actions::TEST_WEBHOOK] } else { &[&actions::TEST_WEBHOOK] }
}

fn state(view: &View<'_>, state: WebhookState) -> Markup {
    html! {
        @match state {
            WebhookState::Active => (badge("active", "active")),
            WebhookState::Failing { since } => { (badge("failing", "reauth_required")) " since " (view.time(since)) "." },
            WebhookState::Disabled { since, reason } => {
                (badge("disabled", "failed")) " " (view.time(since)) ": "
                @match reason {
                    DisabledReason::Gone => "it answered 410.",
                    DisabledReason::NoSuccess => "it accepted no event for five days.",
                }
                " Events wait."
            },
        }
    }
}

/// The attempts to post an event, newest last.
pub(super) fn attempts(view: &View<'_>, event: &EventId) -> Markup {
    let attempts = view.tables.attempts(event);
    let earlier = attempts.len().saturating_sub(ATTEMPTS);
    html! {
        @if earlier > 0 { div.quiet { (earlier) " earlier posts" } }
        @for attempt in &attempts[earlier..] { div { "posted " (view.time(attempt.attempted_at)) ": " (outcome(attempt)) } }
        @if let Some(next) = attempts.last().and_then(|last| last.next_attempt_at).filter(|next| *next > view.now) {
            div { "posted again at " time { (next.strftime("%H:%M:%S UTC").to_string()) } }
        }
    }
}

fn outcome(attempt: &StoredAttempt) -> Markup {
    html! {
        @if let Some(status) = attempt.status_code { "answered " (status) }
        @if let Some(error) = &attempt.error { code { (error) } }
        @if let Some(response) = attempt.response.as_deref().filter(|text| !text.is_empty()) { " " q { (response) } }
    }
}
