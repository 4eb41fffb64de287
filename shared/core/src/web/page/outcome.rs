//! How a reauthorization ended, and what the user can do.

use jiff::Timestamp;
use maud::{Markup, html};
use reauth_domain::{
    Account, FailureCode, Status,
    reauthorization::{Exchange, Flow, Reauthorization},
};
use reauth_text::{Name, Text};

use super::Pages;

impl Pages<'_> {
    /// Why a reauthorization failed, what to do, and what works all the same. `account` is the one that it was for.
    #[must_use]
    pub fn failure(
        &self,
        ended: &Reauthorization,
        code: &FailureCode,
        account: Option<&Account>,
        service: Name<'_>,
        now: Timestamp,
    ) -> Markup {
        let texts = self.texts;
        let is_digime_renewed = matches!(ended.flow, Flow::User { exchange: Exchange::Done, .. });
        // A user reauthorization that did not come that far leaves open whether the connection to digi.me works.
        let is_known = is_digime_renewed || matches!(ended.flow, Flow::Account { .. });
        let still_works = account.filter(|_| is_known && !concerns_account(code));
        html! {
            @if is_digime_renewed { p { (texts.digime_again()) } }
            p {
                @if is_digime_renewed && *code == FailureCode::UserCancel { (texts.cancelled_at(service)) }
                @else { (self.explanation(code, service, account)) }
            }
            @if let Some(text) = still_works.and_then(|account| self.still_works(account, now)) { p { (text) } }
        }
    }

    /// That an account is active, and until when.
    fn still_works(&self, account: &Account, now: Timestamp) -> Option<Text> {
        let Status::Active { .. } = account.status else { return None };
        match account.authorization_ends_at() {
            None => Some(self.texts.still_works()),
            Some(at) if at <= now => None,
            Some(at) => Some(self.texts.works_until(&self.date(at))),
        }
    }

    fn explanation(&self, code: &FailureCode, service: Name<'_>, account: Option<&Account>) -> Markup {
        let texts = self.texts;
        // The one that the user should have used.
        let username = account.filter(|_| *code == FailureCode::WrongAccount).and_then(Account::masked_username);
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
            @if let Some(username) = username { " " (texts.use_account(Name::Known(&username))) }
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

/// Whether digi.me said something about the account, after which it may not work any more. The other failures change nothing.
fn concerns_account(code: &FailureCode) -> bool {
    match code {
        FailureCode::NotAuthorized | FailureCode::AccountNotFound | FailureCode::WrongAccount => true,
        FailureCode::UserCancel
        | FailureCode::InvalidCode
        | FailureCode::OnboardError
        | FailureCode::WrongUser
        | FailureCode::InitializeCheckFail
        | FailureCode::ServerError
        | FailureCode::Other(_)
        | FailureCode::Unknown => false,
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
        let mut account = Account::new("u1".parse().unwrap(), "a1".parse().unwrap());
        account.username = Some("alex.morgan".to_owned());
        let told = pages.explanation(&FailureCode::WrongAccount, Name::Known("Meadow Bank"), Some(&account));
        assert_eq!(
            told.into_string(),
            "You used a different account at <bdi>Meadow Bank</bdi>. Use the one shown as <bdi>al•••••an</bdi>."
        );
    }
}
