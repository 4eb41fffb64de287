//! The HTTP layer of the functions behind API Gateway (payload format 2.0): requests, responses, problems, pages.

mod adapter;
mod cookie;
mod input;
pub mod page;
mod problem;
mod reauthorization_body;
mod request;
pub mod response;
mod state;
mod uri;

use std::{future::Future, process::ExitCode, sync::Arc};

use digime::ambient::Ambient;
pub use lambda_http::Request;
use lambda_http::{RequestExt, request::LambdaRequest};
use lambda_runtime::{Error, service_fn};
use tracing::{Span, instrument};

pub use self::{
    cookie::BrowserCookie,
    input::Input,
    problem::{Problem, ProblemBody},
    reauthorization_body::ReauthorizationBody,
    request::{ApiRequest, Query},
    response::{Response, ResponseExt},
    state::{callback_url, state},
};
use crate::{
    config::{ConfigError, Environment},
    lambda::{self, EventService, Invocation, RequestContext},
    metrics,
    warm_up::{self, Step},
};

/// A Lambda function behind the HTTP API.
pub trait HttpFunction: Sized + Send + Sync + 'static {
    /// Builds the function: reads the configuration and creates the clients, without any network call.
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError>;

    /// What is opened and fetched before the first request.
    fn warm_up(&self) -> Vec<Step<'_>> {
        Vec::new()
    }

    /// Answers one request.
    ///
    /// # Errors
    /// The problem that the caller gets in place of a response.
    fn handle(&self, request: Request) -> impl Future<Output = Result<Response, Problem>> + Send;
}

/// Builds a function from the environment of the process, and serves requests until Lambda ends the process. `name` is
/// that of the function's binary.
pub async fn serve<F: HttpFunction>(name: &'static str) -> ExitCode {
    lambda::run(name, |environment, ambient| {
        let function = Arc::new(F::new(environment, ambient)?);
        let warm = Arc::clone(&function);
        Ok((service(function, ambient.clone()), async move { warm_up::run(warm.warm_up()).await }))
    })
    .await
}

/// The service of a function: an adapter between API Gateway's events and the function's requests and responses.
pub fn service<F: HttpFunction>(function: Arc<F>, ambient: Ambient) -> impl EventService<LambdaRequest> {
    let handler = service_fn(move |request: Request| {
        let (function, ambient) = (Arc::clone(&function), ambient.clone());
        async move { Ok::<_, Error>(answer(&*function, request, &ambient).await) }
    });
    uri::EncodeUri(adapter::Adapter(handler))
}

/// Answers one request, and logs its outcome in one line. A problem is logged here too, with its cause. The caller gets the
/// problem without the cause. The path and the query are not logged: they can contain a token. The ids are recorded while
/// the request is read ([`ApiRequest::record`]), so that every log line of the request has them.
#[instrument(
    name = "request",
    skip_all,
    fields(
        route = request.route(),
        request_id = request.request_id(),
        trace_id,
        user_id,
        account_id,
        contract_id,
        reauthorization_id,
        event_id
    )
)]
async fn answer<F: HttpFunction>(function: &F, mut request: Request, ambient: &Ambient) -> Response {
    let request_id = request.request_id().to_owned();
    let context = context(&request, ambient);
    request.extensions_mut().insert(context);
    request.extensions_mut().insert(Span::current());
    request.record("trace_id", &context.traceparent.trace_id());
    let response = match Box::pin(function.handle(request)).await {
        Ok(response) => response,
        Err(refused) => {
            refused.log();
            response::problem(&refused, &request_id)
        }
    };
    let code = response.extensions().get::<problem::ProblemCode>().map(|code| code.0);
    tracing::info!(status = response.status().as_u16(), code, "request: answered");
    if response.status().is_server_error() {
        metrics::server_error();
    }
    response
}

