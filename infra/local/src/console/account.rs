//! The page of an account or a grant: its episodes and its history.

use axum::{
    extract::{Path, State},
    response::Response,
};
use maud::{Markup, html};
use reauth_core::store::StoredEvent;
use reauth_domain::{Account, Target, UserId};

use super::{
    Console,
    actions::{self, Subject},
    layout::{View, badge, user_link},
    notifications,
    respond::Visit,
    timeline, users,
};
use crate::index::{Page, timeline::Timeline};

/// Episodes on a page, and events on a page.
const EPISODES: usize = 5;
const EVENTS: usize = 20;

pub(super) async fn show_account(
    State(console): State<Console>,
    Path((user, account)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    console.page(&visit, |view| {
        let user: UserId = user.parse().ok()?;
        let id = account.parse().ok()?;
        let account = view.tables.user(&user)?.accounts.get(&id);
        let target = Target::Account(id);
        let head = html! {
            h1 { (view.service_name(&user, &target)) " " code { (account.map_or("", |account| account.account_id.as_str())) } }
            p { "Account of " (user_link(&user)) }
            @if let Some(account) = account { (account_state(view, &user, account)) }
        };
        show(view, &user, &target, &head)
    })
}

pub(super) async fn show_grant(
    State(console): State<Console>,
    Path((user, contract)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    let simulated = console.operations.application.simulated_user(&user).await.unwrap_or_default();
    console.page(&visit, |view| {
        let user: UserId = user.parse().ok()?;
        let id = contract.parse().ok()?;
        let grant = view.tables.user(&user)?.grants.get(&id);
        let target = Target::Grant(id);
        let subject = |target| Subject { user: user.as_str(), target };
        let head = html! {
            h1 { "Connection to digi.me " code { (contract) } }
            p { "Grant of " (user_link(&user)) ". It is mended on digi.me's user reauthorization page, or when the application stores a new pair." }
            @if let Some(grant) = grant { p.badges { (users::grant_badges(view, grant)) } }
            (view.actions(&[&actions::READ, &actions::STORE_GRANT], subject(""), "the application"))
            (view.actions(&users::TOKENS, subject(&simulated), "the tokens"))
        };
        show(view, &user, &target, &head)
    })
}

fn show(view: &View<'_>, user: &UserId, target: &Target, head: &Markup) -> Option<Markup> {
    let known = view.tables.user(user)?;
    let timelines = view.tables.timelines(user, target);
    let events: Vec<_> = known.events_of(target).rev().collect();
    let exists = match target {
        Target::Account(id) => known.accounts.contains_key(id),
        Target::Grant(id) => known.grants.contains_key(id),
    };
    if !exists && events.is_empty() {
        return None;
    }
    let total = timelines.episodes.len();
    let episodes = Page::of(timelines.episodes.iter(), total, view.visit.page_number("episodes"), EPISODES);
    let total = events.len();
    let events = Page::of(events.into_iter(), total, view.visit.page_number("events"), EVENTS);
    let content = html! {
        div id="state" data-live { (head) }
        section id="episodes" data-live aria-labelledby="episodes-title" {
            h2 id="episodes-title" { "Episodes " span.total { (episodes.total) } }
            @if episodes.items.is_empty() { p.quiet { "It never needed its user." } }
            @for one in &episodes.items { (episode(view, one)) }
            (view.pager(&episodes, "episodes", "episodes"))
            @if !timelines.others.is_empty() {
                details {
                    summary { "Reauthorizations outside of an episode: " (timelines.others.len()) }
                    (timeline::attempts(view, timelines.others.iter(), timelines.others.len()))
                }
            }
        }
        section id="history" data-live aria-labelledby="history-title" {
            h2 id="history-title" { "History " span.total { (events.total) } }
            @if events.items.is_empty() { p.quiet { "No event yet." } }
            ul.rows { @for event in &events.items { (history_row(view, event)) } }
            (view.pager(&events, "events", "events"))
        }
    };
    let title = format!("{} of {user}", view.service_name(user, target));
    Some(view.document(&title, &content))
}

fn account_state(view: &View<'_>, user: &UserId, account: &Account) -> Markup {
    let id = account.account_id.as_str();
    let control = &view.console.operations.control;
    let broken = control.is_broken(id);
    let on_source: &[&actions::Action] = if broken { &users::UNAUTHORIZED } else { &users::AUTHORIZED };
    let actions: Vec<_> = if control.knows_account(id) { on_source.to_vec() } else { Vec::new() };
    let actions: Vec<_> = actions.into_iter().chain([&actions::READ]).collect();
    html! {
        p.badges {
            (badge(account.status.name(), account.status.name()))
            @if broken { (badge("not authorized at the source", "broken")) }
            @if let Some(mismatch) = &account.identity_mismatch {
                (badge("another login", "broken")) " Expected " (account.masked_username().unwrap_or_default())
                ", found " (reauth_domain::account::mask(&mismatch.found)) "."
            }
        }
        @if account.identity_mismatch.is_some() {
            (view.actions(&[&actions::ACCEPT_IDENTITY], Subject { user: user.as_str(), target: id }, "the login"))
        }
        (view.actions(&actions, Subject { user: user.as_str(), target: id }, id))
    }
}

fn episode(view: &View<'_>, one: &Timeline) -> Markup {
    html! {
        article.episode data-key=(one.episode_id.as_ref().map_or("verifying", |id| id.as_str())) {
            (timeline::whole(view, one))
            p.quiet {
                @if let Some(id) = &one.episode_id { code { (id) } }
                @if one.step().is_some() && let Some(url) = users::reconnect_url(view, one) { " · " a href=(url) { "Reconnect link" } }
            }
        }
    }
}

fn history_row(view: &View<'_>, event: &StoredEvent) -> Markup {
    html! {
        li.row data-key=(event.event.subject.event_id) {
            div.who { (notifications::title(event)) small { "of " (user_link(&event.event.subject.user_id)) } }
            div { (notifications::details(event)) }
            div.age { (view.time(event.event.timestamp)) }
        }
    }
}
