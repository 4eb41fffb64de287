//! The local system's own API, under `/_local/`: what an SDK needs, the contracts, the descriptions of the APIs.
//!
//! `infra/digime-simulator/openapi.yaml` describes its routes; a test compares the two. A topic is a module with a
//! function `routes`.

mod contracts;
mod descriptions;
mod info;
mod operations;

use std::sync::Arc;

use axum::{
    Router,
    routing::{MethodFilter, MethodRouter, on},
};
use digime::ambient::Ambient;
use digime_simulator::Refused;

use crate::{contracts::Contracts, info::InfoReader, operations::Operations};

/// The components that the routes use. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LocalApi(Arc<Parts>);

pub(crate) struct Parts {
    pub(crate) info: InfoReader,
    pub(crate) contracts: Contracts,
    pub(crate) operations: Operations,
    pub(crate) ambient: Ambient,
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
    [info::routes(), contracts::routes(), operations::routes(), descriptions::routes()].into_iter().flatten().collect()
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
