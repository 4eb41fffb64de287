//! The application's routes: create a reauthorization, and show its status.

use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::web::{ApiRequest, Problem, Response, ResponseExt, response};
use reauth_domain::{
    AccountId, ContractId, FailureCode, Locale, ReauthorizationId, ReturnUrl, UserId,
    reauthorization::{Kind, Progress, Reauthorization},
    time::rfc3339,
};
use serde::Serialize;
use tracing::instrument;

use crate::{CreateReauthUrl, create::NewReauthorization};

/// The body of the 201 reply.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedBody<'a> {
    reauthorization_id: &'a ReauthorizationId,
    kind: Kind,
    url: &'a str,
    /// When the digi.me code in the URL expires.
    #[serde(with = "rfc3339")]
    url_expires_at: Timestamp,
    /// When the reauthorization stops accepting the callback.
    #[serde(with = "rfc3339")]
    expires_at: Timestamp,
    user_id: &'a UserId,
    account_id: &'a AccountId,
}

/// The body of `GET /reauthorizations/{reauthorizationId}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReauthorizationBody<'a> {
    reauthorization_id: &'a ReauthorizationId,
    kind: Kind,
    user_id: &'a UserId,
    account_id: &'a AccountId,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a FailureCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(with = "rfc3339")]
    created_at: Timestamp,
    #[serde(with = "rfc3339")]
    expires_at: Timestamp,
    #[serde(with = "rfc3339::option", skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
}

impl CreateReauthUrl {
    /// `POST /users/{userId}/accounts/{accountId}/reauthorizations`.
    #[instrument(skip_all)]
    pub(crate) async fn create(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let (user_id, account_id) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let contract_id = input.text_field("contractId", str::parse::<ContractId>);
        let locale = input.text_field("locale", str::parse::<Locale>);
        let origins = &self.settings.allowed_origins;
        let return_url = input.text_field("returnUrl", |text| ReturnUrl::parse(text, origins));
        let (user_id, account_id) = input.finish(|| Some((user_id?, account_id?)))?;
        let new = NewReauthorization {
            user_id,
            account_id,
            contract_id,
            locale: locale.or_else(|| self.settings.default_locale.clone()),
            return_url: return_url.or_else(|| self.settings.default_return_url.clone()),
            browser: None,
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let created = self.create_reauthorization(new, request.context()).await?;
        let reauthorization = &created.reauthorization;
        let location = format!("/reauthorizations/{}", reauthorization.id);
        let body = CreatedBody {
            reauthorization_id: &reauthorization.id,
            kind: reauthorization.kind,
            url: created.url.as_str(),
            url_expires_at: created.code_expires_at,
            expires_at: reauthorization.expires_at,
            user_id: &reauthorization.user_id,
            account_id: &reauthorization.account_id,
        };
        response::json(StatusCode::CREATED, &body).with_location(&location)
    }

    /// `GET /reauthorizations/{reauthorizationId}`.
    #[instrument(skip_all)]
    pub(crate) async fn show(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let id: Option<ReauthorizationId> = input.path("reauthorizationId");
        let id = input.finish(|| id)?;
        let stored =
            self.authorized.store.reauthorization(&id).await?.ok_or_else(Problem::reauthorization_not_found)?;
        let reauthorization = stored.reauthorization;
        let status = reauthorization.status(self.ambient.now());
        Ok(response::json(StatusCode::OK, &ReauthorizationBody::new(&reauthorization, status)))
    }
}

impl<'a> ReauthorizationBody<'a> {
    fn new(reauthorization: &'a Reauthorization, status: &'a str) -> Self {
        let Reauthorization { id, kind, user_id, account_id, created_at, expires_at, .. } = reauthorization;
        let (error_code, verified, completed_at) = match &reauthorization.progress {
            Progress::Pending | Progress::Claimed => (None, None, None),
            Progress::Succeeded { verified, completed_at } => (None, Some(*verified), Some(*completed_at)),
            Progress::Failed { error_code, completed_at } => (Some(error_code), None, Some(*completed_at)),
        };
        Self {
            reauthorization_id: id,
            kind: *kind,
            user_id,
            account_id,
            status,
            error_code,
            verified,
            created_at: *created_at,
            expires_at: *expires_at,
            completed_at,
        }
    }
}
