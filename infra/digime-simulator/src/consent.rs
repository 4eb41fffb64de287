//! The consent pages of digi.me, and the requests that their buttons send.

use std::sync::Arc;

use axum::extract::{Query, State as Extract};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Form, Router};
use url::Url;

use crate::model::{Account, Code, ErrorShape, Purpose, StoredAccount};
use crate::pages;
use crate::shared::Shared;
use crate::state::{CODE_LIFETIME, State};
use crate::visit::{Decision, Fields, Page, Refusal, SERVICES, Visit, visit};

const MAX_USERNAME_LENGTH: usize = 200;

pub(crate) fn router() -> Router<Arc<Shared>> {
    Page::ALL.into_iter().fold(Router::new(), |router, page| {
        let show = move |Extract(shared): Extract<Arc<Shared>>, Query(fields): Query<Fields>| async move {
            show(&shared, page, &fields)
        };
        let decide = move |Extract(shared): Extract<Arc<Shared>>, Form(fields): Form<Fields>| async move {
            decide(&shared, page, &fields)
        };
        router.route(page.path(), get(show).post(decide))
    })
}

fn show(shared: &Shared, page: Page, fields: &Fields) -> Response {
    match shared.read(|state| visit(shared, state, page, fields)) {
        Ok(visit) => html(StatusCode::OK, pages::consent(page, &visit)),
        Err(Refusal::Known(_, error_code)) => {
            html(StatusCode::BAD_REQUEST, pages::refused(page, &fields.code, error_code))
        }
        Err(Refusal::UnknownCode) => html(StatusCode::BAD_REQUEST, pages::unknown_code()),
    }
}

fn decide(shared: &Shared, page: Page, fields: &Fields) -> Response {
    let location = shared.change(|state| match visit(shared, state, page, fields) {
        Ok(visit) => carry_out(shared, state, page, fields, &visit),
        Err(Refusal::Known(code, error_code)) => Ok(failure(&code, error_code, echoes(state, page))),
        Err(Refusal::UnknownCode) => Err(pages::unknown_code()),
    });
    match location {
        Ok(location) => see_other(&location),
        Err(page) => html(StatusCode::BAD_REQUEST, page),
    }
}

/// Handles a button: redirects the browser, or shows a page with the error.
fn carry_out(shared: &Shared, state: &mut State, page: Page, fields: &Fields, visit: &Visit) -> Result<Url, String> {
    let code = state.codes.get_mut(&visit.code).ok_or_else(pages::unknown_code)?;
    let decision = fields.decision(page).ok_or_else(pages::unknown_decision)?;
    if let Decision::Error(error_code) = decision {
        // The code stays valid, so that a user who goes back in the browser can still succeed.
        let code = code.clone();
        return Ok(failure(&code, error_code, echoes(state, page)));
    }
    if decision == (Decision::AnotherUser { user_id: "" }) {
        return Err(pages::no_user());
    }
    if page == Page::Onboard && service(fields).is_none() {
        return Err(pages::no_service());
    }
    code.used = true;
    let code = code.clone();
    let mut location = callback(&code, true, echoes(state, page));
    match page {
        Page::Reauthorize => reauthorize(shared, state, visit, decision),
        Page::UserReauth => append(&mut location, "code", &reauthorize_user(shared, state, &code, decision)),
        Page::Authorize => authorize(shared, state, &code, fields, &mut location),
        Page::Onboard => {
            onboard(shared, state, &code.user_id.unwrap_or_default(), fields);
        }
        Page::Revoke => revoke(shared, state, visit),
    }
    Ok(location)
}

/// Authorizes the account again. If the user signed in with another account of the service, the username changes, until
/// the account's own user authorizes it.
fn reauthorize(shared: &Shared, state: &mut State, visit: &Visit, decision: Decision) {
    let Some(StoredAccount { account, .. }) = &visit.account else { return };
    state.reauthorize(&account.id, shared.now());
    let Some(stored) = state.accounts.get_mut(&account.id) else { return };
    match decision {
        Decision::AnotherAccount { username } => stored.sign_in_as(shortened(username)),
        _ => stored.sign_in_as_owner(),
    }
}

