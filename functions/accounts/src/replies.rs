//! The bodies of the replies. `infra/openapi.yaml` describes them; a test compares the two.

use digime::{
    NodeForm,
    read_result::{AccountError, IgnoredEntry},
};
use jiff::Timestamp;
use reauth_core::{store::GrantState, web::ReauthorizationBody};
use reauth_domain::{
    Account, AccountId, ContractId, EpisodeId, Event, GrantEpisode, GrantStatus, Status, UserId,
    account::mask,
    contact::{ContactState, Stopped},
    reauthorization::Kind,
    time::rfc3339,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// `GET /users/{userId}/grants/{contractId}`: the token pair in the Node SDK's form, and its status.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoredGrant")]
pub struct GrantBody<'a> {
    #[serde(flatten)]
    pub(crate) tokens: NodeForm<'a>,
    pub(crate) status: GrantStatus,
}

/// `GET /users/{userId}/contact`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StoredContact")]
pub struct ContactBody {
    /// The email address, masked.
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    /// The contract of the grant that the contact came with.
    contract_id: ContractId,
    /// Whether this service writes to the address.
    #[schemars(extend("enum" = ["active", "stopped"]))]
    emails: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped: Option<Stopped>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    last_sent_at: Option<Timestamp>,
}

impl ContactBody {
    /// `None` if the application removed the contact, or it cannot be read.
    pub(crate) fn new(state: ContactState) -> Option<Self> {
        let contact = state.contact().cloned()?;
        Some(Self {
            email: contact.email.masked(),
            name: contact.name.map(String::from),
            locale: contact.locale.map(String::from),
            time_zone: contact.time_zone.map(String::from),
            contract_id: state.contract_id,
            emails: if state.stopped.is_some() { "stopped" } else { "active" },
            stopped: state.stopped,
            last_sent_at: state.last_sent_at,
        })
    }
}

/// An account: the reply of `GET /users/{userId}/accounts/{accountId}`, and an entry of the lists.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Account")]
pub struct AccountBody {
    user_id: UserId,
    account_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    contract_id: Option<ContractId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<String>,
    #[schemars(extend("enum" = ["active", "reauth_required", "dismissed", "verifying"]))]
    status: &'static str,
    /// When the failed read session was started.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    episode_id: Option<EpisodeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AccountError>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    last_read_at: Option<Timestamp>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    reauthorized_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    authorization_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_mismatch: Option<IdentityMismatchBody>,
    /// The reconnect link that the application was notified of. Only in the reply of one account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "uri"))]
    pub(crate) reconnect_url: Option<String>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    pub(crate) reconnect_url_expires_at: Option<Timestamp>,
    /// A page of the history. Only if it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Event>>")]
    pub(crate) events: Option<Vec<Value>>,
    /// The cursor of the page with older events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
    /// The latest reauthorizations of the account, oldest first. Only on the newest page of the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reauthorizations: Option<Vec<ReauthorizationBody>>,
}

/// The login that digi.me named before a reauthorization, and the one after it. Both are masked.
#[derive(Debug, Serialize, JsonSchema)]
struct IdentityMismatchBody {
    expected: Option<String>,
    found: String,
}

impl AccountBody {
    pub(crate) fn new(account: &Account, last_read_at: Option<Timestamp>) -> Self {
        let episode = account.episode();
        let (verified, authorization_expires_at) = match account.status {
            Status::Active { verified, authorization_expires_at } => (verified, authorization_expires_at),
            Status::ReauthRequired(_) | Status::Dismissed { .. } | Status::Verifying { .. } => (None, None),
        };
        let mismatch = account.identity_mismatch.as_ref();
        Self {
            user_id: account.user_id.clone(),
            account_id: account.account_id.clone(),
            contract_id: account.contract_id.clone(),
            service_name: account.service_name.clone(),
            status: account.status.name(),
            since: episode.map(|episode| episode.since),
            episode_id: episode.map(|episode| episode.episode_id.clone()),
            error: episode.map(|episode| episode.error.clone()),
            last_read_at,
            reauthorized_at: account.reauthorized_at,
            verified,
            authorization_expires_at,
            identity_mismatch: mismatch.map(|mismatch| IdentityMismatchBody {
                expected: account.masked_username(),
                found: mask(&mismatch.found),
            }),
            reconnect_url: None,
            reconnect_url_expires_at: None,
            events: None,
            cursor: None,
            reauthorizations: None,
        }
    }
}

/// `GET /users/{userId}/accounts`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccountList")]
pub struct AccountListBody {
    pub(crate) accounts: Vec<AccountBody>,
    pub(crate) grants: Vec<GrantStateBody>,
}

/// The status of a grant.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantStateBody {
    contract_id: ContractId,
    status: GrantStatus,
    /// Since when the refresh token is dead.
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    since: Option<Timestamp>,
}

impl GrantStateBody {
    pub(crate) fn new(grant: GrantState, now: Timestamp) -> Self {
        Self { status: grant.status(now), since: grant.since(now), contract_id: grant.contract_id }
    }
}

/// `GET /accounts?status=reauth_required`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "InNeedList")]
pub struct InNeedListBody {
    pub(crate) accounts: Vec<InNeedBody>,
    /// The cursor of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

/// An account that needs its user, or a user who must authorize again.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "most entries are accounts")]
pub enum InNeedBody {
    Account {
        #[serde(flatten)]
        account: AccountBody,
        /// The page that helps first.
        kind: Kind,
    },
    User(UserInNeedBody),
}

/// A user whose refresh token is dead, without an account that needs the user.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserInNeedBody {
    user_id: UserId,
    contract_id: ContractId,
    /// Always `user`.
    kind: Kind,
    #[schemars(extend("const" = "reauth_required"))]
    status: &'static str,
    /// Since when the refresh token is dead.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    since: Timestamp,
    episode_id: EpisodeId,
}

impl UserInNeedBody {
    pub(crate) fn new(user_id: UserId, contract_id: ContractId, episode: &GrantEpisode) -> Self {
        Self {
            user_id,
            contract_id,
            kind: Kind::User,
            status: "reauth_required",
            since: episode.since,
            episode_id: episode.episode_id.clone(),
        }
    }
}

/// `POST /users/{userId}/read-results`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AcceptedReadResult")]
pub struct AcceptedBody<'a> {
    /// The number of accepted entries.
    pub(crate) accounts: usize,
    /// The first entries that were ignored because they are not accounts.
    #[schemars(length(max = 20))]
    pub(crate) ignored: &'a [IgnoredEntry],
}
