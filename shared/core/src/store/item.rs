//! The items of the table, as they are stored. Times are RFC 3339 texts; `ttl` is in seconds since the epoch.

use jiff::Timestamp;
use reauth_domain::{
    Account, AccountId, Attempt, ContractId, EventId, FailureCode, GrantEpisode, Locale, ReauthorizationId, ReturnUrl,
    Status, Target, TraceParent, UserId,
    account::{ActiveBefore, Episode, IdentityMismatch, Notice, NoticePlan, Warned},
    reauthorization::{Exchange, Flow, Kind, Progress, Reauthorization},
    time::rfc3339,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Item, StoreError, key};

pub(super) fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    // The error names the field, never its value.
    serde_dynamo::from_item(item).map_err(|error| StoreError::Corrupt(error.to_string()))
}

pub(super) fn write<T: Serialize>(key: key::Key, value: &T) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(value).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    item.extend(key.into_item());
    Ok(item)
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountItem {
    pub(super) version: u64,
    user_id: UserId,
    account_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_id: Option<ContractId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_logo: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    created_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    listed: bool,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    episode: Option<Episode>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    dismissed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<Attempt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity_mismatch: Option<IdentityMismatch>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    verifying_since: Option<Timestamp>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    reauthorized_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    authorization_expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warned: Option<Warned>,
    sequence: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_shard: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_shard: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    due_at: Option<Timestamp>,
}

impl AccountItem {
    /// The item of a write at the time `now`. The sweep first verifies a `verifying` account at `verify_at`.
    pub(super) fn new(account: &Account, version: u64, now: Timestamp, verify_at: Timestamp) -> Self {
        let (mut claims, mut verifying_since, mut required, mut dismissed) = (Vec::new(), None, None, None);
        let (mut verified, mut authorization_expires_at) = (None, None);
        let user = &account.user_id;
        let (mut due_shard, mut due_at) = match account.notices {
            NoticePlan::Nothing => (None, None),
            NoticePlan::Unplanned => (Some(key::due_notices_shard(user)), Some(now)),
            NoticePlan::At(at) => (Some(key::due_notices_shard(user)), Some(at)),
        };
        match &account.status {
            Status::Active { verified: known, authorization_expires_at: at } => {
                (verified, authorization_expires_at) = (*known, *at);
            }
            Status::ReauthRequired(episode) => required = Some(episode),
            Status::Dismissed { dismissed_at, .. } => dismissed = Some(*dismissed_at),
            Status::Verifying { claims: waiting, since, dismissed_at, before, .. } => {
                (claims, verifying_since, dismissed) = (waiting.clone(), Some(*since), *dismissed_at);
                (verified, authorization_expires_at) = (before.verified, before.authorization_expires_at);
                (due_shard, due_at) = (Some(key::due_accounts_shard(user)), Some(verify_at));
            }
        }
        Self {
            version,
            user_id: account.user_id.clone(),
            account_id: account.account_id.clone(),
            contract_id: account.contract_id.clone(),
            service_name: account.service_name.clone(),
            username: account.username.clone(),
            service_logo: account.service_logo.clone(),
            created_at: account.created_at,
            listed: account.listed,
            status: account.status.name().to_owned(),
            episode: account.episode().cloned(),
            dismissed_at: dismissed,
            claims,
            identity_mismatch: account.identity_mismatch.clone(),
            verifying_since,
            reauthorized_at: account.reauthorized_at,
            verified,
            authorization_expires_at,
            warned: account.warned.clone(),
            sequence: account.sequence,
            status_shard: required.map(|_| key::status_shard(&account.user_id)),
            status_since: required.map(|episode| {
                key::status_position(episode.since, &account.user_id, &Target::Account(account.account_id.clone()))
            }),
            due_shard,
            due_at,
        }
    }