/// The context of a request. Its trace is that of an application's `traceparent` header, else its X-Ray trace. A browser
/// cannot name a trace.
fn context(request: &Request, ambient: &Ambient) -> RequestContext {
    let none = Invocation { deadline: lambda::NO_DEADLINE, traceparent: None };
    let invocation = request.lambda_context_ref().map_or(none, Invocation::from);
    let header = request.headers().get("traceparent").filter(|_| request.require_principal().is_ok());
    let named = header.and_then(|value| value.to_str().ok()?.parse().ok());
    invocation.context(ambient.now(), named.or(invocation.traceparent), ambient)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use lambda_runtime::{Context, LambdaEvent};
    use reauth_domain::{AccountId, Locale, UserId, submission::parse_read_result};
    use serde_json::json;
    use tower::Service;

    use super::*;

    /// Reads every part of a request that the functions read.
    struct Everything;

    impl HttpFunction for Everything {
        fn new(_: &Environment, _: &Ambient) -> Result<Self, ConfigError> {
            Ok(Self)
        }

        async fn handle(&self, request: Request) -> Result<Response, Problem> {
            request.require_principal()?;
            let mut input = request.input();
            let (user, account) = (input.path::<UserId>("userId"), input.path::<AccountId>("accountId"));
            let (refresh, body) = (input.switch("refresh"), input.json());
            let locale = input.text_field("locale", str::parse::<Locale>);
            let result = input.required_field("readResult").and_then(|value| input.check(parse_read_result(&value)));
            let whole = || Some((user?, account?, body?, result?));
            let (user, account, body, result) = input.finish(whole)?;
            let seen = json!({"user": user, "account": account, "body": body, "locale": locale, "refresh": refresh,
                "accounts": result.entries.len(), "cookies": BrowserCookie::of(&request).secrets(&request).count(),
                "state": request.query().is_ok_and(|query| query.get("state").is_some()),
                "base": request.public_base_url(None)?});
            response::json(StatusCode::OK, &seen).with_location(request.path_text("token"))
        }
    }

    /// Invokes the function with an event, and checks that API Gateway accepts the response. An event that does not
    /// parse is left out.
    fn invoke(event: &[u8]) {
        let Ok(event) = serde_json::from_slice::<LambdaRequest>(event) else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut service = service(Arc::new(Everything), Ambient::system());
        let reply = runtime.block_on(service.call(LambdaEvent::new(event, Context::default()))).unwrap();
        let reply = serde_json::to_value(reply).unwrap();
        assert!((200..600).contains(&reply["statusCode"].as_i64().unwrap()), "{reply}");
    }

    /// Nothing in an event makes the function panic.
    #[test]
    fn fuzz_api_events() {
        bolero::check!().for_each(invoke);
    }

    /// The parts of an event that come from a client.
    #[derive(Debug, bolero::TypeGenerator)]
    struct Parts {
        host: String,
        path: String,
        query: String,
        path_parameter: String,
        cookie: String,
        header: String,
        body: Option<String>,
        is_base64: bool,
    }

    /// Nothing that a client sends makes the function panic.
    #[test]
    fn fuzz_parts_of_api_events() {
        bolero::check!().with_type::<Parts>().for_each(|parts| {
            let event = json!({
                "version": "2.0",
                "routeKey": "POST /users/{userId}/read-results",
                "rawPath": parts.path,
                "rawQueryString": parts.query,
                "cookies": [parts.cookie],
                "headers": {"host": parts.host, "content-type": parts.header, "x-forwarded-proto": parts.header},
                "pathParameters": {"userId": parts.path_parameter, "accountId": "1_a", "token": parts.path_parameter},
                "requestContext": {
                    "domainName": parts.host,
                    "http": {"method": "POST", "path": parts.path, "protocol": "HTTP/1.1"},
                    "authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/application"}},
                },
                "body": parts.body,
                "isBase64Encoded": parts.is_base64,
            });
            invoke(event.to_string().as_bytes());
        });
    }
}
