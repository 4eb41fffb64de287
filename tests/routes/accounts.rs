//! `GET /users/{userId}/accounts`, `…/{accountId}` and `GET /accounts`: what they show, and what digi.me's list changes.

use digime_simulator::Failure;
use http::StatusCode;
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";

async fn refresh(world: &World) -> Value {
    let reply = world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    world.run_until_idle().await;
    reply.json()
}

#[tokio::test]
async fn an_account_that_the_list_names_twice_is_one_account() {
    let world = World::builder().start().await;
    let one = json!({"id": "7_twice", "username": "alex.morgan", "serviceTypeName": "Meadow Bank"});
    let twice = Failure { body: Some(json!([one, one]).to_string()), ..Failure::status(200, 1) };
    world.system.simulator.control().fail(ACCOUNTS, twice);
    let listed = refresh(&world).await;
    let found = listed["accounts"].as_array().unwrap().iter().filter(|account| account["accountId"] == "7_twice");
    assert_eq!(found.count(), 1, "{listed}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_account_that_digime_has_no_more_is_removed_with_an_event() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.system.simulator.control().remove_account(BANK);
    let listed = refresh(&world).await;
    assert!(!listed.to_string().contains(BANK), "{listed}");
    let event = world.last_published();
    assert_eq!((&*event.kind, &*event.account_id), ("account.removed", BANK));
    assert_eq!(world.get("/accounts?status=reauth_required").await.json(), json!({"accounts": []}));
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts/{BANK}")).await.status, StatusCode::NOT_FOUND);
    let published = world.published().len();
    refresh(&world).await;
    assert_eq!(world.published().len(), published, "the event is published once");
}

#[tokio::test]
async fn an_account_that_was_never_listed_is_not_removed() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken("8_elsewhere")).await;
    refresh(&world).await;
    assert_eq!(world.account(DEMO_USER, "8_elsewhere").await["status"], "reauth_required");
}

#[tokio::test]
async fn only_an_active_account_is_verified_and_says_when_its_authorization_ends() {
    let world = World::builder().start().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["verified"], true, "{account}");
    assert!(account["authorizationExpiresAt"].is_string(), "{account}");

    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &broken(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["verified"], &account["authorizationExpiresAt"]), (&Value::Null, &Value::Null), "{account}");

    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:01:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["verified"], &account["authorizationExpiresAt"]), (&json!(true), &Value::Null), "{account}");
}

#[tokio::test]
async fn an_account_in_need_shows_the_link_of_its_event() {
    let (world, link) = World::in_need().await;
    let event = world.last_published();
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["reconnectUrl"], event.reconnect_url());
    assert_eq!(account["reconnectUrlExpiresAt"], event.reconnect_url_expires_at.unwrap());
    let url = world.follow(&link).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["reconnectUrl"], Value::Null);
}

#[tokio::test]
async fn a_link_that_has_expired_is_not_shown() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.advance(14 * 86_400);
    assert_eq!(world.account(DEMO_USER, BANK).await["reconnectUrl"], Value::Null);
}

#[tokio::test]
async fn a_long_history_comes_in_pages() {
    let world = World::builder().start().await;
    for minute in 0..52 {
        let at = format!("2026-11-23T08:{minute:02}:00Z");
        world.hand_in(DEMO_USER, Some(&at), &broken(BANK)).await;
        let at = format!("2026-11-23T08:{minute:02}:30Z");
        world.hand_in(DEMO_USER, Some(&at), &healthy(BANK)).await;
    }
    let newest = world.account(DEMO_USER, BANK).await;
    let cursor = newest["cursor"].as_str().unwrap();
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}?history=true");
    let older = world.get(&format!("{path}&cursor={cursor}")).await.json();
    assert_eq!(newest["events"].as_array().unwrap().len(), 100);
    assert_eq!(older["events"].as_array().unwrap().len(), 4);
    assert_eq!(older["cursor"], Value::Null);
    assert_eq!(world.get(&format!("{path}&cursor=other")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_list_of_accounts_in_need_is_oldest_first_in_pages() {
    let world = World::builder().start().await;
    for n in 0..7 {
        let at = format!("2026-11-23T08:00:0{n}Z");
        world.hand_in(&format!("user-{n}"), Some(&at), &broken("1_a")).await;
    }
    let mut users = Vec::new();
    let mut cursor = String::new();
    for _ in 0..4 {
        let page = world.get(&format!("/accounts?status=reauth_required&limit=2{cursor}")).await.json();
        let accounts = page["accounts"].as_array().unwrap();
        users.extend(accounts.iter().map(|account| account["userId"].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(users, (0..7).map(|n| format!("user-{n}")).collect::<Vec<_>>());
}
