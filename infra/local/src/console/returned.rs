//! The return URL of the demo application.

use axum::{extract::State, response::Response};
use maud::{Markup, html};
use reauth_domain::Target;

use super::{
    Console,
    layout::{self, View},
    respond::Visit,
};

pub(super) async fn show(State(console): State<Console>, visit: Visit) -> Response {
    console.page(&visit, |view| {
        let content = html! {
            h1 { "Back at the application" }
            p { "The callback redirected the browser to this page of the demo application. Its parameters are a hint: the application reads the status from the API." }
            dl.card { @for (name, value) in view.visit.parameters() { dt { (name) } dd { code { (value) } } } }
            p { (account_link(view)) a href="/" { "To the console" } }
        };
        Some(view.document("Back at the application", &content))
    })
}

/// A link to the account that was reauthorized.
fn account_link(view: &View<'_>) -> Markup {
    let parameter = |name: &str| view.visit.parameter(name);
    let reauthorization = parameter("reauthorizationId").and_then(|id| id.parse().ok());
    let user = reauthorization.and_then(|id| view.tables.user_of_reauthorization(&id));
    let account = parameter("accountId").and_then(|id| id.parse().ok());
    html! {
        @if let (Some(user), Some(account)) = (user, account) {
            a href=(layout::target_path(user, &Target::Account(account))) { "To the account" } " · "
        }
    }
}
