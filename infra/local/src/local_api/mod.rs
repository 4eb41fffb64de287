//! The local system's own API, under `/_local/`: what an SDK needs, the contracts, the descriptions of the APIs.
//!
//! `infra/digime-simulator/openapi.yaml` describes its routes; a test compares the two. A topic is a module with a
//! function `routes`.

mod contracts;
mod descriptions;
mod info;

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use serde_json::json;

use crate::{contracts::Contracts, info::InfoReader};

/// The components that the routes use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LocalApi(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) info: InfoReader,
    pub(crate) contracts: Contracts,
}

impl LocalApi {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for LocalApi {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// A route: its method and its path, such as `GET /_local/info`, and its handler.
struct Route {
    key: &'static str,
    handler: MethodRouter<LocalApi>,
}

impl Route {
    /// `key` is method and path.
    fn new<H, T>(key: &'static str, handler: H) -> Self
    where
        H: axum::handler::Handler<T, LocalApi>,
        T: 'static,
    {
        Self { key, handler: on(method(key), handler) }
    }
}

/// All routes, topic by topic.
fn routes() -> Vec<Route> {
    [info::routes(), contracts::routes(), descriptions::routes()].into_iter().flatten().collect()
}

pub(crate) fn router(api: LocalApi) -> Router {
    let add = |router: Router<LocalApi>, route: Route| router.route(path(route.key), route.handler);
    routes().into_iter().fold(Router::new(), add).with_state(api)
}

fn method(key: &str) -> MethodFilter {
    match key.split_once(' ') {
        Some(("GET", _)) => MethodFilter::GET,
        Some(("PUT", _)) => MethodFilter::PUT,
        Some(("POST", _)) => MethodFilter::POST,
        Some(("DELETE", _)) => MethodFilter::DELETE,
        _ => unreachable!("{key} begins with no method of this API"),
    }
}

fn path(key: &'static str) -> &'static str {
    key.split_once(' ').map_or(key, |(_, path)| path)
}

#[cfg(test)]
mod tests;

/// An error answer: `{"error": "…"}`, as the simulator's control API answers.
struct Refused(StatusCode, String);

impl Refused {
    fn bad_request(error: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}
