//! Refreshing a token pair: under a lease, and stored before it is used.

use std::{sync::Arc, time::Duration};

use digime::{Contract, TokenPair};
use reauth_domain::{EpisodeId, Grant, GrantChange, Person, UserVia, time::after};

use super::{AuthorizedClient, AuthorizedClientError};
use crate::{
    error::Chain,
    lambda::RequestContext,
    retry::{Budget, retry, retry_on_conflict},
    store::{Condition, GrantCondition, Lease, ReauthorizationChange, StoreError, Versioned},
};

/// An access token that expires sooner is refreshed first. The call, and the user's way to the page, take time.
const REFRESH_MARGIN: Duration = Duration::from_secs(60);
/// An invocation that waits for another one's refresh reads the grant again after this time, plus up to as much jitter.
const WAIT: Duration = Duration::from_millis(150);
/// The part of the invocation's time that is reserved for storing the answer of a refresh.
const REFRESH_RESERVE: Duration = Duration::from_secs(1);
/// A refresh is not started with less time left. If the invocation ended before the answer was stored, the new pair
/// would be lost.
const REFRESH_TIME: Duration = Duration::from_secs(6);
/// How often the write of a refreshed pair is attempted. A pair that is not stored is lost: its old refresh token may no
/// longer work.
const STORE_REFRESHED: Budget = Budget { attempts: 8, pause: Duration::from_millis(30) };

