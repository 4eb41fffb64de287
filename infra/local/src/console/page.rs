//! The console's pages.

use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::{
    View,
    buttons::{self, Button},
};
use crate::{names::Queue, queues::Message, topic::Publication};

/// Characters of a dead letter to show.
const EXCERPT: usize = 300;

fn document(title: &str, refresh: bool, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if refresh { meta http-equiv="refresh" content="3"; }
                title { (title) }
                link rel="stylesheet" href="/console/style.css";
            }
            body { (content) }
        }
    }
}

pub(super) fn overview(view: &View) -> Markup {
    let content = html! {
        header {
            h1 { "digime-reauth" }
            p { "Break an account, run a read, and follow the reconnect link." }
            nav {
                @for user in &view.users {
                    @if *user == view.user { strong { (user) } } @else { a href={ "/?user=" (user) } { (user) } }
                }
            }
            @if !view.notice.is_empty() { p.notice role="status" { (view.notice) } }
        }
        main {
            (user_state(view))
            (notifications(view))
            (history(view))
            (digime(view))
            (queues(view))
        }
    };
    document("digime-reauth console", true, &content)
}

fn button(view: &View, button: &Button, target: &str) -> Markup {
    html! {
        form method="post" action={ "/console/control/" (button.name) } {
            input type="hidden" name="user" value=(view.user);
            input type="hidden" name="target" value=(target);
            button type="submit" { (button.label) }
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn user_state(view: &View) -> Markup {
    html! {
        section {
            h2 { "Accounts" }
            div.buttons { (button(view, &buttons::READ, "")) }
            @match &view.state {
                Err(error) => p { "The API returned an error: " (error) "." },
                Ok(state) => {
                    (accounts(view, &state.accounts))
                    h2 { "Grants" }
                    (grants(&state.grants))
                },
            }
        }
    }
}

fn accounts(view: &View, accounts: &[Value]) -> Markup {
    html! {
        table {
            thead { tr { th { "Service" } th { "Status" } th { "Since" } th { "Last read" } th { "At the source" } } }
            tbody { @for account in accounts { (account_row(view, account)) } }
        }
    }
}

fn grants(grants: &[Value]) -> Markup {
    html! {
        table.grants {
            thead { tr { th { "Contract" } th { "Status" } th { "Since" } } }
            tbody {
                @for grant in grants {
                    @let status = text(grant, "status");
                    tr {
                        td { code { (text(grant, "contractId")) } }
                        td { span class={ "badge " (status) } { (status) } }
                        td { (text(grant, "since")) }
                    }
                }
            }
        }
    }
}

fn account_row(view: &View, account: &Value) -> Markup {
    let (id, status) = (text(account, "accountId"), text(account, "status"));
    let broken = view.broken.iter().any(|broken| broken == id);
    let buttons: &[Button] = if broken { &buttons::UNAUTHORIZED } else { &buttons::AUTHORIZED };
    html! {
        tr {
            td { strong { (text(account, "serviceName")) } br; code { (id) } }
            td {
                span class={ "badge " (status) } { (status) }
                @if let Some(verified) = account["verified"].as_bool() { br; small { "verified: " (verified) } }
                @if let Some(code) = account["error"]["code"].as_str() { br; small { (code) } }
                @if let Some(url) = account["reconnectUrl"].as_str() { br; a href=(url) { "Reconnect link" } }
            }
            td { (text(account, "since")) }
            td { (text(account, "lastReadAt")) }
            td {
                @if broken { span.badge.broken { "not authorized" } }
                @for one in buttons { (button(view, one, id)) }
            }
        }
    }
}

fn notifications(view: &View) -> Markup {
    html! {
        section {
            h2 { "Published notifications" }
            @if view.publications.is_empty() { p { "None yet." } }
            ol.feed tabindex="0" { @for publication in &view.publications { (notification(publication)) } }
        }
    }
}

fn notification(publication: &Publication) -> Markup {
    let event = publication.json();
    let data = &event["data"];
    // An event of a user has no account.
    let subject = data["accountId"].as_str().unwrap_or_else(|| text(data, "contractId"));
    html! {
        li {
            strong { (text(&event, "type")) } " "
            (text(data, "serviceName")) " " code { (subject) " #" (data["sequence"]) }
            @if let Some(code) = data["errorCode"].as_str() { " " code { (code) } }
            @if data["recoverable"] == false { " " small { "recoverable: false" } }
            br;
            small { (text(&event, "timestamp")) " · " code { (text(data, "eventId")) } }
            @if let Some(url) = data["reconnectUrl"].as_str() {
                br; a href=(url) { "Reconnect link" } " " small { "valid until " (text(data, "reconnectUrlExpiresAt")) }
            }
        }
    }
}

fn history(view: &View) -> Markup {
    let events = view.state.as_ref().map_or(&[][..], |state| &state.events);
    html! {
        section {
            h2 { "History of the accounts" }
            p { small { "Events of the user are among the notifications only: the API has no history of them." } }
            @if events.is_empty() { p { "No events yet." } }
            ol.feed tabindex="0" {
                @for event in events {
                    li {
                        strong { (text(event, "type")) } " " code { (text(&event["data"], "accountId")) " #" (event["data"]["sequence"]) }
                        br; small { (text(event, "timestamp")) " " (details(&event["data"])) }
                    }
                }
            }
        }
    }
}

/// The fields of an event's data, without the fields that identify the event and its subject.
fn details(data: &Value) -> String {
    let known = ["eventId", "userId", "accountId", "sequence", "contractId", "serviceName", "episodeId"];
    let fields = data.as_object().into_iter().flatten().filter(|(name, _)| !known.contains(&name.as_str()));
    fields.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
}

fn digime(view: &View) -> Markup {
    html! {
        section {
            h2 { "digi.me" }
            p { small { (view.digime_url) " · accessTokenStatus " (format!("{:?}", view.settings.access_token_status).to_lowercase()) } }
            @for row in buttons::DIGIME {
                div.buttons { @for one in row { (button(view, one, "")) } }
            }
        }
    }
}

fn queues(view: &View) -> Markup {
    html! {
        section {
            h2 { "Queues" }
            table {
                thead { tr { th { "Queue" } th { "Visible" } th { "In flight" } th { "Dead letters" } } }
                tbody {
                    @for (queue, depth, _) in &view.queues {
                        tr { td { (queue.name()) } td { (depth.visible) } td { (depth.hidden) } td { (depth.dead) } }
                    }
                }
            }
            @for (queue, _, dead) in &view.queues {
                @if !dead.is_empty() { (dead_letters(view, *queue, dead)) }
            }
        }
    }
}

fn dead_letters(view: &View, queue: Queue, dead: &[Message]) -> Markup {
    html! {
        h3 { "Dead letters of " (queue.name()) }
        (button(view, &buttons::REDRIVE, queue.name()))
        ol.feed tabindex="0" {
            @for message in dead {
                li {
                    code { (message.message_id) } " "
                    small { (message.body.len()) " bytes, received " (message.receive_count) " times" }
                    br; code.excerpt { (message.body.chars().take(EXCERPT).collect::<String>()) }
                }
            }
        }
    }
}

pub(super) fn returned(parameters: &[(String, String)]) -> Markup {
    let content = html! {
        main.returned {
            section {
                h1 { "Back at the application" }
                p { "The callback redirected the browser to this page of the demo application. Its parameters are a hint: the application reads the status from the API." }
                dl { @for (name, value) in parameters { dt { (name) } dd { code { (value) } } } }
                p { a href="/" { "To the console" } }
            }
        }
    };
    document("Back at the application", false, &content)
}
