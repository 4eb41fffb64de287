//! The application's routes: create a reauthorization, and show its status.

use http::StatusCode;
use lambda_http::Request;
use reauth_core::web::{ApiRequest, Problem, Response, ResponseExt, response};
use reauth_domain::{AccountId, ContractId, Locale, ReauthorizationId, ReturnUrl, UserId};
use tracing::instrument;

use crate::{
    CreateReauthUrl,
    create::NewReauthorization,
    replies::{CreatedBody, ReauthorizationBody},
};

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
        let location = format!("/reauthorizations/{}", created.reauthorization.id);
        response::json(StatusCode::CREATED, &CreatedBody::new(&created)).with_location(&location)
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
        let body = ReauthorizationBody::new(&stored.reauthorization, self.ambient.now());
        Ok(response::json(StatusCode::OK, &body))
    }
}
