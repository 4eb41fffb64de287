//! Receives digi.me's callback, verifies it with digi.me, updates the grant and the account, and redirects the browser.

mod claim;
mod pages;
mod settle;
mod user_page;
mod way_back;

use digime::ambient::Ambient;
use lambda_http::Request;
use reauth_core::{
    authorized_client::{AuthorizedClient, AuthorizedClientError},
    aws::Aws,
    config::{ConfigError, Environment},
    lambda::RequestContext,
    logos::LogoCache,
    store::{StoreError, StoredReauthorization},
    warm_up::Step,
    web::{ApiRequest, BrowserCookie, HttpFunction, Problem, Response, callback_url, page::Branding, response, state},
};
use reauth_domain::reauthorization::{Reauthorization, UnverifiedClaim};
use secrecy::{ExposeSecret, SecretString};
use tracing::instrument;
use url::Url;

use crate::{claim::UnverifiedCallback, settle::Next};

#[derive(Debug)]
pub struct ReauthCallback {
    authorized: AuthorizedClient,
    ambient: Ambient,
    public_base_url: Option<Url>,
    branding: Branding,
    logos: LogoCache,
}

/// A callback whose `state` is that of a reauthorization. Its claim has not been checked.
#[derive(Debug)]
struct Visit {
    claim: UnverifiedClaim,
    /// The code of the user reauthorization page.
    code: Option<SecretString>,
    state: SecretString,
    /// The callback URL, with the state, for the next page of digi.me.
    redirect_uri: Url,
    /// Whether this browser started the reauthorization, as far as that is known.
    same_browser: bool,
    public_base_url: Url,
    context: RequestContext,
}

impl HttpFunction for ReauthCallback {
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let authorized = AuthorizedClient::new(&Aws::new(environment)?, ambient)?;
        Ok(Self {
            logos: LogoCache::new(&authorized.store, ambient),
            authorized,
            ambient: ambient.clone(),
            public_base_url: environment.base_url("PUBLIC_BASE_URL")?,
            branding: Branding::from_environment(environment)?,
        })
    }

    fn warm_up(&self) -> Vec<Step<'_>> {
        self.authorized.warm_up()
    }

    async fn handle(&self, request: Request) -> Result<Response, Problem> {
        match request.route() {
            "GET /callback" => {
                let answer = Box::pin(self.callback(&request)).await;
                answer.or_else(|problem| Ok(self.error_page(&request, None, &problem)))
            }
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl ReauthCallback {
    /// `GET /callback?state=…&success=…&errorCode=…&code=…`.
    #[instrument(skip_all)]
    async fn callback(&self, request: &Request) -> Result<Response, Problem> {
        let Some(callback) = request.query().ok().as_ref().and_then(UnverifiedCallback::read) else {
            return Ok(self.refused_callback(request));
        };
        let Some(stored) = self.authorized.store.reauthorization(&callback.id).await? else {
            return Ok(self.refused_callback(request));
        };
        if !stored.has_secret(&callback.secret) || stored.reauthorization.expired(self.ambient.now()) {
            return Ok(self.refused_callback(request));
        }
        let locale = stored.reauthorization.locale.clone();
        let answer = Box::pin(self.carry_out(request, callback, stored)).await;
        answer.or_else(|problem| Ok(self.error_page(request, locale.as_ref(), &problem)))
    }

    /// Carries out a callback of a reauthorization.
    async fn carry_out(
        &self,
        request: &Request,
        callback: UnverifiedCallback,
        stored: StoredReauthorization,
    ) -> Result<Response, Problem> {
        // A callback in another browser than the one that started the reauthorization can come from another person.
        // What digi.me says about the account is still true, so the account is updated. This browser gets a page and is
        // not redirected to the application.
        let same_browser = stored.is_bound_to(BrowserCookie::of(request).secrets(request));
        let reauthorization = stored.reauthorization.clone();
        let Reauthorization { id, user_id, contract_id, traceparent, .. } = &reauthorization;
        let context = request.context().continuing(*traceparent);
        request.record("trace_id", &context.traceparent.trace_id());
        request.record("reauthorization_id", id);
        request.record("user_id", user_id);
        request.record("contract_id", contract_id);
        let public_base_url = request.public_base_url(self.public_base_url.as_ref())?;
        let state = state(id, &callback.secret.into());
        let visit = Visit {
            claim: callback.claim,
            code: callback.code,
            redirect_uri: callback_url(&public_base_url, &state)?,
            state,
            same_browser,
            public_base_url,
            context,
        };
        let settled = match self.settle(&visit, stored).await {
            // The user was erased during the request. From now on, the state is unknown.
            Err(AuthorizedClientError::Store(StoreError::Erased)) => return Ok(self.refused_callback(request)),
            settled => settled?,
        };
        if let Some(account_id) = &settled.account_id {
            request.record("account_id", account_id);
        }
        let outcome = match settled.next {
            Next::AccountPage(url) => return response::see_other(url.as_str()),
            Next::OneStepLeft => return Ok(self.one_step_left(request, &reauthorization).await),
            Next::TooManyAttempts(wait) => {
                return Ok(self.too_many_attempts(request, &reauthorization, wait).await);
            }
            Next::End(outcome) => outcome,
        };
        let account_id = settled.account_id.as_ref();
        if let Some(url) = self.way_back(&visit, &reauthorization, account_id, &outcome).await? {
            return response::see_other(url.expose_secret());
        }
        Ok(self.result(request, &reauthorization, account_id, &outcome).await)
    }
}
