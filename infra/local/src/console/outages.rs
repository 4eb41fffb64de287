//! The outages of services on the overview: which services are probably down, and until when notices to their users wait.

use maud::{Markup, html};
use reauth_domain::{Outage, outage::OutageState};
use serde_json::Value;

use super::{
    actions::{self, Subject},
    layout::{View, badge, exact},
};

/// The service whose accounts the buttons break and mend.
const SERVICE: &str = "Meadow Bank";
/// Notices for the operator on a page. They are in memory: those of an earlier start are gone.
const NOTICES: usize = 3;

pub(super) fn overview(view: &View<'_>) -> Markup {
    let outages = view.tables.outages();
    html! {
        section id="outages" data-live aria-labelledby="outages-title" {
            h2 id="outages-title" { "Outages" }
            @if outages.is_empty() {
                p.quiet { "No service has been down. When many accounts of one service break within five minutes, mails and reminders to its users wait." }
            }
            ul.rows { @for outage in outages { (row(view, outage)) } }
            (told(view, "service."))
            (view.actions(&[&actions::BREAK_SERVICE, &actions::MEND_SERVICE], Subject { user: "", target: SERVICE }, "outages"))
        }
    }
}

fn row(view: &View<'_>, outage: &Outage) -> Markup {
    html! {
        li.row data-key={ "outage " (outage.service) } {
            div.who { strong { (outage.service) } div { (outage.accounts) " accounts broke, " (outage.healed) " healed" } }
            div { (state(view, outage)) }
            div.age { "since " (view.time(outage.since)) }
        }
    }
}

fn state(view: &View<'_>, outage: &Outage) -> Markup {
    // Exact, since an age says little here.
    let held_until = exact(outage.held_until());
    html! {
        @match outage.state {
            OutageState::Suspected if outage.is_open(view.now) => {
                (badge("probably down", "reauth_required"))
                @if outage.holds(view.now) { " Notices wait until " (held_until) "." }
                @else { " Notices waited long enough, until " (held_until) "." }
            },
            OutageState::Suspected => { (badge("over", "active")) " Notices go out within an hour." },
            OutageState::Ended => { (badge("ended", "active")) " Notices waited until " (held_until) "." },
        }
    }
}

/// What the operator was told last, of the types that begin so.
pub(super) fn told(view: &View<'_>, types: &str) -> Markup {
    let kind = |notice: &Value| notice["type"].as_str().unwrap_or_default().to_owned();
    let all = view.console.operations.alarms.all();
    let of_types = all.iter().rev().map(|notice| (&notice.message_id, notice.json()));
    let shown: Vec<_> = of_types.filter(|(_, notice)| kind(notice).starts_with(types)).take(NOTICES).collect();
    html! {
        @if !shown.is_empty() {
            p { "The operator was told: " }
            ul.rows {
                @for (message_id, notice) in &shown {
                    @let at = notice["timestamp"].as_str().and_then(|at| at.parse().ok());
                    li.row data-key=(message_id) {
                        div.who { code { (kind(notice)) } @if let Some(service) = notice["data"]["service"].as_str() { " " (service) } }
                        div.age { @if let Some(at) = at { (view.time(at)) } }
                    }
                }
            }
        }
    }
}
