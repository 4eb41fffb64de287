//! The first page: where the open episodes stand, who needs attention, what was told, and how to begin.

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use reauth_domain::{Target, UserId};

use super::{
    Console, actions,
    actions::Subject,
    layout::{self, View, badge, user_link},
    notifications, outages,
    respond::Visit,
    timeline, webhook,
};
use crate::{
    DEMO_USER,
    index::{Counts, Filter, GRANT_SERVICE, timeline::Step},
    names::Queue,
};

/// Open episodes on a page.
const EPISODES: usize = 20;
/// Notifications on a page.
const NOTIFICATIONS: usize = 10;
/// Services in the funnel. The others are added up.
const SERVICES: usize = 8;

pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let content = html! {
            h1.hidden { "Overview" }
            (begin(view))
            (funnel(view))
            (attention(view))
            (outages::overview(view))
            div.columns {
                (recent(view))
                (queues(view))
            }
            (webhook::overview(view))
        };
        Some(view.document("Overview", &content))
    })
}

/// What a newcomer does first.
fn begin(view: &View<'_>) -> Markup {
    let info = view.console.info.read();
    let demo = format!("/console/users/{DEMO_USER}");
    html! {
        section.begin id="start" data-live aria-labelledby="begin" {
            h2 id="begin" { "Start here" }
            p { "Open " a href=(demo) { (DEMO_USER) } ", press " strong { "Break" } " beside an account, then " strong { "Run a read" }
                ". The account needs its user, and a reconnect link appears." }
            details id="connect" {
                summary { "Connect your own application" }
                p { "Give these values to the SDK of digi.me. " a href="/_local/info" { "GET /_local/info" } " answers them as JSON." }
                dl.values {
                    dt { "Base URL" } dd { code { (info.digime_base_url) } }
                    dt { "Onboard URL" } dd { code { (info.digime_onboard_url) } }
                    @for contract in &info.contracts {
                        dt { "Contract" } dd { code { (contract.contract_id) } " of application " code { (contract.application_id) } }
                        dt { "Private key (PKCS#1)" } dd { code { (contract.private_key_file.display()) } }
                    }
                    dt { "This service's API" } dd { code { (info.api_url) } " (" a href="/openapi.yaml" { "OpenAPI" } ")" }
                    dt { "Callback (redirect URI)" } dd { code { (info.callback_url) } }
                    dt { "Credentials" } dd { code { (info.credentials.access_key_id) } " and " code { (info.credentials.secret_access_key) } @if !info.signatures_verified { ", which are not checked: start with " code { "--verify-signatures" } } }
                    dt { "Control APIs" } dd { a href="/_local/openapi.yaml" { "OpenAPI" } }
                    @if let Some(webhook) = &info.webhook {
                        dt { "Webhook" } dd { code { (webhook.url) } ", signed with " code { (webhook.secret) } @if let Some(key) = &webhook.public_key { ", verified with " code { (key) } } }
                    }
                }
                p { "Then store a user's token pair: " code { "PUT /users/{userId}/grants/{contractId}" } ". The user and what happens to it appear here. "
                    "docs/concepts.md and docs/from-the-sdk.md say what comes next." }
            }
            (view.actions(&[&actions::RESET_DEMO], Subject { user: DEMO_USER, target: "" }, "the demo"))
        }
    }
}

/// How many open episodes stand at each step, by service.
fn funnel(view: &View<'_>) -> Markup {
    let mut services: Vec<_> = view.tables.funnel().iter().collect();
    services.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.open.values().sum::<usize>()));
    let shown: Vec<_> = services.iter().take(SERVICES).collect();
    let others = added(services.iter().skip(SERVICES).map(|(_, counts)| *counts));
    let all = added(services.iter().map(|(_, counts)| *counts));
    html! {
        section id="funnel" data-live aria-labelledby="funnel-title" {
            h2 id="funnel-title" { "Episodes by step" }
            @if services.is_empty() {
                p.quiet { "No account has needed its user yet." }
            } @else {
                table.funnel {
                    thead { tr {
                        th scope="col" { "Service" }
                        @for step in Step::ALL { th scope="col" { (step_name(step)) } }
                        th scope="col" { "Healed" }
                    } }
                    tbody {
                        @for (service, counts) in shown { (funnel_row(service_title(service), Some(service), counts)) }
                        @if services.len() > SERVICES { (funnel_row("Other services", None, &others)) }
                    }
                    @if services.len() > 1 { tfoot { (funnel_row("All", None, &all)) } }
                }
            }
        }
    }
}