    pub(super) fn into_account(self) -> Result<Account, StoreError> {
        let Self { verified, authorization_expires_at, dismissed_at, .. } = self;
        let status = match (self.status.as_str(), self.episode, self.verifying_since) {
            ("active", _, _) => Status::Active { verified, authorization_expires_at },
            ("reauth_required", Some(episode), _) => Status::ReauthRequired(episode),
            ("dismissed", Some(episode), _) => {
                Status::Dismissed { dismissed_at: dismissed_at.unwrap_or(episode.since), episode }
            }
            ("verifying", episode, Some(since)) => {
                let before = ActiveBefore { verified, authorization_expires_at };
                Status::Verifying { episode, dismissed_at, claims: self.claims, since, before }
            }
            _ => {
                return Err(StoreError::Corrupt("an account's status does not fit its other fields".into()));
            }
        };
        Ok(Account {
            user_id: self.user_id,
            account_id: self.account_id,
            contract_id: self.contract_id,
            service_name: self.service_name,
            username: self.username,
            service_logo: self.service_logo,
            created_at: self.created_at,
            listed: self.listed,
            notices: match (&status, self.due_at) {
                (Status::Verifying { .. }, _) | (_, None) => NoticePlan::Nothing,
                (_, Some(at)) => NoticePlan::At(at),
            },
            status,
            identity_mismatch: self.identity_mismatch,
            reauthorized_at: self.reauthorized_at,
            warned: self.warned,
            sequence: self.sequence,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventItem {
    pub(super) event_id: EventId,
    /// The event's type, which the index `byTime` contains too. The first events of the log have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) event_type: Option<String>,
    /// The event as it is delivered, without its reconnect link.
    pub(super) payload: String,
    /// The id of the key that the reconnect link's token is derived with.
    pub(super) link_key_id: String,
    /// The receipt: when the topic accepted the event.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) published_at: Option<Timestamp>,
    /// When the topic accepted the event last. Also kept while it is delivered again.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) last_published_at: Option<Timestamp>,
    /// When a reminder or a warning was withheld from the topic, because it was no longer true.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) withheld_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<TraceParent>,
    /// How often the application asked for the event again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) redeliveries: u64,
    /// The URL of the service's logo, of which the page behind the event's link shows a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service_logo: Option<String>,
    /// An event of an earlier version of this service has none, and is not in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) log_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due_shard: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) due_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GrantItem {
    pub(super) version: u64,
    pub(super) user_id: UserId,
    pub(super) contract_id: ContractId,
    /// The token pair, sealed.
    pub(super) tokens: String,
    /// Set while the refresh token is known to be dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) episode: Option<GrantEpisode>,
    /// The expiry of the refresh token that the user is warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) warned: Option<Warned>,
    /// The sequence number of the grant's last event.
    #[serde(default)]
    pub(super) sequence: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lease_id: Option<String>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) lease_until: Option<Timestamp>,
    /// When the user's accounts were last listed at digi.me.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) accounts_listed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status_since: Option<String>,
    /// When the refresh token expires.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) refresh_expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) due_shard: Option<String>,
    /// When the sweep looks whether the refresh token has expired, or its user is to be warned. Not stored while the token
    /// is known to be dead.
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) due_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReauthorizationItem {
    pub(super) version: u64,
    pub(super) id: ReauthorizationId,
    pub(super) user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account_id: Option<AccountId>,
    pub(super) contract_id: ContractId,
    pub(super) kind: Kind,
    /// Only of a user reauthorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exchange: Option<Exchange>,
    /// The callback that exchanges the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exchange_id: Option<String>,
    /// The code verifier, sealed. Removed when the exchange begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verifier: Option<String>,
    pub(super) progress: Progress,
    /// A string set, so that an update can add a code without reading the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) told: Vec<FailureCode>,
    /// The times of the recent verifications at digi.me, joined by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) verifications: Option<String>,
    /// SHA-256 of the secret part of the `state`.
    pub(super) secret_hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) browser_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) return_url: Option<ReturnUrl>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) locale: Option<Locale>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<Notice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<TraceParent>,
    #[serde(with = "rfc3339")]
    pub(super) created_at: Timestamp,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) clicked_at: Option<Timestamp>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) returned_at: Option<Timestamp>,
    #[serde(with = "rfc3339")]
    pub(super) expires_at: Timestamp,
    pub(super) ttl: i64,
}

impl ReauthorizationItem {
    pub(super) fn into_reauthorization(self) -> Result<Reauthorization, StoreError> {
        let flow = match (self.kind, self.account_id, self.exchange) {
            (Kind::Account, Some(account_id), _) => Flow::Account { account_id },
            (Kind::User, account_id, Some(exchange)) => Flow::User { exchange, account_id },
            _ => return Err(StoreError::Corrupt("a reauthorization's kind does not fit its other fields".into())),
        };
        Ok(Reauthorization {
            id: self.id,
            user_id: self.user_id,
            contract_id: self.contract_id,
            flow,
            progress: self.progress,
            told: self.told,
            return_url: self.return_url,
            locale: self.locale,
            link: self.link,
            traceparent: self.traceparent,
            created_at: self.created_at,
            clicked_at: self.clicked_at,
            returned_at: self.returned_at,
            expires_at: self.expires_at,
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LinkItem {
    pub(super) user_id: UserId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account_id: Option<AccountId>,
    /// Set if the link was sent for a grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) contract_id: Option<ContractId>,
    /// The event that contains the link. A link of an earlier version of this service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) notice: Option<Notice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<TraceParent>,
    #[serde(default, with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<Timestamp>,
    #[serde(with = "rfc3339")]
    pub(super) expires_at: Timestamp,
    pub(super) ttl: i64,
    /// The times of the recent uses of each target, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uses: Option<String>,
    /// The use whose reauthorization is being created, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ongoing: Option<String>,
}

/// A pointer from a user to an item in another partition. Its sort key names the item.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PointerItem {
    /// The account that a reauthorization was created for. A user reauthorization may get its account later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account_id: Option<AccountId>,
    pub(super) ttl: i64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TombstoneItem {
    #[serde(with = "rfc3339")]
    pub(super) forgotten_at: Timestamp,
    pub(super) ttl: i64,
}
