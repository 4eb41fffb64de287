//! The same at once: what is to happen once happens once.

use std::time::Duration;

use bytes::Bytes;
use digime_simulator::{ErrorShape, Failure};
use futures::future::join_all;
use serde_json::json;
use tests::{Decision, World};

use super::{BANK, DEMO_USER, broken, healthy};

/// An event of the queue of read results with one message.
fn sqs(user: &str, observed_at: &str, read_result: &serde_json::Value) -> Bytes {
    let body = json!({"userId": user, "observedAt": observed_at, "readResult": read_result}).to_string();
    let sent_at = "1795424400000"; // 2026-11-23T09:00:00Z
    let record = json!({"messageId": "m", "receiptHandle": "r", "body": body, "attributes": {"SentTimestamp": sent_at},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1"});
    json!({"Records": [record]}).to_string().into()
}

async fn take_in(world: &World, event: Bytes) {
    let reply = world.system.functions.record_read_result.invoke(event).await.unwrap();
    let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["batchItemFailures"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_read_results_are_one_episode() {
    let world = World::new().await;
    let event = sqs(DEMO_USER, "2026-11-23T08:00:00Z", &broken(BANK));
    join_all((0..6).map(|_| take_in(&world, event.clone()))).await;
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required"]);
    assert_eq!(world.published().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_and_a_later_healthy_read_end_healthy_in_any_order() {
    for _ in 0..5 {
        let world = World::new().await;
        let error = sqs(DEMO_USER, "2026-11-23T08:00:00Z", &broken(BANK));
        let later = sqs(DEMO_USER, "2026-11-23T08:10:00Z", &healthy(BANK));
        tokio::join!(take_in(&world, error), take_in(&world, later));
        world.run_until_idle().await;
        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!(account["status"], "active", "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_callbacks_heal_once() {
    let world = World::new().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    let replies = join_all((0..6).map(|_| world.get(&callback))).await;
    assert!(replies.iter().all(|reply| reply.header("location").contains("status=succeeded")), "{replies:?}");
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required", "account.reauthorized"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_comes_twice_has_the_same_id_and_link() {
    let world = World::new().await;
    world.system.aws.fail(local::aws::Fault::lose_reply("sns:Publish", 3));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let published = world.published();
    assert!(published.len() > 1, "the reply was lost, so it was sent again");
    assert!(published.iter().all(|event| *event == published[0]), "{published:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_reauthorizations_that_wait_are_settled() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let (mut ids, mut callbacks) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (id, url) = world.make_reauthorization(DEMO_USER, BANK).await;
        callbacks.push(world.decide(&url, Decision::Success).await);
        ids.push(id);
    }
    control.fail("/v1.7/permission-access/accounts", Failure::status(500, 1_000));
    let replies = join_all(callbacks.iter().map(|callback| world.get(callback))).await;
    assert!(replies.iter().all(|reply| reply.header("location").contains("status=verifying")), "{replies:?}");
    control.clear_failures();
    world.advance(60);
    assert_eq!(world.sweep().await["settled"], 1);
    for id in ids {
        assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["status"], "succeeded");
    }
    assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required", "account.reauthorized"]);
}

/// An event of the queue with one message, under a contract.
fn under(contract: &str, user: &str, observed_at: &str, read_result: &serde_json::Value) -> Bytes {
    let body = json!({"userId": user, "contractId": contract, "observedAt": observed_at, "readResult": read_result});
    let record = json!({"messageId": "m", "receiptHandle": "r", "body": body.to_string(), "messageAttributes": {},
        "attributes": {"SentTimestamp": "1795424400000"}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1"});
    json!({"Records": [record]}).to_string().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_under_two_contracts_at_the_same_moment_are_ordered() {
    let world = World::new().await;
    world.system.aws.hold_transactions(Duration::from_millis(3));
    for number in 0..10 {
        let user = format!("user-{number}");
        let error = under("first", &user, "2026-11-23T08:00:00Z", &broken(BANK));
        let completed = under("second", &user, "2026-11-23T08:10:00Z", &healthy(BANK));
        tokio::join!(take_in(&world, error), take_in(&world, completed));
        let account = world.account(&user, BANK).await;
        assert_eq!(account["status"], "active", "the newer read completed: {account}");

        let completed = under("first", &user, "2026-11-23T08:30:00Z", &healthy(BANK));
        let error = under("second", &user, "2026-11-23T08:40:00Z", &broken(BANK));
        take_in(&world, under("first", &user, "2026-11-23T08:20:00Z", &broken(BANK))).await;
        tokio::join!(take_in(&world, completed), take_in(&world, error));
        let account = world.account(&user, BANK).await;
        assert_eq!(account["status"], "reauth_required", "the newer read failed: {account}");
        assert_eq!(account["lastReadAt"], "2026-11-23T08:40:00.000Z");
    }
    world.system.aws.release_transactions();
    world.run_until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_one_user_at_the_same_moment_all_come_through() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.break_account(BANK, ErrorShape::Documented);
    world.system.aws.hold_transactions(Duration::from_millis(10));
    let accounts: Vec<String> = (0..4).map(|number| format!("{number}_more")).collect();
    let results =
        accounts.iter().map(|account| take_in(&world, sqs(DEMO_USER, "2026-11-23T08:00:00Z", &broken(account))));
    let urls = (0..4).map(|_| world.make_reauthorization(DEMO_USER, BANK));
    let (_, urls) = tokio::join!(join_all(results), join_all(urls));
    let mut callbacks = Vec::new();
    for (_, url) in &urls {
        callbacks.push(world.decide(url, Decision::Success).await);
    }
    let more = take_in(&world, sqs(DEMO_USER, "2026-11-23T08:10:00Z", &broken("9_more")));
    let (replies, ()) = tokio::join!(join_all(callbacks.iter().map(|callback| world.get(callback))), more);
    assert!(replies.iter().all(|reply| reply.header("location").contains("status=succeeded")), "{replies:?}");
    world.system.aws.release_transactions();
    world.run_until_idle().await;
    for account in accounts.iter().map(String::as_str).chain(["9_more"]) {
        assert_eq!(world.account(DEMO_USER, account).await["status"], "reauth_required");
    }
}
