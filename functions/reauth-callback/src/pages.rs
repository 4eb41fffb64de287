//! The pages at the end of a reauthorization, for a browser that is not redirected.

use http::StatusCode;
use jiff::{Timestamp, tz::TimeZone};
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    error::Chain,
    store::StoreError,
    web::{
        Response,
        page::{Page, Pages},
    },
};
use reauth_domain::{Account, AccountId, FailureCode, Locale, reauthorization::Reauthorization};
use reauth_text::Name;

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
        let (texts, return_url) = (pages.texts, reauthorization.return_url.as_ref());
        let service = match (account_id, &account) {
            (None, _) => Name::Known("digi.me"),
            (Some(_), account) => account.as_ref().and_then(|account| account.service_name.as_deref()).into(),
        };
        let works_until =
            account.as_ref().and_then(Account::authorization_ends_at).filter(|at| *at > self.ambient.now());
        let (title, content) = match outcome {
            CallbackOutcome::Succeeded => {
                let content = html! {
                    p { (texts.connected_text(pages.application())) }
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
                let title = match works_until {
                    Some(_) => texts.not_renewed_title(service),
                    None => texts.not_connected_title(service),
                };
                let content = html! {
                    (failure(&pages, code, service, account.as_ref(), works_until))
                    @if return_url.is_some() { (pages.way_back(return_url)) }
                    (pages.failure_reference(code))
                };
                (title, content)
            }
        };
        let logo = match account.as_ref().and_then(|account| account.service_logo.as_deref()) {
            Some(url) => self.logos.image(url).await,
            None => None,
        };
        pages.show(Page { logo: logo.as_ref(), ..Page::new(StatusCode::OK, &title, &content) })
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

    /// The page for a `state` that is missing, unknown or expired.
    pub(crate) fn refused_callback(&self, request: &Request) -> Response {
        let pages = self.pages(request, None);
        let texts = pages.texts;
        let content = html! { p { (texts.start_again_text(pages.application())) } };
        pages.show(Page::new(StatusCode::BAD_REQUEST, &texts.refused_title(), &content))
    }

    /// The pages in the language of the reader: that of the reauthorization or of the contact, if it is known.
    async fn pages_for(&self, request: &Request, reauthorization: &Reauthorization) -> Pages<'_> {
        if let Some(url) = self.branding.logo_url() {
            // From now on, it is remembered.
            self.logos.image(url.as_str()).await;
        }
        if reauthorization.locale.is_some() {
            return self.pages(request, reauthorization.locale.as_ref());
        }
        let locale = self.authorized.store.locale_of(&reauthorization.user_id).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "reauth-callback: could not read the user's locale for the result page");
            None
        });
        self.pages(request, locale.as_ref())
    }

    pub(crate) fn pages(&self, request: &Request, wanted: Option<&Locale>) -> Pages<'_> {
        let logo = self.branding.logo_url().and_then(|url| self.logos.remembered(url.as_str()));
        Pages::new(&self.branding, request, wanted).with_logo(logo)
    }
}

/// Why the account was not reauthorized, and what to do.
fn failure(
    pages: &Pages<'_>,
    code: &FailureCode,
    service: Name<'_>,
    account: Option<&Account>,
    works_until: Option<Timestamp>,
) -> Markup {
    let texts = pages.texts;
    let username = account.and_then(Account::masked_username);
    html! {
        @if *code != FailureCode::UserCancel || works_until.is_none() {
            p { (pages.explanation(code, service, username.as_deref())) }
        }
        @if let Some(at) = works_until {
            p { (texts.works_until(&texts.date(at.to_zoned(TimeZone::UTC).date()))) }
        }
        p {
            @if code.retryable() { (texts.try_again_at(pages.application())) }
            @else { (texts.connect_again_at(pages.application())) }
        }
    }
}
