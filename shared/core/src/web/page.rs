//! The HTML pages for users: plain, readable, one clear action, no JavaScript. `maud` escapes everything that is shown.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Problem, Response, ResponseExt, response};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.0625rem/1.55 system-ui,sans-serif;margin:0;background:light-dark(#f4f5f7,#16181d);\
color:light-dark(#1c1f26,#e8eaee)}\
main{max-width:32rem;margin:12vh auto 1rem;padding:2rem;border-radius:.75rem;background:light-dark(#fff,#21242b);\
box-shadow:0 1px 3px #0003}\
@media(max-width:36rem){main{margin:1rem;padding:1.25rem}}\
h1{font-size:1.4rem;line-height:1.25;margin:0 0 1rem}\
p{margin:0 0 1rem}\
button,a.button{display:inline-block;font:inherit;font-weight:600;padding:.7rem 1.4rem;border:0;border-radius:.5rem;\
background:#1652c6;color:#fff;text-decoration:none;cursor:pointer}\
button:focus-visible,a:focus-visible{outline:3px solid light-dark(#1652c6,#7aa5ff);outline-offset:2px}\
small{color:light-dark(#5b6270,#a2a9b8)}";

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
        @if problem.retry_after.is_some() {
            p { "Wait a minute, then try again." }
            // An empty `href` loads this page again.
            p { a class="button" href="" { "Try again" } }
        } @else {
            p { "Go back to " (application) " and reconnect from there." }
        }
        p { small { "Reference for support: " (request_id) } }
    };
    let page = page(problem.status, "Something went wrong on our side", &content, &[]);
    match problem.retry_after {
        Some(wait) => page.with_retry_after(wait),
        None => page,
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
