//! The pages of the reconnect link.

use http::StatusCode;
use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    store::Link,
    web::{
        ApiRequest, Problem, Response,
        page::{ServiceName, error_page, explanation, page, reference, way_back},
    },
};
use reauth_domain::{
    Account,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
};

use super::overview::{AccountState, AccountToMend, Connection, Overview};
use crate::CreateReauthUrl;

impl CreateReauthUrl {
    /// The page of everything that the user has to mend. `ended` is the reauthorization from which the browser comes back.
    pub(super) fn overview(&self, link: &Link, overview: &Overview, ended: Option<&Reauthorization>) -> Response {
        if overview.has_work() && link.expires_at <= self.ambient.now() {
            return self.expired();
        }
        let account = ended.and_then(Reauthorization::account_id);
        let account = overview.accounts.iter().find(|one| Some(&one.account.account_id) == account);
        let outcome = ended.and_then(|ended| outcome(ended, account.map(|one| &one.account)));
        if overview.is_all_set() {
            return self.all_set(overview);
        }
        let (title, content) = match (overview.connections.as_slice(), overview.accounts.as_slice()) {
            ([], [only]) => (title(only), self.account(only, true, false)),
            ([only], []) => ("Reconnect to digi.me".to_owned(), self.connection(only, true, false)),
            (connections, accounts) => {
                let content = html! {
                    p { "Reconnect each of these, so that " (self.application()) " can keep using your data." }
                    @for (index, connection) in connections.iter().enumerate() {
                        section { h2 { "digi.me" } (self.connection(connection, index == 0, true)) }
                    }
                    @for (index, account) in accounts.iter().enumerate() {
                        section {
                            h2 { (service_name(&account.account).at_start()) }
                            (self.account(account, connections.is_empty() && index == 0, true))
                        }
                    }
                };
                ("Reconnect your accounts".to_owned(), content)
            }
        };
        let content = html! {
            @if let Some(outcome) = outcome { div.outcome role="status" { (outcome) } }
            (content)
            @if !overview.done.is_empty() { section { h2 { "Done" } (done(overview)) } }
        };
        page(StatusCode::OK, &title, &content, &[&self.authorized.client.onboard_origin()])
    }

    /// One connection to digi.me: the only thing on the page, or one of several (`listed`).
    fn connection(&self, connection: &Connection, is_primary: bool, listed: bool) -> Markup {
        let application = self.application();
        if !connection.recoverable {
            return html! {
                p { "Your connection to digi.me has ended, and it cannot be renewed from this page." }
                p { "Go back to " (application) " and connect again from there. Nothing was changed." }
                @if self.settings.default_return_url.is_some() {
                    (way_back(application, self.settings.default_return_url.as_ref()))
                }
            };
        }
        html! {
            p {
                "Your connection to " strong { "digi.me" } ", the service that " (application) " uses to connect, has ended."
                @if !listed { " Renew it so that " (application) " can keep using your data." }
            }
            @if !listed { p { "Next you go to digi.me. You sign in there, then come back." } }
            form method="post" {
                input type="hidden" name="contract" value=(connection.contract_id);
                (button("Reconnect to digi.me", is_primary))
            }
        }
    }

    /// One account: the only thing on the page, or one of several (`listed`).
    fn account(&self, to_mend: &AccountToMend, is_primary: bool, listed: bool) -> Markup {
        let AccountToMend { account, state } = to_mend;
        let (application, service) = (self.application(), service_name(account).in_sentence());
        let is_checking = matches!(state, AccountState::Checking | AccountState::CheckingOnly);
        html! {
            @if is_checking {
                p { "We are checking your connection. You do not need to do anything." }
            } @else {
                p {
                    "Your connection to " strong { (service) } " has ended."
                    @if !listed && *state != AccountState::DeadEnd {
                        " Reconnect it so that " (application) " can keep using your data."
                    }
                }
            }
            @if let Some(username) = account.masked_username() {
                p { "Account: " strong { (username) } ". Not yours? Close this page; nothing changes." }
            }
            @match state {
                AccountState::InNeed if !listed => p {
                    "Next you go to digi.me, the service that " (application) " uses to connect. You confirm there with "
                    (service) ", then come back."
                },
                AccountState::InNeedAfterConnection => p {
                    "Next you sign in to digi.me, then confirm with " (service) ", and come back."
                },
                AccountState::DeadEnd => p {
                    "It cannot be reconnected from this page. Go back to " (application) " and connect it again from there."
                },
                _ => {},
            }
            @match state {
                AccountState::InNeed | AccountState::InNeedAfterConnection => {
                    (account_form(account, &format!("Reconnect {service}"), is_primary))
                },
                AccountState::Checking => (account_form(account, "Reconnect again", false)),
                AccountState::CheckingOnly if !listed => (self.way_back()),
                AccountState::CheckingOnly | AccountState::DeadEnd => {},
            }
        }
    }

