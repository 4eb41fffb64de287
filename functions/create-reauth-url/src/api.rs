//! The application's side: making a reauthorization, and asking how it stands.

use http::StatusCode;
use reauth_core::{
    ambient::rfc3339,
    domain::{
        AccountId, ContractId, Locale, ReauthorizationId, ReturnUrl, UserId,
        reauthorization::{Progress, Reauthorization},
    },
    web::{Problem, Request, Response},
};
use serde_json::{Value, json};

use crate::{CreateReauthUrl, make::Wish};

impl CreateReauthUrl {
    /// `POST /users/{userId}/accounts/{accountId}/reauthorizations`.
    pub(crate) async fn create(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let (user_id, account_id) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let contract_id = input.text_field("contractId", str::parse::<ContractId>);
        let locale = input.text_field("locale", str::parse::<Locale>);
        let origins = &self.settings.allowed_origins;
        let return_url = input.text_field("returnUrl", |text| ReturnUrl::parse(text, origins));
        let (user_id, account_id) = input.finish(|| Some((user_id?, account_id?)))?;
        let wish = Wish {
            user_id,
            account_id,
            contract_id,
            locale: locale.or_else(|| self.settings.default_locale.clone()),
            return_url: return_url.or_else(|| self.settings.default_return_url.clone()),
            browser: None,
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        };
        let made = self.make(wish, request.trigger).await?;
        let Reauthorization { id, user_id, account_id, kind, .. } = &made.reauthorization;
        let body = json!({
            "reauthorizationId": id,
            "kind": kind,
            "url": made.url,
            "expiresAt": rfc3339::text(made.code_expires_at),
            "userId": user_id,
            "accountId": account_id,
        });
        Response::json(StatusCode::CREATED, &body).with_location(&format!("/reauthorizations/{id}"))
    }

    /// `GET /reauthorizations/{reauthorizationId}`.
    pub(crate) async fn show(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let id: Option<ReauthorizationId> = input.path("reauthorizationId");
        let id = input.finish(|| id)?;
        let stored = self.access.store.reauthorization(&id).await?.ok_or_else(Problem::reauthorization_not_found)?;
        let reauthorization = stored.reauthorization;
        let status = reauthorization.status(self.ambient.now());
        Ok(Response::json(StatusCode::OK, &describe(&reauthorization, status)))
    }
}

fn describe(reauthorization: &Reauthorization, status: &str) -> Value {
    let Reauthorization { id, kind, user_id, account_id, created_at, expires_at, .. } = reauthorization;
    let mut body = json!({
        "reauthorizationId": id,
        "kind": kind,
        "userId": user_id,
        "accountId": account_id,
        "status": status,
        "createdAt": rfc3339::text(*created_at),
        "expiresAt": rfc3339::text(*expires_at),
    });
    match &reauthorization.progress {
        Progress::Pending | Progress::Claimed => {}
        Progress::Succeeded { verified, completed_at } => {
            body["verified"] = json!(verified);
            body["completedAt"] = json!(rfc3339::text(*completed_at));
        }
        Progress::Failed { error_code, completed_at } => {
            body["errorCode"] = json!(error_code);
            body["completedAt"] = json!(rfc3339::text(*completed_at));
        }
    }
    body
}
