//! The search, and the page of one user: the user's accounts with the grants beside them.

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, html};
use reauth_core::store::GrantState;
use reauth_domain::{Account, GrantStatus, Status, Target, UserId};

use super::{
    Console,
    actions::{self, Action, Subject},
    layout::{View, badge, target_path, user_link},
    mails,
    overview::user_row,
    respond::Visit,
    timeline,
};
use crate::index::{Found, Page, User, timeline::Timeline};

/// Users and accounts on a page.
const ROWS: usize = 25;

/// The actions on the tokens of the simulator's user.
pub(super) const TOKENS: [&Action; 3] = [&actions::EXPIRE_ACCESS, &actions::KILL_REFRESH, &actions::REVOKE_TOKENS];
/// The actions on an account that is authorized, the most common one first, and on one that is not.
pub(super) const AUTHORIZED: [&Action; 2] = [&actions::BREAK, &actions::BREAK_SDK];
pub(super) const UNAUTHORIZED: [&Action; 1] = [&actions::MEND];

pub(super) async fn search(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let text = visit.parameter("q").unwrap_or_default();
        let page = view.tables.search(text, visit.page_number("page"), ROWS);
        let title = if text.is_empty() { "Users".to_owned() } else { format!("Search: {text}") };
        let content = html! {
            section id="found" data-live aria-labelledby="found-title" {
                h1 id="found-title" { (title) " " span.total { (page.total) } }
                @if page.items.is_empty() { p.quiet { "No user id, account id or service name contains this." } }
                ul.rows { @for found in &page.items { (found_row(view, found)) } }
                (view.pager(&page, "page", "users and accounts"))
            }
        };
        Some(view.document(&title, &content))
    })
}

fn found_row(view: &View<'_>, found: &Found<'_>) -> Markup {
    match found {
        Found::User(user) => user_row(view, user),
        Found::Account(user, account) => html! {
            li.row data-key={ "account " (user) " " (account.account_id) } {
                div.who { (user_link(user)) div { (view.target_link(user, &Target::Account(account.account_id.clone()))) } }
                div { (badge(account.status.name(), account.status.name())) }
                div.age { @if let Some(since) = since(account) { (view.time(since)) } }
            }
        },
    }
}

/// Since when the account needs its user, or is being verified.
fn since(account: &Account) -> Option<jiff::Timestamp> {
    match &account.status {
        Status::Active { .. } => None,
        Status::ReauthRequired(episode) | Status::Dismissed { episode, .. } => Some(episode.since),
        Status::Verifying { since, .. } => Some(*since),
    }
}

pub(super) async fn show(State(console): State<Console>, Path(user): Path<String>, visit: Visit) -> Response {
    let simulated = console.operations.application.simulated_user(&user).await;
    let contact = console.operations.contact(&user).await;
    console.page(&visit, |view| {
        let id: UserId = user.parse().ok()?;
        let known = view.tables.user(&id)?;
        let size = ROWS;
        let accounts = Page::of(known.accounts.values(), known.accounts.len(), visit.page_number("page"), size);
        let content = html! {
            h1 { "User " code { (id) } }
            (view.actions(&[&actions::READ], Subject { user: &user, target: "" }, "a read"))
            div.with-side {
                section id="accounts" data-live aria-labelledby="accounts-title" {
                    h2 id="accounts-title" { "Accounts " span.total { (known.accounts.len()) } }
                    @if accounts.items.is_empty() { p.quiet { "The service knows no account of this user yet. A read makes them known." } }
                    ul.rows { @for account in &accounts.items { (account_row(view, &id, account)) } }
                    (view.pager(&accounts, "page", "accounts"))
                }
                div.side { (grants(view, &id, known, simulated.as_deref())) (mails::contact(&contact)) }
            }
        };
        Some(view.document(&format!("User {id}"), &content))
    })
}

