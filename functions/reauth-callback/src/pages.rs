//! The pages at the end of a reauthorization.

use http::StatusCode;
use maud::html;
use reauth_core::web::{Problem, Response, page::page};

use crate::{ReauthCallback, settle::CallbackOutcome};

impl ReauthCallback {
    /// How the reauthorization ended, for a browser that has nowhere else to go.
    pub(crate) fn result(&self, outcome: &CallbackOutcome) -> Response {
        let application = &self.application_name;
        let (title, content) = match outcome {
            CallbackOutcome::Succeeded => {
                ("Connected again", html! { p { (application) " can read your data again. You can close this page." } })
            }
            CallbackOutcome::Verifying => (
                "Almost done",
                html! { p { "The connection is being checked. You can close this page: " (application) " will know." } },
            ),
            CallbackOutcome::Failed(code) => (
                "Not connected",
                html! {
                    p { (code.explanation()) }
                    @if code.retryable() {
                        p { "To try again, open the link that brought you here once more, or start from " (application) "." }
                    } @else {
                        p { "Open " (application) " and start from there." }
                    }
                    p { small { "Code: " (code) } }
                },
            ),
        };
        page(StatusCode::OK, title, &content, &[])
    }

    /// A state that this service did not make, or that is too old.
    pub(crate) fn unknown_state(&self) -> Response {
        let content = html! {
            p { "This address belongs to a reconnection that is over, or it is not complete." }
            p { "Nothing was changed. Open the link that you were sent once more, or start from " (self.application_name) "." }
        };
        page(StatusCode::BAD_REQUEST, "This page has expired", &content, &[])
    }

    /// A problem as a page; its cause goes to the log.
    pub(crate) fn error_page(&self, problem: &Problem) -> Response {
        problem.log();
        if problem.code == "user_forgotten" {
            // A moment later, the state would not have been known.
            return self.unknown_state();
        }
        let content = html! {
            p { "The result could not be stored just now. Reload this page in a minute." }
        };
        page(problem.status, "That did not work", &content, &[])
    }
}
