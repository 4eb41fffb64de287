//! Notifications: the list, and one with its payload, its receivers and its link.

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, html};
use reauth_core::store::StoredEvent;
use reauth_domain::{EventDetail, EventId};
use serde_json::Value;

use super::{
    Console,
    actions::{self, Subject},
    layout::{View, badge, user_link},
    queues,
    respond::Visit,
    webhook,
};
use crate::{
    names::Queue,
    queues::{Channel, Delivery, Message},
};

/// Deliveries of a channel on a page.
const DELIVERIES: usize = 10;
/// Notifications on a page.
const ROWS: usize = 25;

pub(super) async fn list(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let page = view.tables.notifications(visit.page_number("page"), ROWS);
        let content = html! {
            section id="list" data-live aria-labelledby="list-title" {
                h1 id="list-title" { "Notifications " span.total { (page.total) } }
                (rows(view, &page.items))
                (view.pager(&page, "page", "notifications"))
            }
        };
        Some(view.document("Notifications", &content))
    })
}

/// Notifications, one a row.
pub(super) fn rows(view: &View<'_>, events: &[&StoredEvent]) -> Markup {
    html! {
        @if events.is_empty() { p.quiet { "None yet." } }
        ul.rows { @for event in events { (row(view, event)) } }
    }
}

fn row(view: &View<'_>, event: &StoredEvent) -> Markup {
    let subject = &event.event.subject;
    html! {
        li.row data-key=(subject.event_id) {
            div.who { (title(event)) small { (user_link(&subject.user_id)) " · " (view.target_link(&subject.user_id, &subject.about.target())) } }
            div { (details(event)) @if event.published_at.is_none() { " " (badge("not told yet", "verifying")) } }
            div.age { (view.time(event.event.timestamp)) }
        }
    }
}

/// The type of an event, as a link to its page.
pub(super) fn title(event: &StoredEvent) -> Markup {
    html! {
        a.event href={ "/console/notifications/" (event.event.subject.event_id) } {
            // On a phone, the lines of a type break where its words do.
            @for part in event.event.detail.kind().split_inclusive(['.', '_']) { (part) wbr; }
        }
    }
}

/// What an event says besides whom it is about.
pub(super) fn details(event: &StoredEvent) -> Markup {
    html! {
        @match &event.event.detail {
            EventDetail::ReauthorizationRequired { error, reminder, .. } => {
                @if let Some(code) = &error.code { code { (code) } }
                @if *reminder > 0 { " reminder " (reminder) }
            },
            EventDetail::Reauthorized { via, verified } => { "via " (name(via)) @if !verified { ", not verified" } },
            EventDetail::ReauthorizationFailed { error_code, .. } | EventDetail::UserReauthorizationFailed { error_code, .. } => {
                code { (error_code) }
            },
            EventDetail::UserReauthorizationRequired { recoverable, .. } => { @if !recoverable { "not recoverable" } },
            EventDetail::UserReauthorized { via } => { "via " (name(via)) },
            EventDetail::AuthorizationExpiring { days_left, .. } | EventDetail::UserAuthorizationExpiring { days_left, .. } => {
                "in " (days_left) @if *days_left == 1 { " day" } @else { " days" }
            },
            EventDetail::UserEmailsStopped { reason } => (name(reason)),
            EventDetail::Removed {} | EventDetail::Dismissed { .. } => "",
        }
    }
}

/// The name of an enum's variant in the API.
fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) async fn show(State(console): State<Console>, Path(id): Path<String>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let id: EventId = id.parse().ok()?;
        let event = view.tables.event(&id)?;
        let subject = &event.event.subject;
        let deliveries = view.console.operations.queues.deliveries(id.as_str()).unwrap_or_default();
        let content = html! {
            h1 { (event.event.detail.kind()) }
            p { (user_link(&subject.user_id)) " · " (view.target_link(&subject.user_id, &subject.about.target()))
                " · " (view.time(event.event.timestamp)) " · " code { (id) } }
            (view.actions(&[&actions::REDELIVER], Subject { user: subject.user_id.as_str(), target: id.as_str() }, "this event"))
            div.columns {
                section id="receivers" data-live aria-labelledby="receivers-title" {
                    h2 id="receivers-title" { "Who took it" }
                    (receivers(view, event, &deliveries))
                }
                @if event.event.detail.carries_link() {
                    section id="link" data-live aria-labelledby="link-title" {
                        h2 id="link-title" { "Its link" }
                        (link(view, event, &deliveries))
                    }
                }
            }
            section id="payload" data-live aria-labelledby="payload-title" {
                h2 id="payload-title" { "Payload" }
                (payload(view, event, &deliveries))
            }
        };
        Some(view.document(event.event.detail.kind(), &content))
    })
}

