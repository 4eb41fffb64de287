//! What digi.me's list of accounts does to accounts, and what the API shows of them.

use digime_simulator::{ErrorShape, Failure};
use http::StatusCode;
use serde_json::{Value, json};
use tests::{Decision, World};

use super::{BANK, DEMO_USER, broken, healthy};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";

async fn refresh(world: &World) -> Value {
    let reply = world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    world.run_until_idle().await;
    reply.json()
}

#[tokio::test]
async fn an_account_that_the_list_names_twice_is_one_account() {
    let world = World::new().await;
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
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.system.simulator.control().remove_account(BANK);
    let listed = refresh(&world).await;
    assert!(!listed.to_string().contains(BANK), "{listed}");
    let told = world.published().pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["accountId"]), (&json!("account.removed"), &json!(BANK)));
    assert_eq!(world.get("/accounts?status=reauth_required").await.json(), json!({"accounts": []}));
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts/{BANK}")).await.status, StatusCode::NOT_FOUND);
    let told = world.published().len();
    refresh(&world).await;
    assert_eq!(world.published().len(), told, "it is told once");
}

#[tokio::test]
async fn an_account_that_was_never_listed_is_not_removed() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken("8_elsewhere")).await;
    refresh(&world).await;
    assert_eq!(world.account(DEMO_USER, "8_elsewhere").await["status"], "reauth_required");
}

#[tokio::test]
async fn only_an_active_account_is_verified_and_says_when_its_authorization_ends() {
    let world = World::new().await;
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
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
async fn an_account_in_need_shows_the_link_that_was_told() {
    let world = World::new().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let told = world.published().pop().unwrap();
    let account = world.account(DEMO_USER, BANK).await;
    for name in ["reconnectUrl", "reconnectUrlExpiresAt"] {
        assert!(account[name].is_string() && account[name] == told["data"][name], "{account} {told}");
    }
    let url = world.follow(&world.last_link()).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["reconnectUrl"], Value::Null);
}

#[tokio::test]
async fn a_link_that_has_expired_is_not_shown() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.advance(14 * 86_400);
    assert_eq!(world.account(DEMO_USER, BANK).await["reconnectUrl"], Value::Null);
}

#[tokio::test]
async fn a_long_history_comes_in_pages() {
    let world = World::new().await;
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
