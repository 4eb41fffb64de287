//! How a reauthorization ended, and what the user can do.

use maud::{Markup, html};
use reauth_domain::FailureCode;
use reauth_text::Name;

use super::Pages;

impl Pages<'_> {
    /// Why a reauthorization failed, and what to do. `username` is the masked name of the account to use.
    #[must_use]
    pub fn explanation(&self, code: &FailureCode, service: Name<'_>, username: Option<&str>) -> Markup {
        let texts = self.texts;
        let what = match code {
            FailureCode::UserCancel => texts.cancelled(),
            FailureCode::InvalidCode => texts.invalid_code(),
            FailureCode::OnboardError => texts.onboard_error(service),
            FailureCode::NotAuthorized => texts.not_authorized(service),
            FailureCode::AccountNotFound => texts.account_not_found(),
            FailureCode::WrongAccount => texts.wrong_account(service),
            FailureCode::WrongUser => texts.wrong_user(),
            FailureCode::InitializeCheckFail
            | FailureCode::ServerError
            | FailureCode::Other(_)
            | FailureCode::Unknown => texts.server_error(),
        };
        html! {
            (what)
            @if let (FailureCode::WrongAccount, Some(username)) = (code, username) {
                " " (texts.use_account(Name::Known(username)))
            }
        }
    }

    /// The reference with which the support finds a failure. A cancellation needs none.
    #[must_use]
    pub fn failure_reference(&self, code: &FailureCode) -> Markup {
        html! {
            @if *code != FailureCode::UserCancel {
                p { small { (self.texts.reference(code.as_str())) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::Request;

    use super::*;
    use crate::web::page::Branding;

    #[test]
    fn a_user_who_used_another_account_learns_which_one_to_use() {
        let branding = Branding::from_environment(&[].into_iter().collect()).unwrap();
        let pages = Pages::new(&branding, &Request::default(), []);
        let told = pages.explanation(&FailureCode::WrongAccount, Name::Known("Meadow Bank"), Some("al•••••an"));
        assert_eq!(
            told.into_string(),
            "You used a different account at <bdi>Meadow Bank</bdi>. Use the one shown as <bdi>al•••••an</bdi>."
        );
    }
}