impl AuthorizedClient {
    /// Opens an episode if the refresh token has expired and no one has noticed yet. Returns the grant as it is stored
    /// then.
    ///
    /// # Errors
    /// [`StoreError::Erased`] when the grant was deleted because its user was erased.
    pub async fn notice_expiry(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, StoreError> {
        if !grant.value.has_expired_unnoticed(self.ambient.now()) {
            return Ok(grant);
        }
        let dies = |grant: Grant, now| {
            grant.has_expired_unnoticed(now).then(|| grant.refresh_token_died(self.new_episode(), false, now)).flatten()
        };
        // Boxed, because this happens once for each episode, and the future is large.
        Box::pin(self.change_grant(grant, dies, context)).await
    }

    /// Applies a change to a grant and stores it, on fresh data after a conflict. Without a change, nothing is written.
    /// Returns the grant as it is stored then.
    pub(super) async fn change_grant(
        &self,
        read: Versioned<Grant>,
        change: impl Fn(Grant, jiff::Timestamp) -> Option<GrantChange>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, StoreError> {
        let apply = |read: Versioned<Grant>| async {
            let Some(change) = change(read.value.clone(), self.ambient.now()) else { return Ok(read) };
            let value = change.grant.clone();
            let condition = GrantCondition::Version(read.version);
            let version = self.store.put_grant(change, condition, None, context).await?;
            Ok(Versioned { version, value })
        };
        let (user_id, contract_id) = (read.value.user_id.clone(), read.value.contract_id.clone());
        match apply(read).await {
            Err(StoreError::Conflict(_)) => {
                retry_on_conflict(&self.ambient, context.deadline, || async {
                    let read = self.store.grant(&user_id, &contract_id).await?.ok_or(StoreError::Erased)?;
                    apply(read).await
                })
                .await
            }
            result => result,
        }
    }

    pub(super) fn new_episode(&self) -> EpisodeId {
        EpisodeId::from(self.ambient.bytes())
    }

    /// The grant with an access token that is valid for more than a minute. If the refresh fails and the current token
    /// is still valid, the grant is returned unchanged.
    pub async fn ensure_valid_token(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let grant = self.notice_expiry(grant, context).await?;
        if grant.value.episode.as_ref().is_some_and(|episode| episode.access_refused) {
            return Err(AuthorizedClientError::UserReauthorizationRequired);
        }
        let expires_at = grant.value.tokens.access.expires_at;
        match self.refresh_if_about_to_expire(grant.clone(), context).await {
            Err(error) if self.ambient.now() < expires_at => {
                let Grant { user_id, contract_id, .. } = &grant.value;
                tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "refresh: could not refresh an access token that is about to expire");
                Ok(grant)
            }
            result => result,
        }
    }

    /// The grant with an access token that is valid for more than a minute.
    ///
    /// # Errors
    /// When the refresh fails, also if the current token is still valid.
    pub async fn refresh_if_about_to_expire(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        if after(self.ambient.now(), REFRESH_MARGIN) < grant.value.tokens.access.expires_at {
            return Ok(grant);
        }
        Box::pin(self.refresh_or_wait(grant, false, context)).await
    }

    /// The grant with another access token than `old`: one that another invocation stored, or a refreshed one.
    /// `access_refused` tells whether digi.me refused the old one.
    pub(super) async fn refresh_or_wait(
        &self,
        old: Versioned<Grant>,
        access_refused: bool,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let mut grant = self.notice_expiry(old.clone(), context).await?;
        loop {
            if !grant.value.tokens.same_tokens(&old.value.tokens) {
                return Ok(grant);
            }
            if grant.value.episode.is_some() {
                return Err(AuthorizedClientError::UserReauthorizationRequired);
            }
            if self.ambient.remaining(context.deadline) < REFRESH_TIME {
                return Err(AuthorizedClientError::Busy);
            }
            let leased = grant.value.leased_until.is_some_and(|until| self.ambient.now() < until);
            if leased {
                tokio::time::sleep(WAIT + self.ambient.jitter(WAIT)).await;
            } else {
                // A refresh is only sent when the key set is cached.
                let (lease, keys) = tokio::join!(self.store.lease(&grant), self.client.warm_keys(context.deadline));
                match lease {
                    Ok(lease) => {
                        return self.refresh_under_lease(grant.value, access_refused, lease, keys, context).await;
                    }
                    Err(StoreError::Conflict(_)) => tokio::time::sleep(self.ambient.jitter(WAIT)).await,
                    Err(error) => return Err(error.into()),
                }
            }
            grant = self.read_again(&grant.value).await?;
        }
    }

    async fn read_again(&self, grant: &Grant) -> Result<Versioned<Grant>, AuthorizedClientError> {
        // The grant was deleted because its user was erased.
        let read = self.store.grant(&grant.user_id, &grant.contract_id).await?;
        read.ok_or(AuthorizedClientError::Store(StoreError::Erased))
    }

    /// Refreshes the pair under the lease. The new pair is stored before it is used.
    async fn refresh_under_lease(
        &self,
        grant: Grant,
        access_refused: bool,
        lease: Lease,
        keys: Result<(), digime::Error>,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let deadline = context.deadline.less(REFRESH_RESERVE);
        let refresh_token = &grant.tokens.refresh.value;
        let refresh = async {
            keys?;
            // Taking the lease and fetching the key set took time.
            if self.ambient.remaining(context.deadline) < REFRESH_TIME {
                return Err(AuthorizedClientError::Busy);
            }
            let call =
                |contract: Arc<Contract>| async move { self.client.refresh(&contract, refresh_token, deadline).await };
            self.with_contract(&grant.contract_id, call).await
        };
        match refresh.await {
            Ok(tokens) => self.store_refreshed(grant, tokens, &lease, context).await,
            Err(AuthorizedClientError::Digime(error)) if error.refuses_refresh_token() => {
                let (now, condition) = (self.ambient.now(), GrantCondition::Lease(&lease));
                let unchanged = || grant.clone().unchanged();
                let change =
                    grant.clone().refresh_token_died(self.new_episode(), access_refused, now).unwrap_or_else(unchanged);
                match Box::pin(self.store.put_grant(change, condition, None, context)).await {
                    // The application replaced the grant meanwhile. The refused token is no longer the stored one.
                    Err(StoreError::Conflict(Some(_))) => self.read_again(&grant).await,
                    Err(error) => Err(error.into()),
                    Ok(_) => Err(AuthorizedClientError::UserReauthorizationRequired),
                }
            }
            Err(error) => {
                if let Err(error) = self.store.release(&grant, &lease).await {
                    let Grant { user_id, contract_id, .. } = &grant;
                    tracing::warn!(error = %Chain(&error), %user_id, %contract_id, "refresh: could not release the lease, which will expire");
                }
                Err(error)
            }
        }
    }

    /// Stores a refreshed pair before it is used. It replaces the pair that it was refreshed from, even if the
    /// application stored that pair again meanwhile, because those tokens no longer work. If the application stored
    /// another pair meanwhile, the pair whose access token expires later is kept.
    async fn store_refreshed(
        &self,
        grant: Grant,
        tokens: TokenPair,
        lease: &Lease,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let before = grant.tokens.clone();
        let tokens = tokens.with_ids_of(&before);
        let change = grant.renewed(tokens.clone(), UserVia::Grant, self.ambient.now());
        let refreshed = change.grant.clone();
        let write = self.store.put_grant(change, GrantCondition::Lease(lease), None, context);
        match Box::pin(write).await {
            Ok(version) => Ok(Versioned { version, value: refreshed }),
            Err(error) if is_worth_another_write(&error) => {
                let (refreshed, tokens, before) = (&refreshed, &tokens, &before);
                let is_retryable = |error: &AuthorizedClientError| matches!(error, AuthorizedClientError::Store(error) if is_worth_another_write(error));
                let write = || self.store_over_newer(refreshed, tokens, before, context);
                retry(&self.ambient, STORE_REFRESHED, is_retryable, write).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores the pair that a code was exchanged for, and the progress of its reauthorization in the same transaction. If
    /// the application stored another pair since `read`, the pair whose access token expires later is kept. Returns false
    /// if the reauthorization has changed meanwhile: then its progress is left as it is.
    pub async fn store_exchanged(
        &self,
        read: Versioned<Grant>,
        tokens: TokenPair,
        progress: &ReauthorizationChange,
        context: RequestContext,
    ) -> Result<bool, AuthorizedClientError> {
        let (read, tokens) = (&read, &tokens.with_ids_of(&read.value.tokens));
        let store = async |progress: Option<&ReauthorizationChange>| {
            let first = self.put_exchanged(read, read.clone(), tokens, progress, context).await;
            if !first.as_ref().is_err_and(is_worth_another_write) {
                return first.map_err(AuthorizedClientError::from);
            }
            let is_retryable = |error: &AuthorizedClientError| matches!(error, AuthorizedClientError::Store(error) if is_worth_another_write(error));
            let write = || self.put_exchanged_again(read, tokens, progress, context);
            retry(&self.ambient, STORE_REFRESHED, is_retryable, write).await
        };
        match store(Some(progress)).await {
            Err(AuthorizedClientError::Store(StoreError::Conflict(Some(Condition::Reauthorization)))) => {
                store(None).await?;
                Ok(false)
            }
            written => written.map(|()| true),
        }
    }

    async fn put_exchanged_again(
        &self,
        read: &Versioned<Grant>,
        tokens: &TokenPair,
        progress: Option<&ReauthorizationChange>,
        context: RequestContext,
    ) -> Result<(), AuthorizedClientError> {
        let stored = self.read_again(&read.value).await?;
        Ok(self.put_exchanged(read, stored, tokens, progress, context).await?)
    }

    /// Writes an exchanged pair over `stored`, unless that one was stored since `read` and lasts longer, or is of another
    /// user.
    async fn put_exchanged(
        &self,
        read: &Versioned<Grant>,
        stored: Versioned<Grant>,
        tokens: &TokenPair,
        progress: Option<&ReauthorizationChange>,
        context: RequestContext,
    ) -> Result<(), StoreError> {
        let is_another = !stored.value.tokens.same_tokens(&read.value.tokens);
        let lasts_longer = stored.value.tokens.access.expires_at >= tokens.access.expires_at;
        let is_of_another_user = Person::by_id(&stored.value.tokens, tokens) == Person::Another;
        let change = if is_another && (lasts_longer || is_of_another_user) {
            stored.value.unchanged()
        } else {
            stored.value.renewed(tokens.clone(), UserVia::Callback, self.ambient.now())
        };
        let condition = GrantCondition::Version(stored.version);
        Box::pin(self.store.put_grant(change, condition, progress, context)).await.map(drop)
    }

    /// Stores a refreshed pair over the grant that is stored now, unless that one lasts longer.
    async fn store_over_newer(
        &self,
        refreshed: &Grant,
        tokens: &TokenPair,
        before: &TokenPair,
        context: RequestContext,
    ) -> Result<Versioned<Grant>, AuthorizedClientError> {
        let stored = self.read_again(refreshed).await?;
        let is_dead = stored.value.tokens.same_refresh_token(before);
        if !is_dead && stored.value.tokens.access.expires_at >= tokens.access.expires_at {
            return Ok(stored);
        }
        let change = stored.value.renewed(tokens.clone(), UserVia::Grant, self.ambient.now());
        let value = change.grant.clone();
        let condition = GrantCondition::Version(stored.version);
        let version = self.store.put_grant(change, condition, None, context).await?;
        Ok(Versioned { version, value })
    }
}

/// Whether storing a new pair may succeed after this error. A reauthorization that has changed does not change back.
fn is_worth_another_write(error: &StoreError) -> bool {
    match error {
        StoreError::Conflict(condition) => *condition != Some(Condition::Reauthorization),
        StoreError::Unavailable(_) => true,
        StoreError::Erased | StoreError::Corrupt(_) => false,
    }
}
