//! The functions' real binaries with moto, an independent implementation of AWS's wire protocols, at `AWS_TEST_ENDPOINT`.
//! The tests do what AWS does between the services. They make one call at a time; concurrent calls are tested with the embedded DynamoDB.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod deployment;
mod setup;
mod stream;

use digime::ambient::Ambient;
use digime_simulator::ErrorShape;
use http::{Method, StatusCode};
use local::Function;
use serde_json::{Value, json};
use tests::{Decision, DeliveredEvent, ReadResult, SqsMessage, broken};

use self::deployment::{ACCOUNT, CONTRACT, Deployment, USER};

/// The body with which a read result is handed in.
fn lost(observed_at: &str) -> Value {
    json!({"contractId": CONTRACT, "observedAt": observed_at, "readResult": broken(ACCOUNT)})
}

/// The event in an SNS envelope.
fn event(envelope: &Value) -> DeliveredEvent {
    DeliveredEvent::from(&serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn the_application_is_notified_of_a_broken_account_and_the_account_heals() {
    let aws = Deployment::start().await;
    aws.simulator.control().break_account(ACCOUNT, ErrorShape::Documented);
    aws.hand_in(&lost("2026-11-01T08:00:00Z")).await;
    aws.run_until_idle().await;

    let envelopes = aws.notifications().await;
    assert_eq!(envelopes.len(), 1, "{envelopes:?}");
    let required = event(&envelopes[0]);
    assert_eq!(required.kind, "account.reauthorization_required");
    assert_eq!(required.contract_id.as_deref(), Some(CONTRACT));
    let attribute = |name: &str| envelopes[0]["MessageAttributes"][name]["Value"].clone();
    assert_eq!(attribute("eventType"), *required.kind);
    assert_eq!(attribute("eventId"), *required.event_id);
    let posted = aws.receiver.deliveries();
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].event(), required);
    assert_eq!(posted[0].header("webhook-id"), required.event_id);

    let link = aws.path(required.reconnect_url());
    assert_eq!(aws.call(Method::GET, &link, &Value::Null).await.status, StatusCode::OK);
    let reply = aws.call(Method::POST, &link, &Value::Null).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    let callback = tests::decide(reply.header("location"), Decision::Success).await;
    let reply = aws.call(Method::GET, &aws.path(&callback), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);

    aws.run_until_idle().await;
    let envelopes = aws.notifications().await;
    assert_eq!(envelopes.len(), 1, "{envelopes:?}");
    let healed = event(&envelopes[0]);
    assert_eq!(healed.kind, "account.reauthorized");
    assert_eq!((healed.via.as_deref(), healed.verified), (Some("callback"), Some(true)));
    let account = aws.account().await;
    assert_eq!(account["status"], "active");
    assert_eq!(account["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn results_of_one_account_in_different_processes_are_told_once() {
    let aws = Deployment::start().await;
    for minute in 0..8 {
        let result = ReadResult::new(USER, &broken(ACCOUNT)).contract(CONTRACT);
        let result = result.observed_at(format!("2026-11-01T08:0{minute}:00Z"));
        let batch = SqsMessage::new(result, Ambient::system().now()).alone();
        let reply = aws.invoke(Function::RecordReadResult, batch).await;
        assert_eq!(reply["batchItemFailures"], json!([]), "{reply}");
    }
    aws.run_until_idle().await;
    assert_eq!(aws.notifications().await.len(), 1);
    assert_eq!(aws.account().await["events"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn processes_that_find_the_token_expired_share_one_refresh() {
    let aws = Deployment::start().await;
    let control = aws.simulator.control();
    control.expire_access_tokens(USER);
    aws.simulator.clear_requests();
    let path = format!("/users/{USER}/accounts/{ACCOUNT}/reauthorizations");
    for _ in 0..4 {
        let reply = aws.call(Method::POST, &path, &Value::Null).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    }
    let requests = aws.simulator.requests();
    assert_eq!(requests.iter().filter(|request| request.path.ends_with("/oauth/token")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn an_event_that_was_lost_on_its_way_is_brought_again_by_the_sweep() {
    let aws = Deployment::start().await;
    aws.hand_in(&lost("2026-11-01T08:00:00Z")).await;
    aws.pump(Function::RecordReadResult).await;
    // The record in the stream is lost, and the event becomes due.
    aws.lose_stream().await;
    aws.make_everything_due().await;
    let reply = aws.invoke(Function::SweepAccounts, json!({})).await;
    assert_eq!((&reply["requeued"], &reply["failed"]), (&json!(1), &json!(0)), "{reply}");
    aws.run_until_idle().await;
    assert_eq!(aws.notifications().await.len(), 1);
    let reply = aws.invoke(Function::SweepAccounts, json!({})).await;
    assert_eq!(reply["requeued"], 0, "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn an_erased_user_leaves_a_hash_behind_and_nothing_else() {
    let aws = Deployment::start().await;
    aws.hand_in(&lost("2026-11-01T08:00:00Z")).await;
    aws.run_until_idle().await;
    let reply =
        aws.call(Method::POST, &format!("/users/{USER}/accounts/{ACCOUNT}/reauthorizations"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    assert!(aws.keys().await.iter().any(|key| key.starts_with("LINK#")));

    let reply = aws.call(Method::DELETE, &format!("/users/{USER}"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    // The health of the webhook's endpoint and the counters of services are nobody's.
    let is_of_nobody = |key: &str| key == "WEBHOOK WEBHOOK" || key.starts_with("SERVICE#");
    let keys: Vec<_> = aws.keys().await.into_iter().filter(|key| !is_of_nobody(key)).collect();
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("FORGOTTEN#")), "{keys:?}");
    let reply = aws.call(Method::GET, &format!("/users/{USER}/accounts"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.body);
}
