//! The queues, and one dead letter with its cause.

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    Console,
    actions::{self, Subject},
    layout::{View, user_link},
    notifications,
    respond::Visit,
};
use crate::{index::Page, names::Queue, queues::Message};

/// Dead letters of a queue on a page.
const ROWS: usize = 20;

pub(super) async fn list(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let content = html! {
            h1 { "Queues" }
            section id="depths" data-live aria-label="Messages" { (depths(view, &Queue::ALL)) }
            @for queue in Queue::ALL { (dead_letters(view, queue)) }
        };
        Some(view.document("Queues", &content))
    })
}

/// How many messages each queue holds.
pub(super) fn depths(view: &View<'_>, queues: &[Queue]) -> Markup {
    html! {
        table.depths {
            thead { tr { th scope="col" { "Queue" } th scope="col" { "Visible" } th scope="col" title="In progress, or waiting for a retry" { "Not visible" } th scope="col" { "Dead" } } }
            tbody {
                @for queue in queues {
                    @let depth = view.console.operations.queues.depth(*queue).unwrap_or_default();
                    tr {
                        th scope="row" { (queue.name()) }
                        td.number { (depth.visible) }
                        td.number { (depth.hidden) }
                        td.number { @if depth.dead > 0 { a.count.failed href={ "/console/queues#" (queue.name()) } aria-label={ (depth.dead) " dead letters of " (queue.name()) } { (depth.dead) } } @else { "0" } }
                    }
                }
            }
        }
    }
}

fn dead_letters(view: &View<'_>, queue: Queue) -> Markup {
    let queues = &view.console.operations.queues;
    let total = usize::try_from(queues.depth(queue).unwrap_or_default().dead).unwrap_or_default();
    let number = view.visit.page_number(queue.name()).clamp(1, total.div_ceil(ROWS).max(1));
    let messages = queues.dead_letters_page(queue, (number - 1) * ROWS, ROWS).unwrap_or_default();
    let page = Page { items: messages, number, size: ROWS, total };
    html! {
        section id=(queue.name()) data-live aria-labelledby={ (queue.name()) "-title" } {
            h2 id={ (queue.name()) "-title" } { "Dead letters of " (queue.name()) " " span.total { (total) } }
            @if total == 0 { p.quiet { "None." } } @else {
                (view.actions(&[&actions::REDRIVE], Subject { user: "", target: queue.name() }, queue.name()))
                ul.rows {
                    @for message in &page.items {
                        li.row data-key=(message.message_id) {
                            div.who { (link(message)) code { (message.message_id) } }
                            div { (message.cause.as_deref().unwrap_or("The cause is not known.")) (event_link(view, message)) }
                            div.age { @if let Some(at) = message.dead_at { (view.time(at)) } }
                        }
                    }
                }
                (view.pager(&page, queue.name(), queue.name()))
            }
        }
    }
}

/// A link to the notification that a message holds, and to its user.
fn event_link(view: &View<'_>, message: &Message) -> Markup {
    let id = message.attributes.get("eventId").and_then(|id| id.parse().ok());
    let event = id.and_then(|id| view.tables.event(&id));
    html! {
        @if let Some(event) = event {
            " · " (notifications::title(event)) " of " (user_link(&event.event.subject.user_id))
        }
    }
}

/// A link to a dead letter.
pub(super) fn link(message: &Message) -> Markup {
    html! { a href={ "/console/dead-letters/" (message.message_id) } { "Dead letter" } }
}

pub(super) async fn show(State(console): State<Console>, Path(id): Path<String>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let (queue, message) = view.console.operations.queues.dead_letter(&id).ok().flatten()?;
        let target = format!("{}/{}", queue.name(), message.message_id);
        let content = html! {
            div id="letter" data-live {
            h1 { "Dead letter of " (queue.name()) }
            p { code { (message.message_id) } (event_link(view, &message)) }
            (view.actions(&[&actions::REDRIVE_ONE], Subject { user: "", target: &target }, "this dead letter"))
            (view.actions(&[&actions::REDRIVE], Subject { user: "", target: queue.name() }, "all dead letters of the queue"))
            section aria-labelledby="cause" {
                h2 id="cause" { "Cause" }
                p.cause { (message.cause.as_deref().unwrap_or("The cause is not known. It may be in the log.")) }
                dl.values {
                    dt { "Sent" } dd { (view.time(message.sent_at)) }
                    dt { "Received" } dd { (message.receive_count) " times" @if let Some(at) = message.first_received_at { ", first " (view.time(at)) } }
                    @if let Some(at) = message.dead_at { dt { "Dead" } dd { (view.time(at)) } }
                    @for (name, value) in &message.attributes { dt { code { (name) } } dd { code { (value) } } }
                }
            }
            section aria-labelledby="body" {
                h2 id="body" { "Body" }
                pre.payload tabindex="0" aria-labelledby="body" { (pretty(&message.body)) }
            }
            }
        };
        Some(view.document("Dead letter", &content))
    })
}

/// JSON with line breaks. Another text stays as it is.
fn pretty(body: &str) -> String {
    let json = serde_json::from_str::<Value>(body).and_then(|json| serde_json::to_string_pretty(&json));
    json.unwrap_or_else(|_| body.to_owned())
}
