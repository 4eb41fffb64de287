//! Equal or conflicting requests at the same time have the effect of one, or of some order of them.

use std::time::Duration;

use digime_simulator::{ErrorShape, Failure};
use futures::future::join_all;
use local::aws::Fault;
use tests::{BANK, DEMO_USER, Decision, ReadResult, World, broken, healthy};

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_read_results_are_one_episode() {
    let world = World::builder().start().await;
    let event = ReadResult::new(DEMO_USER, &broken(BANK)).observed_at("2026-11-23T08:00:00Z");
    join_all((0..6).map(|_| world.take_in(event.clone()))).await;
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required"]);
    assert_eq!(world.published().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_and_a_later_healthy_read_end_healthy_in_any_order() {
    for _ in 0..5 {
        let world = World::builder().start().await;
        let error = ReadResult::new(DEMO_USER, &broken(BANK)).observed_at("2026-11-23T08:00:00Z");
        let later = ReadResult::new(DEMO_USER, &healthy(BANK)).observed_at("2026-11-23T08:10:00Z");
        tokio::join!(world.take_in(error), world.take_in(later));
        world.run_until_idle().await;
        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!(account["status"], "active", "{account}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_equal_callbacks_heal_once() {
    let world = World::builder().start().await;
    world.lose_authorization(BANK).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    let replies = join_all((0..6).map(|_| world.get(&callback))).await;
    assert!(replies.iter().all(|reply| reply.header("location").contains("status=succeeded")), "{replies:?}");
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await, ["account.reauthorization_required", "account.reauthorized"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_comes_twice_has_the_same_id_and_link() {
    let world = World::builder().start().await;
    world.system.aws.fail(Fault::lose_reply("sns:Publish", 3));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let published = world.published();
    assert!(published.len() > 1, "the reply was lost, so it was sent again");
    assert!(published.iter().all(|event| *event == published[0]), "{published:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_reauthorizations_that_wait_are_settled() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let (mut ids, mut callbacks) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn results_under_two_contracts_at_the_same_moment_are_ordered() {
    let world = World::builder().start().await;
    world.system.aws.hold_transactions(Duration::from_millis(3));
    for number in 0..10 {
        let user = format!("user-{number}");
        let error = ReadResult::new(&user, &broken(BANK)).contract("first").observed_at("2026-11-23T08:00:00Z");
        let completed = ReadResult::new(&user, &healthy(BANK)).contract("second").observed_at("2026-11-23T08:10:00Z");
        tokio::join!(world.take_in(error), world.take_in(completed));
        let account = world.account(&user, BANK).await;
        assert_eq!(account["status"], "active", "the newer read completed: {account}");

        let completed = ReadResult::new(&user, &healthy(BANK)).contract("first").observed_at("2026-11-23T08:30:00Z");
        let error = ReadResult::new(&user, &broken(BANK)).contract("second").observed_at("2026-11-23T08:40:00Z");
        world
            .take_in(ReadResult::new(&user, &broken(BANK)).contract("first").observed_at("2026-11-23T08:20:00Z"))
            .await;
        tokio::join!(world.take_in(completed), world.take_in(error));
        let account = world.account(&user, BANK).await;
        assert_eq!(account["status"], "reauth_required", "the newer read failed: {account}");
        assert_eq!(account["lastReadAt"], "2026-11-23T08:40:00.000Z");
    }
    world.system.aws.release_transactions();
    world.run_until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_one_user_at_the_same_moment_all_come_through() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.break_account(BANK, ErrorShape::Documented);
    world.system.aws.hold_transactions(Duration::from_millis(10));
    let accounts: Vec<String> = (0..4).map(|number| format!("{number}_more")).collect();
    let results = accounts
        .iter()
        .map(|account| world.take_in(ReadResult::new(DEMO_USER, &broken(account)).observed_at("2026-11-23T08:00:00Z")));
    let urls = (0..4).map(|_| world.create_reauthorization(DEMO_USER, BANK));
    let (_, urls) = tokio::join!(join_all(results), join_all(urls));
    let mut callbacks = Vec::new();
    for (_, url) in &urls {
        callbacks.push(world.decide(url, Decision::Success).await);
    }
    let more = world.take_in(ReadResult::new(DEMO_USER, &broken("9_more")).observed_at("2026-11-23T08:10:00Z"));
    let (replies, ()) = tokio::join!(join_all(callbacks.iter().map(|callback| world.get(callback))), more);
    assert!(replies.iter().all(|reply| reply.header("location").contains("status=succeeded")), "{replies:?}");
    world.system.aws.release_transactions();
    world.run_until_idle().await;
    for account in accounts.iter().map(String::as_str).chain(["9_more"]) {
        assert_eq!(world.account(DEMO_USER, account).await["status"], "reauth_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_find_a_dead_refresh_token_at_the_same_moment_tell_it_once() {
    for expires in [true, false] {
        let world = World::builder().start().await;
        if expires {
            world.advance(31 * 86_400);
        } else {
            world.kill_tokens();
        }
        world.system.aws.hold_transactions(Duration::from_millis(5));
        let urls = (0..4).map(|_| world.request_reauthorization(DEMO_USER, BANK));
        let lists = (0..2).map(|_| world.get("/users/demo-user/accounts?refresh=true"));
        let (urls, _, swept) = tokio::join!(join_all(urls), join_all(lists), world.system.sweep());
        assert_eq!(swept.unwrap()["failed"], 0);
        assert!(urls.iter().all(|reply| reply.json()["kind"] == "user"), "{urls:?}");
        world.system.aws.release_transactions();
        world.run_until_idle().await;
        let told: Vec<_> = world.published_of_user().into_iter().map(|event| event.kind).collect();
        assert_eq!(told, ["user.reauthorization_required"], "expires: {expires}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_and_a_fresh_pair_at_the_same_moment_end_the_episode_once() {
    for _ in 0..3 {
        let (world, _) = World::in_need().await;
        world.kill_tokens();
        let reply = world.request_reauthorization(DEMO_USER, BANK).await.json();
        let callback = world.decide(reply["url"].as_str().unwrap(), Decision::Success).await;
        world.system.aws.hold_transactions(Duration::from_millis(5));
        let fresh = world.issue_tokens(DEMO_USER);
        let (reply, stored) =
            tokio::join!(world.get(&callback), world.put("/users/demo-user/grants/demo-contract", &fresh));
        assert_eq!(stored.status, http::StatusCode::NO_CONTENT, "{}", stored.body);
        assert!(reply.header("location").contains("/reauthorize?"), "{} {}", reply.status, reply.body);
        world.system.aws.release_transactions();
        world.run_until_idle().await;
        let told: Vec<_> = world.published_of_user().into_iter().map(|event| event.kind).collect();
        assert_eq!(told, ["user.reauthorization_required", "user.reauthorized"]);
        assert_eq!(world.grant().await["status"], "active");
    }
}
