//! `/users/{userId}/grants/{contractId}`: both forms in, the Node SDK's form out, refreshed when near expiry.

use digime_simulator::Failure;
use http::StatusCode;
use local::{aws::Fault, names::CONTRACT_SECRET_PREFIX};
use serde_json::{Value, json};
use tests::{DEMO_USER, World, broken};

const GRANT: &str = "/users/demo-user/grants/demo-contract";

fn pair(expiry: i64) -> Value {
    json!({"accessToken": {"value": "a", "expiry": expiry}, "refreshToken": {"value": "r", "expiry": 1_900_000_000}})
}

fn api_form(node: &Value) -> Value {
    let token = |token: &Value| json!({"value": token["value"], "expires_on": token["expiry"]});
    json!({"access_token": token(&node["accessToken"]), "refresh_token": token(&node["refreshToken"])})
}

#[tokio::test]
async fn both_forms_are_stored_and_given_back_in_one() {
    let world = World::builder().start().await;
    let api = world.issue_tokens(DEMO_USER);
    assert_eq!(world.put(GRANT, &api).await.status, StatusCode::NO_CONTENT);
    let node = world.get(GRANT).await.json();
    assert_eq!(node["accessToken"]["value"], api["access_token"]["value"]);
    assert_eq!(node["refreshToken"]["expiry"], api["refresh_token"]["expires_on"]);
    assert_eq!(node["user"]["id"], api["sub"]);
    assert_eq!(world.put(GRANT, &node).await.status, StatusCode::NO_CONTENT, "the same pair again");
}

#[tokio::test]
async fn an_older_pair_does_not_replace_a_newer_one_unless_told_to() {
    let world = World::builder().start().await;
    let stored = world.get(GRANT).await.json();
    let older = pair(stored["accessToken"]["expiry"].as_i64().unwrap() - 1);
    let reply = world.put(GRANT, &older).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &json!("grant_stale")));
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("GET the grant") && !detail.contains("replace"), "{detail}");
    assert_eq!(world.get(GRANT).await.json(), stored);
    assert_eq!(world.put(&format!("{GRANT}?replace=true"), &older).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(GRANT).await.json()["accessToken"]["value"], "a");
}

