use std::{
    io::{Read, Seek},
    sync::Arc,
};

use serde_json::Value;

use super::*;
use crate::{
    invoke::testing::{Scripted, everywhere, failed},
    queues::testing::TestClock,
};

fn gateway(function: &Arc<Scripted>) -> Gateway {
    Gateway::new(everywhere(function), TestClock::new().ambient())
}

fn answering(reply: Value) -> Arc<Scripted> {
    Scripted::new(move |_| Ok(reply.clone()))
}

fn request(method: &str, uri: &str) -> http::request::Builder {
    http::Request::builder().method(method).uri(uri).header("host", "127.0.0.1:9000")
}

async fn event_of(request: http::Request<Bytes>) -> Value {
    let function = answering(json!({"statusCode": 204}));
    let response = gateway(&function).call(request).await;
    assert_eq!(response.status(), 204);
    function.events.lock().unwrap().remove(0)
}

#[tokio::test]
async fn an_event_has_the_shape_of_payload_format_2() {
    let request = request("POST", "/users/a%40b%2Fc/accounts/1_x/reauthorizations?a=1&b=x%26+y&a=2")
        .header("X-Custom", "one")
        .header("x-custom", "two")
        .header("cookie", "c1=v1; c2=v2")
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "test/1")
        .body(Bytes::from("{\"locale\":\"de\"}"))
        .unwrap();
    let mut event = event_of(request).await;
    assert!(event["requestContext"]["requestId"].take().is_string());
    assert!(event["headers"]["x-amzn-trace-id"].take().is_string());
    let key = "POST /users/{userId}/accounts/{accountId}/reauthorizations";
    let path = "/users/a@b/c/accounts/1_x/reauthorizations";
    let expected = json!({
        "version": "2.0",
        "routeKey": key,
        "rawPath": path,
        "rawQueryString": "a=1&b=x%26+y&a=2",
        "cookies": ["c1=v1", "c2=v2"],
        "headers": {
            "host": "127.0.0.1:9000", "x-custom": "one,two", "content-type": "application/json; charset=utf-8",
            "user-agent": "test/1", "x-amzn-trace-id": null, "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"a": "1,2", "b": "x& y"},
        "pathParameters": {"userId": "a@b/c", "accountId": "1_x"},
        "requestContext": {
            "accountId": "000000000000", "apiId": "local", "domainName": "127.0.0.1:9000", "domainPrefix": "127",
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                "userAgent": "test/1",
            },
            "requestId": null, "routeKey": key, "stage": "$default",
            "time": "02/Jan/2026:03:04:05 +0000", "timeEpoch": 1_767_323_045_000_i64,
            "authorizer": {"iam": {
                "accessKey": "LOCALACCESSKEY", "accountId": "000000000000", "callerId": "LOCALUSERID",
                "cognitoIdentity": null, "principalOrgId": null,
                "userArn": "arn:aws:iam::000000000000:user/local-application", "userId": "LOCALUSERID",
            }},
        },
        "body": "{\"locale\":\"de\"}",
        "isBase64Encoded": false,
    });
    assert_eq!(event, expected);
}

#[tokio::test]
async fn an_event_has_no_fields_for_what_its_request_does_not_have() {
    let event = event_of(request("GET", "/callback").body(Bytes::new()).unwrap()).await;
    for name in ["cookies", "queryStringParameters", "pathParameters", "body"] {
        assert!(event.get(name).is_none(), "{name}");
    }
    assert_eq!(event["rawQueryString"], "");
}

#[tokio::test]
async fn forms_and_binary_bodies_arrive_in_base64() {
    let post = |content_type: &str, body: &'static [u8]| {
        let request = request("POST", "/users/u/read-results").header("content-type", content_type);
        event_of(request.body(Bytes::from_static(body)).unwrap())
    };
    let event = post("application/x-www-form-urlencoded", b"a=1").await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("YT0x"), &json!(true)));
    let event = post("application/json", b"\xff").await;
    assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!("/w=="), &json!(true)));
}

#[tokio::test]
async fn only_the_applications_routes_have_a_principal_and_a_test_can_take_it_away() {
    let function = answering(json!({"statusCode": 200}));
    let gateway = gateway(&function);
    let get = |path: &str| request("GET", path).body(Bytes::new()).unwrap();
    gateway.call(get("/callback")).await;
    gateway.call(get("/accounts")).await;
    gateway.set_iam_principal(false);
    gateway.call(get("/accounts")).await;
    let events = function.events.lock().unwrap();
    let principals: Vec<_> = events.iter().map(|event| event["requestContext"].get("authorizer").is_some()).collect();
    assert_eq!(principals, [false, true, false]);
}

