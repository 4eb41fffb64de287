//! The pages at the end of a reauthorization, for a browser that is not redirected.

use http::StatusCode;
use maud::html;
use reauth_core::{
    error::Chain,
    store::StoreError,
    web::{
        Response,
        page::{ServiceName, explanation, page, reference, way_back},
    },
};
use reauth_domain::{Account, AccountId, reauthorization::Reauthorization};

use crate::{ReauthCallback, settle::CallbackOutcome};

impl ReauthCallback {
    /// The result of the reauthorization.
    pub(crate) async fn result(
        &self,
        reauthorization: &Reauthorization,
        account_id: Option<&AccountId>,
        outcome: &CallbackOutcome,
    ) -> Response {
        let account = self.shown_account(reauthorization, account_id).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "reauth-callback: could not read the account for the result page");
            None
        });
        let (application, return_url) = (&self.application_name, reauthorization.return_url.as_ref());
        let service = match (account_id, &account) {
            (None, _) => Some("digi.me"),
            (Some(_), account) => account.as_ref().and_then(|account| account.service_name.as_deref()),
        };
        let service = ServiceName(service);
        let username = account.as_ref().and_then(Account::masked_username);
        let (title, content) = match outcome {
            CallbackOutcome::Succeeded => {
                (format!("{} is connected again", service.at_start()), way_back(application, return_url))
            }
            CallbackOutcome::Verifying => (
                format!("Checking {}", service.in_sentence()),
                html! {
                    p { "We are checking your connection. You do not need to do anything." }
                    (way_back(application, return_url))
                },
            ),
            CallbackOutcome::Failed(code) => (
                format!("{} is not connected", service.at_start()),
                html! {
                    p { (explanation(code, service, username.as_deref())) }
                    @if code.retryable() {
                        p { "To try again, go back to " (application) "." }
                    } @else {
                        p { "Go back to " (application) " and connect the account again from there." }
                    }
                    @if return_url.is_some() { (way_back(application, return_url)) }
                    (reference(code))
                },
            ),
        };
        page(StatusCode::OK, &title, &content, &[])
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
    pub(crate) fn one_step_left(&self) -> Response {
        let content = html! {
            p { "You are connected to digi.me again. One step is left." }
            p { "Open the link that you received once more, or go back to " (self.application_name) "." }
        };
        page(StatusCode::OK, "Almost done", &content, &[])
    }

    /// The page for a `state` that is missing, unknown or expired.
    pub(crate) fn refused_callback(&self) -> Response {
        let content = html! {
            p { "Nothing was changed." }
            p { "To reconnect, go back to " (self.application_name) " and start again from there." }
        };
        page(StatusCode::BAD_REQUEST, "This page can no longer be used", &content, &[])
    }
}