/// Completes a user reauthorization. Returns the code for `POST oauth/token`.
fn reauthorize_user(shared: &Shared, state: &mut State, code: &Code, decision: Decision) -> String {
    let user_id = match decision {
        Decision::AnotherUser { user_id } => shortened(user_id),
        _ => code.user_id.clone().unwrap_or_default(),
    };
    state.users.entry(user_id.clone()).or_default();
    let value = exchange_code(shared, state, code, user_id);
    if let Some(exchange) = state.codes.get_mut(&value) {
        match decision {
            Decision::UsedCode => exchange.used = true,
            // 43 characters, as a SHA-256 hash in base64url. No verifier of the application fits.
            Decision::OtherVerifier => exchange.code_challenge = Some(shared.random_token()),
            _ => {}
        }
    }
    value
}

fn shortened(username: &str) -> String {
    username.chars().take(MAX_USERNAME_LENGTH).collect()
}

/// Completes a first authorization: creates the user if the code names none, and links the chosen service.
fn authorize(shared: &Shared, state: &mut State, code: &Code, fields: &Fields, location: &mut Url) {
    let user_id = code.user_id.clone().unwrap_or_else(|| format!("user-{}", shared.random_id()));
    state.users.entry(user_id.clone()).or_default();
    let reference = onboard(shared, state, &user_id, fields);
    let session = code.session_key.as_ref().and_then(|key| state.sessions.get_mut(key));
    if let Some(session) = session {
        session.user_id = Some(user_id.clone());
    }
    append(location, "code", &exchange_code(shared, state, code, user_id));
    if let Some(reference) = reference {
        append(location, "accountReference", &reference);
    }
}

fn revoke(shared: &Shared, state: &mut State, visit: &Visit) {
    let account = visit.account.as_ref().and_then(|stored| state.accounts.get_mut(&stored.account.id));
    if let Some(stored) = account {
        stored.broken = Some(ErrorShape::Documented);
        stored.updated_ms = shared.now().as_millisecond();
    }
}

/// The chosen service: its position, from 1, and its name.
fn service(fields: &Fields) -> Option<(usize, &'static str)> {
    let place: usize = fields.service.parse().ok()?;
    Some((place, *SERVICES.get(place.checked_sub(1)?)?))
}

/// Links an account of the chosen service. Returns the account's reference.
fn onboard(shared: &Shared, state: &mut State, user_id: &str, fields: &Fields) -> Option<String> {
    let (place, name) = service(fields)?;
    let id = format!("{place}_{}", shared.random_id());
    let mut account = Account::new(&id, name, Some(user_id));
    account.service_type_id = u32::try_from(place).unwrap_or(1);
    let reference = shared.random_id();
    state.add_account(user_id, account, reference.clone(), shared.now());
    Some(reference)
}

fn exchange_code(shared: &Shared, state: &mut State, from: &Code, user_id: String) -> String {
    let value = shared.random_token();
    let code = Code {
        purpose: Purpose::Exchange,
        user_id: Some(user_id),
        expires_at: shared.now() + CODE_LIFETIME,
        used: false,
        ..from.clone()
    };
    state.codes.insert(value.clone(), code);
    value
}

/// Whether the callback contains `state`.
fn echoes(state: &State, page: Page) -> bool {
    page != Page::Reauthorize || state.settings.echo_state
}

fn failure(code: &Code, error_code: &str, echo: bool) -> Url {
    let mut location = callback(code, false, echo);
    let name = if code.purpose == Purpose::Revoke { "error_message" } else { "errorCode" };
    append(&mut location, name, error_code);
    location
}

fn callback(code: &Code, success: bool, echo: bool) -> Url {
    let mut location = Url::parse(&code.redirect_uri).expect("checked when the code was issued");
    if code.purpose == Purpose::Revoke {
        append(&mut location, "result", if success { "success" } else { "failed" });
    } else {
        append(&mut location, "success", if success { "true" } else { "false" });
    }
    if let Some(state) = code.state.as_ref().filter(|_| echo) {
        append(&mut location, "state", state);
    }
    location
}

fn append(location: &mut Url, name: &str, value: &str) {
    location.query_pairs_mut().append_pair(name, value);
}

fn see_other(location: &Url) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let value = HeaderValue::from_str(location.as_str()).expect("a serialized URL is ASCII");
    response.headers_mut().insert(header::LOCATION, value);
    pages::secure(response)
}

fn html(status: StatusCode, page: String) -> Response {
    pages::secure((status, Html(page)).into_response())
}
