//! Between API Gateway's events and a handler of requests.
//!
//! `lambda_http` makes the request of an event. Its own adapter is not used, because it can encode a response in every
//! character set of the web, and the tables for it would be in each archive. All responses here are UTF-8.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue, header::SET_COOKIE};
use lambda_http::{
    Body, Request, RequestExt, aws_lambda_events::apigw::ApiGatewayV2httpResponse, request::LambdaRequest,
};
use lambda_runtime::LambdaEvent;
use tower::Service;

use super::Response;

const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// The adapter. The inner service answers requests.
#[derive(Debug, Clone)]
pub(super) struct Adapter<S>(pub(super) S);

impl<S> Service<LambdaEvent<LambdaRequest>> for Adapter<S>
where
    S: Service<Request, Response = Response, Future: Send + 'static>,
{
    type Response = ApiGatewayV2httpResponse;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, LambdaEvent { payload, context }: LambdaEvent<LambdaRequest>) -> Self::Future {
        let mut request = Request::from(payload);
        let trace_id = context.xray_trace_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok());
        if let Some(trace_id) = trace_id {
            request.headers_mut().insert(X_AMZN_TRACE_ID, trace_id);
        }
        let response = self.0.call(request.with_lambda_context(context));
        Box::pin(async move { response.await.map(reply) })
    }
}

/// The reply for API Gateway. It takes cookies apart from the other headers.
fn reply(response: Response) -> ApiGatewayV2httpResponse {
    let (mut parts, body) = response.into_parts();
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = parts.status.as_u16().into();
    let cookies = parts.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    reply.cookies = cookies.map(str::to_owned).collect();
    parts.headers.remove(SET_COOKIE);
    reply.headers = parts.headers;
    reply.is_base64_encoded = matches!(body, Body::Binary(_));
    reply.body = if matches!(body, Body::Empty) { None } else { Some(body) };
    reply
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reply_has_the_form_of_payload_format_2() {
        let response = |body| {
            let response = http::Response::builder().status(303).header("location", "/next");
            response.header("set-cookie", "a=1; Secure").header("set-cookie", "b=2").body(body).unwrap()
        };
        let written = serde_json::to_value(reply(response(Body::Text("grün".into())))).unwrap();
        let expected = json!({"statusCode": 303, "headers": {"location": "/next"}, "multiValueHeaders": {},
            "body": "grün", "isBase64Encoded": false, "cookies": ["a=1; Secure", "b=2"]});
        assert_eq!(written, expected);
        let written = serde_json::to_value(reply(response(Body::Binary(vec![255])))).unwrap();
        assert_eq!((&written["body"], &written["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
        let written = serde_json::to_value(reply(response(Body::Empty))).unwrap();
        assert_eq!((written["body"].as_str().unwrap_or_default(), &written["isBase64Encoded"]), ("", &json!(false)));
    }
}
