//! The console: shows the accounts, the grants, the events and the queues, and has buttons that use the control API of the
//! simulator. The server renders its pages; they contain no JavaScript.

mod buttons;
mod page;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::{HeaderName, HeaderValue, Method, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use digime_simulator::Control;
use maud::Markup;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    DEMO_USER,
    application::Application,
    names::Queue,
    queues::{Depth, Message, Queues},
    topic::{Publication, Topic},
};

const STYLE: &str = include_str!("style.css");
/// Notifications and dead letters to show.
const SHOWN: usize = 30;

/// The components that the console uses. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console {
    application: Application,
    queues: Queues,
    topic: Topic,
    control: Control,
    digime_url: String,
    /// The result of the last button.
    notice: Arc<Mutex<String>>,
}

/// The data of one page.
struct View {
    user: String,
    users: Vec<String>,
    notice: String,
    state: Result<UserState, String>,
    broken: Vec<String>,
    publications: Vec<Publication>,
    queues: Vec<(Queue, Depth, Vec<Message>)>,
    settings: digime_simulator::Settings,
    digime_url: String,
}

/// What the API says about a user.
struct UserState {
    accounts: Vec<Value>,
    grants: Vec<Value>,
    /// The events of all accounts, newest first. The API has no history of a user's grants.
    events: Vec<Value>,
}

#[derive(Deserialize)]
struct Choice {
    user: Option<String>,
}

/// The form fields of the buttons.
#[derive(Deserialize)]
struct ButtonForm {
    user: Option<String>,
    target: Option<String>,
}

impl Console {
    pub(crate) fn new(
        application: Application,
        queues: Queues,
        topic: Topic,
        control: Control,
        digime_url: String,
    ) -> Self {
        Self { application, queues, topic, control, digime_url, notice: Arc::default() }
    }

    async fn view(&self, user: String) -> View {
        let state = self.user_state(&user).await;
        let ids = self.control.accounts(&user).into_iter().map(|account| account.id);
        let broken = ids.filter(|id| self.control.is_broken(id)).collect();
        let queue = |queue| {
            let depth = self.queues.depth(queue).unwrap_or_default();
            (queue, depth, self.queues.dead_letters(queue, SHOWN).unwrap_or_default())
        };
        View {
            users: self.control.users(),
            notice: self.notice.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            state,
            broken,
            publications: self.topic.newest(SHOWN),
            queues: Queue::ALL.into_iter().map(queue).collect(),
            settings: self.control.settings(),
            digime_url: self.digime_url.clone(),
            user,
        }
    }

    /// Reads the accounts with their events, and the grants, through the API, as an application does.
    async fn user_state(&self, user: &str) -> Result<UserState, String> {
        let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/users/{user}/accounts");
        let list = self.application.call(Method::GET, &path, &Value::Null).await.map_err(|error| error.to_string())?;
        let (mut accounts, mut events) = (Vec::new(), Vec::new());
        for account in list["accounts"].as_array().into_iter().flatten() {
            let id = account["accountId"].as_str().unwrap_or_default();
            let path = format!("/users/{user}/accounts/{id}?history=true");
            let one = self.application.call(Method::GET, &path, &Value::Null).await;
            let one = one.map_err(|error| error.to_string())?;
            events.extend(one["events"].as_array().cloned().unwrap_or_default());
            accounts.push(one);
        }
        let order = |event: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&event["timestamp"]), text(&event["data"]["accountId"]), event["data"]["sequence"].as_u64())
        };
        events.sort_by_key(order);
        events.reverse();
        let grants = list["grants"].as_array().cloned().unwrap_or_default();
        Ok(UserState { accounts, grants, events })
    }

    fn note(&self, notice: String) {
        *self.notice.lock().unwrap_or_else(PoisonError::into_inner) = notice;
    }
}

pub(crate) fn router(console: Console) -> Router {
    Router::new()
        .route("/", get(show))
        .route("/returned", get(returned))
        .route("/console/style.css", get(style))
        .route("/console/control/{button}", post(run_button))
        .with_state(console)
}

async fn show(State(console): State<Console>, Query(choice): Query<Choice>) -> Response {
    let user = choice.user.unwrap_or_else(|| DEMO_USER.to_owned());
    html(&page::overview(&console.view(user).await))
}

/// The return URL of the demo application.
async fn returned(Query(parameters): Query<Vec<(String, String)>>) -> Response {
    html(&page::returned(&parameters))
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn run_button(
    State(console): State<Console>,
    Path(button): Path<String>,
    Form(form): Form<ButtonForm>,
) -> Redirect {
    let user = form.user.unwrap_or_else(|| DEMO_USER.to_owned());
    let target = form.target.unwrap_or_default();
    let notice = match buttons::by_name(&button) {
        Some(button) => button.run(&console, &user, &target).await,
        None => "There is no such button.".to_owned(),
    };
    console.note(notice);
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("user", &user).finish();
    Redirect::to(&format!("/?{query}"))
}

fn html(markup: &Markup) -> Response {
    const POLICY: &str =
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ];
    (headers, markup.0.clone()).into_response()
}