#[tokio::test]
async fn what_matches_no_route_is_not_found() {
    let function = answering(json!({"statusCode": 200}));
    let gateway = gateway(&function);
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/accounts/"),
        ("GET", "/Accounts"),
        ("POST", "/accounts"),
        ("GET", "/users//accounts"),
        ("GET", "/users/u/accounts/a/b"),
        ("HEAD", "/accounts"),
        ("OPTIONS", "/accounts"),
    ] {
        let response = gateway.call(request(method, path).body(Bytes::new()).unwrap()).await;
        assert_eq!(response.status(), 404, "{method} {path}");
        assert_eq!(response.body(), r#"{"message":"Not Found"}"#);
    }
    assert!(function.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_route_reaches_its_function() {
    let function = Scripted::new(|event| Ok(json!({"statusCode": 200, "body": event["routeKey"]})));
    let gateway = gateway(&function);
    for route in ROUTES {
        // A greedy parameter also takes what has no route of its own, such as several segments.
        let path = route.path.replace("+}", "/more").replace(['{', '}'], "");
        let response = gateway.call(request(route.method, &path).body(Bytes::new()).unwrap()).await;
        assert_eq!(response.body(), route.key().as_str());
    }
}

async fn response_to(reply: Value) -> http::Response<Bytes> {
    gateway(&answering(reply)).call(request("GET", "/accounts").body(Bytes::new()).unwrap()).await
}

#[tokio::test]
async fn a_reply_becomes_a_response() {
    let response = response_to(json!({
        "statusCode": 303,
        "headers": {"location": "https://example.com/"},
        "cookies": ["a=1; Secure", "b=2"],
        "body": "aGk=",
        "isBase64Encoded": true,
    }))
    .await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.body(), "hi");
    assert_eq!(response.headers()["location"], "https://example.com/");
    assert_eq!(response.headers()["content-type"], "text/plain;charset=UTF-8");
    let cookies: Vec<_> = response.headers().get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert_eq!(cookies, ["a=1; Secure", "b=2"]);
}

#[tokio::test]
async fn invalid_replies_are_internal_errors() {
    for reply in [
        json!({"a": 1}),
        json!({"statusCode": "abc"}),
        json!({"statusCode": 99}),
        json!({"statusCode": 200, "body": {"a": 1}}),
        json!({"statusCode": 200, "body": "***", "isBase64Encoded": true}),
        json!({"statusCode": 200, "headers": {"x": "a\r\nb: c"}}),
        json!({"statusCode": 200, "headers": ["x"]}),
        json!({"statusCode": 200, "body": "x".repeat(crate::invoke::REPLY_LIMIT)}),
    ] {
        let response = response_to(reply).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.body(), r#"{"message":"Internal Server Error"}"#);
    }
}

#[tokio::test]
async fn a_failure_has_one_log_line_with_its_route_and_status() {
    for (error, status) in [(failed(), 500), (InvokeError::TimedOut, 503)] {
        let log = Arc::new(tempfile::tempfile().unwrap());
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::clone(&log)).finish();
        let guard = tracing::subscriber::set_default(lines);
        let function = Scripted::new(move |_| Err(error.clone()));
        let response = gateway(&function).call(request("GET", "/accounts").body(Bytes::new()).unwrap()).await;
        drop(guard);
        let mut text = String::new();
        (&*log).rewind().unwrap();
        (&*log).read_to_string(&mut text).unwrap();
        let (request_id, status) =
            (response.headers()["apigw-requestid"].to_str().unwrap(), format!("status={status}"));
        let parts = ["WARN", request_id, &status, "route=\"GET /accounts\"", "function=\"accounts\""];
        assert!(text.lines().count() == 1 && parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[tokio::test]
async fn failures_look_as_they_do_on_aws() {
    let answer = |error: InvokeError, body: Bytes| async move {
        let function = Scripted::new(move |_| Err(error.clone()));
        let request = request("POST", "/users/u/read-results").header("content-type", "application/json").body(body);
        let response = gateway(&function).call(request.unwrap()).await;
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    };
    let small = || Bytes::from("{}");
    assert_eq!(answer(failed(), small()).await, (500, r#"{"message":"Internal Server Error"}"#.to_owned()));
    assert_eq!(answer(InvokeError::TimedOut, small()).await, (503, r#"{"message":"Service Unavailable"}"#.to_owned()),);
    let large = Bytes::from(vec![b' '; BODY_LIMIT + 1]);
    assert_eq!(answer(failed(), large).await, (413, r#"{"message":"Request Entity Too Large"}"#.to_owned()));
}
