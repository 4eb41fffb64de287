//! The visit of a browser to a consent page: which page it is, and whether its code and its account are valid.

use serde::Deserialize;

use crate::model::{Code, Purpose, StoredAccount};
use crate::shared::Shared;
use crate::state::State;

/// The error codes that digi.me documents for its pages.
pub(crate) const ERROR_CODES: [&str; 5] =
    ["USER_CANCEL", "INITIALIZE_CHECK_FAIL", "INVALID_CODE", "ONBOARD_ERROR", "SERVER_ERROR"];

/// The services that users can add on the pages. The form field `service` is a position in this list, from 1.
pub(crate) const SERVICES: [&str; 4] = ["Riverside Bank", "Step Counter", "Songbird Music", "County Health Record"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Authorize,
    Reauthorize,
    UserReauth,
    Onboard,
    Revoke,
}

impl Page {
    pub(crate) const ALL: [Self; 5] =
        [Self::Authorize, Self::Reauthorize, Self::UserReauth, Self::Onboard, Self::Revoke];

    /// The path of the page, relative to the base path of the pages.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Authorize => "/authorize",
            Self::Reauthorize => "/reauthorize",
            Self::UserReauth => "/user-reauth",
            Self::Onboard => "/onboard",
            Self::Revoke => "/revoke",
        }
    }

    fn purpose(self) -> Purpose {
        match self {
            Self::Authorize => Purpose::Authorize,
            Self::Reauthorize | Self::Onboard => Purpose::Reference,
            Self::UserReauth => Purpose::ReauthorizeUser,
            Self::Revoke => Purpose::Revoke,
        }
    }

    /// Whether the page concerns one account.
    fn has_account(self) -> bool {
        matches!(self, Self::Reauthorize | Self::Revoke)
    }

    /// Whether the user chooses a service on the page.
    pub(crate) fn has_services(self) -> bool {
        matches!(self, Self::Authorize | Self::Onboard)
    }
}

/// The query parameters of a page, and the fields of its form.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Fields {
    pub(crate) code: String,
    pub(crate) account_ref: String,
    /// The service to add: its position in the list of services, from 1.
    pub(crate) service: String,
    /// See [`Decision`].
    pub(crate) decision: String,
    /// The username that the user signs in with when the decision is `another` or `another-user`.
    pub(crate) username: String,
}

/// The button that the user presses on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision<'a> {
    /// `success`.
    Success,
    /// `another`, on the account reauthorization page: the user signs in with another account of the service.
    AnotherAccount { username: &'a str },
    /// `another-user`, on the user reauthorization page: the user signs in to digi.me as another person.
    AnotherUser { user_id: &'a str },
    /// `used-code`, on the user reauthorization page: the application gets a code that has already been used.
    UsedCode,
    /// `other-verifier`, on the user reauthorization page: the application gets a code that belongs to another code
    /// challenge.
    OtherVerifier,
    /// The error code that the page ends with.
    Error(&'static str),
}

impl Fields {
    /// The user's decision. `None` if the page has no such button.
    pub(crate) fn decision(&self, page: Page) -> Option<Decision<'_>> {
        match (page, self.decision.as_str()) {
            (_, "success") => Some(Decision::Success),
            (Page::Reauthorize, "another") => Some(Decision::AnotherAccount { username: &self.username }),
            (Page::UserReauth, "another-user") => Some(Decision::AnotherUser { user_id: &self.username }),
            (Page::UserReauth, "used-code") => Some(Decision::UsedCode),
            (Page::UserReauth, "other-verifier") => Some(Decision::OtherVerifier),
            (_, other) => ERROR_CODES.into_iter().find(|known| *known == other).map(Decision::Error),
        }
    }
}

/// A page that can be shown: its code is valid, and its account exists.
pub(crate) struct Visit {
    pub(crate) code: String,
    pub(crate) account_ref: String,
    pub(crate) account: Option<StoredAccount>,
    pub(crate) contract_id: String,
    pub(crate) user_id: Option<String>,
    pub(crate) service: String,
}

/// Why a page cannot be shown.
pub(crate) enum Refusal {
    /// The code is unknown, so there is no URL to redirect the browser to.
    UnknownCode,
    /// The code is known, so the browser can be redirected with an error code.
    Known(Box<Code>, &'static str),
}

/// Checks whether the page can be shown.
pub(crate) fn visit(shared: &Shared, state: &State, page: Page, fields: &Fields) -> Result<Visit, Refusal> {
    let code = state.codes.get(&fields.code).ok_or(Refusal::UnknownCode)?;
    if code.purpose == Purpose::Exchange {
        return Err(Refusal::UnknownCode);
    }
    let refuse = |error_code| Err(Refusal::Known(Box::new(code.clone()), error_code));
    if code.purpose != page.purpose() {
        return refuse("INITIALIZE_CHECK_FAIL");
    }
    let now = shared.now();
    if code.used || code.expires_at <= now {
        return refuse("INVALID_CODE");
    }
    let account = state
        .references
        .get(&fields.account_ref)
        .filter(|entry| entry.expires_at > now)
        .and_then(|entry| state.accounts.get(&entry.account_id))
        .filter(|stored| Some(&stored.user_id) == code.user_id.as_ref())
        .cloned();
    if page.has_account() && account.is_none() {
        return refuse("INITIALIZE_CHECK_FAIL");
    }
    Ok(Visit {
        code: fields.code.clone(),
        account_ref: fields.account_ref.clone(),
        account,
        contract_id: code.contract_id.clone(),
        user_id: code.user_id.clone(),
        service: fields.service.clone(),
    })
}
