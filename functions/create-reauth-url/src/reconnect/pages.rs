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
    Account, FailureCode,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
};

use super::overview::{AccountState, AccountToMend, Connection, Overview};
use crate::CreateReauthUrl;

const CHECKING: &str = "We are checking your connection. You do not need to do anything.";

impl CreateReauthUrl {
    /// The page of everything that the user has to mend. `ended` is the reauthorization from which the browser comes back.
    pub(super) fn overview(&self, link: &Link, overview: &Overview, ended: Option<&Reauthorization>) -> Response {
        if overview.has_work() && link.expires_at <= self.ambient.now() {
            return self.expired();
        }
        if overview.is_all_set() {
            return self.all_set(overview);
        }
        let (title, content) = match (overview.connections.as_slice(), overview.accounts.as_slice()) {
            _ if overview.is_dead_end() => {
                (format!("Connect again from {}", self.application()), self.dead_end(overview))
            }
            ([], [only]) => (title(only), self.account(only)),
            ([only], []) => ("Reconnect to digi.me".to_owned(), self.connection(only)),
            _ if overview.is_in_need() => ("Reconnect your accounts".to_owned(), self.list(overview)),
            _ => ("Checking your accounts".to_owned(), self.list(overview)),
        };
        let content = html! {
            @if let Some(outcome) = ended.and_then(|ended| outcome(ended, overview)) {
                div.outcome role="status" { (outcome) }
            }
            (content)
            @if !overview.done.is_empty() { section { h2 { "Done" } (done(overview)) } }
        };
        page(StatusCode::OK, &title, &content, &[&self.authorized.client.onboard_origin()])
    }

    /// What the page shows when none of it can be mended from here.
    fn dead_end(&self, overview: &Overview) -> Markup {
        let application = self.application();
        html! {
            p {
                "Your connection to " strong { "digi.me" } ", the service that " (application)
                " uses to connect, has ended. It cannot be renewed from this page."
            }
            @for AccountToMend { account, .. } in &overview.accounts {
                p {
                    strong { (service_name(account).at_start()) }
                    @if let Some(username) = account.masked_username() { " (" (username) ")" }
                    " cannot be reconnected without it."
                }
            }
            p { "Go back to " (application) " and connect again from there. Nothing was changed." }
            @if self.settings.default_return_url.is_some() { (self.way_back()) }
        }
    }

    /// The only thing to mend: a connection to digi.me.
    fn connection(&self, connection: &Connection) -> Markup {
        let application = self.application();
        html! {
            p {
                "Your connection to " strong { "digi.me" } ", the service that " (application) " uses to connect, has ended."
                " Renew it so that " (application) " can keep using your data."
            }
            p { "Next you go to digi.me. You sign in there, then come back." }
            (connection_form(connection, true))
        }
    }

    /// The only thing to mend: an account.
    fn account(&self, AccountToMend { account, state }: &AccountToMend) -> Markup {
        let (application, service) = (self.application(), service_name(account).in_sentence());
        html! {
            @if state.is_checking() {
                p { (CHECKING) }
            } @else {
                p {
                    "Your connection to " strong { (service) } " has ended. Reconnect it so that " (application)
                    " can keep using your data."
                }
            }
            @if let Some(username) = account.masked_username() {
                p { "Account: " strong { (username) } ". Not yours? Close this page; nothing changes." }
            }
            @if state.is_checking() {
                (self.way_back())
            } @else {
                p {
                    "Next you go to digi.me, the service that " (application) " uses to connect. You confirm there with "
                    (service) ", then come back."
                }
            }
            (account_form(account, *state, true))
        }
    }

    /// Several things to mend. The first that can be mended has the primary button.
    fn list(&self, overview: &Overview) -> Markup {
        let application = self.application();
        let connection = overview.connections.iter().find(|one| one.recoverable);
        let account = overview.accounts.iter().find(|one| one.state.is_in_need()).filter(|_| connection.is_none());
        html! {
            @if overview.is_in_need() {
                p { "Reconnect each of these, so that " (application) " can keep using your data." }
                p {
                    "Each button takes you to digi.me, the service that " (application)
                    " uses to connect. You confirm there, then come back."
                }
            }
            p { "Not your accounts? Close this page; nothing changes." }
            @for one in &overview.connections {
                section { h2 { "digi.me" } (self.listed_connection(one, Some(one) == connection)) }
            }
            @for one in &overview.accounts {
                section {
                    h2 { (service_name(&one.account).at_start()) }
                    (self.listed_account(one, Some(one) == account))
                }
            }
        }
    }

