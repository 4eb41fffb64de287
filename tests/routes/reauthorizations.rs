//! `POST /users/{userId}/accounts/{accountId}/reauthorizations`: the contract, the account, the URL.

use http::StatusCode;
use local::names::CONTRACT_SECRET_PREFIX;
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Reply, World, broken};

#[tokio::test]
async fn a_new_reauthorization_says_how_long_its_url_and_its_callback_are_good() {
    let world = World::builder().start().await;
    let reply = world.request_reauthorization(DEMO_USER, BANK).await;
    let made = reply.json();
    let id = made["reauthorizationId"].as_str().unwrap();
    assert_eq!(reply.header("location"), format!("/reauthorizations/{id}"));
    let shown = world.get(&format!("/reauthorizations/{id}")).await.json();
    assert_eq!((&made["expiresAt"], &shown["expiresAt"]), (&shown["expiresAt"], &json!("2026-11-23T10:00:00.000Z")));
    let url_expires_at: jiff::Timestamp = made["urlExpiresAt"].as_str().unwrap().parse().unwrap();
    assert!(url_expires_at > world.clock_now() && made["urlExpiresAt"] != made["expiresAt"], "{made}");
    assert_eq!((&made["kind"], &made["accountId"]), (&json!("account"), &json!(BANK)));
}

#[tokio::test]
async fn the_contract_is_the_one_given_or_the_accounts_or_the_only_one() {
    let world = World::builder().start().await;
    let url = |user: &str, account: &str| format!("/users/{user}/accounts/{account}/reauthorizations");
    let code = |reply: &Reply| (reply.status.as_u16(), reply.json()["code"].as_str().unwrap_or_default().to_owned());

    let reply = world.post(&url("nobody", "1_a"), &json!({})).await;
    assert_eq!(code(&reply), (404, "user_not_found".into()));

    world.hand_in("no-grant", None, &broken("1_a")).await;
    let reply = world.post(&url("no-grant", "1_a"), &json!({})).await;
    assert_eq!(code(&reply), (409, "grant_not_found".into()));

    let pair = json!({"accessToken": {"value": "a", "expiry": 1_895_000_000},
        "refreshToken": {"value": "r", "expiry": 1_900_000_000}});
    for contract in ["other-1", "other-2"] {
        world.configure_contract(contract);
        world.put(&format!("/users/two/grants/{contract}"), &pair).await;
        world.system.secrets.remove(&format!("{CONTRACT_SECRET_PREFIX}{contract}"));
    }
    let reply = world.post(&url("two", "1_a"), &json!({})).await;
    assert_eq!(code(&reply), (409, "contract_required".into()));
    assert!(reply.body.contains("other-1") && reply.body.contains("other-2"));
    let reply = world.post(&url("two", "1_a"), &json!({"contractId": "other-1"})).await;
    assert_eq!(code(&reply), (409, "contract_not_configured".into()));

    let reply = world.post(&url(DEMO_USER, "9_unknown"), &json!({})).await;
    assert_eq!(code(&reply), (404, "account_not_found".into()));
}

#[tokio::test]
async fn an_account_that_only_digime_knows_is_found_there() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, digime_simulator::Account::new("4_new", "New Service", Some("alex")));
    let (_, url) = world.create_reauthorization(DEMO_USER, "4_new").await;
    assert!(url.contains("/reauthorize?code="));
    assert_eq!(world.account(DEMO_USER, "4_new").await["serviceName"], "New Service");
}

#[tokio::test]
async fn a_dead_refresh_token_leads_to_the_user_page() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.expire_access_tokens(DEMO_USER);
    control.kill_refresh_tokens(DEMO_USER);
    for _ in 0..2 {
        let reply = world.request_reauthorization(DEMO_USER, BANK).await;
        assert_eq!((reply.status, &reply.json()["kind"]), (StatusCode::CREATED, &json!("user")), "{}", reply.body);
        assert_eq!(reply.json()["accountId"], BANK);
        assert!(reply.json()["url"].as_str().unwrap().contains("/user-reauth?code="));
    }
    assert_eq!(world.refreshes(), 1, "the dead token is not tried again");
    let fresh = world.issue_tokens(DEMO_USER);
    world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"), &fresh).await;
    let reply = world.request_reauthorization(DEMO_USER, BANK).await;
    assert_eq!(reply.json()["kind"], "account");
    world.run_until_idle().await;
}
