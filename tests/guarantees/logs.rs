//! The log lines of the functions: what an operator can find by an id.

use digime_simulator::Failure;
use http::{Method, StatusCode};
use local::{Function, ROUTES};
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Reply, World, broken};

const ANSWERED: &str = "request: answered";

/// The span of a line's request.
fn request_span(line: &Value) -> Option<&Value> {
    line["spans"].as_array()?.iter().find(|span| span["name"] == "request")
}

/// The lines that say how the requests of a reply ended: route, status and problem code.
fn outcomes(world: &World, function: Function, reply: &Reply) -> Vec<(String, u64, String)> {
    let lines = lines(world, function, ANSWERED).into_iter();
    let of_reply =
        |line: &Value| request_span(line).is_some_and(|span| span["request_id"] == reply.header("apigw-requestid"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = |line: Value| {
        let route = text(&request_span(&line).unwrap()["route"]);
        (route, line["fields"]["status"].as_u64().unwrap(), text(&line["fields"]["code"]))
    };
    lines.filter(of_reply).map(outcome).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_each_request_is_one_line_with_the_request_id_of_its_reply() {
    let world = World::builder().binaries().start().await;
    let accounts = format!("/users/{DEMO_USER}/accounts");
    let cases = [
        (Method::GET, accounts.as_str(), "GET /users/{userId}/accounts", 200, ""),
        (Method::GET, "/users/nobody/accounts", "GET /users/{userId}/accounts", 404, "user_not_found"),
        (Method::GET, "/accounts?limit=x", "GET /accounts", 400, "invalid_request"),
        (Method::POST, "/users/a%20b/read-results", "POST /users/{userId}/read-results", 400, "invalid_request"),
        (
            Method::GET,
            "/reauthorizations/ra_00000000000000000000000000000000",
            "GET /reauthorizations/{reauthorizationId}",
            404,
            "reauthorization_not_found",
        ),
        (Method::GET, "/reconnect/a-token", "GET /reconnect/{token}", 404, ""),
        (Method::GET, "/callback?state=a-token&success=true", "GET /callback", 400, ""),
    ];
    for (method, path, route, status, code) in cases {
        let reply = world.call(method.clone(), path, "").await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.body);
        if reply.header("content-type").contains("problem") {
            assert_eq!(reply.json()["requestId"], reply.header("apigw-requestid"));
        }
        let function = ROUTES.iter().find(|known| known.key() == route).unwrap().function;
        let expected = (route.to_owned(), u64::from(status), code.to_owned());
        assert_eq!(outcomes(&world, function, &reply), [expected], "{path}\n{}", world.log(function));
    }
    for function in Function::ALL {
        assert!(!world.log(function).contains("a-token"), "{}", world.log(function));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_request_has_its_id() {
    let world = World::builder().binaries().trace_logs().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let url = world.follow(&world.last_link()).await;
    world.reauthorize(&url, tests::Decision::Success).await;
    world.put(&format!("/users/{DEMO_USER}/grants/x"), &json!({"not": "tokens"})).await;
    for function in [Function::Accounts, Function::CreateReauthUrl, Function::ReauthCallback] {
        let log = world.log(function);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = lines.filter(|line| line["target"].is_string()).skip_while(|line| request_span(line).is_none());
        let ours: Vec<_> = ours.collect();
        assert!(ours.len() > 1, "{log}");
        for line in ours {
            let id = request_span(&line).and_then(|span| span["request_id"].as_str()).unwrap_or_default();
            assert_eq!(id.len(), 36, "{}: {line}", function.name());
        }
    }
}

/// The lines of a function's log with a fixed message.
fn lines(world: &World, function: Function, message: &str) -> Vec<Value> {
    let log = world.log(function);
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["fields"]["message"] == message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_is_logged_with_its_route_its_ids_and_the_cause() {
    let world = World::builder().binaries().start().await;
    world.system.simulator.control().fail("/v1.7/*", Failure::status(503, 100));
    let reply = world.request_reauthorization(DEMO_USER, BANK).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let lines = lines(&world, Function::CreateReauthUrl, "request: could not be completed");
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    let spans = line["spans"].as_array().unwrap();
    let request = spans.iter().find(|span| span["name"] == "request").expect("the span of the request");
    assert_eq!(request["route"], "POST /users/{userId}/accounts/{accountId}/reauthorizations");
    assert_eq!((&request["user_id"], &request["account_id"]), (&DEMO_USER.into(), &BANK.into()), "{line}");
    assert_eq!(request["request_id"], reply.json()["requestId"], "{line}");
    assert!(line["fields"]["cause"].as_str().unwrap().contains("digi.me answered 503"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_fails_is_logged_with_its_ids_and_every_cause() {
    let world = World::builder().binaries().expect_leftovers().start().await;
    world.system.aws.fail(local::aws::Fault::error("dynamodb:Query", 400, "AccessDeniedException", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let lines = lines(&world, Function::RecordReadResult, "record-read-result: could not record a read result");
    let fields = &lines.first().expect("a line")["fields"];
    assert_eq!(fields["user_id"], DEMO_USER);
    assert!(fields["message_id"].as_str().is_some_and(|id| !id.is_empty()), "{fields}");
    let error = fields["error"].as_str().unwrap();
    let causes = ["the table is not available", "DynamoDB did not carry out the call", "AccessDenied"];
    assert!(causes.iter().all(|cause| error.contains(cause)), "{error}");
}
