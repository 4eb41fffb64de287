//! One trace leads from a read result over its event, the channels and the reconnect link to the callback.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use local::{DEMO_CONTRACT, Function, aws::Fault, names::Queue};
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, World, broken};

const TRACE_ID: &str = "67891233abcdef012345678912345678";
const TRACEPARENT: &str = "00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01";

/// The messages of the function's log lines that have the trace's id.
fn traced(world: &World, function: Function) -> Vec<String> {
    let log = world.log(function);
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let is_traced = |line: &Value| {
        let mut spans = line["spans"].as_array().into_iter().flatten();
        spans.any(|span| span["trace_id"] == TRACE_ID)
    };
    lines.filter(is_traced).map(|line| line["fields"]["message"].as_str().unwrap().to_owned()).collect()
}

async fn hand_in_over_http(world: &World, read_result: Value) {
    let body = json!({"contractId": DEMO_CONTRACT, "observedAt": "2026-11-23T08:00:00Z", "readResult": read_result});
    let mut request = http::Request::new(Bytes::from(body.to_string()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("/users/{DEMO_USER}/read-results").parse().unwrap();
    request.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    assert_eq!(world.send(request).await.status, 202);
    world.run_until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_leads_from_the_failed_read_to_the_callback_and_on_to_the_event_of_the_healing() {
    let world = World::builder().binaries().webhook().mails().start().await;
    let contact = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": {"email": "ann@example.org"}});
    let path = format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}?replace=true");
    assert_eq!(world.put(&path, &contact).await.status, 204);
    hand_in_over_http(&world, broken(BANK)).await;
    let url = world.follow(&world.last_link()).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    for (function, expected) in [
        (Function::RecordReadResult, vec!["store: recorded an event"]),
        (Function::NotifyReauth, vec!["notify-reauth: published an event"; 2]),
        (Function::PostWebhook, vec!["post-webhook: posted an event"; 2]),
        (Function::EmailUser, vec!["email-user: recorded what an event means for the mails"]),
        (Function::CreateReauthUrl, vec!["create-reauthorization: created a reauthorization"]),
        (Function::ReauthCallback, vec!["store: recorded an event"]),
    ] {
        let traced = traced(&world, function);
        let counted = |message: &str| traced.iter().filter(|traced| *traced == message).count();
        assert_eq!(counted(expected[0]), expected.len(), "{}: {traced:#?}\n{}", function.name(), world.log(function));
    }
    let published = world.system.topic.all();
    assert!(published.iter().all(|message| message.attributes["traceparent"] == TRACEPARENT), "{published:#?}");
    assert!(world.webhook().deliveries().iter().all(|delivery| delivery.header("traceparent") == TRACEPARENT));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_logged_with_the_trace_too() {
    let world = World::builder().binaries().start().await;
    world.system.aws.fail(Fault::refuse("dynamodb:Query", 3));
    world.system.aws.fail(Fault::refuse("sns:Publish", 3));
    hand_in_over_http(&world, broken(BANK)).await;
    for (function, message) in [
        (Function::RecordReadResult, "record-read-result: could not record a read result"),
        (Function::NotifyReauth, "notify-reauth: could not publish an event"),
    ] {
        let traced = traced(&world, function);
        assert!(traced.iter().any(|traced| traced == message), "{traced:#?}\n{}", world.log(function));
    }
}

#[tokio::test]
async fn the_trace_of_a_queue_message_is_that_of_its_body_its_attribute_or_its_sender() {
    let xray = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";
    let body = json!({"userId": DEMO_USER, "readResult": broken(BANK)});
    let mut with_trace = body.clone();
    with_trace["traceparent"] = json!(TRACEPARENT);
    let attribute = json!({"stringValue": TRACEPARENT, "dataType": "String"});
    for (body, attributes, message_attributes) in [
        (&with_trace, json!({}), json!({"traceparent": {"stringValue": "not a trace", "dataType": "String"}})),
        (&body, json!({}), json!({"traceparent": attribute})),
        (&body, json!({"AWSTraceHeader": xray}), json!({})),
    ] {
        let world = World::builder().start().await;
        let record = json!({"messageId": "m", "body": body.to_string(), "attributes": attributes,
            "messageAttributes": message_attributes, "eventSource": "aws:sqs",
            "eventSourceARN": Queue::ReadResults.arn(), "awsRegion": "eu-west-1"});
        let reply = world.invoke(Function::RecordReadResult, &json!({"Records": [record]})).await;
        assert_eq!(reply["batchItemFailures"], json!([]));
        world.run_until_idle().await;
        assert_eq!(world.system.topic.all()[0].attributes["traceparent"], TRACEPARENT, "{record}");
    }
}

#[tokio::test]
async fn the_trace_of_an_sns_envelope_is_its_attribute() {
    let world = World::builder().start().await;
    let inner = json!({"userId": DEMO_USER, "readResult": broken(BANK)});
    let envelope = json!({"Type": "Notification", "Timestamp": "2026-11-23T08:00:00Z", "Message": inner.to_string(),
        "MessageAttributes": {"traceparent": {"Type": "String", "Value": TRACEPARENT}}});
    world.enqueue(Queue::ReadResults, &envelope);
    world.run_until_idle().await;
    assert_eq!(world.system.topic.all()[0].attributes["traceparent"], TRACEPARENT);
}

/// The messages of a batch come from different senders, though Lambda gives the batch one X-Ray trace.
#[tokio::test(flavor = "multi_thread")]
async fn users_of_one_batch_have_traces_of_their_own() {
    let world = World::builder().binaries().start().await;
    for user in ["first-user", "second-user"] {
        world.enqueue(Queue::ReadResults, &json!({"userId": user, "readResult": broken("1_lost")}));
    }
    world.run_until_idle().await;
    let traces: BTreeSet<_> =
        world.system.topic.all().iter().map(|message| message.attributes["traceparent"].clone()).collect();
    assert_eq!(traces.len(), 2);
}

/// Anybody can send a callback with any header.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_cannot_name_a_trace() {
    let world = World::builder().binaries().start().await;
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = "/reconnect/not-a-link".parse().unwrap();
    request.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    world.send(request).await;
    world.system.aws.fail(Fault::refuse("dynamodb:GetItem", 10));
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = format!("/callback?state=ra_{:032x}.{}&success=true", 1, "s".repeat(43)).parse().unwrap();
    request.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    let reply = world.send(request).await;
    assert!(reply.status.is_server_error(), "the failure is logged: {}", reply.status);
    let log = world.log(Function::ReauthCallback);
    assert!(log.contains("trace_id") && !log.contains(TRACE_ID), "{log}");
}

#[tokio::test]
async fn a_trace_that_is_not_valid_is_replaced_by_a_new_one() {
    let world = World::builder().start().await;
    let body = json!({"userId": DEMO_USER, "readResult": broken(BANK), "traceparent": "00-0-0-00"});
    world.enqueue(Queue::ReadResults, &body);
    world.run_until_idle().await;
    let traceparent = &world.system.topic.all()[0].attributes["traceparent"];
    assert!(traceparent.len() == 55 && !traceparent.contains(&"0".repeat(32)), "{traceparent}");
}
