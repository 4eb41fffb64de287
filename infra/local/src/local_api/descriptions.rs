//! The OpenAPI files: the service's own, and that of the control APIs.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

use super::Route;

/// The service's HTTP API and events.
const SERVICE: &str = include_str!("../../../openapi.yaml");
/// The control API of the simulator, and `/_local/`.
pub(super) const CONTROL: &str = digime_simulator::OPENAPI;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("GET /_local/openapi.yaml", control), Route::new("GET /openapi.yaml", service)]
}

async fn control() -> Response {
    yaml(CONTROL)
}

async fn service() -> Response {
    yaml(SERVICE)
}

fn yaml(text: &'static str) -> Response {
    // The media type of RFC 9512 makes browsers download the file; they show plain text.
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
