//! The functions' real binaries on AWS's wire protocols, as an implementation understands them that is not this
//! project's: moto at `AWS_TEST_ENDPOINT`. What AWS does between the services is done by the test. One call at a time:
//! moto's writes are not atomic. What happens at once is tested with the embedded DynamoDB.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod deployment;

use digime_simulator::ErrorShape;
use http::{Method, StatusCode};
use local::Function;
use serde_json::{Value, json};
use tests::Decision;

use self::deployment::{ACCOUNT, CONTRACT, Deployment, USER};

fn broken(observed_at: &str) -> Value {
    json!({"contractId": CONTRACT, "observedAt": observed_at, "readResult": {ACCOUNT: {"state": "partial",
        "error": {"code": "ServiceAuthorizationError", "error": {"reauth": true}, "statusCode": 511}}}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn a_broken_account_is_told_and_healed() {
    let aws = Deployment::start().await;
    aws.simulator.control().break_account(ACCOUNT, ErrorShape::Documented);
    aws.hand_in(&broken("2026-11-01T08:00:00Z")).await;
    aws.run_until_idle().await;

    let told = aws.notifications().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let message: Value = serde_json::from_str(told[0]["Message"].as_str().unwrap()).unwrap();
    assert_eq!(message["type"], "account.reauthorization_required");
    assert_eq!(message["data"]["contractId"], CONTRACT);
    let attribute = |name: &str| told[0]["MessageAttributes"][name]["Value"].clone();
    assert_eq!(attribute("eventType"), message["type"]);
    assert_eq!(attribute("eventId"), message["data"]["eventId"]);
    let posted = aws.receiver.deliveries();
    assert_eq!(posted.len(), 1);
    assert_eq!(serde_json::from_str::<Value>(&posted[0].body).unwrap(), message);
    assert_eq!(posted[0].header("webhook-id"), message["data"]["eventId"]);

    let link = aws.path(message["data"]["reconnectUrl"].as_str().unwrap());
    assert_eq!(aws.call(Method::GET, &link, &Value::Null).await.status, StatusCode::OK);
    let reply = aws.call(Method::POST, &link, &Value::Null).await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    let callback = tests::decide(reply.header("location"), Decision::Success).await;
    let reply = aws.call(Method::GET, &aws.path(&callback), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);

    aws.run_until_idle().await;
    let told = aws.notifications().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let message: Value = serde_json::from_str(told[0]["Message"].as_str().unwrap()).unwrap();
    assert_eq!(message["type"], "account.reauthorized");
    assert_eq!((&message["data"]["via"], &message["data"]["verified"]), (&json!("callback"), &json!(true)));
    let account = aws.account().await;
    assert_eq!(account["status"], "active");
    assert_eq!(account["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs AWS_TEST_ENDPOINT; .ci/moto.py gives it"]
async fn results_of_one_account_in_different_processes_are_told_once() {
    let aws = Deployment::start().await;
    let events: Vec<_> = (0..8)
        .map(|minute| {
            let body = json!({"userId": USER}).as_object().unwrap().clone();
            let body: serde_json::Map<_, _> = body
                .into_iter()
                .chain(broken(&format!("2026-11-01T08:0{minute}:00Z")).as_object().unwrap().clone())
                .collect();
            deployment::sqs_event(&[("m", &Value::Object(body).to_string())])
        })
        .collect();
    for event in events {
        let reply = aws.invoke(Function::RecordReadResult, event).await;
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
    aws.hand_in(&broken("2026-11-01T08:00:00Z")).await;
    aws.pump(Function::RecordReadResult).await;
    // The stream's record is lost, and some minutes pass.
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
async fn a_forgotten_user_leaves_a_hash_behind_and_nothing_else() {
    let aws = Deployment::start().await;
    aws.hand_in(&broken("2026-11-01T08:00:00Z")).await;
    aws.run_until_idle().await;
    let reply =
        aws.call(Method::POST, &format!("/users/{USER}/accounts/{ACCOUNT}/reauthorizations"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    assert!(aws.keys().await.iter().any(|key| key.starts_with("LINK#")));

    let reply = aws.call(Method::DELETE, &format!("/users/{USER}"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    let keys = aws.keys().await;
    assert!(!keys.is_empty() && keys.iter().all(|key| key.starts_with("FORGOTTEN#")), "{keys:?}");
    let reply = aws.call(Method::GET, &format!("/users/{USER}/accounts"), &Value::Null).await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND, "{}", reply.body);
}
