//! The log lines of the functions: what an operator can find by an id.

use digime_simulator::Failure;
use http::StatusCode;
use local::Function;
use serde_json::Value;
use tests::{BANK, DEMO_USER, World, broken};

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
