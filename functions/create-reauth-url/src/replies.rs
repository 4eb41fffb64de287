//! The bodies of the replies. `infra/openapi.yaml` describes them; a test compares the two.

use jiff::Timestamp;
use reauth_domain::{
    AccountId, ReauthorizationId, UserId,
    reauthorization::{Kind, Reauthorization},
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
