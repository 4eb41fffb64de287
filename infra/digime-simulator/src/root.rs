//! The page `/`: what this port has, for a developer who opens it.

use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse as _, Response};
use maud::html;

use crate::control_call::ROUTES;
use crate::visit::Page;
use crate::{API_PATH, ONBOARD_PATH, OPENAPI, pages};

pub(crate) async fn show() -> Response {
    let content = html! {
        h2 { "For an SDK" }
        dl {
            dt { "baseUrl" } dd { code { (API_PATH) } }
            dt { "onboardUrl" } dd { code { (ONBOARD_PATH) } }
        }
        h2 { "Pages" }
        p {
            "An application sends its user to a page with a code. "
            "Without a code, a page says that the code is unknown."
        }
        ul {
            @for page in Page::ALL {
                @let path = format!("{}{}", ONBOARD_PATH.trim_end_matches('/'), page.path());
                li { a href=(path) { code { (path) } } }
            }
        }
        h2 { "Control API" }
        p { a href="/openapi.yaml" { "Description (OpenAPI)" } " · " a href="/_simulator/state" { "State" } }
        ul { @for route in ROUTES { li { code { (with_path(route)) } } } }
    };
    pages::secure(Html(pages::layout("digi.me simulator", &content)).into_response())
}

/// Shown as text by browsers, which would download YAML.
pub(crate) async fn description() -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, plain)], OPENAPI).into_response()
}

/// Method and full path of a call.
fn with_path(route: &str) -> String {
    route.replacen(" /", " /_simulator/", 1)
}
