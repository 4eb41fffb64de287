//! Failures of digi.me, DynamoDB, Secrets Manager, SQS and SNS: what the callers get, and how often a call is repeated.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use digime_simulator::{ErrorShape, KeyForm, Moment};
use http::{Method, StatusCode};
use local::{Function, INVOCATION_TIMEOUT, aws::Fault, names};
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, World, broken, healthy};

use crate::failures::{DigimeFault, MORE_THAN_ANY_TEST_SENDS, asked, assert_problem, digime_faults, sent};

const REAUTHORIZATIONS: &str = "/users/demo-user/accounts/1_demo-bank/reauthorizations";

#[tokio::test]
async fn a_url_cannot_be_made_while_digime_fails_and_the_caller_is_told_when_to_come_back() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    for path in ["/v1.7/oauth/token/reference", "/v1.7/reference"] {
        for fault in digime_faults() {
            let retry_after = fault.failure.retry_after;
            world.system.simulator.clear_requests();
            control.fail(path, fault.failure);
            let reply = world.request_reauthorization(DEMO_USER, BANK).await;
            control.clear_failures();
            assert_problem(&reply, fault.status, fault.code);
            if let Some(seconds) = retry_after {
                assert_eq!(reply.header("retry-after"), seconds.to_string(), "{}", fault.name);
            }
            let asked = asked(&world, path);
            assert!((1..=fault.max_requests).contains(&asked), "{}: {asked}", fault.name);
        }
    }
    assert_eq!(world.request_reauthorization(DEMO_USER, BANK).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_callback_waits_for_confirmation_while_digime_fails() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    for DigimeFault { name, failure, max_requests, .. } in digime_faults() {
        control.break_account(BANK, ErrorShape::Documented);
        world.advance(60);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
        let callback = world.decide(&url, Decision::Success).await;
        world.system.simulator.clear_requests();
        control.fail("/v1.7/permission-access/accounts", failure);
        let reply = world.get(&callback).await;
        assert!(reply.header("location").contains("status=verifying"), "{name}: {}", reply.header("location"));
        assert!((1..=max_requests).contains(&asked(&world, "/accounts")), "{name}");
        control.clear_failures();
        world.advance(3_600);
        assert_eq!(world.sweep().await["settled"], 1, "{name}");
    }
}

#[tokio::test]
async fn what_dynamodb_leaves_out_of_a_batch_is_read_by_itself() {
    let world = World::builder().start().await;
    // This caches which contract is likely.
    world.create_reauthorization(DEMO_USER, BANK).await;
    let unprocessed = json!({"Responses": {}, "UnprocessedKeys": {names::TABLE: {"Keys": [
        {"PK": {"S": "USER#demo-user"}, "SK": {"S": "ACCOUNT#1_demo-bank"}}]}}});
    for body in [json!({}), json!({"contractId": DEMO_CONTRACT})] {
        let left_out =
            Fault { body: Some(unprocessed.to_string()), ..Fault::error("dynamodb:BatchGetItem", 200, "", 1) };
        world.system.aws.clear_record();
        world.system.aws.fail(left_out);
        let reply = world.post(REAUTHORIZATIONS, &body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        assert_eq!(sent(&world, Function::CreateReauthUrl, "dynamodb:BatchGetItem"), 1);
    }
}

#[tokio::test]
async fn a_use_that_transactions_hold_up_is_given_up() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let link = world.last_link();
    world.system.aws.clear_record();
    world.system.aws.fail(Fault::conflict("dynamodb:UpdateItem", MORE_THAN_ANY_TEST_SENDS));
    let reply = world.call(Method::POST, &link, "").await;
    world.system.aws.clear_faults();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    assert_ne!(reply.header("retry-after"), "");
    let tries = sent(&world, Function::CreateReauthUrl, "dynamodb:UpdateItem");
    assert!((2..=6).contains(&tries), "{tries}");
    world.follow(&link).await;
}

#[tokio::test]
async fn a_rotated_key_fails_no_request() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    // This fetches and caches the key set.
    assert_eq!(world.request_reauthorization(DEMO_USER, BANK).await.status, StatusCode::CREATED);
    for form in [KeyForm::Spki, KeyForm::Pkcs1] {
        control.rotate_signing_key(form).unwrap();
        control.expire_access_tokens(DEMO_USER);
        let reply = world.request_reauthorization(DEMO_USER, BANK).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        world.advance(60);
    }
    // The key set is fetched once in a while for an unknown key, however many answers name that key.
    control.set_forged_kid(Some("unknown"));
    world.system.simulator.clear_requests();
    for _ in 0..5 {
        assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 502, "digime_invalid_answer");
    }
    assert_eq!(asked(&world, "/jwks/oauth"), 1);
}

#[tokio::test]
async fn a_clock_that_is_off_by_minutes_does_no_harm() {
    for minutes in [-5, 5] {
        let world = World::builder().functions_ahead_by(minutes).start().await;
        world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        let url = world.follow(&world.last_link()).await;
        let result = world.reauthorize(&url, Decision::Success).await;
        assert_eq!(result.parameter("status").as_deref(), Some("succeeded"), "{minutes}");
        world.run_until_idle().await;
        assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required", "account.reauthorized"]);
    }
}

