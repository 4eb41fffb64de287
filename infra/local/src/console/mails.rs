//! The mails to users: as they look, as text, and what their receiver can answer.

use axum::{
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    Console,
    actions::{self, Subject},
    layout::View,
    respond::Visit,
};
use crate::{SentMail, index::Page};

/// Mails on a page.
const ROWS: usize = 25;
/// A mail brings its own styles, and is nothing but text and pictures.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; \
    frame-ancestors 'self'; sandbox";

pub(super) async fn list(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let all = view.console.operations.mails.all();
        let mails = Page::of(all.iter().rev(), all.len(), visit.page_number("page"), ROWS);
        let content = html! {
            section id="mails" data-live aria-labelledby="mails-title" {
                h1 id="mails-title" { "Mails " span.total { (mails.total) } }
                @if mails.items.is_empty() {
                    p.quiet { "No mail was sent. A user with a contact gets one ten minutes after an account breaks, between 8:00 and 21:00 of the user's time zone. "
                        a href="/console/digime#clock" { "Move the clock" } }
                }
                ul.rows { @for mail in &mails.items { (row(view, mail)) } }
                (view.pager(&mails, "page", "mails"))
            }
        };
        Some(view.document("Mails", &content))
    })
}

fn row(view: &View<'_>, mail: &SentMail) -> Markup {
    html! {
        li.row data-key=(mail.message_id) {
            div.who { a href={ "/console/mails/" (mail.message_id) } { (mail.subject) } }
            div { "to " code { (mail.to) } }
            div.age { (view.time(mail.sent_at)) }
        }
    }
}

pub(super) async fn show(State(console): State<Console>, Path(id): Path<String>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let mail = view.console.operations.mails.find(&id)?;
        let content = html! {
            h1 { (mail.subject) }
            dl.values {
                dt { "From" } dd { code { (mail.from) } }
                dt { "To" } dd { code { (mail.to) } }
                dt { "Sent" } dd { (view.time(mail.sent_at)) }
                @for (name, value) in &mail.headers { dt { code { (name) } } dd { code.url { (value) } } }
            }
            p { "The answer of the receiver:" }
            (view.actions(&[&actions::BOUNCE_MAIL, &actions::COMPLAIN_MAIL], Subject { user: "", target: &mail.message_id }, "the mail"))
            section aria-labelledby="look" {
                h2 id="look" { "As it looks" }
                iframe.mail src={ "/console/mails/" (mail.message_id) "/html" } title={ "The mail: " (mail.subject) } sandbox {}
            }
            section aria-labelledby="text" {
                h2 id="text" { "As text" }
                pre.payload tabindex="0" aria-labelledby="text" { (mail.text) }
                @for link in links(&mail, &view.bases.local) { p { a href=(link) { (link) } } }
            }
        };
        Some(view.document(&mail.subject, &content))
    })
}

/// The links of a mail into this system. In the frame, they lead nowhere.
fn links<'a>(mail: &'a SentMail, base_url: &str) -> Vec<&'a str> {
    mail.text.split_whitespace().filter(|word| word.starts_with(base_url)).collect()
}

/// The mail alone, for a frame.
pub(super) async fn html(State(console): State<Console>, Path(id): Path<String>) -> Response {
    let Some(mail) = console.operations.mails.find(&id) else { return StatusCode::NOT_FOUND.into_response() };
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, mail.html).into_response()
}

/// The contact of a user, as the API shows it. Nothing if there is none.
pub(super) fn contact(contact: &Value) -> Markup {
    let field = |name: &str| contact[name].as_str().unwrap_or_default().to_owned();
    html! {
        @if contact.is_object() {
            section id="contact" data-live aria-labelledby="contact-title" {
                h2 id="contact-title" { "Contact" }
                dl.values {
                    dt { "Email" } dd { code { (field("email")) } }
                    @for (name, title) in [("name", "Name"), ("locale", "Language"), ("timeZone", "Time zone"), ("lastSentAt", "Last mail")] {
                        @if contact[name].is_string() { dt { (title) } dd { (field(name)) } }
                    }
                    dt { "Mails" } dd { (field("emails")) @if let Some(reason) = contact["stopped"]["reason"].as_str() { ": " (reason) } }
                }
                p { a href="/console/mails" { "Mails" } }
            }
        }
    }
}