fn added<'a>(counts: impl Iterator<Item = &'a Counts>) -> Counts {
    counts.fold(Counts::default(), |mut sum, counts| {
        for (step, count) in &counts.open {
            *sum.open.entry(*step).or_default() += count;
        }
        sum.healed += counts.healed;
        sum
    })
}

fn funnel_row(title: &str, service: Option<&str>, counts: &Counts) -> Markup {
    html! {
        tr data-key={ "funnel " (title) } {
            th scope="row" { (title) }
            @for step in Step::ALL {
                @let count = counts.open.get(&step).copied().unwrap_or_default();
                td.number data-label=(step_name(step)) {
                    @match (count, service) {
                        (0, _) => span.quiet { "0" },
                        (_, None) => (count),
                        (_, Some(service)) => {
                            a class={ "count " (step.name()) } href=(filtered(service, step)) aria-label={ (count) " " (step_name(step)) ": " (title) } { (count) }
                        },
                    }
                }
            }
            td.number data-label="Healed" { (counts.healed) }
        }
    }
}

fn filtered(service: &str, step: Step) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("service", service).append_pair("step", step.name());
    format!("/?{}#attention", query.finish())
}

fn service_title(service: &str) -> &str {
    if service == GRANT_SERVICE { "Connection to digi.me" } else { service }
}

const fn step_name(step: Step) -> &'static str {
    match step {
        Step::Lost => "Lost, not told",
        Step::Told => "Told",
        Step::Clicked => "Clicked",
        Step::Failed => "Back, failed",
        Step::Verifying => "Verifying",
    }
}

/// The open episodes of all users, oldest first.
fn attention(view: &View<'_>) -> Markup {
    let filter = Filter {
        service: view.visit.parameter("service").map(str::to_owned),
        step: view.visit.parameter("step").and_then(Step::by_name),
    };
    let page = view.tables.needing_attention(&filter, view.visit.page_number("page"), EPISODES);
    let filters = [filter.service.as_deref().map(service_title), filter.step.map(step_name)];
    let filters: Vec<_> = filters.into_iter().flatten().collect();
    html! {
        section id="attention" data-live aria-labelledby="attention-title" {
            h2 id="attention-title" { "Needs attention " span.total { (page.total) } }
            @if !filters.is_empty() {
                p { "Only " strong { (filters.join(", ")) } ". " a href="/#attention" { "Show all " (view.tables.open_count()) } }
            }
            @if page.items.is_empty() {
                p.quiet { "Nobody has anything to mend." }
            }
            ul.rows {
                @for (user, target) in &page.items { (attention_row(view, user, target)) }
            }
            (view.pager(&page, "page", "open episodes"))
        }
    }
}

fn attention_row(view: &View<'_>, user: &UserId, target: &Target) -> Markup {
    let timelines = view.tables.timelines(user, target);
    html! {
        li.row data-key={ (user) " " (target) } {
            div.who { (user_link(user)) div { (view.target_link(user, target)) } }
            @if let Some(open) = timelines.open() { (timeline::line(view, open)) }
            div.age { @if let Some(since) = timelines.open().and_then(|open| open.since()) { (view.time(since)) } }
        }
    }
}

fn recent(view: &View<'_>) -> Markup {
    let page = view.tables.notifications(view.visit.page_number("notifications"), NOTIFICATIONS);
    html! {
        section id="recent" data-live aria-labelledby="recent-title" {
            h2 id="recent-title" { "Notifications " span.total { (page.total) } }
            (notifications::rows(view, &page.items))
            (view.pager(&page, "notifications", "notifications"))
        }
    }
}

fn queues(view: &View<'_>) -> Markup {
    html! {
        section id="queues" data-live aria-labelledby="queues-title" {
            h2 id="queues-title" { "Queues" }
            (super::queues::depths(view, &Queue::ALL))
            p { a href="/console/queues" { "Messages and dead letters" } }
        }
    }
}

/// The link to a user's page with the number of the user's accounts.
pub(super) fn user_row(view: &View<'_>, user: &UserId) -> Markup {
    let known = view.tables.user(user);
    let accounts = known.map_or(0, |user| user.accounts.len());
    let open = known.map_or(0, crate::index::User::open_count);
    html! {
        li.row data-key={ "user " (user) } {
            div.who { (layout::user_link(user)) }
            div { (accounts) @if accounts == 1 { " account" } @else { " accounts" } }
            div.age { @if open > 0 { (badge(&format!("{open} to mend"), "reauth_required")) } }
        }
    }
}
