//! One event: its link is written while its marks are read; the channels that have not taken it are served side by
//! side; then they are marked.

use futures::future::join_all;
use reauth_core::{
    ambient::after,
    domain::event::ReconnectLink,
    store::{Link, StoreError, StoredEvent},
};
use secrecy::ExposeSecret;

use crate::{NotifyReauth, channel::ChannelError};

/// Why an event must come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Channel(#[from] ChannelError),
    #[error("an event cannot be written as JSON, or its link as a URL")]
    Unwritable,
}

impl NotifyReauth {
    pub(crate) async fn deliver(&self, event: StoredEvent) -> Result<(), DeliveryError> {
        let (link, marks) = tokio::join!(self.link(&event), self.store.event(&event.event));
        let link = match link {
            // Whom nobody knows any more, nobody is told of.
            Err(DeliveryError::Store(StoreError::Forgotten)) => return Ok(()),
            link => link?,
        };
        let Some(stored) = marks?.filter(|stored| stored.event.subject == event.event.subject) else {
            return Ok(());
        };
        let payload = stored.event.to_json(link.as_ref()).map_err(|_| DeliveryError::Unwritable)?.to_string();
        let waiting = self.channels.iter().filter(|channel| !stored.delivered.contains_key(channel.name()));
        let results = join_all(waiting.map(|channel| {
            let payload = &payload;
            let event = &stored.event;
            async move { channel.deliver(event, payload).await.map(|()| channel.name()) }
        }))
        .await;
        let (taken, mut failed) = (Vec::from_iter(results.iter().flatten().copied()), results.into_iter());
        let failure = failed.find_map(Result::err);
        self.store.mark_delivered(&stored.event, &taken, failure.is_none(), self.ambient.now()).await?;
        failure.map_or(Ok(()), |failure| Err(failure.into()))
    }

    /// Writes the link of an event that carries one. Its token is derived from the event, so that each delivery, and
    /// each retry, gives the same.
    async fn link(&self, event: &StoredEvent) -> Result<Option<ReconnectLink>, DeliveryError> {
        let subject = &event.event.subject;
        let Some(episode_id) = subject.episode_id.clone().filter(|_| event.event.detail.carries_link()) else {
            return Ok(None);
        };
        let token = self.store.link_token(event).await?;
        let expires_at = after(event.event.timestamp, self.link_ttl);
        let link =
            Link { user_id: subject.user_id.clone(), account_id: subject.account_id.clone(), episode_id, expires_at };
        self.store.put_link(&token, &link, subject).await?;
        let url = self.public_base_url.join(&format!("reconnect/{}", token.expose_secret()));
        let url = url.map_err(|_| DeliveryError::Unwritable)?.to_string();
        Ok(Some(ReconnectLink { url, expires_at }))
    }
}
