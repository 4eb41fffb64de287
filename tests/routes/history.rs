//! `GET /users/{userId}/accounts/{accountId}?history=true`: the reauthorizations of an account, with the times at which its
//! user pressed the button and came back.

use digime_simulator::AccessTokenStatus;
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, World, healthy};

const HOSPITAL: &str = "2_demo-hospital";

/// The reauthorizations in an account's history.
async fn reauthorizations(world: &World, account: &str) -> Vec<Value> {
    world.account(DEMO_USER, account).await["reauthorizations"].as_array().unwrap().clone()
}

fn times(reauthorization: &Value) -> [Option<&str>; 4] {
    ["createdAt", "clickedAt", "returnedAt", "completedAt"].map(|name| reauthorization[name].as_str())
}

#[tokio::test]
async fn a_reconnection_from_a_link_says_when_its_user_clicked_and_returned() {
    let (world, link) = World::in_need().await;
    assert_eq!(reauthorizations(&world, BANK).await, Vec::<Value>::new());
    world.advance(60);
    let url = world.follow(&link).await;
    let clicked = "2026-11-23T09:01:00.000Z";
    let pending = reauthorizations(&world, BANK).await;
    assert_eq!(times(&pending[0]), [Some(clicked), Some(clicked), None, None], "{pending:?}");

    world.advance(60);
    let first = world.reauthorize(&url, Decision::Success).await;
    let returned = Some("2026-11-23T09:02:00.000Z");
    world.advance(60);
    world.get(&first.callback).await;
    world.run_until_idle().await;
    let ended = reauthorizations(&world, BANK).await;
    assert_eq!(times(&ended[0]), [Some(clicked), Some(clicked), returned, returned], "the first return counts");
    let id = ended[0]["reauthorizationId"].as_str().unwrap();
    assert_eq!(world.reauthorization(id).await, ended[0]);
}

#[tokio::test]
async fn the_click_on_an_applications_own_url_is_not_known() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    world.advance(60);
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    let failed = &reauthorizations(&world, BANK).await[0];
    let returned = Some("2026-11-23T09:01:00.000Z");
    assert_eq!(times(failed), [Some("2026-11-23T09:00:00.000Z"), None, returned, returned]);
    assert_eq!((&failed["status"], &failed["errorCode"]), (&json!("failed"), &json!("USER_CANCEL")));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_return_is_known_before_digime_has_answered() {
    let (world, link) = World::in_need().await;
    let url = world.follow(&link).await;
    world.system.simulator.control().set_access_token_status(AccessTokenStatus::Absent);
    world.reauthorize(&url, Decision::Success).await;
    let returned = Some("2026-11-23T09:00:00.000Z");
    assert_eq!(times(&reauthorizations(&world, BANK).await[0])[2..], [returned, None], "verifying");
    // A read settles it later. The time of the return stays.
    world.advance(3600);
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    let settled = Some("2026-11-23T10:00:00.000Z");
    assert_eq!(times(&reauthorizations(&world, BANK).await[0])[2..], [returned, settled]);
}

#[tokio::test]
async fn a_read_result_that_heals_is_no_return() {
    let (world, link) = World::in_need().await;
    world.follow(&link).await;
    world.advance(60);
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    assert_eq!(times(&reauthorizations(&world, BANK).await[0])[2..], [None, None]);
}

#[tokio::test]
async fn a_user_reauthorization_is_in_the_history_of_the_account_that_it_goes_on_to() {
    let (world, _) = World::in_need().await;
    world.kill_tokens();
    let (id, url) = world.create_user_reauthorization().await;
    assert_eq!(reauthorizations(&world, BANK).await, Vec::<Value>::new());
    world.reauthorize(&url, Decision::Success).await;
    let found = reauthorizations(&world, BANK).await;
    assert_eq!((found.len(), &found[0]["reauthorizationId"], &found[0]["kind"]), (1, &json!(id), &json!("user")));
    assert!(times(&found[0])[2].is_some(), "{found:?}");
    assert_eq!(reauthorizations(&world, HOSPITAL).await, Vec::<Value>::new());
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_user_page_that_fails_is_a_return() {
    let (world, _) = World::in_need().await;
    world.kill_tokens();
    let (id, url) = world.create_user_reauthorization().await;
    world.advance(60);
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    assert_eq!(times(&world.reauthorization(&id).await)[2], Some("2026-11-23T09:01:00.000Z"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_users_own_reauthorizations_do_not_hide_those_of_an_account() {
    let world = World::builder().start().await;
    let (id, _) = world.create_reauthorization(DEMO_USER, BANK).await;
    world.advance(1);
    world.kill_tokens();
    for _ in 0..60 {
        world.create_user_reauthorization().await;
    }
    let found = reauthorizations(&world, BANK).await;
    assert_eq!(found.iter().map(|one| &one["reauthorizationId"]).collect::<Vec<_>>(), [&json!(id)]);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_reauthorization_that_cannot_be_read_does_not_hide_the_others() {
    let world = World::builder().start().await;
    let (id, _) = world.create_reauthorization(DEMO_USER, BANK).await;
    let (unreadable, _) = world.create_reauthorization(DEMO_USER, BANK).await;
    let request = json!({
        "TableName": local::names::TABLE,
        "Key": {"PK": {"S": format!("REAUTH#{unreadable}")}, "SK": {"S": "REAUTH"}},
        "UpdateExpression": "REMOVE progress",
    });
    world.system.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
    let found = reauthorizations(&world, BANK).await;
    assert_eq!(found.iter().map(|one| &one["reauthorizationId"]).collect::<Vec<_>>(), [&json!(id)]);
}

#[tokio::test]
async fn the_latest_twenty_are_on_the_newest_page_of_the_history() {
    let world = World::builder().start().await;
    let mut ids = Vec::new();
    for account in std::iter::repeat_n([BANK, HOSPITAL], 25).flatten() {
        let (id, _) = world.create_reauthorization(DEMO_USER, account).await;
        ids.extend((account == BANK).then_some(json!(id)));
        world.advance(1);
    }
    let found = reauthorizations(&world, BANK).await;
    let found: Vec<_> = found.iter().map(|one| &one["reauthorizationId"]).collect();
    assert_eq!(found, ids[5..].iter().collect::<Vec<_>>(), "oldest first");

    let path = format!("/users/{DEMO_USER}/accounts/{BANK}");
    assert_eq!(world.get(&path).await.json().get("reauthorizations"), None);
    // A cursor of this account's history: `history` and a sequence number, in base64url.
    let older = world.get(&format!("{path}?history=true&cursor=aGlzdG9yeQo5")).await.json();
    assert_eq!((&older["events"], older.get("reauthorizations")), (&json!([]), None));
}
