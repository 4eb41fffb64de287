//! An event sets when a mail to its user is due.

use jiff::Timestamp;
use reauth_core::{
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{ContactChange, StoreError},
};
use reauth_domain::{UserId, outage::resume_at, time::after};

use crate::{
    EmailError, EmailUser,
    message::{EventKind, UserEvent},
};

impl EmailUser {
    /// Events can come twice and in any order: what a mail says is read when it is sent.
    pub(crate) async fn schedule(&self, event: &UserEvent, context: RequestContext) -> Result<(), EmailError> {
        retry_on_conflict(&self.ambient, context.deadline, || async {
            let Some(read) = self.store.contact(&event.user).await? else { return Ok(()) };
            let (state, now) = (&read.value, self.ambient.now());
            let daytime = self.daytime(&event.user, state.contact());
            let next = match &event.kind {
                // The event came twice, or the application asked for it again.
                EventKind::Need { announces: Some((target, episode)), .. } if state.was_told(target, episode) => None,
                EventKind::Need { at, .. } if state.has_asked_since(*at) => None,
                EventKind::Need { service, .. } => {
                    let earliest = after(now, self.settings.delay);
                    // A mail that waits anyway is not looked at before, so that it does not use up the rate of notices.
                    let held_until = self.held_until(&event.user, service.as_deref()).await?;
                    state.with_need(held_until.max(Some(earliest)).unwrap_or(earliest), daytime)
                }
                EventKind::Healed { target, episode } => state.with_healing(target, episode, now, daytime),
                EventKind::Dismissed { target, episode } => state.with_dismissal(target, episode),
            };
            let Some(state) = next else { return Ok(()) };
            let due_at = state.due_at;
            self.store.put_contact(&event.user, &ContactChange { state, read_version: read.version }).await?;
            tracing::info!(
                due_at = due_at.map(tracing::field::display),
                "email-user: recorded what an event means for the mails"
            );
            Ok(())
        })
        .await
    }

    /// When to ask the user for an account of this service, if the service is probably down.
    async fn held_until(&self, user: &UserId, service: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        let outages = self.store.open_outages(service).await?;
        Ok(outages.into_values().next().map(|until| resume_at(until, user)))
    }
}
