//! Puts the mails that are due on the queue of `email-user`.

use reauth_core::{aws::AwsError, store::DueItem};
use reauth_domain::time::after;
use serde_json::json;
use tracing::instrument;

use crate::{RETRY_INTERVAL, SweepAccounts, SweepError, summary::SweepOutcome};

impl SweepAccounts {
    /// The mail is rescheduled first, so that of two sweeps one starts it. If this process ends before the message is sent, the
    /// mail is due again. Without a queue, this service writes to nobody.
    #[instrument(skip_all, fields(user_id = %item.user_id))]
    pub(crate) async fn start_mail(&self, item: &DueItem) -> Result<SweepOutcome, SweepError> {
        let Some(queue_url) = &self.emails_queue else { return Ok(SweepOutcome::Open) };
        if !self.mail_budget.take().await? {
            return Ok(SweepOutcome::Held);
        }
        let next = after(self.ambient.now(), RETRY_INTERVAL);
        if !self.authorized.store.reschedule_item(item, next).await? {
            self.mail_budget.give_back().await;
            return Ok(SweepOutcome::Lost);
        }
        let message = json!({"type": "mail.due", "userId": item.user_id}).to_string();
        let sent = self.queue.send_message().queue_url(&**queue_url).message_body(message).send().await;
        sent.map_err(|error| SweepError::Queue(AwsError::from(&error)))?;
        Ok(SweepOutcome::Mailed)
    }
}
