//! Helpers of the functions behind the HTTP API (payload format 2.0): requests, replies, problems, pages.

mod form;
pub mod page;
mod problem;
mod request;
mod response;

use std::future::Future;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use tracing::Instrument;

pub use self::{
    form::Fields,
    problem::{FieldError, Problem},
    request::{Query, Request},
    response::Response,
};
use crate::{ambient::Ambient, lambda::Invocation};

/// Serves one request: parses it, lets `route` answer it, and writes the reply. What a problem's cause was is logged
/// here, once; the caller is told the rest.
pub async fn serve<F>(
    event: ApiGatewayV2httpRequest,
    invocation: &Invocation,
    ambient: &Ambient,
    route: impl FnOnce(Request) -> F,
) -> ApiGatewayV2httpResponse
where
    F: Future<Output = Result<Response, Problem>>,
{
    let request = Request::new(event, invocation, ambient.now());
    let request_id = request.request_id.clone();
    let span = tracing::info_span!("request", route = %request.route, request_id = %request_id);
    let reply = async {
        match Box::pin(route(request)).await {
            Ok(response) => response,
            Err(problem) => {
                problem.log();
                Response::problem(&problem, &request_id)
            }
        }
    };
    reply.instrument(span).await.into_event()
}
