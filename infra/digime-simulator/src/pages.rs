//! The HTML of the consent pages. They contain forms and no scripts.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use maud::{DOCTYPE, Markup, html};

use crate::visit::{ERROR_CODES, Page, SERVICES, Visit};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;\
    padding:0 1rem;color:#1c2430}\
    .note{background:#fff6d6;border-left:4px solid #d9a400;padding:.5rem 1rem}\
    button{font:inherit;padding:.5rem 1rem;margin:.25rem .25rem .25rem 0;border:1px solid #7b8794;\
    border-radius:.3rem;background:#fff;cursor:pointer}\
    button.main{background:#1857b6;border-color:#1857b6;color:#fff}\
    input,select{font:inherit;padding:.35rem;margin-right:.5rem}\
    fieldset{border:1px solid #cbd2d9;border-radius:.3rem;margin:1.5rem 0}";

pub(crate) fn layout(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – digi.me simulator" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                p.note { "This is the digi.me simulator. No real service is asked." }
                h1 { (title) }
                (content)
            }
        }
    }
    .into_string()
}

/// No `form-action`: Chromium applies it to every redirect after the POST, so it would have to name every address that
/// the application redirects to.
pub(crate) fn secure(mut response: Response) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                  frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        // Not `no-referrer`: the form's POST would then have `Origin: null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The page with its buttons.
pub(crate) fn consent(page: Page, visit: &Visit) -> String {
    let title = match page {
        Page::Authorize => "Share your data",
        Page::Reauthorize => "Reconnect your account",
        Page::UserReauth => "Confirm your consent again",
        Page::Onboard => "Add a service",
        Page::Revoke => "Withdraw your permission",
    };
    let button = if page == Page::Revoke { "Withdraw" } else { "Authorize" };
    layout(
        title,
        &html! {
            @if page == Page::Revoke {
                p { "The contract " strong { (visit.contract_id) } " may read this account until you withdraw." }
            } @else {
                p { "The contract " strong { (visit.contract_id) } " asks for your consent." }
            }
            @if let Some(user_id) = &visit.user_id {
                p { "You are the digi.me user " strong { (user_id) } "." }
            }
            @if let Some(stored) = &visit.account {
                p {
                    "Account: " strong { (stored.account.service_name) }
                    @if let Some(username) = stored.owner() { ", " (username) }
                    " (" code { (stored.account.id) } ")"
                }
            }
            form method="post" {
                (hidden(visit, !page.has_services()))
                @if page.has_services() { (service_choice(&visit.service, page == Page::Onboard)) }
                button.main name="decision" value="success" { (button) }
                button name="decision" value="USER_CANCEL" { "Cancel" }
            }
            @if page == Page::Reauthorize {
                (sign_in(visit, "Authorize with another account of the same service", "another", "Authorize this one"))
            }
            @if page == Page::UserReauth {
                (sign_in(visit, "Sign in as another digi.me user", "another-user", "Authorize as this user"))
                (failing_codes(visit))
            }
            form method="post" {
                (hidden(visit, true))
                fieldset {
                    legend { "End with an error" }
                    @for error_code in ERROR_CODES.iter().filter(|code| **code != "USER_CANCEL") {
                        button name="decision" value=(error_code) { (error_code) }
                    }
                }
            }
        },
    )
}

/// A form for a user who signs in with another name.
fn sign_in(visit: &Visit, legend: &str, decision: &str, button: &str) -> Markup {
    html! {
        form method="post" {
            (hidden(visit, true))
            fieldset {
                legend { (legend) }
                label { "User name "
                    input name="username" value="someone-else" required maxlength="200";
                }
                button name="decision" value=(decision) { (button) }
            }
        }
    }
}

/// The buttons that end like a success, with a code that the application cannot exchange.
fn failing_codes(visit: &Visit) -> Markup {
    html! {
        form method="post" {
            (hidden(visit, true))
            fieldset {
                legend { "Authorize, and return a code that cannot be exchanged" }
                button name="decision" value="used-code" { "A code that has been used" }
                button name="decision" value="other-verifier" { "A code for another verifier" }
            }
        }
    }
}

fn hidden(visit: &Visit, with_service: bool) -> Markup {
    html! {
        input type="hidden" name="code" value=(visit.code);
        input type="hidden" name="accountRef" value=(visit.account_ref);
        @if with_service { input type="hidden" name="service" value=(visit.service); }
    }
}

fn service_choice(chosen: &str, required: bool) -> Markup {
    html! {
        p {
            label { "Service "
                select name="service" required[required] {
                    option value="" { "none" }
                    @for (index, name) in SERVICES.iter().enumerate() {
                        @let place = (index + 1).to_string();
                        option value=(place) selected[place == chosen] { (name) }
                    }
                }
            }
        }
    }
}

/// The page for a code that is known but not valid, with a button back to the application.
pub(crate) fn refused(page: Page, code: &str, error_code: &str) -> String {
    let reason = if error_code == "INVALID_CODE" {
        "This link has been used, or it is too old."
    } else {
        "This link does not belong to this page or to one of your accounts."
    };
    let name = match page {
        Page::Authorize | Page::Onboard => "authorization",
        Page::Reauthorize | Page::UserReauth => "reauthorization",
        Page::Revoke => "withdrawal",
    };
    layout(
        "This link does not work",
        &html! {
            p { (reason) " The " (name) " ends with " code { (error_code) } "." }
            form method="post" {
                input type="hidden" name="code" value=(code);
                button.main name="decision" value=(error_code) { "Back to the application" }
            }
        },
    )
}

/// The page for an unknown code. It has no way back to the application.
pub(crate) fn unknown_code() -> String {
    layout(
        "This link does not work",
        &html! {
            p { "Its code is not known (" code { "INVALID_CODE" } "). Start again in the application." }
        },
    )
}

pub(crate) fn no_service() -> String {
    layout("No service was chosen", &html! { p { "Go back and choose one of them." } })
}

pub(crate) fn no_user() -> String {
    layout("No user was named", &html! { p { "Go back and enter a user name." } })
}

pub(crate) fn unknown_decision() -> String {
    layout("That is not one of the buttons", &html! { p { "Go back and choose one of them." } })
}
