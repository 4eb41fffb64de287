//! What becomes of a mail that is due.

use jiff::Timestamp;
use reauth_domain::{
    contact::{ContactState, SHORTEST_PAUSE},
    time::after,
};

use crate::overview::Overview;

/// What becomes of a mail that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No mail is due: another invocation sent it, or the mails were stopped.
    Nothing,
    /// No mail is sent now. The contact is written, which can have a mail due later.
    Later(ContactState),
    /// A mail with this is claimed by writing the contact.
    Send(Overview, ContactState),
}

/// Decides. `held_until` is when the user is to be asked for what the overview leaves out: its service is probably down, or its account is
/// being verified.
pub(crate) fn decide(
    state: &ContactState,
    overview: Overview,
    held_until: Option<Timestamp>,
    now: Timestamp,
    daytime: impl Fn(Timestamp) -> Timestamp,
) -> Decision {
    if state.due_at.is_none() {
        return Decision::Nothing;
    }
    // The contact cannot be read any more: there is nobody to write to, and nobody to look at again.
    if state.recipient().is_none() {
        return Decision::Later(state.without_mail(state.told.clone(), None));
    }
    // The message may have waited on the queue until the night.
    let by_day = daytime(now);
    if by_day > now {
        return Decision::Later(state.due_again(by_day));
    }
    let asks = state.asks && overview.asks();
    let pause_ends_at = state.pause_ends_at().filter(|ends_at| now < *ends_at);
    let held_until = held_until.filter(|_| state.asks);
    match (asks, pause_ends_at) {
        (true, None) => {
            let again_at = held_until.map(|until| daytime(until.max(after(now, SHORTEST_PAUSE))));
            let claimed = ContactState { last_asked_at: Some(now), ..state.claimed(now, overview.told(), again_at) };
            Decision::Send(overview, claimed)
        }
        // A connection that works again is told at once. The rest waits.
        _ if !overview.connected.is_empty() => {
            let rest = asks
                .then(|| after(now, SHORTEST_PAUSE))
                .or(held_until.map(|until| until.max(after(now, SHORTEST_PAUSE))));
            let overview = overview.only_connected();
            let claimed = state.claimed(now, overview.told(), rest.map(daytime));
            Decision::Send(overview, claimed)
        }
        (_, pause_ends_at) => {
            let rest = if asks { pause_ends_at } else { held_until.max(held_until.and(pause_ends_at)) };
            Decision::Later(state.without_mail(overview.still_told, rest.map(daytime)))
        }
    }
}
