//! Events: the changes of accounts and grants that the application is notified of, in order.

use digime::read_result::AccountError;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::event_schema::WITH_LINK;
use crate::time::rfc3339;
use crate::{AccountId, ContractId, EpisodeId, EventId, FailureCode, ReauthorizationId, UserId};

/// One event of an account or of a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When the event happened.
    pub timestamp: Timestamp,
    pub subject: Subject,
    pub detail: EventDetail,
}

/// The fields that the `data` of every event contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// The same for every delivery of the event.
    pub event_id: EventId,
    /// The application's own id of the user.
    pub user_id: UserId,
    #[serde(flatten)]
    #[schemars(skip)]
    pub about: About,
    /// Grows with each event of the account, or of the grant. Deliveries may arrive out of order, so that receivers
    /// compare it.
    #[schemars(range(min = 1))]
    pub sequence: u64,
    /// The episode that the event belongs to, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_id: Option<EpisodeId>,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum About {
    Account(AboutAccount),
    Grant(AboutGrant),
}

/// The fields of the events `account.…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AboutAccount {
    /// digi.me's id of the account.
    pub account_id: AccountId,
    /// The contract that the account is read under, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract_id: Option<ContractId>,
    /// The name of the bank, hospital or other service, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
}

/// The fields of the events `user.…`. A user has one grant for each contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AboutGrant {
    /// The contract of the user's token pair.
    pub contract_id: ContractId,
}

/// An account or a grant of a user: what has a status, events and reconnect links.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Account(AccountId),
    Grant(ContractId),
}

impl About {
    #[must_use]
    pub fn target(&self) -> Target {
        match self {
            Self::Account(AboutAccount { account_id, .. }) => Target::Account(account_id.clone()),
            Self::Grant(AboutGrant { contract_id }) => Target::Grant(contract_id.clone()),
        }
    }

    /// For log lines.
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        match self {
            Self::Account(about) => Some(about.account_id.as_str()),
            Self::Grant(_) => None,
        }
    }

    /// For log lines.
    #[must_use]
    pub fn contract_id(&self) -> Option<&str> {
        match self {
            Self::Account(about) => about.contract_id.as_ref().map(ContractId::as_str),
            Self::Grant(about) => Some(about.contract_id.as_str()),
        }
    }
}

impl Target {
    /// For log lines.
    #[must_use]
    pub fn account_id(&self) -> Option<&str> {
        match self {
            Self::Account(id) => Some(id.as_str()),
            Self::Grant(_) => None,
        }
    }

    /// For log lines.
    #[must_use]
    pub fn contract_id(&self) -> Option<&str> {
        match self {
            Self::Account(_) => None,
            Self::Grant(id) => Some(id.as_str()),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(id) => write!(formatter, "account {id}"),
            Self::Grant(id) => write!(formatter, "grant {id}"),
        }
    }
}

/// An event, without the fields that the store adds: the event id, the timestamp and the sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    pub detail: EventDetail,
    pub episode_id: Option<EpisodeId>,
}

/// The sequence number of the last of `count` new events. Sequence numbers grow by one, and are at least the milliseconds
/// of the event's time: what is erased and created again, or restored with the table, does not use a number twice.
#[must_use]
pub fn next_sequence(before: u64, count: usize, now: Timestamp) -> u64 {
    if count == 0 {
        return before;
    }
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
    (before + 1).max(milliseconds) + count as u64 - 1
}

/// The sequence number of the last of `count` new events when they are written. It was decided on as `sequence`, and is
/// raised to the time of the write: readers of the log do not wait for an event that comes long after the time in its id.
#[must_use]
pub fn sequence_when_written(sequence: u64, count: usize, now: Timestamp) -> u64 {
    next_sequence(sequence.saturating_sub(count as u64), count, now)
}

