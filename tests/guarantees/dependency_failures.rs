//! Failures of digi.me, DynamoDB, Secrets Manager, SQS and SNS: what the callers get, and how often a call is repeated.

use digime_simulator::{ErrorShape, KeyForm};
use http::{Method, StatusCode};
use local::{Function, aws::Fault};
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, World, broken, healthy};

use crate::failures::{DigimeFault, FOR_EVER, asked, assert_problem, digime_faults, sent};

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
            let reply = world.request_reauthorization().await;
            control.clear_failures();
            assert_problem(&reply, fault.status, fault.code);
            if let Some(seconds) = retry_after {
                assert_eq!(reply.header("retry-after"), seconds.to_string(), "{}", fault.name);
            }
            let asked = asked(&world, path);
            assert!((1..=fault.max_requests).contains(&asked), "{}: {asked}", fault.name);
        }
    }
    assert_eq!(world.request_reauthorization().await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_callback_waits_for_confirmation_while_digime_fails() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    for DigimeFault { name, failure, max_requests, .. } in digime_faults() {
        control.break_account(BANK, ErrorShape::Documented);
        world.advance(60);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
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
    world.make_reauthorization(DEMO_USER, BANK).await;
    let unprocessed = json!({"Responses": {}, "UnprocessedKeys": {world.system.endpoints.table_name(): {"Keys": [
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
    world.system.aws.fail(Fault::conflict("dynamodb:UpdateItem", FOR_EVER));
    let reply = world.call(Method::POST, &link, "").await;
    world.system.aws.heal();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    let tries = sent(&world, Function::CreateReauthUrl, "dynamodb:UpdateItem");
    assert!((2..=6).contains(&tries), "{tries}");
    world.follow(&link).await;
}

#[tokio::test]
async fn keys_that_are_rotated_in_mid_flight_cost_nothing() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    // This fetches and caches the key set.
    assert_eq!(world.request_reauthorization().await.status, StatusCode::CREATED);
    for form in [KeyForm::Spki, KeyForm::Pkcs1] {
        control.rotate_signing_key(form).unwrap();
        control.expire_access_tokens(DEMO_USER);
        let reply = world.request_reauthorization().await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        world.advance(60);
    }
    // The key set is fetched once in a while for an unknown key, however many answers name that key.
    control.set_forged_kid(Some("unknown"));
    world.system.simulator.clear_requests();
    for _ in 0..5 {
        assert_problem(&world.request_reauthorization().await, 502, "digime_invalid_answer");
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
async fn digime_slower_than_the_timeout_is_asked_once_and_told_as_unavailable() {
    let world = World::builder().setting("DIGIME_TIMEOUT", "1s").start().await;
    let latency = std::time::Duration::from_secs(30);
    world.system.simulator.control().set_latency(Some("/v1.7/oauth/token/reference"), latency);
    assert_problem(&world.request_reauthorization().await, 503, "digime_unavailable");
    // If the function waited for the answer, the invocation would time out first.
    assert_eq!(asked(&world, "/oauth/token/reference"), 0, "the answer never came");
}

#[tokio::test]
async fn the_api_says_when_to_come_back_while_aws_fails() {
    let world = World::builder().start().await;
    let read = format!("/users/{DEMO_USER}/accounts");
    let hand_in = format!("/users/{DEMO_USER}/read-results");
    let body = json!({"readResult": broken(BANK)});
    let cases = [
        (Fault::error("dynamodb:Query", 400, "ThrottlingException", FOR_EVER), Method::GET, &read),
        (Fault::error("dynamodb:Query", 400, "ProvisionedThroughputExceededException", FOR_EVER), Method::GET, &read),
        (Fault::refuse("dynamodb:Query", FOR_EVER), Method::GET, &read),
        (Fault::refuse("sqs:SendMessage", FOR_EVER), Method::POST, &hand_in),
        (Fault::refuse("sqs:SendMessageBatch", FOR_EVER), Method::POST, &hand_in),
    ];
    let mut failed = 0;
    for (fault, method, path) in cases {
        let action = fault.action.clone();
        world.system.aws.clear_record();
        world.system.aws.fail(fault);
        let reply = world.call(method, path, body.to_string()).await;
        world.system.aws.heal();
        if reply.status == StatusCode::ACCEPTED {
            continue;
        }
        failed += 1;
        assert_problem(&reply, 503, "unavailable");
        let tries = sent(&world, Function::Accounts, &action);
        assert!((3..=6).contains(&tries), "{action}: {tries}");
    }
    assert_eq!(failed, 4, "one of the ways to send is not used");
    world.run_until_idle().await;
}

#[tokio::test]
async fn without_secrets_manager_nothing_is_lost() {
    let world = World::builder().expect_leftovers().start().await;
    // Let cached secrets expire.
    world.advance(3_600);
    world.system.aws.fail(Fault::refuse("secretsmanager:GetSecretValue", FOR_EVER));
    assert_problem(&world.request_reauthorization().await, 503, "unavailable");
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.system.aws.heal();
    for queue in local::names::Queue::ALL {
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
        (Fault::refuse("dynamodb:Query", FOR_EVER), false),
    ] {
        // An error without `observedAt` does not count within 15 minutes after a reauthorization.
        world.advance(3_600);
        let before = world.published().len();
        world.system.aws.fail(fault);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        assert_eq!(world.published().len() - before, usize::from(healed));
        world.system.aws.heal();
        world.system.queues.redrive(local::names::Queue::ReadResults).unwrap();
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
    assert_eq!(world.sweep().await, json!({"left": 0, "requeued": 0, "settled": 0, "failed": 0}));
}

#[tokio::test]
async fn the_sweep_goes_on_past_what_fails() {
    let world = World::builder().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", FOR_EVER));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.hand_in(DEMO_USER, None, &broken("2_demo-hospital")).await;
    world.advance(3_600);
    world.system.aws.heal();
    // All tries of the first of the two events fail.
    world.system.aws.fail(Fault::refuse("sqs:SendMessage", 3));
    let done = world.sweep().await;
    assert_eq!(done["requeued"].as_u64().unwrap() + done["failed"].as_u64().unwrap(), 2, "{done}");
    world.system.aws.heal();
    world.advance(3_600);
    world.sweep().await;
    assert_eq!(world.published().len(), 2);
}
