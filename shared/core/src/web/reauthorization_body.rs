//! A reauthorization in the API's replies.

use jiff::Timestamp;
use reauth_domain::{
    AccountId, FailureCode, ReauthorizationId, UserId,
    reauthorization::{Kind, Progress, Reauthorization, ReauthorizationStatus},
    time::rfc3339,
};
use schemars::JsonSchema;
use serde::Serialize;

/// The reply of `GET /reauthorizations/{reauthorizationId}`, and an entry of an account's history.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reauthorization")]
pub struct ReauthorizationBody {
    reauthorization_id: ReauthorizationId,
    kind: Kind,
    user_id: UserId,
    /// A user reauthorization may have no account. Once it goes on to an account, this is the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<AccountId>,
    status: ReauthorizationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<FailureCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    created_at: Timestamp,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    clicked_at: Option<Timestamp>,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    returned_at: Option<Timestamp>,
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    expires_at: Timestamp,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
}

impl ReauthorizationBody {
    #[must_use]
    pub fn new(reauthorization: &Reauthorization, now: Timestamp) -> Self {
        let (error_code, verified, completed_at) = match &reauthorization.progress {
            Progress::Pending | Progress::Claimed => (None, None, None),
            Progress::Succeeded { verified, completed_at } => (None, Some(*verified), Some(*completed_at)),
            Progress::Failed { error_code, completed_at } => (Some(error_code.clone()), None, Some(*completed_at)),
        };
        Self {
            reauthorization_id: reauthorization.id.clone(),
            kind: reauthorization.kind(),
            user_id: reauthorization.user_id.clone(),
            account_id: reauthorization.account_id().cloned(),
            status: reauthorization.status(now),
            error_code,
            verified,
            created_at: reauthorization.created_at,
            clicked_at: reauthorization.clicked_at,
            returned_at: reauthorization.returned_at,
            expires_at: reauthorization.expires_at,
            completed_at,
        }
    }
}