#[tokio::test]
async fn a_call_that_exceeds_the_time_limit_is_not_repeated() {
    let world = World::builder().setting("DIGIME_TIMEOUT", "1s").start().await;
    let control = world.system.simulator.control();
    // The simulator records a request after its answer, and this answer never comes. So the test counts the arrivals.
    let arrived = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&arrived);
    control.observe(Some(Arc::new(move |moment, request: &str| {
        if moment == Moment::Before && request.ends_with("/oauth/token/reference") {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        Box::pin(async {})
    })));
    control.set_latency(Some("/v1.7/oauth/token/reference"), INVOCATION_TIMEOUT);
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 503, "digime_unavailable");
    assert_eq!(arrived.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_api_says_when_to_come_back_while_aws_fails() {
    let world = World::builder().start().await;
    let read = format!("/users/{DEMO_USER}/accounts");
    let hand_in = format!("/users/{DEMO_USER}/read-results");
    let body = json!({"readResult": broken(BANK)});
    let cases = [
        (Fault::error("dynamodb:Query", 400, "ThrottlingException", MORE_THAN_ANY_TEST_SENDS), Method::GET, &read),
        (
            Fault::error("dynamodb:Query", 400, "ProvisionedThroughputExceededException", MORE_THAN_ANY_TEST_SENDS),
            Method::GET,
            &read,
        ),
        (Fault::refuse("dynamodb:Query", MORE_THAN_ANY_TEST_SENDS), Method::GET, &read),
        (Fault::refuse("sqs:SendMessage", MORE_THAN_ANY_TEST_SENDS), Method::POST, &hand_in),
    ];
    for (fault, method, path) in cases {
        let action = fault.action.clone();
        world.system.aws.clear_record();
        world.system.aws.fail(fault);
        let reply = world.call(method, path, body.to_string()).await;
        world.system.aws.clear_faults();
        assert_problem(&reply, 503, "unavailable");
        let tries = sent(&world, Function::Accounts, &action);
        assert!((3..=6).contains(&tries), "{action}: {tries}");
    }
    world.run_until_idle().await;
}

#[tokio::test]
async fn without_secrets_manager_nothing_is_lost() {
    let world = World::builder().expect_leftovers().start().await;
    // Let cached secrets expire.
    world.advance(3_600);
    world.system.aws.fail(Fault::refuse("secretsmanager:GetSecretValue", MORE_THAN_ANY_TEST_SENDS));
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 503, "unavailable");
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.system.aws.clear_faults();
    for queue in names::Queue::ALL {
        world.system.queues.redrive(queue).unwrap();
    }
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn a_queue_message_comes_again_while_the_table_fails() {
    let world = World::builder().expect_leftovers().start().await;
    for (fault, healed) in [
        (Fault::error("dynamodb:TransactWriteItems", 400, "ThrottlingException", 3), true),
        (Fault::refuse("dynamodb:Query", MORE_THAN_ANY_TEST_SENDS), false),
    ] {
        // An error without `observedAt` does not count within 15 minutes after a reauthorization.
        world.advance(3_600);
        let before = world.published().len();
        world.system.aws.fail(fault);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        assert_eq!(world.published().len() - before, usize::from(healed));
        world.system.aws.clear_faults();
        world.system.queues.redrive(names::Queue::ReadResults).unwrap();
        world.run_until_idle().await;
        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!(account["status"], "reauth_required");
        let healthy = healthy(BANK);
        world.advance(60);
        world.hand_in(DEMO_USER, None, &healthy).await;
    }
}

#[tokio::test]
async fn conflicting_transactions_are_waited_out() {
    let world = World::builder().start().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.system.aws.fail(Fault::conflict("dynamodb:TransactWriteItems", 3));
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.system.aws.fail(Fault::conflict("dynamodb:UpdateItem", 3));
    let url = world.follow(&world.last_link()).await;
    world.system.aws.fail(Fault::conflict("dynamodb:TransactWriteItems", 3));
    let result = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.system.aws.fail(Fault::conflict("dynamodb:UpdateItem", 3));
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 2);
    world.system.aws.fail(Fault::conflict("dynamodb:PutItem", 3));
    world.system.aws.fail(Fault::conflict("dynamodb:TransactWriteItems", 3));
    let gone = world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{}", gone.body);
    world.advance(86_400);
    let summary = world.sweep().await;
    assert!(summary.as_object().unwrap().values().all(|count| *count == json!(0)), "{summary}");
}

#[tokio::test]
async fn the_sweep_goes_on_past_what_fails() {
    let world = World::builder().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", MORE_THAN_ANY_TEST_SENDS));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.hand_in(DEMO_USER, None, &broken("2_demo-hospital")).await;
    world.advance(3_600);
    world.system.aws.clear_faults();
    // SQS refuses one of the two events, in a way that the SDK does not retry.
    world.system.aws.fail(Fault::error("sqs:SendMessage", 400, "InvalidMessageContents", 1));
    let summary = world.sweep().await;
    let counts = ["requeued", "failed", "left"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0], "{summary}");
    world.system.aws.clear_faults();
    world.advance(3_600);
    world.sweep().await;
    assert_eq!(world.published().len(), 2);
}
