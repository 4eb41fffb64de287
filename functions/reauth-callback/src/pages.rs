//! The pages at the end of a reauthorization.

use http::StatusCode;
use maud::{Markup, html};
use reauth_core::{
    error::Chain,
    store::StoreError,
    web::{
        Response,
        page::{ServiceName, page},
    },
};
use reauth_domain::{Account, FailureCode, Status, account::Episode, reauthorization::Reauthorization};
use secrecy::ExposeSecret;

use crate::{ReauthCallback, settle::CallbackOutcome};

/// What a result page shows beside the outcome.
struct Shown {
    service: Option<String>,
    /// The masked username of the account.
    username: Option<String>,
    /// The path of the reconnect page, for another attempt.
    reconnect: Option<String>,
}

impl ReauthCallback {
    /// The result of the reauthorization, for a browser that is not redirected to a return URL. `from_link` says that
    /// this browser started the reauthorization from a reconnect link: then the page leads back to that link.
    pub(crate) async fn result(
        &self,
        reauthorization: &Reauthorization,
        outcome: &CallbackOutcome,
        from_link: bool,
    ) -> Response {
        let shown = self.shown(reauthorization, from_link).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "reauth-callback: could not read the account for the result page");
            Shown::new(None, None)
        });
        self.result_page(outcome, &shown)
    }

    async fn shown(&self, reauthorization: &Reauthorization, from_link: bool) -> Result<Shown, StoreError> {
        let store = &self.authorized.store;
        let account = store.account(&reauthorization.user_id, &reauthorization.account_id).await?;
        let account = account.map(|account| account.value);
        let notice = match account.as_ref().map(|account| &account.status) {
            Some(Status::ReauthRequired(Episode { notice: Some(notice), .. })) if from_link => Some(notice),
            _ => None,
        };
        let link = match notice {
            Some(notice) => store.link_of_notice(notice).await?,
            None => None,
        };
        Ok(Shown::new(account.as_ref(), link.map(|(path, _)| path.expose_secret().to_owned())))
    }

    fn result_page(&self, outcome: &CallbackOutcome, shown: &Shown) -> Response {
        let (application, service) = (&self.application_name, shown.service());
        let (title, content) = match outcome {
            CallbackOutcome::Succeeded => (
                format!("{} is connected again", service.at_start()),
                html! { p { "You can close this page and go back to " (application) "." } },
            ),
            CallbackOutcome::Verifying => (
                format!("Checking {}", service.in_sentence()),
                html! {
                    p { "We are checking your connection. You do not need to do anything." }
                    p { "You can close this page and go back to " (application) "." }
                },
            ),
            CallbackOutcome::Failed(code) => (
                format!("{} is not connected", service.at_start()),
                html! {
                    p { (explanation(code, shown)) }
                    (self.next_step(code, shown))
                    @if *code != FailureCode::UserCancel {
                        p { small { "Reference for support: " (code) } }
                    }
                },
            ),
        };
        page(StatusCode::OK, &title, &content, &[])
    }

    fn next_step(&self, code: &FailureCode, shown: &Shown) -> Markup {
        let application = &self.application_name;
        match &shown.reconnect {
            Some(path) if code.retryable() => html! { p { a class="button" href=(path) { "Try again" } } },
            _ if code.retryable() => html! { p { "To try again, go back to " (application) "." } },
            _ => html! { p { "Go back to " (application) " and connect the account again from there." } },
        }
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

impl Shown {
    fn new(account: Option<&Account>, reconnect: Option<String>) -> Self {
        Self {
            service: account.and_then(|account| account.service_name.clone()),
            username: account.and_then(Account::masked_username),
            reconnect,
        }
    }

    fn service(&self) -> ServiceName<'_> {
        ServiceName(self.service.as_deref())
    }
}

/// Why the reauthorization failed, for the user.
fn explanation(code: &FailureCode, shown: &Shown) -> String {
    match code {
        FailureCode::UserCancel => "You cancelled. Nothing was changed.".to_owned(),
        FailureCode::InvalidCode => {
            "The page was open for too long, or was opened twice. Nothing was changed.".to_owned()
        }
        FailureCode::OnboardError => format!("{} did not accept the sign-in.", shown.service().at_start()),
        FailureCode::NotAuthorized => "The connection is not finished yet.".to_owned(),
        FailureCode::AccountNotFound => "digi.me no longer has this account.".to_owned(),
        FailureCode::WrongAccount => {
            let of_service = shown.service.as_ref().map(|service| format!(" {service}")).unwrap_or_default();
            let expected = shown.username.as_ref().map(|username| format!(" Use the one shown as {username}."));
            format!("You used a different{of_service} account.{}", expected.unwrap_or_default())
        }
        FailureCode::InitializeCheckFail | FailureCode::ServerError | FailureCode::Other(_) | FailureCode::Unknown => {
            "Something went wrong on our side. You did nothing wrong.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_used_another_account_learns_which_one_to_use() {
        let account = Account {
            service_name: Some("Meadow Bank".to_owned()),
            username: Some("alex.morgan".to_owned()),
            ..Account::new("u".parse().unwrap(), "1_a".parse().unwrap())
        };
        assert_eq!(
            explanation(&FailureCode::WrongAccount, &Shown::new(Some(&account), None)),
            "You used a different Meadow Bank account. Use the one shown as al•••••an."
        );
    }
}