/// What happened. The serialized names are the documented event types and fields: receivers depend on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "data", rename_all_fields = "camelCase")]
pub enum EventDetail {
    /// A read says that the account's user must reauthorize it.
    #[serde(rename = "account.reauthorization_required")]
    ReauthorizationRequired {
        /// The error that the read returned.
        #[serde(default)]
        error: AccountError,
        /// When the failed read session was started.
        #[serde(with = "rfc3339")]
        #[schemars(with = "Timestamp")]
        since: Timestamp,
        /// 0 for the first notification; 1, 2, … for reminders.
        reminder: u32,
    },
    /// The account is active again.
    #[serde(rename = "account.reauthorized")]
    Reauthorized {
        /// How the service learned it.
        via: Via,
        /// Whether digi.me or a completed read confirmed it.
        verified: bool,
    },
    /// A reauthorization ended without success.
    #[serde(rename = "account.reauthorization_failed")]
    ReauthorizationFailed {
        reauthorization_id: ReauthorizationId,
        /// The reason. Other codes than the documented ones are possible.
        error_code: FailureCode,
        /// Whether another attempt can succeed.
        retryable: bool,
    },
    /// digi.me's list under the account's contract no longer contains the account.
    #[serde(rename = "account.removed")]
    Removed {},
    /// The user said that the account is no longer used. Nobody is reminded of it any more.
    #[serde(rename = "account.dismissed")]
    Dismissed {
        /// When the failed read session was started.
        #[serde(with = "rfc3339")]
        #[schemars(with = "Timestamp")]
        since: Timestamp,
    },
    /// The authorization of an active account expires soon.
    #[serde(rename = "account.authorization_expiring")]
    AuthorizationExpiring {
        /// When the authorization expires.
        #[serde(with = "rfc3339")]
        #[schemars(with = "Timestamp")]
        expires_at: Timestamp,
        /// The days from today until then, in the user's time zone.
        days_left: u32,
        /// How the expiry is known.
        basis: ExpiryBasis,
    },
    /// The refresh token is dead: only the user can authorize a new token pair.
    #[serde(rename = "user.reauthorization_required")]
    UserReauthorizationRequired {
        /// When the refresh token expired, or when digi.me refused it.
        #[serde(with = "rfc3339")]
        #[schemars(with = "Timestamp")]
        since: Timestamp,
        /// Whether the user can do it on digi.me's user reauthorization page. If not, the application must authorize the
        /// user from scratch.
        recoverable: bool,
    },
    /// A new token pair ended the episode of the grant.
    #[serde(rename = "user.reauthorized")]
    UserReauthorized {
        /// How the pair arrived.
        via: UserVia,
    },
    /// A user reauthorization ended without success.
    #[serde(rename = "user.reauthorization_failed")]
    UserReauthorizationFailed {
        reauthorization_id: ReauthorizationId,
        /// The reason. Other codes than the documented ones are possible.
        error_code: FailureCode,
        /// Whether another attempt can succeed.
        retryable: bool,
    },
    /// The refresh token expires soon.
    #[serde(rename = "user.authorization_expiring")]
    UserAuthorizationExpiring {
        /// When the refresh token expires.
        #[serde(with = "rfc3339")]
        #[schemars(with = "Timestamp")]
        expires_at: Timestamp,
        /// The days from today until then, in the user's time zone.
        days_left: u32,
    },
    /// The service no longer sends e-mails to the user.
    #[serde(rename = "user.emails_stopped")]
    UserEmailsStopped {
        /// Why the e-mails were stopped.
        reason: EmailStop,
    },
}

/// How the expiry of an account's authorization is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExpiryBasis {
    /// digi.me names the time.
    Source,
    /// It follows from the lifetime that is configured for the service.
    Service,
}

/// Why the service no longer sends e-mails to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmailStop {
    /// The user unsubscribed.
    Unsubscribed,
    /// The address does not exist, or refuses e-mails for good.
    Bounced,
    /// The user marked an e-mail as spam.
    Complained,
}

impl EmailStop {
    /// Whether this reason is harder to end than the other one. Of two reasons, such a one is kept.
    #[must_use]
    pub fn outlasts(self, other: Self) -> bool {
        let weight = |reason| match reason {
            Self::Bounced => 0,
            Self::Unsubscribed => 1,
            Self::Complained => 2,
        };
        weight(self) > weight(other)
    }
}

