//! The timeline of an episode, whole on the page of its account or grant, and in one line in lists.

use maud::{Markup, html};
use reauth_domain::{UserVia, Via};

use super::layout::{View, exact};
use crate::index::timeline::{Attempt, AttemptOutcome, End, How, Step, Timeline};

/// Attempts in a list.
const ATTEMPTS: usize = 20;

/// One of the five steps.
struct Stage {
    name: &'static str,
    state: State,
    note: Markup,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    /// Where the episode stands.
    Current,
    Failed,
    /// It has not happened yet.
    Open,
    /// The episode ended without it.
    Skipped,
    /// Nothing confirmed it.
    Unconfirmed,
}

impl State {
    const fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Current => "current",
            Self::Failed => "failed",
            Self::Open => "open",
            Self::Skipped => "skipped",
            Self::Unconfirmed => "current",
        }
    }

    /// For those who do not see the colours.
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Current => "now",
            Self::Failed => "failed",
            Self::Open => "not yet",
            Self::Skipped => "left out",
            Self::Unconfirmed => "not confirmed",
        }
    }
}

/// The whole timeline.
pub(super) fn whole(view: &View<'_>, timeline: &Timeline) -> Markup {
    let others = timeline.others().count();
    html! {
        ol.timeline {
            @for stage in stages(view, timeline) {
                li class=(stage.state.class()) {
                    span.name { (stage.name) }
                    span.hidden { " (" (stage.state.word()) ")" }
                    div.note { (stage.note) }
                }
            }
        }
        @if others > 0 {
            details.earlier {
                summary { (others) @if others == 1 { " other attempt" } @else { " other attempts" } }
                (attempts(view, timeline.others(), others))
            }
        }
    }
}

/// Reauthorizations, one a line: the first ones of `total`.
pub(super) fn attempts<'a>(view: &View<'_>, attempts: impl Iterator<Item = &'a Attempt>, total: usize) -> Markup {
    html! {
        ul.attempts {
            @for attempt in attempts.take(ATTEMPTS) {
                li data-key=(attempt.id) {
                    (clicked(view, attempt)) ". " (returned(view, attempt)) " " code { (attempt.id) }
                }
            }
            @if total > ATTEMPTS { li data-key="more" { "and " (total - ATTEMPTS) " more" } }
        }
    }
}

/// The timeline in one line: where the episode stands.
pub(super) fn line(view: &View<'_>, timeline: &Timeline) -> Markup {
    let stages = stages(view, timeline);
    html! {
        div.line {
            span.rail aria-hidden="true" { @for stage in &stages { i class=(stage.state.class()) {} } }
            span { (summary(view, timeline)) }
        }
    }
}

fn summary(view: &View<'_>, timeline: &Timeline) -> Markup {
    let last = timeline.decisive();
    html! {
        @match (timeline.step(), last) {
            (None, _) => { (last_name(timeline)) " " (end(view, timeline)) },
            (Some(Step::Lost), _) => "Not told yet",
            (Some(Step::Told), _) => {
                "Told " @if let Some(at) = timeline.told_at { (view.time(at)) } ", not clicked yet"
                @if let Some(remark) = remark(view, timeline) { ". " (remark) }
            },
            (Some(Step::Verifying), _) => (end(view, timeline)),
            (Some(_), Some(attempt)) => { (clicked(view, attempt)) ". " (returned(view, attempt)) },
            (Some(_), None) => "",
        }
    }
}

