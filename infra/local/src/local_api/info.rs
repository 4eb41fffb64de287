//! `GET /_local/info`: what an application and an SDK need.

use axum::{Json, extract::State};

use super::{LocalApi, Route};
use crate::info::Info;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("GET /_local/info", show)]
}

async fn show(State(api): State<LocalApi>) -> Json<Info> {
    Json(api.info.read())
}
