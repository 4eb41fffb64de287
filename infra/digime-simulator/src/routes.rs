//! All routes, and the middleware for every request.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, OriginalUri, Request, State as Extract};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get, post};

use crate::error::ApiError;
use crate::guard::guard;
use crate::listener::ResetSwitch;
use crate::observer::Moment;
use crate::shared::{RecordedRequest, Shared};
use crate::{api_access, api_manage, api_oauth, auth, consent, control_http, logos, root};

const MAX_BODY_BYTES: usize = 1024 * 1024;

pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/oauth/authorize", post(api_oauth::authorize))
        .route("/oauth/token", post(api_oauth::token))
        .route("/oauth/token/reference", post(api_oauth::token_reference))
        .route("/reference", post(api_oauth::reference))
        .route("/jwks/oauth", get(api_oauth::jwks))
        .route("/permission-access/accounts", get(api_access::accounts))
        .route("/permission-access/trigger", post(api_access::trigger))
        .route("/permission-access/query/{session_key}", get(api_access::query))
        .route("/user", delete(api_manage::delete_user))
        .route("/permission-access/service/h:accountId", delete(api_manage::delete_account))
        .route("/permission-access/revoke/h:accountId", get(api_manage::revoke))
        .route("/permission-access/contract", get(api_manage::contract))
        .route("/permission-access/sample/datasets/{source_id}", get(api_manage::sample_data_sets))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method);
    Router::new()
        .nest("/v1.7", api)
        // `nest` does not cover this path.
        .route("/v1.7/", any(unknown_path))
        .nest("/apps/saas", consent::router())
        .layer(from_fn_with_state(shared.clone(), observe))
        .nest("/_simulator", control_http::router())
        .route("/logos/{file}", get(logos::show))
        .route("/", get(root::show))
        .route("/openapi.yaml", get(root::description))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(guard))
        .with_state(shared.clone())
}

async fn unknown_path(OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::unknown_path(uri.path())
}

async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    ApiError::wrong_method(&method, uri.path())
}

/// Delays, fails and records a request of the API or the pages.
async fn observe(
    Extract(shared): Extract<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<ResetSwitch>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let request_line = format!("{method} {path}");
    shared.call_observer(Moment::Before, &request_line).await;
    let (latency, failure) = shared.faults().take(&path);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut status = None;
    let response = match failure {
        None => next.run(request).await,
        Some(failure) => {
            if failure.executed {
                next.run(request).await;
            } else {
                auth::burn_nonce(&shared, request.headers());
            }
            if failure.reset {
                connection.trip();
                status = Some(0);
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            } else {
                failure.response()
            }
        }
    };
    shared.call_observer(Moment::After, &request_line).await;
    shared.record(RecordedRequest { method, path, status: status.unwrap_or(response.status().as_u16()) });
    response
}
