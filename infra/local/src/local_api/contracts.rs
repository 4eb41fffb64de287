//! The contracts: `GET /_local/contracts`, `PUT /_local/contracts/{contractId}`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
};

use super::{LocalApi, Refused, Route};
use crate::contracts::{ContractError, ContractInfo, NewContract};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("GET /_local/contracts", list), Route::new("PUT /_local/contracts/{contractId}", register)]
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
    let contract: NewContract = serde_json::from_slice(&body).map_err(Refused::bad_request)?;
    if contract.contract_id != id {
        return Err(Refused::bad_request("contractId is not the one of the path"));
    }
    match api.contracts.register(contract) {
        Ok(info) => Ok(Json(info)),
        Err(error @ ContractError::File(_)) => Err(Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(error) => Err(Refused::bad_request(error)),
    }
}
