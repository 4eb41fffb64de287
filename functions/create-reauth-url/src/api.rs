//! The application's routes: create a reauthorization, and show its status.

use http::StatusCode;
use lambda_http::Request;
use reauth_core::web::{ApiRequest, Input, Problem, ReauthorizationBody, Response, ResponseExt, response};
use reauth_domain::{AccountId, ContractId, Locale, ReauthorizationId, ReturnUrl, UserId};
use tracing::instrument;

use crate::{
    CreateReauthUrl,
    create::{CreatedReauthorization, NewReauthorization},
    replies::CreatedBody,
};

/// The fields of the body, all optional.
struct Fields {
    contract_id: Option<ContractId>,
    locale: Option<Locale>,
    return_url: Option<ReturnUrl>,
}

impl CreateReauthUrl {
    /// `POST /users/{userId}/accounts/{accountId}/reauthorizations`.
    #[instrument(skip_all)]
    pub(crate) async fn create_for_account(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let (user_id, account_id) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let fields = self.fields(&mut input);
        let (user_id, account_id) = input.finish(|| Some((user_id?, account_id?)))?;
        let new = self.new_reauthorization(request, user_id, fields)?;
        created(&self.create_reauthorization(new, &account_id, request.context()).await?)
    }

    /// `POST /users/{userId}/reauthorizations`.
    #[instrument(skip_all)]
    pub(crate) async fn create_for_user(&self, request: &Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let user_id = input.path::<UserId>("userId");
        let fields = self.fields(&mut input);
        let user_id = input.finish(|| user_id)?;
        let new = self.new_reauthorization(request, user_id, fields)?;
        created(&self.create_user_reauthorization(new, request.context()).await?)
    }

    fn fields(&self, input: &mut Input<'_>) -> Fields {
        let origins = &self.settings.allowed_origins;
        Fields {
            contract_id: input.text_field("contractId", str::parse::<ContractId>),
            locale: input.text_field("locale", str::parse::<Locale>),
            return_url: input.text_field("returnUrl", |text| ReturnUrl::parse(text, origins)),
        }
    }

    fn new_reauthorization(
        &self,
        request: &Request,
        user_id: UserId,
        fields: Fields,
    ) -> Result<NewReauthorization, Problem> {
        Ok(NewReauthorization {
            user_id,
            contract_id: fields.contract_id,
            locale: fields.locale.or_else(|| self.settings.default_locale.clone()),
            return_url: fields.return_url.or_else(|| self.settings.default_return_url.clone()),
            browser: None,
            link: None,
            public_base_url: request.public_base_url(self.settings.public_base_url.as_ref())?,
        })
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

fn created(created: &CreatedReauthorization) -> Result<Response, Problem> {
    let location = format!("/reauthorizations/{}", created.reauthorization.id);
    response::json(StatusCode::CREATED, &CreatedBody::new(created)).with_location(&location)
}
