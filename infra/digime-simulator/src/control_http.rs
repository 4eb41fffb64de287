//! The control API over HTTP, under `/_simulator/`. `openapi.yaml` describes its calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::control::Control;
use crate::control_call::{ControlCall, ControlError, ROUTES};
use crate::shared::Shared;

/// An error answer of the control API, and of the local system's `/_local/`: `{"error": "…"}`.
#[derive(Debug)]
pub struct Refused(pub StatusCode, pub String);

impl Refused {
    pub fn bad_request(error: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::NotFound(_) => StatusCode::NOT_FOUND,
            ControlError::AccountOfAnotherUser => StatusCode::CONFLICT,
            ControlError::ContractKey(_) => StatusCode::BAD_REQUEST,
            ControlError::SigningKey(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

pub(crate) fn router() -> Router<Arc<Shared>> {
    ROUTES.iter().fold(Router::new(), |router, route| {
        let (method, path) = route.split_once(' ').expect("a route is a method and a path");
        let method = method.parse::<Method>().expect("a method");
        let handler = move |Extract(shared): Extract<Arc<Shared>>,
                            Path(parameters): Path<BTreeMap<String, String>>,
                            body: Bytes| serve(shared, route, parameters, body);
        router.route(path, on(MethodFilter::try_from(method).expect("a known method"), handler))
    })
}

async fn serve(
    shared: Arc<Shared>,
    route: &str,
    parameters: BTreeMap<String, String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let call = parse(route, parameters, &body)?;
    // Generating a key takes a noticeable fraction of a second.
    let result = tokio::task::spawn_blocking(move || Control { shared }.call(call)).await;
    let result = result.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    Ok(if result.is_null() { StatusCode::NO_CONTENT.into_response() } else { Json(result).into_response() })
}

/// Reads a call from its route, the route's parameters and the body. An empty body counts as `{}`. The content type is
/// ignored.
fn parse(route: &str, parameters: BTreeMap<String, String>, body: &Bytes) -> Result<ControlCall, Refused> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    let mut fields: serde_json::Map<String, Value> = serde_json::from_slice(text).map_err(Refused::bad_request)?;
    fields.extend(parameters.into_iter().map(|(name, value)| (name, value.into())));
    fields.insert("route".to_owned(), route.into());
    serde_json::from_value(fields.into()).map_err(Refused::bad_request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_of_the_route_takes_precedence_over_a_field_of_the_body() {
        let parameters = BTreeMap::from([("userId".to_owned(), "jo".to_owned())]);
        let body = Bytes::from_static(br#"{"userId": "kim", "route": "DELETE /failures"}"#);
        let call = parse("PUT /users/{userId}", parameters, &body).expect("a call");
        assert!(matches!(call, ControlCall::AddUser { user_id } if user_id == "jo"));
    }
}