    fn listed_connection(&self, connection: &Connection, is_primary: bool) -> Markup {
        html! {
            @if connection.recoverable {
                p { "Your connection to digi.me has ended." }
                (connection_form(connection, is_primary))
            } @else {
                p { "Your connection to digi.me has ended. It cannot be renewed from this page." }
                p { "Go back to " (self.application()) " and connect again from there." }
            }
        }
    }

    fn listed_account(&self, AccountToMend { account, state }: &AccountToMend, is_primary: bool) -> Markup {
        let service = service_name(account).in_sentence();
        html! {
            p {
                @match state {
                    AccountState::InNeed => { "Your connection to " (service) " has ended." },
                    AccountState::InNeedAfterConnection => {
                        "Your connection to " (service) " has ended. You sign in to digi.me first, then confirm with "
                        (service) "."
                    },
                    AccountState::DeadEnd => {
                        "Your connection to " (service) " has ended. It cannot be reconnected from this page. Go back to "
                        (self.application()) " and connect it again from there."
                    },
                    AccountState::Checking | AccountState::CheckingOnly => (CHECKING),
                }
            }
            @if let Some(username) = account.masked_username() { p { "Account: " strong { (username) } } }
            (account_form(account, *state, is_primary))
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
    let action = if only.state.is_checking() { "Checking" } else { "Reconnect" };
    format!("{action} {}", service_name(&only.account).in_sentence())
}

/// What came of the reauthorization from which the browser comes back. `None` while that is not known.
fn outcome(ended: &Reauthorization, overview: &Overview) -> Option<Markup> {
    match &ended.progress {
        Progress::Pending if matches!(ended.flow, Flow::User { exchange: Exchange::Done, .. }) => Some(html! {
            p {
                "You are connected to digi.me again. "
                @if overview.accounts.len() + overview.connections.len() == 1 { "One step is left." }
                @else { "Now reconnect the rest." }
            }
        }),
        // An account that was healed is shown under "Done".
        Progress::Pending | Progress::Claimed | Progress::Succeeded { .. } => None,
        Progress::Failed { error_code, .. } => {
            let mut accounts = overview.accounts.iter().map(|one| &one.account);
            let account = accounts.find(|account| Some(&account.account_id) == ended.account_id());
            let service = ServiceName(account.and_then(|account| account.service_name.as_deref()));
            let username = account.and_then(Account::masked_username);
            let is_renewed = matches!(ended.flow, Flow::User { exchange: Exchange::Done, .. });
            Some(html! {
                @if is_renewed { p { "You are connected to digi.me again." } }
                @if is_renewed && *error_code == FailureCode::UserCancel {
                    p { "You cancelled at " (service.in_sentence()) "." }
                } @else {
                    p { (explanation(error_code, service, username.as_deref())) }
                }
                (reference(error_code))
            })
        }
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

fn connection_form(connection: &Connection, is_primary: bool) -> Markup {
    html! {
        form method="post" {
            input type="hidden" name="contract" value=(connection.contract_id);
            button.secondary[!is_primary] type="submit" { "Reconnect to digi.me" }
        }
    }
}

/// The button of an account that the user can reauthorize. While the account is being checked, the button is secondary.
fn account_form(account: &Account, state: AccountState, is_primary: bool) -> Markup {
    let service = service_name(account).in_sentence();
    let (label, is_primary) = match state {
        AccountState::InNeed | AccountState::InNeedAfterConnection => (format!("Reconnect {service}"), is_primary),
        AccountState::Checking => ("Reconnect again".to_owned(), false),
        AccountState::CheckingOnly | AccountState::DeadEnd => return html! {},
    };
    html! {
        form method="post" {
            input type="hidden" name="account" value=(account.account_id);
            button.secondary[!is_primary] type="submit" { (label) }
        }
    }
}

fn service_name(account: &Account) -> ServiceName<'_> {
    ServiceName(account.service_name.as_deref())
}
