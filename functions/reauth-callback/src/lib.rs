//! Receives digi.me's callback, verifies it with digi.me, updates the account, and redirects the browser.

mod claim;
mod pages;
mod settle;

use digime::ambient::Ambient;
use lambda_http::Request;
use reauth_core::{
    authorized_client::{AuthorizedClient, AuthorizedClientError},
    aws::Aws,
    config::{ConfigError, Environment},
    services,
    store::StoreError,
    web::{ApiRequest, BrowserCookie, HttpFunction, Problem, Response, page::error_page, response},
};
use reauth_domain::reauthorization::Reauthorization;
use tracing::instrument;

use crate::claim::UnverifiedCallback;

#[derive(Debug)]
pub struct ReauthCallback {
    authorized: AuthorizedClient,
    ambient: Ambient,
    application_name: String,
}

impl HttpFunction for ReauthCallback {
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        Ok(Self {
            authorized: AuthorizedClient::new(&Aws::new(environment)?, ambient)?,
            ambient: ambient.clone(),
            application_name: services::application_name(environment),
        })
    }

    async fn handle(&self, request: Request) -> Result<Response, Problem> {
        match request.route() {
            "GET /callback" => {
                let answer = Box::pin(self.callback(&request)).await;
                answer.or_else(|problem| Ok(error_page(&problem, &self.application_name, request.request_id())))
            }
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl ReauthCallback {
    /// `GET /callback?state=…&success=…&errorCode=…`.
    #[instrument(skip_all)]
    async fn callback(&self, request: &Request) -> Result<Response, Problem> {
        let Some(callback) = request.query().ok().as_ref().and_then(UnverifiedCallback::read) else {
            return Ok(self.refused_callback());
        };
        let Some(stored) = self.authorized.store.reauthorization(&callback.id).await? else {
            return Ok(self.refused_callback());
        };
        if !stored.has_secret(&callback.secret) || stored.reauthorization.expired(self.ambient.now()) {
            return Ok(self.refused_callback());
        }
        // A callback in another browser than the one that started the reauthorization can come from another person.
        // What digi.me says about the account is still true, so the account is updated. This browser gets a page and is
        // not redirected to the application.
        let same_browser = stored.is_bound_to(BrowserCookie::of(request).secrets(request));
        let from_link = same_browser && stored.is_from_link();
        let return_url = stored.reauthorization.return_url.clone().filter(|_| same_browser);
        let reauthorization = stored.reauthorization.clone();
        let Reauthorization { id, user_id, account_id, .. } = &reauthorization;
        request.record("reauthorization_id", id);
        request.record("user_id", user_id);
        request.record("account_id", account_id);
        let outcome = match self.settle(callback.claim, stored, request.context()).await {
            // The user was erased during the request. From now on, the state is unknown.
            Err(AuthorizedClientError::Store(StoreError::Erased)) => return Ok(self.refused_callback()),
            outcome => outcome?,
        };
        match return_url {
            Some(url) => {
                let code = outcome.error_code().map(|code| code.as_str().to_owned());
                let url = url.with_result(id, account_id, outcome.status(), code.as_deref());
                response::see_other(url.as_str())
            }
            None => Ok(self.result(&reauthorization, &outcome, from_link).await),
        }
    }
}
