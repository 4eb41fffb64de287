//! The HTTP layer of the functions behind API Gateway (payload format 2.0): requests, responses, problems, pages.

mod input;
pub mod page;
mod problem;
mod request;
mod response;

use std::future::Future;

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use tracing::Instrument;

pub use self::{
    input::Input,
    problem::Problem,
    request::{Query, Request},
    response::Response,
};
use crate::{ambient::Ambient, lambda::Invocation};

/// The cookie that identifies the browser in which a reconnection was started. With the `__Host-` prefix, browsers
/// accept the cookie only from this host and only over TLS.
pub const BROWSER_COOKIE: &str = "__Host-reauth";

/// Serves one request: parses it, calls `route` and writes the response. A problem is logged here, with its cause. The
/// caller gets the problem without the cause.
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

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::{
        ambient::Deadline,
        domain::{AccountId, Locale, UserId, read_result::ReadResult},
    };

    /// Reads every part of a request that the functions read.
    async fn route(request: Request) -> Result<Response, Problem> {
        request.require_principal()?;
        let mut input = request.input();
        let (user, account) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
        let (refresh, body) = (input.switch("refresh"), input.json());
        let locale = input.text_field("locale", str::parse::<Locale>);
        let result = input.required_field("readResult").and_then(|value| input.check(ReadResult::parse(&value)));
        let whole = || Some((user?, account?, body?, result?));
        let (user, account, body, result) = input.finish(whole)?;
        let seen = json!({"user": user, "account": account, "body": body, "locale": locale, "refresh": refresh,
            "accounts": result.entries.len(), "cookies": request.cookies(BROWSER_COOKIE).count(),
            "state": request.query().is_ok_and(|query| query.get("state").is_some()),
            "base": request.public_base_url(None)?});
        Response::json(StatusCode::OK, &seen).with_location(request.path_text("token"))
    }

    /// Every event gets a response that API Gateway accepts.
    #[test]
    fn fuzz_api_events() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let invocation = Invocation { request_id: "r".into(), deadline: Deadline(jiff::Timestamp::MAX) };
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(event) = serde_json::from_slice::<ApiGatewayV2httpRequest>(bytes) else { return };
            let reply = runtime.block_on(serve(event, &invocation, &Ambient::system(), route));
            let reply = serde_json::to_value(reply).unwrap();
            assert!((200..600).contains(&reply["statusCode"].as_i64().unwrap()), "{reply}");
        });
    }
}
