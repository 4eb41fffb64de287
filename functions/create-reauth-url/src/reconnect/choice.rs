//! 'Not now' and 'I no longer use this': the question, which changes nothing, and what happens when the button is pressed.

use std::time::Duration;

use lambda_http::Request;
use maud::{Markup, html};
use reauth_core::{
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{AccountChange, Commit, StoreError},
    web::{Problem, Query, Response},
};
use reauth_domain::{Account, AccountId, Outcome, Signal, UserId, account::POSTPONED_DAYS, time::after};

use super::{
    overview::Overview,
    pages::{LinkPages, service},
};
use crate::CreateReauthUrl;

/// What the user chooses instead of a reconnection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Postpone,
    Dismiss,
}

impl Choice {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "postpone" => Some(Self::Postpone),
            "dismiss" => Some(Self::Dismiss),
            _ => None,
        }
    }

    /// The choice that a link asks for: `?choose=…`, for one account with `&account=…`.
    pub(super) fn asked(query: &Query) -> Option<(Self, Option<AccountId>)> {
        let choice = query.get("choose").and_then(Self::parse)?;
        Some((choice, query.get("account").and_then(|id| id.parse().ok())))
    }

    /// The choice that a form sends.
    pub(super) fn of_form(request: &Request) -> Option<(Self, Option<AccountId>)> {
        let field = |wanted: &str| {
            let mut form = url::form_urlencoded::parse(request.body());
            form.find_map(|(name, value)| (name == wanted).then(|| value.into_owned()))
        };
        let choice = field("action").as_deref().and_then(Self::parse)?;
        Some((choice, field("account").and_then(|id| id.parse().ok())))
    }

    fn signal(self) -> Signal {
        match self {
            Self::Postpone => Signal::Postponed,
            Self::Dismiss => Signal::Dismissed,
        }
    }
}

impl CreateReauthUrl {
    /// Carries out a choice for the accounts that need their user: the given one, or all. An account that is not in need any
    /// more is left as it is. If this process dies after some accounts, pressing again does the rest.
    pub(super) async fn choose(
        &self,
        user: &UserId,
        accounts: &[AccountId],
        choice: Choice,
        context: RequestContext,
    ) -> Result<(), Problem> {
        for account in accounts {
            let chosen =
                retry_on_conflict(&self.ambient, context.deadline, || self.choose_for(user, account, choice, context));
            match chosen.await {
                Ok(()) => {}
                Err(StoreError::Erased) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn choose_for(
        &self,
        user: &UserId,
        account: &AccountId,
        choice: Choice,
        context: RequestContext,
    ) -> Result<(), StoreError> {
        let store = &self.authorized.store;
        let Some(read) = store.account(user, account).await? else { return Ok(()) };
        let Outcome::Changed(change) = read.value.take(choice.signal(), self.ambient.now()) else { return Ok(()) };
        let commit = Commit {
            user_id: user.clone(),
            changes: vec![AccountChange { change, read_version: read.version, read: None }],
            last_reads: None,
            reauthorization: None,
            context,
        };
        store.commit(commit).await
    }
}

/// The accounts that a choice is about: the given one if it is in need. Without one: all for 'not now', and the only one for 'I no
/// longer use this'.
pub(super) fn chosen<'a>(overview: &'a Overview, choice: Choice, given: Option<&AccountId>) -> Vec<&'a Account> {
    let in_need: Vec<&Account> = overview.in_need().collect();
    match (given, choice) {
        (Some(given), _) => in_need.into_iter().filter(|account| account.account_id == *given).collect(),
        (None, Choice::Dismiss) if in_need.len() > 1 => Vec::new(),
        (None, Choice::Postpone | Choice::Dismiss) => in_need,
    }
}

impl LinkPages<'_> {
    /// The question, with one button. `None` if there is nothing to choose for: the page of the link shows what there is.
    pub(super) fn question(&self, choice: Choice, accounts: &[&Account]) -> Option<Response> {
        let (texts, application) = (self.pages.texts, self.pages.application());
        let (title, text, action, label) = match (choice, accounts) {
            (_, []) => return None,
            (Choice::Postpone, [only]) => (
                texts.postpone_question(service(only)),
                texts.postpone_text(POSTPONED_DAYS),
                "postpone",
                texts.postpone_button(),
            ),
            (Choice::Postpone, [_, ..]) => (
                texts.postpone_question_all(),
                texts.postpone_text(POSTPONED_DAYS),
                "postpone",
                texts.postpone_button(),
            ),
            (Choice::Dismiss, [account, ..]) => (
                texts.dismiss_question(service(account)),
                texts.dismiss_text(service(account), application),
                "dismiss",
                texts.dismiss_button(),
            ),
        };
        let content = html! {
            p { (text) }
            @for account in accounts { (self.named(account)) }
            form method="post" action="?" {
                @if let [only] = accounts { input type="hidden" name="account" value=(only.account_id); }
                button type="submit" name="action" value=(action) { (label) }
            }
            p { a href="?" { (texts.choose_other()) } }
        };
        let logo = if let [only] = accounts { self.logos.of(only) } else { None };
        Some(self.show(&title, logo, &content))
    }

    /// An account, as its owner recognizes it.
    fn named(&self, account: &Account) -> Markup {
        let texts = self.pages.texts;
        html! {
            @if let Some(username) = account.masked_username() {
                dl { dt { (texts.service_start(service(account))) } dd { (username) } }
            }
        }
    }

    /// The page after the button was pressed.
    pub(super) fn chosen(&self, choice: Choice, accounts: &[&Account]) -> Response {
        let (texts, application) = (self.pages.texts, self.pages.application());
        let until = after(self.now, Duration::from_secs(u64::from(POSTPONED_DAYS) * 24 * 60 * 60));
        let (title, text) = match (choice, accounts.first()) {
            (Choice::Dismiss, Some(account)) => {
                (texts.dismissed_title(service(account)), texts.dismissed_text(service(account)))
            }
            (Choice::Postpone | Choice::Dismiss, _) => {
                (texts.postponed_title(), texts.postponed_text(application, &self.pages.date(until)))
            }
        };
        let content = html! {
            p { (text) }
            (self.pages.way_back(self.return_url))
            p { a href="?" { (texts.choose_other()) } }
        };
        self.show(&title, None, &content)
    }
}
