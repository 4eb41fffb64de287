//! An event sets when a mail to its user is due.

use reauth_core::{lambda::RequestContext, retry::retry_on_conflict, store::ContactChange};
use reauth_domain::time::after;

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
            let daytime = self.daytime(&event.user, state.contact.as_ref());
            let next = match &event.kind {
                EventKind::Need => state.with_need(after(now, self.settings.delay), daytime),
                EventKind::Healed { target, episode } => state.with_healing(target, episode, now, daytime),
            };
            let Some(state) = next else { return Ok(()) };
            self.store.put_contact(&event.user, &ContactChange { state, read_version: read.version }).await?;
            tracing::info!("email-user: a mail is due");
            Ok(())
        })
        .await
    }
}
