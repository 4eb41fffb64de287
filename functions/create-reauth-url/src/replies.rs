//! The bodies of the replies. `infra/openapi.yaml` describes them; a test compares the two.

use jiff::Timestamp;
use reauth_domain::{
    AccountId, FailureCode, ReauthorizationId, UserId,
    reauthorization::{Kind, Progress, Reauthorization, ReauthorizationStatus},
    time::rfc3339,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::create::CreatedReauthorization;

/// `POST …/reauthorizations`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CreatedReauthorization")]
pub struct CreatedBody<'a> {
    reauthorization_id: &'a ReauthorizationId,
    kind: Kind,
    #[schemars(extend("format" = "uri"))]
    url: &'a str,
    /// When the digi.me code in the URL expires.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    url_expires_at: Timestamp,
    /// When the reauthorization stops accepting the callback.
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    expires_at: Timestamp,
    user_id: &'a UserId,
    /// A user reauthorization may have no account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a AccountId>,
}

impl<'a> CreatedBody<'a> {
    pub(crate) fn new(created: &'a CreatedReauthorization) -> Self {
        let Reauthorization { id, user_id, expires_at, .. } = &created.reauthorization;
        Self {
            reauthorization_id: id,
            kind: created.reauthorization.kind(),
            url: created.page.url.as_str(),
            url_expires_at: created.page.expires_at,
            expires_at: *expires_at,
            user_id,
            account_id: created.reauthorization.account_id(),
        }
    }
}

/// `GET /reauthorizations/{reauthorizationId}`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Reauthorization")]
pub struct ReauthorizationBody<'a> {
    reauthorization_id: &'a ReauthorizationId,
    kind: Kind,
    user_id: &'a UserId,
    /// A user reauthorization may have no account. Once it goes on to an account, this is the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a AccountId>,
    status: ReauthorizationStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a FailureCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    created_at: Timestamp,
    #[serde(with = "rfc3339")]
    #[schemars(with = "Timestamp")]
    expires_at: Timestamp,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    completed_at: Option<Timestamp>,
}

impl<'a> ReauthorizationBody<'a> {
    pub(crate) fn new(reauthorization: &'a Reauthorization, now: Timestamp) -> Self {
        let Reauthorization { id, user_id, created_at, expires_at, .. } = reauthorization;
        let (error_code, verified, completed_at) = match &reauthorization.progress {
            Progress::Pending | Progress::Claimed => (None, None, None),
            Progress::Succeeded { verified, completed_at } => (None, Some(*verified), Some(*completed_at)),
            Progress::Failed { error_code, completed_at } => (Some(error_code), None, Some(*completed_at)),
        };
        Self {
            reauthorization_id: id,
            kind: reauthorization.kind(),
            user_id,
            account_id: reauthorization.account_id(),
            status: reauthorization.status(now),
            error_code,
            verified,
            created_at: *created_at,
            expires_at: *expires_at,
            completed_at,
        }
    }
}
