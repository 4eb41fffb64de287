//! The controls of the simulated digi.me, and of the clock.

use axum::{extract::State, response::Response};
use digime_simulator::{AccessTokenStatus, ActiveFaults};
use maud::html;

use super::{
    Console,
    actions::{self, Action, Subject},
    respond::Visit,
};

const ANSWERS: [&Action; 4] = [&actions::NORMAL, &actions::SLOW_ALL, &actions::SLOW_USER_PAGE, &actions::FAILING];
const CLOCK: [&Action; 3] = [&actions::CLOCK_HOUR, &actions::CLOCK_DAY, &actions::CLOCK_FORTNIGHT];

pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let operations = &view.console.operations;
        let reported = operations.control.settings().access_token_status == AccessTokenStatus::Reported;
        let status: [&Action; 1] = if reported { [&actions::STATUS_ABSENT] } else { [&actions::STATUS_REPORTED] };
        let everyone = Subject::default();
        let info = view.console.info.read();
        let content = html! {
            h1 { "digi.me" }
            p { "The simulator stands in for digi.me: " a href=(info.digime_control_url.replace("_simulator/", "")) { "its pages and controls" } "." }
            section aria-labelledby="answers" {
                h2 id="answers" { "Answers" }
                p { "Make digi.me slow or failing, and see what the service and its pages do." }
                (view.actions(&ANSWERS, everyone, "digi.me's answers"))
            }
            section id="settings" data-live aria-labelledby="settings-title" {
                h2 id="settings-title" { "Settings" }
                p { "digi.me " @if reported { "reports" } @else { "does not report" } " " code { "accessTokenStatus" } ": which accounts are authorized. Without it, callbacks cannot be confirmed at once." }
                (view.actions(&status, everyone, "accessTokenStatus"))
                p { "Answers of digi.me are signed with a key that can change at any time." }
                (view.actions(&[&actions::ROTATE_KEY], everyone, "the signing key"))
            }
            section id="clock" data-live aria-labelledby="clock-title" {
                h2 id="clock-title" { "Clock" }
                p { "It is " strong { (view.now.strftime("%-d %B %Y, %H:%M UTC").to_string()) } " in the local system. Move the clock to see what happens after days: links expire, tokens expire, callbacks time out. It cannot be moved back." }
                @if operations.clock.is_some() { (view.actions(&CLOCK, everyone, "the clock")) }
                p.quiet { "An application in another process keeps its own clock. It takes access tokens for valid that have expired here. With " code { "--verify-signatures" } ", its requests are refused as too old. Its webhook library refuses events that seem to come from the future." }
            }
        };
        Some(view.document("digi.me", &content))
    })
}

/// What digi.me is set to, in one or two words.
pub(super) fn set_to(faults: &ActiveFaults) -> &'static str {
    match (faults.latencies.is_empty(), faults.failures.is_empty()) {
        (false, false) => "slow and failing",
        (false, true) => "slow",
        (true, _) => "failing",
    }
}