/// How a new token pair arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserVia {
    /// The user authorized again on digi.me's page, and this service exchanged the code of the callback.
    Callback,
    /// The application stored it.
    Grant,
}

/// How the service learned that an account is active again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// digi.me confirmed a callback.
    Callback,
    /// A read of the account completed.
    ReadResult,
    /// The sweep verified the account at digi.me, or ended the verification after too long.
    Sweep,
    /// The application accepted the login that digi.me names now.
    Application,
}

/// The reconnect link that some events contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReconnectLink {
    /// The page where the user reconnects.
    #[serde(rename = "reconnectUrl")]
    #[schemars(extend("format" = "uri"))]
    pub url: String,
    /// When the link stops working.
    #[serde(rename = "reconnectUrlExpiresAt", with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    pub expires_at: Timestamp,
}

impl ReconnectLink {
    /// Adds the link to an event in JSON.
    ///
    /// # Errors
    /// None is expected: a link can be written as JSON.
    pub fn add_to(&self, event: &mut Value) -> Result<(), serde_json::Error> {
        if let Some(Value::Object(data)) = event.get_mut("data") {
            data.extend(object(serde_json::to_value(self)?));
        }
        Ok(())
    }
}

impl EventDetail {
    /// All types.
    pub const KINDS: [&str; 11] = [
        "account.reauthorization_required",
        "account.reauthorized",
        "account.reauthorization_failed",
        "account.removed",
        "account.dismissed",
        "account.authorization_expiring",
        "user.reauthorization_required",
        "user.reauthorized",
        "user.reauthorization_failed",
        "user.authorization_expiring",
        "user.emails_stopped",
    ];

    /// The event's `type`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ReauthorizationRequired { .. } => "account.reauthorization_required",
            Self::Reauthorized { .. } => "account.reauthorized",
            Self::ReauthorizationFailed { .. } => "account.reauthorization_failed",
            Self::Removed {} => "account.removed",
            Self::Dismissed { .. } => "account.dismissed",
            Self::AuthorizationExpiring { .. } => "account.authorization_expiring",
            Self::UserReauthorizationRequired { .. } => "user.reauthorization_required",
            Self::UserReauthorized { .. } => "user.reauthorized",
            Self::UserReauthorizationFailed { .. } => "user.reauthorization_failed",
            Self::UserAuthorizationExpiring { .. } => "user.authorization_expiring",
            Self::UserEmailsStopped { .. } => "user.emails_stopped",
        }
    }

    /// Whether the delivered event contains a reconnect link.
    #[must_use]
    pub fn carries_link(&self) -> bool {
        matches!(
            self,
            Self::ReauthorizationRequired { .. }
                | Self::AuthorizationExpiring { .. }
                | Self::UserReauthorizationRequired { .. }
                | Self::UserAuthorizationExpiring { .. }
        )
    }

    /// As [`EventDetail::carries_link`], of the event's type.
    #[must_use]
    pub fn kind_carries_link(kind: &str) -> bool {
        WITH_LINK.contains(&kind)
    }
}

impl Event {
    /// The event as it is delivered: `{"type", "timestamp", "data"}`. Without a link, the output has the form of the
    /// history.
    ///
    /// # Errors
    /// None is expected: every value of an event can be written as JSON.
    pub fn to_json(&self, link: Option<&ReconnectLink>) -> Result<Value, serde_json::Error> {
        let mut data = object(serde_json::to_value(&self.subject)?);
        if let Value::Object(mut detail) = serde_json::to_value(&self.detail)? {
            data.extend(object(detail.remove("data").unwrap_or_default()));
        }
        if let Some(link) = link {
            data.extend(object(serde_json::to_value(link)?));
        }
        Ok(serde_json::json!({
            "type": self.detail.kind(),
            "timestamp": rfc3339::text(self.timestamp),
            "data": data,
        }))
    }