fn account_row(view: &View<'_>, user: &UserId, account: &Account) -> Markup {
    let id = account.account_id.as_str();
    let target = Target::Account(account.account_id.clone());
    let control = &view.console.operations.control;
    let broken = control.is_broken(id);
    let timelines = view.tables.timelines(user, &target);
    html! {
        li.row.account data-key={ "account " (id) } {
            div.who { (view.target_link(user, &target)) small { "of " (user_link(user)) } }
            div {
                (badge(account.status.name(), account.status.name()))
                @if broken { (badge("not authorized at the source", "broken")) }
                @if let Some(latest) = timelines.episodes.first() { (timeline::line(view, latest)) }
                @if let Some(url) = timelines.open().and_then(|open| reconnect_url(view, open)) { p { a href=(url) { "Reconnect link" } } }
            }
            @if control.knows_account(id) {
                (view.actions(if broken { &UNAUTHORIZED } else { &AUTHORIZED[..1] }, Subject { user: user.as_str(), target: id }, id))
            }
        }
    }
}

/// The link that the application was told for an open episode, while it works and can help.
pub(super) fn reconnect_url(view: &View<'_>, open: &Timeline) -> Option<String> {
    let id = open.announced_by.as_ref()?;
    let event = view.tables.event(id)?;
    let subject = &event.event.subject;
    let can_help = match subject.about.target() {
        Target::Account(_) => true,
        Target::Grant(contract) => view.tables.user(&subject.user_id)?.grants.get(&contract).is_none_or(is_recoverable),
    };
    let works = view.tables.link(id)?.expires_at > view.now;
    (works && can_help).then(|| view.console.operations.links.url(id, &event.link_key_id)).flatten()
}

/// Whether the user can renew the connection to digi.me on the page of a link. If not, the application must authorize the
/// user from scratch.
fn is_recoverable(grant: &GrantState) -> bool {
    grant.episode.as_ref().is_none_or(|episode| episode.recoverable)
}

/// The status of a grant.
pub(super) fn grant_badges(view: &View<'_>, grant: &GrantState) -> Markup {
    let status = match grant.status(view.now) {
        GrantStatus::Active => "active",
        GrantStatus::UserReauthorizationRequired => "user_reauthorization_required",
    };
    html! {
        (badge(status, status))
        @if !is_recoverable(grant) {
            (badge("not recoverable", "broken"))
            p { "digi.me does not recognize the user any more: the link cannot help. The application authorizes the user from scratch (here: " strong { (actions::STORE_GRANT.label) } ")." }
        }
    }
}

fn grants(view: &View<'_>, user: &UserId, known: &User, simulated: Option<&str>) -> Markup {
    let subject =
        Subject { user: user.as_str(), target: simulated.filter(|name| *name != user.as_str()).unwrap_or_default() };
    html! {
        section id="grants" data-live aria-labelledby="grants-title" {
            h2 id="grants-title" { "Grants" }
            @if known.grants.is_empty() { p.quiet { "The service has no token pair of this user." } }
            ul.rows { @for grant in known.grants.values() { (grant_row(view, user, grant)) } }
            @if let Some(simulated) = simulated.filter(|name| *name != user.as_str()) {
                p { "At digi.me, the user is " code { (simulated) } "." }
            }
            h3 { "Tokens at digi.me" }
            (view.actions(&TOKENS, subject, "the tokens"))
            h3 { "As the application" }
            (view.actions(&[&actions::STORE_GRANT, &actions::RESET_LINKS], subject, "the grant and the links"))
        }
    }
}

fn grant_row(view: &View<'_>, user: &UserId, grant: &GrantState) -> Markup {
    let target = Target::Grant(grant.contract_id.clone());
    let timelines = view.tables.timelines(user, &target);
    html! {
        li.row.grant data-key={ "grant " (grant.contract_id) } {
            div.who { a.target href=(target_path(user, &target)) { (grant.contract_id) } small { "of " (user_link(user)) } }
            div {
                (grant_badges(view, grant))
                @if let Some(latest) = timelines.episodes.first() { (timeline::line(view, latest)) }
                @if let Some(url) = timelines.open().and_then(|open| reconnect_url(view, open)) { p { a href=(url) { "Reconnect link" } } }
            }
        }
    }
}
