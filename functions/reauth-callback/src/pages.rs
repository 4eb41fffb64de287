//! The pages at the end of a reauthorization.

use http::StatusCode;
use maud::html;
use reauth_core::web::{Problem, Response, page::page};
use reauth_domain::FailureCode;

use crate::{ReauthCallback, settle::CallbackOutcome};

impl ReauthCallback {
    /// The result of the reauthorization, for a browser that is not redirected to a return URL.
    pub(crate) fn result(&self, outcome: &CallbackOutcome) -> Response {
        let application = &self.application_name;
        let (title, content) = match outcome {
            CallbackOutcome::Succeeded => {
                ("Connected again", html! { p { "You can close this page and go back to " (application) "." } })
            }
            CallbackOutcome::Verifying => (
                "Almost done",
                html! {
                    p {
                        "We are checking your connection. You do not need to do anything. You can close this page and \
                         go back to "
                        (application) "."
                    }
                },
            ),
            CallbackOutcome::Failed(code) => (
                "Not connected",
                html! {
                    p { (code.explanation()) }
                    @if code.retryable() {
                        p { "To try again, go back to " (application) "." }
                    } @else {
                        p { "Go back to " (application) " and connect the account again from there." }
                    }
                    @if *code != FailureCode::UserCancel {
                        p { small { "Reference for support: " (code) } }
                    }
                },
            ),
        };
        page(StatusCode::OK, title, &content, &[])
    }

    /// The page for a `state` that is missing, unknown or expired.
    pub(crate) fn unknown_state(&self) -> Response {
        let content = html! {
            p { "Nothing was changed." }
            p { "To reconnect, go back to " (self.application_name) " and start again from there." }
        };
        page(StatusCode::BAD_REQUEST, "This page can no longer be used", &content, &[])
    }

    /// The page for a request that failed. The cause is logged and not shown.
    pub(crate) fn error_page(&self, problem: &Problem) -> Response {
        problem.log();
        let content = html! {
            p { "You did nothing wrong. Reload this page in a minute to try again." }
        };
        page(problem.status, "Something went wrong on our side", &content, &[])
    }
}