    /// The page when nothing is left to mend.
    fn all_set(&self, overview: &Overview) -> Response {
        let content = html! {
            (done(overview))
            p { "You do not need to do anything." }
            (self.way_back())
        };
        page(StatusCode::OK, "All set", &content, &[])
    }

    fn expired(&self) -> Response {
        let application = self.application();
        let content = html! {
            p { "Nothing was changed. To reconnect, go back to " (application) " and start again from there." }
            @if self.settings.default_return_url.is_some() { (self.way_back()) }
        };
        page(StatusCode::GONE, "This link has expired", &content, &[])
    }

    pub(super) fn unknown_link(&self) -> Response {
        let content = html! {
            p {
                "Nothing was changed. Check that you opened the whole link, or go back to " (self.application())
                " and reconnect from there."
            }
            @if self.settings.default_return_url.is_some() { (self.way_back()) }
        };
        page(StatusCode::NOT_FOUND, "This link does not work", &content, &[])
    }

    pub(super) fn error_page(&self, request: &Request, problem: &Problem) -> Response {
        error_page(problem, self.application(), request.request_id())
    }

    fn application(&self) -> &str {
        &self.settings.application_name
    }

    fn way_back(&self) -> Markup {
        way_back(self.application(), self.settings.default_return_url.as_ref())
    }
}

fn title(only: &AccountToMend) -> String {
    let service = service_name(&only.account);
    match only.state {
        AccountState::InNeed | AccountState::InNeedAfterConnection => format!("Reconnect {}", service.in_sentence()),
        AccountState::DeadEnd => format!("{} cannot be reconnected here", service.at_start()),
        AccountState::Checking | AccountState::CheckingOnly => format!("Checking {}", service.in_sentence()),
    }
}

/// What came of the reauthorization from which the browser comes back. `None` while that is not known.
fn outcome(ended: &Reauthorization, account: Option<&Account>) -> Option<Markup> {
    let service = ServiceName(account.and_then(|account| account.service_name.as_deref()));
    let username = account.and_then(Account::masked_username);
    match &ended.progress {
        Progress::Pending if matches!(ended.flow, Flow::User { exchange: Exchange::Done, .. }) => {
            Some(html! { p { "You are connected to digi.me again. One step is left." } })
        }
        // An account that was healed is shown under "Done".
        Progress::Pending | Progress::Claimed | Progress::Succeeded { .. } => None,
        Progress::Failed { error_code, .. } => Some(html! {
            p { (explanation(error_code, service, username.as_deref())) }
            (reference(error_code))
        }),
    }
}

fn done(overview: &Overview) -> Markup {
    html! {
        @for name in &overview.done {
            p {
                @match name {
                    Some(service) => { (service) " is connected." },
                    None => "You are connected to digi.me.",
                }
            }
        }
    }
}

fn account_form(account: &Account, label: &str, is_primary: bool) -> Markup {
    html! {
        form method="post" {
            input type="hidden" name="account" value=(account.account_id);
            (button(label, is_primary))
        }
    }
}

fn button(label: &str, is_primary: bool) -> Markup {
    html! { button.secondary[!is_primary] type="submit" { (label) } }
}

fn service_name(account: &Account) -> ServiceName<'_> {
    ServiceName(account.service_name.as_deref())
}