#[tokio::test]
async fn a_pair_of_another_digime_user_is_not_stored_unless_told_to() {
    let world = World::builder().start().await;
    let stored = world.get(GRANT).await.json();
    let mut other = pair(1_895_000_000);
    for (form, user) in [("user", json!({"id": "another"})), ("sub", json!("another"))] {
        other = if form == "user" { other } else { api_form(&other) };
        other[form] = user;
        let reply = world.put(GRANT, &other).await;
        assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &json!("grant_of_another_user")));
        assert!(!reply.body.contains("another\""), "no identifier of digi.me's is told: {}", reply.body);
    }
    assert_eq!(world.get(GRANT).await.json(), stored);
    assert_eq!(world.put(&format!("{GRANT}?replace=true"), &other).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(GRANT).await.json()["user"]["id"], "another");
    // A pair without a user is stored.
    assert_eq!(world.put(GRANT, &pair(1_896_000_000)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_grant_under_a_contract_without_a_key_is_not_stored() {
    let world = World::builder().start().await;
    let before = world.items();
    let reply = world.put("/users/new/grants/unknown", &pair(1_895_000_000)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &json!("contract_not_configured")));
    assert_eq!(world.items(), before);
    assert_eq!(world.get("/users/new/grants/unknown").await.json()["code"], "user_not_found");
    // The missing secret was cached for a minute.
    world.configure_contract("unknown");
    world.advance(61);
    assert_eq!(world.put("/users/new/grants/unknown", &pair(1_895_000_000)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_grant_is_stored_though_the_contracts_key_cannot_be_used() {
    let world = World::builder().start().await;
    world.system.secrets.put(&format!("{CONTRACT_SECRET_PREFIX}unusable"), "no key");
    let reply = world.put("/users/new/grants/unusable", &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    world.system.aws.fail(Fault::error("secretsmanager:GetSecretValue", 400, "AccessDeniedException", 1_000));
    let reply = world.put("/users/new/grants/unreachable", &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    world.system.aws.clear_faults();
    for contract in ["unusable", "unreachable"] {
        assert_eq!(world.get(&format!("/users/new/grants/{contract}")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_grant_that_is_missing_names_the_contracts_of_those_that_are_there() {
    let world = World::builder().start().await;
    for path in ["/users/demo-user/grants/other", "/users/demo-user/accounts/1_demo-bank/reauthorizations"] {
        let reply = match path.ends_with("other") {
            true => world.get(path).await,
            false => world.post(path, &json!({"contractId": "other"})).await,
        };
        let expected = "No grant under contract other; the user has grants under demo-contract.";
        assert_eq!(reply.json()["code"], "grant_not_found", "{path}");
        assert_eq!(reply.json()["detail"], expected, "{path}");
    }
    world.hand_in("no-grant", None, &broken("1_a")).await;
    let reply = world.get("/users/no-grant/grants/other").await.json();
    assert!(reply["detail"].as_str().unwrap().starts_with("No grant of the user is stored."), "{reply}");
}

#[tokio::test]
async fn storing_a_grant_reads_the_accounts_once_a_day() {
    let world = World::builder().start().await;
    let accounts = world.get(&format!("/users/{DEMO_USER}/accounts")).await.json();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 3);
    world.system.simulator.clear_requests();
    let again = world.get(GRANT).await.json();
    world.put(GRANT, &again).await;
    assert!(world.system.simulator.requests().is_empty());
    world.advance(86_400);
    world.put(GRANT, &world.issue_tokens(DEMO_USER)).await;
    assert_eq!(world.system.simulator.requests().len(), 1);
}

#[tokio::test]
async fn a_grant_is_stored_though_digime_is_down() {
    let world = World::builder().start().await;
    world.advance(2 * 86_400);
    world.system.simulator.control().fail("/v1.7/*", Failure::status(500, 1_000));
    world.system.simulator.clear_requests();
    let reply = world.put(GRANT, &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let asked = world.system.simulator.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.status == 500), "it was asked in vain: {asked:?}");
}

#[tokio::test]
async fn a_pair_near_its_end_is_refreshed_before_it_is_given() {
    let world = World::builder().start().await;
    let before = world.get(GRANT).await.json();
    world.advance(86_400 - 30);
    let after = world.get(GRANT).await.json();
    assert_ne!(before["accessToken"], after["accessToken"]);
    assert_eq!(world.refreshes(), 1);
    assert_eq!(world.get(GRANT).await.json(), after, "and only once");
}

#[tokio::test]
async fn the_last_pair_is_given_though_its_refresh_token_is_dead() {
    let world = World::builder().start().await;
    let before = world.get(GRANT).await.json();
    assert_eq!(before["status"], "active");
    let control = world.system.simulator.control();
    control.kill_refresh_tokens(DEMO_USER);
    world.advance(2 * 86_400);
    for _ in 0..2 {
        let reply = world.get(GRANT).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let mut expected = before.clone();
        expected["status"] = json!("user_reauthorization_required");
        assert_eq!(reply.json(), expected);
    }
    assert_eq!(world.refreshes(), 1, "the dead token is not tried again");
    let mut fresh = world.issue_tokens(DEMO_USER);
    fresh["status"] = json!("user_reauthorization_required");
    world.put(GRANT, &fresh).await;
    assert_eq!(world.get(GRANT).await.json()["status"], "active", "a status that is handed in is ignored");
}

#[tokio::test]
async fn a_refresh_token_that_is_found_dead_while_the_access_token_works_is_told() {
    let world = World::builder().start().await;
    let before = world.get(GRANT).await.json();
    world.system.simulator.control().kill_refresh_tokens(DEMO_USER);
    world.advance(86_400 - 30);
    let reply = world.get(GRANT).await;
    assert_eq!((reply.status, world.refreshes()), (StatusCode::OK, 1), "{}", reply.body);
    assert_eq!(reply.json()["accessToken"], before["accessToken"]);
    assert_eq!(reply.json()["status"], "user_reauthorization_required");
}

#[tokio::test]
async fn a_refresh_token_that_has_ended_is_not_tried() {
    let world = World::builder().start().await;
    let mut ended = pair(world.clock_now().as_second() - 60);
    ended["refreshToken"]["expiry"] = json!(world.clock_now().as_second() - 30);
    world.put(&format!("{GRANT}?replace=true"), &ended).await;
    world.system.simulator.control().fail("/v1.7/*", Failure::status(500, 1_000));
    world.system.simulator.clear_requests();
    let reply = world.get(GRANT).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.json()["status"], "user_reauthorization_required");
    assert_eq!(reply.json()["accessToken"], ended["accessToken"]);
    assert!(world.system.simulator.requests().is_empty());
}
