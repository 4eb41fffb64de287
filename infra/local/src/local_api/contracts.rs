//! The contracts: `GET /_local/contracts`, `PUT` and `DELETE /_local/contracts/{contractId}`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};

use super::{LocalApi, Refused, Route};
use crate::contracts::{ContractError, ContractInfo, NewContract};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("GET /_local/contracts", list),
        Route::new("PUT /_local/contracts/{contractId}", register),
        Route::new("DELETE /_local/contracts/{contractId}", remove),
    ]
}

impl From<ContractError> for Refused {
    fn from(error: ContractError) -> Self {
        let status = match error {
            ContractError::Demo => StatusCode::CONFLICT,
            ContractError::Unknown => StatusCode::NOT_FOUND,
            ContractError::Read { .. } | ContractError::Write { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            ContractError::Id(_)
            | ContractError::Json(_)
            | ContractError::Application
            | ContractError::RedirectUri(_)
            | ContractError::Key(_)
            | ContractError::SigningKey(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

async fn list(State(api): State<LocalApi>) -> Json<Vec<ContractInfo>> {
    Json(api.contracts.list())
}

/// The content type of the body is ignored, as in the control API of the simulator.
async fn register(
    State(api): State<LocalApi>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<ContractInfo>, Refused> {
    let contract = NewContract::from_json(&body)?;
    if contract.contract_id != id {
        return Err(Refused::bad_request("contractId is not the one of the path"));
    }
    Ok(Json(api.contracts.register(contract)?))
}

async fn remove(State(api): State<LocalApi>, Path(id): Path<String>) -> Result<StatusCode, Refused> {
    api.contracts.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