    /// Parses the output of [`Event::to_json`].
    pub fn from_json(value: Value) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Timed {
            #[serde(with = "rfc3339")]
            timestamp: Timestamp,
        }
        let Timed { timestamp } = Timed::deserialize(&value)?;
        let subject = Subject::deserialize(value.get("data").unwrap_or(&Value::Null))?;
        Ok(Self { timestamp, subject, detail: serde_json::from_value(value)? })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(detail: EventDetail) -> Event {
        Event {
            timestamp: "2026-11-23T09:00:00Z".parse().unwrap(),
            subject: Subject {
                event_id: EventId::from([1; 16]),
                user_id: "u".parse().unwrap(),
                about: About::Account(AboutAccount {
                    account_id: "1_a".parse().unwrap(),
                    contract_id: Some("c".parse().unwrap()),
                    service_name: Some("Instagram".into()),
                }),
                sequence: 3,
                episode_id: Some(EpisodeId::from([2; 16])),
            },
            detail,
        }
    }

    #[test]
    fn the_delivered_form_is_the_contracts() {
        let required = event(EventDetail::ReauthorizationRequired {
            error: AccountError {
                code: Some("ServiceAuthorizationError".into()),
                status_code: Some(511),
                message: Some("Service authorization required".into()),
            },
            since: "2026-11-23T08:59:00Z".parse().unwrap(),
            reminder: 0,
        });
        let link = ReconnectLink {
            url: "https://api.example/reconnect/t".into(),
            expires_at: "2026-12-07T09:00:00Z".parse().unwrap(),
        };
        insta::assert_json_snapshot!(required.to_json(Some(&link)).unwrap());
    }

    #[test]
    fn the_types_are_those_of_the_schema() {
        let schema = schemars::SchemaGenerator::default().into_root_schema_for::<EventDetail>().to_value();
        let types = schema["oneOf"].as_array().unwrap().iter();
        let types: Vec<_> = types.map(|one| one["properties"]["type"]["const"].as_str().unwrap()).collect();
        assert_eq!(types, EventDetail::KINDS);
    }

    #[test]
    fn every_event_reads_back_what_it_wrote() {
        let details = [
            EventDetail::ReauthorizationRequired {
                error: AccountError::default(),
                since: Timestamp::UNIX_EPOCH,
                reminder: 2,
            },
            EventDetail::Reauthorized { via: Via::ReadResult, verified: true },
            EventDetail::ReauthorizationFailed {
                reauthorization_id: ReauthorizationId::from([3; 16]),
                error_code: FailureCode::UserCancel,
                retryable: true,
            },
            EventDetail::Removed {},
            EventDetail::Dismissed { since: Timestamp::UNIX_EPOCH },
            EventDetail::AuthorizationExpiring {
                expires_at: Timestamp::UNIX_EPOCH,
                days_left: 7,
                basis: ExpiryBasis::Service,
            },
        ];
        for detail in details {
            let event = event(detail);
            assert_eq!(event.detail.carries_link(), EventDetail::kind_carries_link(event.detail.kind()));
            let json = event.to_json(None).unwrap();
            assert_eq!(json["type"], event.detail.kind());
            assert_eq!(Event::from_json(json).unwrap(), event);
        }
    }

    #[test]
    fn every_event_of_a_grant_reads_back_what_it_wrote() {
        let details = [
            EventDetail::UserReauthorizationRequired { since: Timestamp::UNIX_EPOCH, recoverable: true },
            EventDetail::UserReauthorized { via: UserVia::Grant },
            EventDetail::UserReauthorizationFailed {
                reauthorization_id: ReauthorizationId::from([3; 16]),
                error_code: FailureCode::WrongUser,
                retryable: true,
            },
            EventDetail::UserAuthorizationExpiring { expires_at: Timestamp::UNIX_EPOCH, days_left: 1 },
            EventDetail::UserEmailsStopped { reason: EmailStop::Complained },
        ];
        for detail in details {
            let mut event = event(detail);
            assert_eq!(event.detail.carries_link(), EventDetail::kind_carries_link(event.detail.kind()));
            event.subject.about = About::Grant(AboutGrant { contract_id: "c".parse().unwrap() });
            let json = event.to_json(None).unwrap();
            assert_eq!((json["data"].get("accountId"), &json["data"]["contractId"]), (None, &"c".into()));
            assert_eq!(Event::from_json(json).unwrap(), event);
        }
    }
}
