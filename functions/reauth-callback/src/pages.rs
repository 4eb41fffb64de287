//! The pages at the end of a reauthorization, for a browser that is not redirected.

use std::time::Duration;

use http::StatusCode;
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    error::Chain,
    store::StoreError,
    web::{
        ApiRequest, Problem, Response,
        page::{Page, Pages},
    },
};
use reauth_domain::{Account, AccountId, Locale, Status, contact::Reader, reauthorization::Reauthorization};
use reauth_text::{Name, Text};

use crate::{ReauthCallback, settle::CallbackOutcome};

impl ReauthCallback {
    /// The result of the reauthorization.
    pub(crate) async fn result(
        &self,
        request: &Request,
        reauthorization: &Reauthorization,
        account_id: Option<&AccountId>,
        outcome: &CallbackOutcome,
    ) -> Response {
        let account = self.shown_account(reauthorization, account_id).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "reauth-callback: could not read the account for the result page");
            None
        });
        let pages = self.pages_for(request, reauthorization).await;
        let service = match (account_id, &account) {
            (None, _) => Name::Known("digi.me"),
            (Some(_), account) => account.as_ref().and_then(|account| account.service_name.as_deref()).into(),
        };
        let (title, content) = self.ending(&pages, reauthorization, account.as_ref(), service, outcome);
        let logo = match account.as_ref().and_then(|account| account.service_logo.as_deref()) {
            Some(url) => self.logos.image(url).await,
            None => None,
        };
        pages.show(Page { logo: logo.as_ref(), ..Page::new(StatusCode::OK, &title, &content) })
    }

    /// How the reauthorization ended, and what has become of the account.
    fn ending(
        &self,
        pages: &Pages<'_>,
        reauthorization: &Reauthorization,
        account: Option<&Account>,
        service: Name<'_>,
        outcome: &CallbackOutcome,
    ) -> (Text, Markup) {
        let (texts, application) = (pages.texts, pages.application());
        let return_url = reauthorization.return_url.as_ref();
        let has_ended = account.is_some_and(|account| match account.status {
            Status::ReauthRequired(_) | Status::Dismissed { .. } => true,
            Status::Active { .. } | Status::Verifying { .. } => false,
        });
        match outcome {
            // The page was loaded again, and the connection has ended again meanwhile.
            CallbackOutcome::Succeeded if has_ended => {
                let content = html! {
                    p { (texts.reconnect_text(service, application)) }
                    (pages.way_back(return_url))
                };
                (texts.not_connected_title(service), content)
            }
            CallbackOutcome::Succeeded => {
                let content = html! {
                    p { (texts.connected_text(application)) }
                    (pages.way_back(return_url))
                };
                (texts.connected_title(service), content)
            }
            CallbackOutcome::Verifying => {
                let content = html! {
                    p { (texts.checking_text()) }
                    (pages.way_back(return_url))
                };
                (texts.checking_title(service), content)
            }
            CallbackOutcome::Failed(code) => {
                let title =
                    if has_ended { texts.not_connected_title(service) } else { texts.not_renewed_title(service) };
                let content = html! {
                    (pages.failure(reauthorization, code, account, service, self.ambient.now()))
                    p {
                        @if code.retryable() { (texts.try_again_at(application)) }
                        @else { (texts.connect_again_at(application)) }
                    }
                    @if return_url.is_some() { (pages.way_back(return_url)) }
                    (pages.failure_reference(code))
                };
                (title, content)
            }
        }
    }

    async fn shown_account(
        &self,
        reauthorization: &Reauthorization,
        account_id: Option<&AccountId>,
    ) -> Result<Option<Account>, StoreError> {
        let Some(account_id) = account_id else { return Ok(None) };
        let account = self.authorized.store.account(&reauthorization.user_id, account_id).await?;
        Ok(account.map(|account| account.value))
    }

    /// The page when the connection to digi.me is renewed, and an account is left that this browser is not sent on to.
    pub(crate) async fn one_step_left(&self, request: &Request, reauthorization: &Reauthorization) -> Response {
        let pages = self.pages_for(request, reauthorization).await;
        let texts = pages.texts;
        let content = html! {
            p { (texts.digime_again()) " " (texts.one_step_left()) }
            p { (texts.almost_done_text(pages.application())) }
        };
        pages.show(Page::new(StatusCode::OK, &texts.almost_done_title(), &content))
    }

    /// The page when digi.me was asked too often for this reauthorization.
    pub(crate) async fn too_many_attempts(
        &self,
        request: &Request,
        reauthorization: &Reauthorization,
        wait: Duration,
    ) -> Response {
        self.pages_for(request, reauthorization).await.too_many_attempts(wait)
    }

    /// The page for a `state` that is missing, unknown or expired.
    pub(crate) fn refused_callback(&self, request: &Request) -> Response {
        let pages = self.pages(request, None);
        let texts = pages.texts;
        let content = html! { p { (texts.start_again_text(pages.application())) } };
        pages.show(Page::new(StatusCode::BAD_REQUEST, &texts.refused_title(), &content))
    }

    /// The page for a callback that failed. What it needs besides is at hand: the store may be what failed.
    pub(crate) fn error_page(&self, request: &Request, locale: Option<&Locale>, problem: &Problem) -> Response {
        self.pages(request, locale).error(problem, request.request_id())
    }

    /// The pages in the time zone of the contact, and in the language of the reader: that of the reauthorization, else that of the
    /// contact, if this service knows it.
    async fn pages_for(&self, request: &Request, reauthorization: &Reauthorization) -> Pages<'_> {
        let logo = async {
            if let Some(url) = self.branding.logo_url() {
                // From now on, it is remembered.
                self.logos.image(url.as_str()).await;
            }
        };
        let (reader, ()) = tokio::join!(self.authorized.store.reader(&reauthorization.user_id), logo);
        let reader = reader.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "reauth-callback: could not read the user's contact for the result page");
            Reader::default()
        });
        let pages = self.pages(request, reauthorization.locale.iter().chain(&reader.locale));
        pages.in_time_zone(reader.time_zone.as_ref())
    }

    fn pages<'l>(&self, request: &Request, wanted: impl IntoIterator<Item = &'l Locale>) -> Pages<'_> {
        let logo = self.branding.logo_url().and_then(|url| self.logos.remembered(url.as_str()));
        Pages::new(&self.branding, request, wanted).with_logo(logo)
    }
}
