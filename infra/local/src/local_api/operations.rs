//! What a developer can do to the local system: redeliver an event, test and enable the webhook, redrive dead letters, break many
//! accounts of a service, move the clock, reset the
//! demo user or the limit of a user's links, and what the demo application does.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};
use jiff::SignedDuration;
use reauth_core::config::Environment;
use reauth_domain::time::rfc3339;
use serde_json::{Value, json};

use super::{LocalApi, Refused, Route};
use crate::{
    MailFeedback,
    application::ReadError,
    clock::ClockError,
    json::{self, Object},
    operations::OperationError,
    service_outage::MOST_ACCOUNTS,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("POST /_local/events/{eventId}/redeliver", redeliver),
        Route::new("POST /_local/webhook/enable", enable_webhook),
        Route::new("POST /_local/webhook/test", test_webhook),
        Route::new("POST /_local/mails/{messageId}/bounce", bounce_mail),
        Route::new("POST /_local/mails/{messageId}/complain", complain_about_mail),
        Route::new("POST /_local/queues/{queue}/redrive", redrive),
        Route::new("POST /_local/services/{service}/break", break_service),
        Route::new("POST /_local/services/{service}/mend", mend_service),
        Route::new("GET /_local/clock", clock),
        Route::new("PUT /_local/clock", advance_clock),
        Route::new("POST /_local/demo/reset", reset_demo),
        Route::new("POST /_local/users/{userId}/links/reset-limit", reset_link_limit),
        Route::new("POST /_local/users/{userId}/read", read),
        Route::new("POST /_local/users/{userId}/grant", store_grant),
        Route::new("POST /_local/users/{userId}/accounts/{accountId}/accept-identity", accept_identity),
    ]
}

impl From<OperationError> for Refused {
    fn from(error: OperationError) -> Self {
        let status = match &error {
            OperationError::Unknown(_) => StatusCode::NOT_FOUND,
            OperationError::FixedClock => StatusCode::CONFLICT,
            OperationError::Clock(ClockError::OutOfRange) => StatusCode::BAD_REQUEST,
            OperationError::Application(ReadError::Service { status, .. }) => *status,
            OperationError::Application(_) | OperationError::Demo(_) | OperationError::NotDelivered(_) => {
                StatusCode::BAD_GATEWAY
            }
            OperationError::Clock(ClockError::File(_))
            | OperationError::Queue(_)
            | OperationError::Mails(_)
            | OperationError::Table(_)
            | OperationError::Json(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

/// The fields of a body, with these names. An empty body counts as `{}`.
fn parse(body: &Bytes, names: &[&str]) -> Result<Object, Refused> {
    let text: &[u8] = if body.is_empty() { b"{}" } else { body };
    json::parse(text).and_then(|value| Object::of(value, names)).map_err(Refused::bad_request)
}

async fn redeliver(State(api): State<LocalApi>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(Refused::bad_request)?;
    api.operations.redeliver(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn enable_webhook(State(api): State<LocalApi>) -> Result<StatusCode, Refused> {
    api.operations.enable_webhook().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn test_webhook(State(api): State<LocalApi>) -> Result<StatusCode, Refused> {
    api.operations.test_webhook().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn bounce_mail(State(api): State<LocalApi>, Path(message): Path<String>) -> Result<StatusCode, Refused> {
    api.operations.answer_mail(&message, MailFeedback::PermanentBounce)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn complain_about_mail(State(api): State<LocalApi>, Path(message): Path<String>) -> Result<StatusCode, Refused> {
    api.operations.answer_mail(&message, MailFeedback::Complaint)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn redrive(State(api): State<LocalApi>, Path(queue): Path<String>, body: Bytes) -> Result<Json<Value>, Refused> {
    // Without it, all dead letters.
    let message_id = parse(&body, &["messageId"])?.optional_text("messageId").map_err(Refused::bad_request)?;
    let moved = api.operations.redrive(&queue, message_id.as_deref())?;
    Ok(Json(json!({ "redriven": moved })))
}

async fn break_service(
    State(api): State<LocalApi>,
    Path(service): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let accounts = parse(&body, &["accounts"])?.number("accounts", &(1..=MOST_ACCOUNTS), "a number from 1 to 500");
    let accounts = accounts.map_err(Refused::bad_request)?;
    api.operations.break_service(&service, accounts).await?;
    Ok(Json(json!({ "accounts": accounts })))
}

async fn mend_service(State(api): State<LocalApi>, Path(service): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(json!({ "accounts": api.operations.mend_service(&service).await? })))
}

fn offset(api: &LocalApi, offset: SignedDuration) -> Json<Value> {
    Json(json!({ "now": rfc3339::text(api.ambient.now()), "offsetSeconds": offset.as_secs() }))
}

async fn clock(State(api): State<LocalApi>) -> Json<Value> {
    let ahead = api.operations.clock.as_ref().map_or(SignedDuration::ZERO, crate::clock::MovableClock::offset);
    offset(&api, ahead)
}

async fn advance_clock(State(api): State<LocalApi>, body: Bytes) -> Result<Json<Value>, Refused> {
    // Such as `1h` or `14d`.
    let advance = parse(&body, &["advance"])?.text("advance").map_err(Refused::bad_request)?;
    let by =
        Environment::from_iter([("advance".to_owned(), advance)]).duration("advance").map_err(Refused::bad_request)?;
    let by = SignedDuration::try_from(by.unwrap_or_default()).map_err(Refused::bad_request)?;
    Ok(offset(&api, api.operations.advance_clock(by)?))
}

async fn reset_demo(State(api): State<LocalApi>) -> Result<StatusCode, Refused> {
    api.operations.reset_demo().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn reset_link_limit(State(api): State<LocalApi>, Path(user): Path<String>) -> Result<Json<Value>, Refused> {
    let user = user.parse().map_err(Refused::bad_request)?;
    Ok(Json(json!({ "links": api.operations.reset_link_limit(&user)? })))
}

async fn read(State(api): State<LocalApi>, Path(user): Path<String>) -> Result<StatusCode, Refused> {
    api.operations.read(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn accept_identity(
    State(api): State<LocalApi>,
    Path((user, account)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    let (user, account) = (user.parse().map_err(Refused::bad_request)?, account.parse().map_err(Refused::bad_request)?);
    api.operations.accept_identity(&user, &account).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn store_grant(State(api): State<LocalApi>, Path(user): Path<String>) -> Result<StatusCode, Refused> {
    api.operations.store_grant(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}