fn receivers(view: &View<'_>, event: &StoredEvent, deliveries: &[Delivery]) -> Markup {
    let of = |channel| deliveries.iter().filter(move |delivery| delivery.channel == channel);
    // An event of an earlier version has a receipt only.
    let receipt = event.published_at.filter(|_| of(Channel::Topic).next().is_none());
    html! {
        dl.values {
            dt { "Topic" }
            dd {
                @if let Some(at) = receipt { div { "took it " (view.time(at)) } }
                (taken(view, of(Channel::Topic)))
                (waiting(view, Queue::Notifications, event))
            }
            dt { "Webhook" }
            dd {
                (webhook::attempts(view, &event.event.subject.event_id))
                (taken(view, of(Channel::Webhook)))
                (waiting(view, Queue::Webhooks, event))
                @if !view.has_webhook && of(Channel::Webhook).next().is_none() { span.quiet { "None is configured: start with " code { "--webhook-url" } "." } }
            }
        }
    }
}

/// The newest deliveries of a channel, and how many there were before.
fn taken<'a>(view: &View<'_>, deliveries: impl DoubleEndedIterator<Item = &'a Delivery> + Clone) -> Markup {
    let earlier = deliveries.clone().count().saturating_sub(DELIVERIES);
    html! {
        @if earlier > 0 { div.quiet { "took it " (earlier) " times before" } }
        @for delivery in deliveries.skip(earlier) { div { "took it " (view.time(delivery.at)) } }
    }
}

/// The messages of a queue that hold the event.
fn waiting(view: &View<'_>, queue: Queue, event: &StoredEvent) -> Markup {
    let id = event.event.subject.event_id.as_str();
    let messages = view.console.operations.queues.messages_of_event(queue, id).unwrap_or_default();
    html! { @for message in &messages { div { (message_state(message)) } } }
}

fn message_state(message: &Message) -> Markup {
    html! {
        @if message.dead_at.is_some() { (queues::link(message)) } @else { "on its way, received " (message.receive_count) " times" }
        @if let Some(cause) = &message.cause { ": " (cause) }
    }
}

fn link(view: &View<'_>, event: &StoredEvent, deliveries: &[Delivery]) -> Markup {
    let id = &event.event.subject.event_id;
    let links = &view.console.operations.links;
    let Some(link) = view.tables.link(id) else {
        return html! { p.quiet { "The link is not written yet, or was deleted." } };
    };
    let used = view.tables.started_from(id);
    let target = event.event.subject.about.target();
    let timelines = view.tables.timelines(&event.event.subject.user_id, &target);
    let expired = link.expires_at <= view.now;
    let ended = timelines.open().is_none();
    html! {
        p {
            @match (expired || ended, used) {
                (true, _) => (badge("over", "over")),
                (false, Some(_)) => (badge("used", "verifying")),
                (false, None) => (badge("live", "active")),
            }
            @if expired { " It expired " (view.time(link.expires_at)) "." }
            @else if ended { " What it was sent for is mended. Its page says so until it expires." }
            @else { " It works until it expires, " (view.time(link.expires_at)) "." }
        }
        @if let Some(used) = used {
            p { "First used " (view.time(used.clicked_at.unwrap_or(used.created_at))) "." }
        }
        @if let Some(url) = links.url(id, &event.link_key_id) {
            p { a href=(url) { "Reconnect link" } br; code.url { (url) } }
        }
        @if let Some(told) = told_elsewhere(deliveries, links.base_url()) {
            p.banner.warning {
                "The application was told " code.url { (told) } ". That is the address of an earlier start. Nothing of this data is there now: use the link above, or send the event again."
            }
        }
    }
}

/// The URL that the last delivery contained, if it is of another start.
fn told_elsewhere(deliveries: &[Delivery], base_url: &str) -> Option<String> {
    let last: Value = serde_json::from_str(&deliveries.last()?.message).ok()?;
    let url = last["data"]["reconnectUrl"].as_str()?;
    let own = url.strip_prefix(base_url).is_some_and(|rest| rest.starts_with('/'));
    (!own).then(|| url.to_owned())
}

fn payload(view: &View<'_>, event: &StoredEvent, deliveries: &[Delivery]) -> Markup {
    let delivered = deliveries.last().and_then(|last| serde_json::from_str(&last.message).ok());
    let payload: Value = delivered.clone().unwrap_or_else(|| {
        let link = view.tables.link(&event.event.subject.event_id);
        view.console.operations.payload(event, link).unwrap_or_default()
    });
    html! {
        p.quiet { @if delivered.is_some() { "As it was delivered last." } @else { "As it is delivered." } }
        pre.payload tabindex="0" aria-labelledby="payload-title" { (serde_json::to_string_pretty(&payload).unwrap_or_default()) }
    }
}
