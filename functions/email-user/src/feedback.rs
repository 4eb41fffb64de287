//! Bounces and complaints stop the mails to an address.

use reauth_core::{lambda::RequestContext, metrics};

use crate::{EmailError, EmailUser, message::Feedback};

impl EmailUser {
    /// An address that is no longer the user's, and a mail that the user does not get any more, change nothing.
    pub(crate) async fn take_feedback(&self, feedback: Feedback, context: RequestContext) -> Result<(), EmailError> {
        let Feedback { user, reason, addresses } = feedback;
        for address in addresses {
            if self.store.stop_emails(&user, reason, Some(&address), context).await? {
                metrics::emails_stopped(reason);
                tracing::info!(reason = ?reason, "email-user: stopped the mails to a user");
            }
        }
        Ok(())
    }
}
