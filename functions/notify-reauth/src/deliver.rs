//! Delivers one event: writes its reconnect link and reads its receipt concurrently, publishes it, and writes the
//! receipt (`published_at`).

use reauth_core::{
    keyring::reconnect_path,
    metrics::{self, Channel},
    store::{Link, StoreError, StoredEvent},
};
use reauth_domain::{
    Event, Target,
    account::Notice,
    event::ReconnectLink,
    notices::{is_notice, is_true_of_account, is_true_of_grant},
    time::after,
};
use secrecy::ExposeSecret;
use tracing::instrument;

use crate::{NotifyReauth, topic::PublishError};

/// Why an event was not delivered. Its messages are retried.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("could not write the event as JSON")]
    Payload(#[from] serde_json::Error),
    #[error("could not build the URL of the reconnect link")]
    LinkUrl(#[from] url::ParseError),
}

impl NotifyReauth {
    #[instrument(skip_all, fields(event_id = %event.event.subject.event_id, user_id = %event.event.subject.user_id, account_id = event.event.subject.about.account_id(), contract_id = event.event.subject.about.contract_id()))]
    pub(crate) async fn deliver(&self, event: &StoredEvent) -> Result<(), DeliveryError> {
        // Boxed, because the futures of calls to AWS are large.
        let (link, stored) = tokio::join!(Box::pin(self.link(event)), Box::pin(self.store.event(&event.event)));
        let link = match link {
            // The user was erased: there is nobody to notify.
            Err(DeliveryError::Store(StoreError::Erased)) => return Ok(()),
            link => link?,
        };
        let Some(stored) = stored?.filter(|stored| stored.event.subject == event.event.subject) else {
            return Ok(());
        };
        if stored.published_at.is_some() {
            return Ok(());
        }
        // The application gets what it asks for, as it was.
        if stored.redeliveries == 0 && !Box::pin(self.is_true(&event.event)).await? {
            tracing::info!("notify-reauth: withheld a notice that is no longer true");
            return Ok(self.store.record_withholding(&stored, self.ambient.now()).await?);
        }
        let payload = stored.event.to_json(link.as_ref())?.to_string();
        let (published, ()) =
            tokio::join!(self.topic.publish(&stored, payload), self.asked_logos.ask(&self.store, &stored));
        metrics::delivery(Channel::Topic, published.is_ok());
        published?;
        tracing::info!("notify-reauth: published an event");
        Ok(self.store.record_publication(&stored, self.ambient.now()).await?)
    }

    /// Whether the event is still true. A reminder or a warning may not be: the account was healed, or the user decided, since
    /// it was written. The read is consistent, and directly before the publication.
    async fn is_true(&self, event: &Event) -> Result<bool, StoreError> {
        if !is_notice(&event.detail) {
            return Ok(true);
        }
        let user = &event.subject.user_id;
        match event.subject.about.target() {
            Target::Account(account) => {
                let account = self.store.account(user, &account).await?.map(|read| read.value);
                Ok(is_true_of_account(event, account.as_ref(), self.ambient.now()))
            }
            Target::Grant(contract) => {
                Ok(is_true_of_grant(event, self.store.refresh_expires_at(user, &contract).await?))
            }
        }
    }

    /// Writes the reconnect link, if this event carries one. The token is derived from the event, so every delivery and
    /// every retry of the event returns the same link.
    async fn link(&self, event: &StoredEvent) -> Result<Option<ReconnectLink>, DeliveryError> {
        let subject = &event.event.subject;
        if !event.event.detail.carries_link() {
            return Ok(None);
        }
        let token = self.store.link_token(event).await?;
        let created_at = event.event.timestamp;
        let expires_at = after(created_at, self.link_ttl);
        let notice = Some(Notice { event_id: subject.event_id.clone(), link_key_id: event.link_key_id.clone() });
        let (user_id, target) = (subject.user_id.clone(), subject.about.target());
        let link = Link { user_id, target, notice, traceparent: event.traceparent, created_at, expires_at };
        self.store.put_link(&token, &link, subject).await?;
        let url = self.public_base_url.join(reconnect_path(&token).expose_secret())?.to_string();
        Ok(Some(ReconnectLink { url, expires_at }))
    }
}
