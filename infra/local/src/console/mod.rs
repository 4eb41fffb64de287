//! The console: what the system knows, from the index of the table, and actions that a developer could also script.
//!
//! Its pages are at `/` and under `/console/`, so that no route of the service's API is hidden. A page works without its
//! script, which only refreshes it.

mod account;
mod actions;
mod digime;
mod layout;
mod mails;
mod notices;
mod notifications;
mod outages;
mod overview;
mod queues;
mod respond;
mod returned;
mod timeline;
mod users;
mod webhook;

use std::time::Duration;

use ::digime::ambient::Ambient;
use axum::{
    Form, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::Markup;
use serde::Deserialize;
use serde_json::Value;

use self::{
    actions::{Action, Bases, Call, Subject},
    layout::View,
    notices::Notice,
    respond::Visit,
};
use crate::{DEMO_USER, index::Tables, info::InfoReader, operations::Operations};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("console.js");
/// Above the time limit of a read of the demo application.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The components that the console uses. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console {
    operations: Operations,
    info: InfoReader,
    ambient: Ambient,
    http: reqwest::Client,
}

/// The form of an action.
#[derive(Deserialize)]
struct ActionForm {
    user: Option<String>,
    target: Option<String>,
    /// The page to return to.
    back: Option<String>,
}

impl Console {
    pub(crate) fn new(operations: Operations, info: InfoReader, ambient: Ambient) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { operations, info, ambient, http })
    }

    fn bases(&self) -> Bases {
        let info = self.info.read();
        Bases { local: info.api_url, control: info.digime_control_url }
    }

    /// Renders a page from the index. There may be nothing to show.
    fn page(&self, visit: &Visit, render: impl FnOnce(&View<'_>) -> Option<Markup>) -> Response {
        self.operations.index.read(|tables: &Tables| {
            let view = View::new(self, tables, visit);
            match render(&view) {
                Some(page) => respond::page(StatusCode::OK, &page, visit),
                None => respond::page(StatusCode::NOT_FOUND, &layout::not_found(&view), visit),
            }
        })
    }

    async fn carry_out(&self, action: &Action, subject: &Subject<'_>) -> Result<(), String> {
        for call in action.calls(&self.bases(), subject) {
            self.call(call).await?;
        }
        Ok(())
    }

    async fn call(&self, call: Call) -> Result<(), String> {
        let mut request = self.http.request(call.method, call.url);
        if let Some(body) = call.body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap_or_default()).unwrap_or_default();
        Err(body["error"].as_str().map_or_else(|| format!("the answer was {status}"), str::to_owned))
    }
}

pub(crate) fn router(console: Console) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route("/returned", get(returned::show))
        .route("/console/users", get(users::search))
        .route("/console/users/{user}", get(users::show))
        .route("/console/users/{user}/accounts/{account}", get(account::show_account))
        .route("/console/users/{user}/grants/{contract}", get(account::show_grant))
        .route("/console/notifications", get(notifications::list))
        .route("/console/notifications/{event}", get(notifications::show))
        .route("/console/mails", get(mails::list))
        .route("/console/mails/{message}", get(mails::show))
        .route("/console/mails/{message}/html", get(mails::html))
        .route("/console/queues", get(queues::list))
        .route("/console/dead-letters/{message}", get(queues::show))
        .route("/console/digime", get(digime::show))
        .route("/console/style.css", get(style))
        .route("/console/console.js", get(script))
        .route("/console/control/{action}", post(run_action))
        .with_state(console)
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

async fn run_action(
    State(console): State<Console>,
    Path(name): Path<String>,
    Form(form): Form<ActionForm>,
) -> Response {
    let (user, target) = (form.user.unwrap_or_else(|| DEMO_USER.to_owned()), form.target.unwrap_or_default());
    let notice = match actions::by_name(&name) {
        None => Notice::failure("There is no such action."),
        Some(action) => match console.carry_out(action, &Subject { user: &user, target: &target }).await {
            Ok(()) => Notice::success(action.done),
            Err(error) => Notice::failure(&format!("\"{}\" did not work: {error}.", action.label)),
        },
    };
    respond::redirect(form.back.as_deref().unwrap_or("/"), &notice)
}
