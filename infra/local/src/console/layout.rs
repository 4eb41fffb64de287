//! What all pages share: the frame with its banners, times, lists, actions.

use jiff::{SignedDuration, Timestamp};
use maud::{DOCTYPE, Markup, html};
use reauth_domain::{EventId, Target, UserId, time::rfc3339};

use super::{
    Console,
    actions::{self, Action, Bases, Subject, segment},
    respond::Visit,
};
use crate::{
    index::{Page, Tables},
    queues::Channel,
};

/// The pages in the navigation.
const PAGES: [(&str, &str); 6] = [
    ("Overview", "/"),
    ("Users", "/console/users"),
    ("Notifications", "/console/notifications"),
    ("Mails", "/console/mails"),
    ("Queues", "/console/queues"),
    ("digi.me", "/console/digime"),
];

/// What a page is rendered from.
pub(super) struct View<'a> {
    pub(super) console: &'a Console,
    pub(super) tables: &'a Tables,
    pub(super) visit: &'a Visit,
    pub(super) now: Timestamp,
    pub(super) bases: Bases,
    /// Whether a webhook is configured.
    pub(super) has_webhook: bool,
}

impl<'a> View<'a> {
    pub(super) fn new(console: &'a Console, tables: &'a Tables, visit: &'a Visit) -> Self {
        let has_webhook = console.info.read().webhook.is_some();
        Self { console, tables, visit, now: console.ambient.now(), bases: console.bases(), has_webhook }
    }

    /// Whether the webhook has taken an event.
    pub(super) fn taken_by_webhook(&self, event: &EventId) -> bool {
        let deliveries = self.console.operations.queues.deliveries(event.as_str()).unwrap_or_default();
        deliveries.iter().any(|delivery| delivery.channel == Channel::Webhook)
    }

    /// A whole page. `content` stands in `main`.
    pub(super) fn document(&self, title: &str, content: &Markup) -> Markup {
        let path = self.visit.address.split('?').next().unwrap_or("/");
        html! {
            (DOCTYPE)
            html lang="en" data-now=(rfc3339::text(self.now)) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) " · digime-reauth" }
                    link rel="stylesheet" href="/console/style.css";
                    script src="/console/console.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        a.brand href="/" { "digime-reauth " span { "local" } }
                        nav aria-label="Console" {
                            @for (name, page) in PAGES {
                                @let here = if page == "/" { path == "/" } else { path.starts_with(page) };
                                a href=(page) aria-current=[here.then_some("page")] { (name) }
                            }
                        }
                        (self.search_box())
                    }
                    (self.banners())
                    main id="main" tabindex="-1" { (content) }
                }
            }
        }
    }

    fn search_box(&self) -> Markup {
        html! {
            form.search role="search" action="/console/users" {
                input type="search" name="q" aria-label="Search users, accounts, services"
                    placeholder="User, account or service" value=(self.visit.parameter("q").unwrap_or_default());
                button type="submit" { "Search" }
            }
        }
    }

    fn banners(&self) -> Markup {
        let faults = self.console.operations.control.active_faults();
        let offset = self.console.operations.clock.as_ref().map_or(SignedDuration::ZERO, |clock| clock.offset());
        html! {
            div.banners role="region" aria-label="State of the local system" {
                p.banner.offline id="offline" role="alert" hidden { "The local system does not answer. This page is not current." }
                div id="banners" data-live {
                    @if !faults.latencies.is_empty() || !faults.failures.is_empty() {
                        div.banner.warning {
                            p { strong { "digi.me is set to " (super::digime::set_to(&faults)) "." } " "
                                @for (path, milliseconds) in &faults.latencies {
                                    (named(path)) ": answers after " (milliseconds) " ms. "
                                }
                                @for (path, status) in &faults.failures {
                                    (named(path)) ": " @if *status == 0 { "resets connections. " } @else { "answers " (status) ". " }
                                }
                            }
                            (self.button(&actions::NORMAL, Subject::default()))
                        }
                    }
                    @if !offset.is_zero() {
                        p.banner { "The clock is " strong { (span(offset)) } " ahead: it is " (self.now.strftime("%-d %B %Y").to_string()) " here. "
                            a href="/console/digime#clock" { "Move the clock" } }
                    }
                }
                div id="notice" role="status" {
                    @if let Some(notice) = &self.visit.notice {
                        p.banner.done[notice.succeeded].warning[!notice.succeeded] { (notice.text) }
                    }
                }
            }
        }
    }

    /// An exact time, shown as its age.
    pub(super) fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(rfc3339::text(at)) title=(exact(at)) { (age(at, self.now)) } }
    }

    /// The form of an action, without its command.
    pub(super) fn button(&self, action: &Action, subject: Subject<'_>) -> Markup {
        html! {
            form method="post" action={ "/console/control/" (action.name) } data-action
                data-key={ (action.name) " " (subject.target) } {
                input type="hidden" name="user" value=(subject.user);
                input type="hidden" name="target" value=(subject.target);
                input type="hidden" name="back" value=(self.visit.address);
                button type="submit" { (action.label) }
            }
        }
    }

    /// The forms of actions in a row, with their commands behind it. `about` names what they act on, for those who do not
    /// see where they stand.
    pub(super) fn actions(&self, actions: &[&Action], subject: Subject<'_>, about: &str) -> Markup {
        html! {
            div.actions data-key={ "actions " (subject.target) " " (about) } {
                @for action in actions { (self.button(action, subject)) }
                details.curl {
                    summary aria-label={ "curl commands for " (about) } { "curl" }
                    @for action in actions {
                        div.command {
                            span { (action.label) }
                            pre tabindex="0" aria-label={ "curl command: " (action.label) } { (action.curl(&self.bases, &subject)) }
                            button type="button" data-copy hidden { "Copy" }
                        }
                    }
                }
            }
        }
    }

    /// Links to the other pages of a list. `parameter` is that of the page's number.
    pub(super) fn pager<T>(&self, page: &Page<T>, parameter: &str, what: &str) -> Markup {
        let last = page.total.div_ceil(page.size).max(1);
        let link = |number: usize, text: &str| {
            html! { a href=(self.visit.with_parameter(parameter, &number.to_string())) { (text) } }
        };
        html! {
            @if last > 1 {
                nav.pager aria-label={ "Pages of " (what) } {
                    @if page.number > 1 { (link(page.number - 1, "← Previous")) }
                    span { ((page.number - 1) * page.size + 1) "–" (((page.number - 1) * page.size) + page.items.len()) " of " (page.total) }
                    @if page.number < last { (link(page.number + 1, "Next →")) }
                }
            }
        }
    }

    /// The name of an account or a grant, as a link to its page.
    pub(super) fn target_link(&self, user: &UserId, target: &Target) -> Markup {
        let id = match target {
            Target::Account(id) => id.as_str(),
            Target::Grant(id) => id.as_str(),
        };
        html! {
            a.target href=(target_path(user, target)) { (self.service_name(user, target)) } " "
            code { (id) }
        }
    }

    /// The name of an account's service, or what a grant is called.
    pub(super) fn service_name(&self, user: &UserId, target: &Target) -> String {
        match target {
            Target::Account(_) => self.tables.service(user, target),
            Target::Grant(_) => "Connection to digi.me".to_owned(),
        }
    }
}