/// Why the user of an episode that was told may not have come: the link has expired, or the webhook has not taken the event.
fn remark(view: &View<'_>, timeline: &Timeline) -> Option<&'static str> {
    let event = timeline.announced_by.as_ref().filter(|_| timeline.step() == Some(Step::Told))?;
    if view.tables.link(event).is_some_and(|link| link.expires_at <= view.now) {
        return Some("The link has expired.");
    }
    (view.has_webhook && !view.taken_by_webhook(event)).then_some("The webhook has not taken it.")
}

fn stages(view: &View<'_>, timeline: &Timeline) -> [Stage; 5] {
    let step = timeline.step();
    let ended = step.is_none();
    let last = timeline.decisive();
    let reached = |done: bool, current: bool| match (done, current) {
        (true, true) => State::Current,
        (true, false) => State::Done,
        (false, _) if ended => State::Skipped,
        (false, _) => State::Open,
    };
    let lost = Stage {
        name: "Lost",
        state: reached(timeline.lost.is_some(), step == Some(Step::Lost)),
        note: html! {
            @match &timeline.lost {
                Some(lost) => { (view.time(lost.at)) br; small { (lost.cause) } },
                None => small { "The account was active." },
            }
        },
    };
    let told = Stage {
        name: "Told",
        state: reached(timeline.told_at.is_some(), step == Some(Step::Told)),
        note: html! {
            @if let Some(at) = timeline.told_at { (view.time(at)) }
            @if let Some(event) = &timeline.announced_by {
                @if timeline.told_at.is_some() { br; }
                a href={ "/console/notifications/" (event) } { "Notification" }
                @if let Some(remark) = remark(view, timeline) { br; small { (remark) } }
            }
        },
    };
    let is_failed = step == Some(Step::Failed);
    let is_forgotten = last.is_none() && timeline.is_forgotten(view.now);
    let clicked = Stage {
        name: "Clicked",
        state: reached(last.is_some(), step == Some(Step::Clicked)),
        note: html! {
            @if let Some(attempt) = last {
                @match attempt.clicked_at {
                    Some(at) => (view.time(at)),
                    None => { (view.time(attempt.created_at)) br; small { "URL created by the application" } },
                }
            }
            @if is_forgotten { small { "no longer recorded" } }
        },
    };
    let returned_at = last.and_then(|attempt| attempt.returned_at);
    let returned = Stage {
        name: "Returned",
        state: if is_failed { State::Failed } else { reached(returned_at.is_some(), false) },
        note: html! {
            @if let Some(at) = returned_at { (view.time(at)) }
            @match last.map(|attempt| &attempt.outcome) {
                Some(AttemptOutcome::Failed(code)) => { @if returned_at.is_some() { br; } small { (code) } },
                Some(AttemptOutcome::Expired) => { @if returned_at.is_some() { br; } small { "Did not come back in time" } },
                Some(AttemptOutcome::Pending) if returned_at.is_some() => { br; small { "Goes on to the account" } },
                _ => "",
            }
        },
    };
    let verified = Stage {
        name: last_name(timeline),
        state: match timeline.end {
            End::Open => State::Open,
            End::Verifying { .. } => State::Current,
            End::Healed { how: How::Unverified, .. } => State::Unconfirmed,
            End::Healed { .. } => State::Done,
            End::Removed { .. } | End::Dismissed { .. } => State::Failed,
        },
        note: html! { @if timeline.end != End::Open { (end(view, timeline)) } },
    };
    [lost, told, clicked, returned, verified]
}

/// What the last step is called, after how the episode ended.
const fn last_name(timeline: &Timeline) -> &'static str {
    match timeline.end {
        End::Healed { how: How::Elsewhere(_), .. } => "Mended elsewhere",
        End::Healed { how: How::Unverified, .. } => "Not confirmed",
        End::Removed { .. } => "Removed",
        End::Dismissed { .. } => "Dismissed",
        End::Open | End::Verifying { .. } | End::Healed { .. } => "Verified",
    }
}

fn clicked(view: &View<'_>, attempt: &Attempt) -> Markup {
    html! {
        @match attempt.clicked_at {
            Some(at) => { "Clicked " (view.time(at)) },
            None => { "URL created by the application " (view.time(attempt.created_at)) },
        }
    }
}

fn returned(view: &View<'_>, attempt: &Attempt) -> Markup {
    html! {
        @if let Some(at) = attempt.returned_at { "Returned " (view.time(at)) ": " }
        @match &attempt.outcome {
            AttemptOutcome::Expired => "did not come back in time.",
            AttemptOutcome::Pending if attempt.returned_at.is_some() => "goes on to the account.",
            AttemptOutcome::Pending => "Not back yet.",
            AttemptOutcome::Claimed => "digi.me has not confirmed it yet.",
            AttemptOutcome::Succeeded => "succeeded.",
            AttemptOutcome::Failed(code) => { code { (code) } "." },
        }
    }
}

/// How an episode ended, or that it is being verified.
fn end(view: &View<'_>, timeline: &Timeline) -> Markup {
    html! {
        @match &timeline.end {
            End::Open => "",
            End::Verifying { since } => { "Verifying since " (view.time(*since)) },
            End::Removed { at } => { (view.time(*at)) br; small { "digi.me no longer lists the account" } },
            End::Dismissed { at } => { (view.time(*at)) br; small { "the user no longer uses the account" } },
            End::Healed { at, how } => { (view.time(*at)) br; small title=(exact(*at)) { (by(*how)) } },
        }
    }
}

const fn by(how: How) -> &'static str {
    match how {
        How::Verified(Via::Callback) => "digi.me confirmed the callback",
        How::Verified(Via::ReadResult) => "a completed read confirmed it",
        How::Verified(Via::Sweep) => "digi.me confirmed it when the sweep asked",
        How::Verified(Via::Application) => "the application accepted the login",
        How::Unverified => "nothing confirmed it within a day",
        How::Elsewhere(Via::ReadResult) => "a read completed, without a reauthorization",
        How::Elsewhere(Via::Application) => "the application accepted the login",
        How::Elsewhere(Via::Sweep | Via::Callback) => "without a reauthorization of this service",
        How::NewPair(UserVia::Callback) => "the user authorized again",
        How::NewPair(UserVia::Grant) => "the application stored a new pair",
    }
}
