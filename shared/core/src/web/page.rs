//! The HTML pages for users: plain, readable, one clear action, no JavaScript. `maud` escapes everything that is shown.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use reauth_domain::{FailureCode, ReturnUrl};

use super::{Problem, Response, ResponseExt, problem::ProblemCode, response};

const STYLE: &str = "\
:root{color-scheme:light dark;--accent:light-dark(#1652c6,#7aa5ff)}\
body{font:1.0625rem/1.55 system-ui,sans-serif;margin:0;background:light-dark(#f4f5f7,#16181d);\
color:light-dark(#1c1f26,#e8eaee)}\
main{max-width:32rem;margin:12vh auto 1rem;padding:2rem;border-radius:.75rem;background:light-dark(#fff,#21242b);\
box-shadow:0 1px 3px #0003;overflow-wrap:break-word}\
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}\
h2{font-size:1.1rem;line-height:1.3;margin:0 0 .5rem}\
p{margin:0 0 1rem}\
section{border-top:1px solid light-dark(#d5d9e0,#3a3f4b);margin:1.25rem 0 0;padding:1.25rem 0 0}\
form{margin:0 0 1rem}\
.outcome{border-left:.25rem solid var(--accent);padding:.25rem 0 .25rem .75rem;margin:0 0 1.25rem}\
.outcome p{margin:0 0 .5rem}\
main>:last-child,section>:last-child,.outcome>:last-child{margin-bottom:0}\
button,a.button{display:inline-block;font:inherit;font-weight:600;padding:.7rem 1.4rem;border:2px solid var(--accent);\
border-radius:.5rem;background:var(--accent);color:light-dark(#fff,#16181d);text-align:center;text-decoration:none;\
cursor:pointer}\
button.secondary{background:transparent;color:var(--accent)}\
button:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\
small{color:light-dark(#5b6270,#a2a9b8)}\
@media(max-width:36rem){main{margin:1rem;padding:1.25rem}button,a.button{box-sizing:border-box;width:100%}}";

/// A page with a title and content. Forms on the page may submit to this origin and to `form_targets`. Redirects after
/// a form's submission must be in `form_targets` too, because browsers apply `form-action` to them.
#[must_use]
pub fn page(status: StatusCode, title: &str, content: &Markup, form_targets: &[&str]) -> Response {
    let body = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { h1 { (title) } (content) } }
        }
    };
    response::html(status, body.into_string(), policy(form_targets))
}