pub(super) fn not_found(view: &View<'_>) -> Markup {
    let content = html! {
        h1 { "Nothing here" }
        p { "The table holds nothing under this address. It may have been erased." }
        p { a href="/" { "To the overview" } }
    };
    view.document("Nothing here", &content)
}

pub(super) fn user_path(user: &UserId) -> String {
    format!("/console/users/{}", segment(user.as_str()))
}

pub(super) fn user_link(user: &UserId) -> Markup {
    html! { a.user href=(user_path(user)) { (user) } }
}

pub(super) fn target_path(user: &UserId, target: &Target) -> String {
    match target {
        Target::Account(id) => format!("{}/accounts/{}", user_path(user), segment(id.as_str())),
        Target::Grant(id) => format!("{}/grants/{}", user_path(user), segment(id.as_str())),
    }
}

/// A status, as a word on a coloured ground.
pub(super) fn badge(status: &str, class: &str) -> Markup {
    html! { span class={ "badge " (class) } { (status) } }
}

/// A path of the simulator in a banner.
fn named(path: &str) -> Markup {
    html! { @if path.is_empty() { "Everything" } @else { code { (path) } } }
}

pub(super) fn exact(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string()
}

/// How long ago a time was, as the console's script says it too.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let text = match seconds.abs() {
        0..10 => return "just now".to_owned(),
        amount @ 0..60 => format!("{amount} s"),
        amount @ 0..3_600 => format!("{} min", amount / 60),
        amount @ 0..172_800 => format!("{} h", amount / 3_600),
        amount => format!("{} d", (amount + 43_200) / 86_400),
    };
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}

/// A duration in days and hours, or in minutes.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min")];
    let parts: Vec<_> =
        parts.iter().filter(|(amount, _)| *amount > 0).map(|(amount, unit)| format!("{amount} {unit}")).collect();
    if parts.is_empty() { format!("{seconds} s") } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        let ages = [0, 9, 10, 59, 60, 3_599, 3_600, 172_799, 172_800, -61, -90_000];
        let ages = ages.map(|seconds| age(now - SignedDuration::from_secs(seconds), now));
        let expected = [
            "just now",
            "just now",
            "10 s ago",
            "59 s ago",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "47 h ago",
            "2 d ago",
        ];
        assert_eq!(ages[..9], expected);
        assert_eq!(ages[9..], ["in 1 min", "in 25 h"]);
        assert_eq!(span(SignedDuration::from_secs(14 * 86_400 + 7_200)), "14 d 2 h");
    }
}
