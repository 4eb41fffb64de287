//! The pages of the reconnect link.

use http::StatusCode;
use jiff::Timestamp;
use maud::{Markup, html};
use reauth_core::web::{
    Response,
    page::{Image, Page, Pages},
};
use reauth_domain::{
    Account, ReturnUrl,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
};
use reauth_text::{Name, Text};

use super::{
    logos::Logos,
    overview::{AccountState, Connection, ConnectionState, Done, Overview, ShownAccount},
};

/// What the pages of a link need besides the overview.
#[derive(Debug)]
pub(super) struct LinkPages<'a> {
    pub(super) pages: Pages<'a>,
    pub(super) logos: Logos,
    pub(super) return_url: Option<&'a ReturnUrl>,
    pub(super) now: Timestamp,
    /// The origin of digi.me's pages, to which the buttons lead.
    pub(super) onboard_origin: String,
}

impl LinkPages<'_> {
    /// The page of everything that the user has to mend. `ended` is the reauthorization from which the browser comes back.
    pub(super) fn overview(&self, overview: &Overview, ended: Option<&Reauthorization>) -> Response {
        let texts = self.pages.texts;
        if overview.is_all_set() {
            return self.all_set(overview);
        }
        let (title, logo, content) = match (overview.connections.as_slice(), overview.accounts.as_slice()) {
            _ if overview.is_dead_end() => {
                (texts.dead_end_title(self.pages.application()), None, self.dead_end(overview))
            }
            ([], [only]) => (self.account_title(only), self.logos.of(&only.account), self.account(only)),
            ([only], []) => (texts.digime_title(), None, self.connection(only)),
            _ => (self.list_title(overview), None, self.list(overview)),
        };
        let has_way_back = overview.is_dead_end() || (overview.is_alone() && overview.is_checking());
        let outcome = ended.and_then(|ended| self.outcome(ended, overview));
        let succeeded = ended.is_some_and(|ended| matches!(ended.progress, Progress::Succeeded { .. }));
        let content = html! {
            @if let Some(outcome) = outcome { div.outcome role="status" { (outcome) } }
            (content)
            @if !overview.done.is_empty() && !succeeded {
                section { h2 { span { (texts.done_title()) } } (self.done(overview)) }
            }
            @if ended.is_some() && !has_way_back && let Some(url) = self.return_url { (self.pages.secondary_way_back(url)) }
        };
        self.show(&title, logo, &content)
    }

    /// A page whose forms lead to digi.me, or stay here.
    pub(super) fn show(&self, title: &Text, logo: Option<&Image>, content: &Markup) -> Response {
        let targets = [self.onboard_origin.as_str()];
        self.pages.show(Page { logo, form_targets: &targets, ..Page::new(StatusCode::OK, title, content) })
    }

    /// What the page shows when none of it can be mended from here.
    fn dead_end(&self, overview: &Overview) -> Markup {
        let (texts, application) = (self.pages.texts, self.pages.application());
        html! {
            p { (texts.dead_end_text(application)) }
            @for ShownAccount { account, state } in &overview.accounts {
                p { (texts.dead_end_account(service(account))) }
                (self.facts(account, None))
                @if *state == AccountState::DeadEnd {
                    (self.account_form(account, *state, Layout::Listed { is_primary: false }))
                }
            }
            p { (texts.dead_end_next(application)) }
            (self.way_back_if_known())
            @if overview.in_need().next().is_some() { (self.postpone_all()) }
        }
    }

    /// The only thing to mend: a connection to digi.me.
    fn connection(&self, connection: &Connection) -> Markup {
        let (texts, application) = (self.pages.texts, self.pages.application());
        html! {
            p {
                @match connection.state {
                    ConnectionState::Ends(at) => (texts.digime_ends_text(application, &self.pages.date(at))),
                    ConnectionState::Ended | ConnectionState::DeadEnd => (texts.digime_text(application)),
                }
            }
            (self.next(&texts.next_digime_sign_in()))
            (self.connection_form(connection, true))
        }
    }

    fn account_title(&self, ShownAccount { account, state }: &ShownAccount) -> Text {
        let (texts, service) = (self.pages.texts, service(account));
        match state {
            AccountState::Checking | AccountState::CheckingOnly => texts.checking_title(service),
            AccountState::Ends(_) => texts.renew_title(service),
            AccountState::Dismissed => texts.dismissed_title(service),
            AccountState::InNeed | AccountState::InNeedAfterConnection | AccountState::DeadEnd => {
                texts.reconnect_title(service)
            }
        }
    }

    /// The only thing to mend: an account.
    fn account(&self, shown: &ShownAccount) -> Markup {
        let ShownAccount { account, state } = shown;
        let (texts, application, service) = (self.pages.texts, self.pages.application(), service(account));
        let leads_to_sign_in = state.is_in_need() || matches!(state, AccountState::Ends(_));
        html! {
            p {
                @match state {
                    AccountState::Checking | AccountState::CheckingOnly => (texts.checking_text()),
                    AccountState::Ends(at) => {
                        (texts.renew_text(service, application, &self.pages.date(*at))) " " (texts.renew_safe())
                    },
                    AccountState::Dismissed => (texts.dismissed_text(service)),
                    AccountState::InNeed | AccountState::InNeedAfterConnection | AccountState::DeadEnd => {
                        (texts.reconnect_text(service, application))
                    },
                }
            }
            (self.facts(account, Some(*state)))
            @if leads_to_sign_in {
                (self.next(&texts.next_service(service)))
            } @else if state.is_checking() {
                (self.pages.way_back(self.return_url))
            }
            (self.account_form(account, *state, Layout::Alone))
            @if account.username.is_some() { p { small { (texts.not_yours()) } } }
        }
    }

    /// What is known of an account: its masked name, and until when it worked or works.
    fn facts(&self, account: &Account, state: Option<AccountState>) -> Markup {
        let texts = self.pages.texts;
        let username = account.masked_username();
        let ended = account.episode().map(|episode| episode.since);
        let ended = ended.filter(|_| state.is_some_and(|state| !state.is_checking()));
        let ends = match state {
            Some(AccountState::Ends(at)) => Some(at),
            _ => None,
        };
        html! {
            @if username.is_some() || ended.is_some() || ends.is_some() {
                dl {
                    @if let Some(username) = username { dt { (texts.label_account()) } dd { (username) } }
                    @if let Some(at) = ended { dt { (texts.label_ended()) } dd { (self.pages.date(at)) } }
                    @if let Some(at) = ends { dt { (texts.label_works_until()) } dd { (self.pages.date(at)) } }
                }
            }
        }
    }

    /// What happens after the button was pressed. `sign_in` says where the user signs in.
    fn next(&self, sign_in: &Text) -> Markup {
        let texts = self.pages.texts;
        html! {
            h2 { span { (texts.next_title()) } }
            ol {
                li { (texts.next_digime(self.pages.application())) }
                li { (sign_in) }
                li { (texts.next_back()) }
            }
        }
    }

    fn list_title(&self, overview: &Overview) -> Text {
        let texts = self.pages.texts;
        if overview.is_in_need() {
            texts.list_title()
        } else if overview.ends_soon() {
            texts.list_title_renew()
        } else if overview.is_checking() {
            texts.list_title_checking()
        } else {
            texts.list_title_accounts()
        }
    }

    /// Several things to mend. The first that can be mended has the primary button.
    fn list(&self, overview: &Overview) -> Markup {
        let (texts, application) = (self.pages.texts, self.pages.application());
        let primary = Primary::of(overview);
        html! {
            @if overview.is_in_need() {
                p { (texts.list_text(application)) }
                p { (texts.list_next(application)) }
            } @else if overview.ends_soon() {
                p { (texts.list_text_renew(application)) " " (texts.renew_safe()) }
                p { (texts.list_next(application)) }
            }
            p { small { (texts.list_not_yours()) } }
            @for (index, one) in overview.connections.iter().enumerate() {
                section { h2 { span { "digi.me" } } (self.listed_connection(one, primary == Some(Primary::Connection(index)))) }
            }
            @for (index, one) in overview.accounts.iter().enumerate() {
                section {
                    h2 {
                        @if let Some(logo) = self.logos.of(&one.account) { (logo) }
                        span { (texts.service_start(service(&one.account))) }
                    }
                    (self.listed_account(one, primary == Some(Primary::Account(index))))
                }
            }
            @if overview.in_need().next().is_some() { section { (self.postpone_all()) } }
        }
    }

    /// 'Not now', for all accounts that need the user.
    fn postpone_all(&self) -> Markup {
        let label = self.pages.texts.postpone_button();
        html! { form method="post" { div.choices { (self.action_button("postpone", &label)) } } }
    }

    fn listed_connection(&self, connection: &Connection, is_primary: bool) -> Markup {
        let (texts, application) = (self.pages.texts, self.pages.application());
        html! {
            @match connection.state {
                ConnectionState::Ended => p { (texts.digime_ended()) },
                ConnectionState::Ends(at) => p { (texts.digime_ends_text(application, &self.pages.date(at))) },
                ConnectionState::DeadEnd => p { (texts.digime_ended()) " " (texts.digime_dead_end(application)) },
            }
            (self.connection_form(connection, is_primary))
        }
    }

    fn listed_account(&self, ShownAccount { account, state }: &ShownAccount, is_primary: bool) -> Markup {
        let (texts, application, service) = (self.pages.texts, self.pages.application(), service(account));
        html! {
            @match state {
                AccountState::InNeed | AccountState::Ends(_) => {},
                AccountState::InNeedAfterConnection => p { (texts.account_after_digime(service)) },
                AccountState::DeadEnd => p { (texts.account_dead_end(application)) },
                AccountState::Checking | AccountState::CheckingOnly => p { (texts.checking_text()) },
                AccountState::Dismissed => p { (texts.dismissed_text(service)) },
            }
            (self.facts(account, Some(*state)))
            (self.account_form(account, *state, Layout::Listed { is_primary }))
        }
    }

    /// The page when nothing is left to mend.
    fn all_set(&self, overview: &Overview) -> Response {
        let texts = self.pages.texts;
        let content = html! {
            (self.done(overview))
            p { (texts.nothing_to_do()) }
            (self.pages.way_back(self.return_url))
        };
        self.pages.show(Page::new(StatusCode::OK, &texts.all_set_title(), &content))
    }

    pub(super) fn expired(&self) -> Response {
        let texts = self.pages.texts;
        let content = html! {
            p { (texts.start_again_text(self.pages.application())) }
            (self.way_back_if_known())
        };
        self.pages.show(Page::new(StatusCode::GONE, &texts.expired_title(), &content))
    }

    pub(super) fn unknown_link(&self) -> Response {
        let texts = self.pages.texts;
        let content = html! {
            p { (texts.unknown_text(self.pages.application())) }
            (self.way_back_if_known())
        };
        self.pages.show(Page::new(StatusCode::NOT_FOUND, &texts.unknown_title(), &content))
    }

    fn way_back_if_known(&self) -> Markup {
        html! { @if self.return_url.is_some() { (self.pages.way_back(self.return_url)) } }
    }

    /// What came of the reauthorization from which the browser comes back. `None` while that is not known.
    fn outcome(&self, ended: &Reauthorization, overview: &Overview) -> Option<Markup> {
        let texts = self.pages.texts;
        let left = html! { @if overview.is_alone() { (texts.one_step_left()) } @else { (texts.rest_left()) } };
        let is_renewed = matches!(ended.flow, Flow::User { exchange: Exchange::Done, .. });
        match &ended.progress {
            Progress::Pending if is_renewed => Some(html! { p { (texts.digime_again()) " " (left) } }),
            Progress::Succeeded { .. } if !overview.done.is_empty() => {
                Some(html! { (self.done(overview)) @if overview.is_in_need() { p { (left) } } })
            }
            Progress::Pending | Progress::Claimed | Progress::Succeeded { .. } => None,
            Progress::Failed { error_code, .. } => {
                let is_of_ended = |one: &&ShownAccount| ended.account_id() == Some(&one.account.account_id);
                let account = overview.accounts.iter().find(is_of_ended).map(|one| &one.account);
                let named = account.map_or(Name::Unknown, service);
                Some(html! {
                    (self.pages.failure(ended, error_code, account, named, self.now))
                    (self.pages.failure_reference(error_code))
                })
            }
        }
    }

    fn done(&self, overview: &Overview) -> Markup {
        let texts = self.pages.texts;
        html! {
            @for done in &overview.done {
                p {
                    @match done {
                        Done::Account(account) => (texts.done_service(service(account))),
                        Done::Connection => (texts.done_digime()),
                    }
                }
            }
        }
    }

    fn connection_form(&self, connection: &Connection, is_primary: bool) -> Markup {
        let texts = self.pages.texts;
        html! {
            @if connection.state != ConnectionState::DeadEnd {
                form method="post" {
                    input type="hidden" name="contract" value=(connection.contract_id);
                    button class=[(!is_primary).then_some("secondary")] type="submit" { (texts.digime_button()) }
                }
            }
        }
    }

    /// The buttons of an account. While the account is being checked, or the user no longer uses it, the button is secondary.
    fn account_form(&self, account: &Account, state: AccountState, layout: Layout) -> Markup {
        let (texts, service) = (self.pages.texts, service(account));
        let is_primary = matches!(layout, Layout::Alone | Layout::Listed { is_primary: true });
        let (label, is_primary) = match state {
            AccountState::InNeed | AccountState::InNeedAfterConnection => {
                (Some(texts.reconnect_button(service)), is_primary)
            }
            AccountState::Ends(_) => (Some(texts.renew_button(service)), is_primary),
            AccountState::Checking => (Some(texts.reconnect_again_button()), false),
            AccountState::Dismissed => (Some(texts.reconnect_button(service)), false),
            AccountState::DeadEnd => (None, false),
            AccountState::CheckingOnly => return html! {},
        };
        let can_be_dismissed = state.is_in_need() || state == AccountState::DeadEnd;
        html! {
            form method="post" {
                input type="hidden" name="account" value=(account.account_id);
                @if let Some(label) = label { button class=[(!is_primary).then_some("secondary")] type="submit" { (label) } }
                @if can_be_dismissed {
                    div.choices {
                        // A list has one such button for all its accounts.
                        @if layout == Layout::Alone {
                            (self.action_button("postpone", &texts.postpone_button()))
                        }
                        (self.action_button("dismiss", &texts.dismiss_button()))
                    }
                }
            }
        }
    }

    /// A button that changes something here and does not lead to digi.me.
    fn action_button(&self, action: &str, label: &Text) -> Markup {
        html! { button.quiet type="submit" name="action" value=(action) { (label) } }
    }
}

/// Where an account is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// On a page of its own.
    Alone,
    /// Among others, of which one has the primary button.
    Listed { is_primary: bool },
}

/// Which of several things has the primary button: what is in need before what ends soon, the connection to digi.me before
/// accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Primary {
    Connection(usize),
    Account(usize),
}

impl Primary {
    fn of(overview: &Overview) -> Option<Self> {
        let Overview { connections, accounts, .. } = overview;
        let connection = |wanted: fn(ConnectionState) -> bool| {
            connections.iter().position(|one| wanted(one.state)).map(Self::Connection)
        };
        let account =
            |wanted: fn(AccountState) -> bool| accounts.iter().position(|one| wanted(one.state)).map(Self::Account);
        connection(|state| state == ConnectionState::Ended)
            .or_else(|| account(AccountState::is_in_need))
            .or_else(|| connection(|state| matches!(state, ConnectionState::Ends(_))))
            .or_else(|| account(|state| matches!(state, AccountState::Ends(_))))
    }
}

/// What the texts call the service of an account.
pub(super) fn service(account: &Account) -> Name<'_> {
    account.service_name.as_deref().into()
}