fn policy(form_targets: &[&str]) -> Vec<(HeaderName, HeaderValue)> {
    let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
    let targets: String = form_targets.iter().map(|target| format!(" {target}")).collect();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'{targets}; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let mut headers = vec![(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"))];
    // The policy is always a valid header value: origins are ASCII without control characters.
    headers.extend(HeaderValue::from_str(&policy).ok().map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    headers
}

/// The page for a request that failed. The cause is logged and not shown: the support finds it under the request's id.
#[must_use]
pub fn error_page(problem: &Problem, application: &str, request_id: &str) -> Response {
    problem.log();
    let content = html! {
        p { "You did nothing wrong." }
        @if let Some(wait) = problem.retry_after {
            p { "Try again in " (waiting_time(wait)) "." }
            // An empty `href` loads this page again.
            p { a class="button" href="" { "Try again" } }
        } @else {
            p { "Go back to " (application) " and reconnect from there." }
        }
        p { small { "Reference for support: " (request_id) } }
    };
    let mut page = page(problem.status, "Something went wrong on our side", &content, &[]);
    page.extensions_mut().insert(ProblemCode(problem.code));
    match problem.retry_after {
        Some(wait) => page.with_retry_after(wait),
        None => page,
    }
}

/// The page for a link or a callback that was used too often in a short time.
#[must_use]
pub fn too_many_attempts(wait: Duration) -> Response {
    let content = html! {
        p { "Nothing was changed. Try again in " (waiting_time(wait)) "." }
        // An empty `href` loads this page again.
        p { a class="button" href="" { "Try again" } }
    };
    page(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", &content, &[]).with_retry_after(wait)
}

/// A waiting time in words: in minutes, rounded up, or in seconds when it is below one minute.
fn waiting_time(wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    let (count, unit) = if seconds < 60 { (seconds, "second") } else { (seconds.div_ceil(60), "minute") };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// How the user gets back to the application: a button if an address is known, else a sentence.
#[must_use]
pub fn way_back(application: &str, return_url: Option<&ReturnUrl>) -> Markup {
    match return_url {
        Some(url) => html! { p { a class="button" href=(url.origin()) { "Back to " (application) } } },
        None => html! { p { "You can close this page and go back to " (application) "." } },
    }
}

/// Why a reauthorization failed, in a sentence for the user. `username` is the masked name of the account to use.
#[must_use]
pub fn explanation(code: &FailureCode, service: ServiceName<'_>, username: Option<&str>) -> String {
    match code {
        FailureCode::UserCancel => "You cancelled. Nothing was changed.".to_owned(),
        FailureCode::InvalidCode => {
            "The page was open for too long, or was opened twice. Nothing was changed.".to_owned()
        }
        FailureCode::OnboardError => format!("{} did not accept the sign-in.", service.at_start()),
        FailureCode::NotAuthorized => "The connection is not finished yet.".to_owned(),
        FailureCode::AccountNotFound => "digi.me no longer has this account.".to_owned(),
        FailureCode::WrongAccount => {
            let of_service = service.0.map(|service| format!(" {service}")).unwrap_or_default();
            let expected = username.map(|username| format!(" Use the one shown as {username}."));
            format!("You used a different{of_service} account.{}", expected.unwrap_or_default())
        }
        FailureCode::WrongUser => {
            "You signed in to digi.me as another person. Nothing was changed. Sign in as the person who connected before."
                .to_owned()
        }
        FailureCode::InitializeCheckFail | FailureCode::ServerError | FailureCode::Other(_) | FailureCode::Unknown => {
            "Something went wrong on our side. You did nothing wrong.".to_owned()
        }
    }
}

/// The reference with which the support finds a failure. A cancellation needs none.
#[must_use]
pub fn reference(code: &FailureCode) -> Markup {
    html! {
        @if *code != FailureCode::UserCancel {
            p { small { "Reference for support: " (code) } }
        }
    }
}

/// The name of a service in the text of a page.
#[derive(Debug, Clone, Copy)]
pub struct ServiceName<'a>(pub Option<&'a str>);

impl<'a> ServiceName<'a> {
    /// The name within a sentence.
    #[must_use]
    pub fn in_sentence(self) -> &'a str {
        self.0.unwrap_or("the service")
    }

    /// The name at the beginning of a sentence.
    #[must_use]
    pub fn at_start(self) -> &'a str {
        self.0.unwrap_or("The service")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped() {
        let name = "<script>alert(1)</script>\" onload=\"x";
        let response = page(StatusCode::OK, name, &html! { p title=(name) { (name) } }, &[]);
        let body = format!("{:?}", response.body());
        assert!(!body.contains("<script>") && !body.contains("\" onload"), "{body}");
    }

    #[test]
    fn a_waiting_time_is_told_in_minutes_rounded_up_and_below_one_in_seconds() {
        for (seconds, told) in [
            (0, "1 second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (61, "2 minutes"),
            (360, "6 minutes"),
        ] {
            assert_eq!(waiting_time(Duration::from_secs(seconds)), told);
        }
    }

    #[test]
    fn a_user_who_used_another_account_learns_which_one_to_use() {
        assert_eq!(
            explanation(&FailureCode::WrongAccount, ServiceName(Some("Meadow Bank")), Some("al•••••an")),
            "You used a different Meadow Bank account. Use the one shown as al•••••an."
        );
    }

    #[test]
    fn forms_lead_to_named_origins_only() {
        let response = page(StatusCode::OK, "t", &html! {}, &["https://api.digi.me"]);
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("form-action 'self' https://api.digi.me;"), "{policy}");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
        assert_eq!(response.headers()[X_FRAME_OPTIONS], "DENY");
    }
}
