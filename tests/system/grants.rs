//! Grants: both forms in, the Node SDK's form out, refreshed when it is time.

use std::sync::Arc;

use digime_simulator::{Failure, Moment};
use http::StatusCode;
use local::{Function, aws::Fault, names::CONTRACT_SECRET_PREFIX};
use reauth_core::{aws::Aws, services};
use serde_json::{Value, json};
use tests::World;

use super::{BANK, DEMO_CONTRACT, DEMO_USER};

const GRANT: &str = "/users/demo-user/grants/demo-contract";

fn pair(expiry: i64) -> Value {
    json!({"accessToken": {"value": "a", "expiry": expiry}, "refreshToken": {"value": "r", "expiry": 1_900_000_000}})
}

fn api_form(node: &Value) -> Value {
    let token = |token: &Value| json!({"value": token["value"], "expires_on": token["expiry"]});
    json!({"access_token": token(&node["accessToken"]), "refresh_token": token(&node["refreshToken"])})
}

/// Gives a contract a key: the demo contract's.
fn configure(world: &World, contract: &str) {
    let id = |contract: &str| format!("{CONTRACT_SECRET_PREFIX}{contract}");
    let mut secret: Value = serde_json::from_str(&world.system.secrets.get(&id(DEMO_CONTRACT)).unwrap()).unwrap();
    secret["contractId"] = json!(contract);
    world.system.secrets.put(&id(contract), &secret.to_string());
}

fn refreshes(world: &World) -> usize {
    let requests = world.system.simulator.requests();
    requests.iter().filter(|request| request.path.ends_with("/oauth/token")).count()
}

#[tokio::test]
async fn both_forms_are_stored_and_given_back_in_one() {
    let world = World::new().await;
    let api = serde_json::to_value(world.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    assert_eq!(world.put(GRANT, &api).await.status, StatusCode::NO_CONTENT);
    let node = world.get(GRANT).await.json();
    assert_eq!(node["accessToken"]["value"], api["access_token"]["value"]);
    assert_eq!(node["refreshToken"]["expiry"], api["refresh_token"]["expires_on"]);
    assert_eq!(node["user"]["id"], api["sub"]);
    assert_eq!(world.put(GRANT, &node).await.status, StatusCode::NO_CONTENT, "the same pair again");
}

#[tokio::test]
async fn an_older_pair_does_not_replace_a_newer_one_unless_told_to() {
    let world = World::new().await;
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
    let world = World::new().await;
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
    // A pair that does not say whose it is may be anybody's.
    assert_eq!(world.put(GRANT, &pair(1_896_000_000)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_grant_under_a_contract_without_a_key_is_not_stored() {
    let world = World::new().await;
    world.system.aws.clear_record();
    let reply = world.put("/users/new/grants/unknown", &pair(1_895_000_000)).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &json!("contract_not_configured")));
    assert!(world.system.aws.operations().keys().all(|operation| !operation.action.contains("Write")));
    assert_eq!(world.get("/users/new/grants/unknown").await.json()["code"], "user_not_found");
    // Its secret is there a minute later.
    configure(&world, "unknown");
    world.advance(61);
    assert_eq!(world.put("/users/new/grants/unknown", &pair(1_895_000_000)).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_grant_is_stored_though_the_contracts_key_cannot_be_used() {
    let world = World::new().await;
    world.system.secrets.put(&format!("{CONTRACT_SECRET_PREFIX}unusable"), "no key");
    let reply = world.put("/users/new/grants/unusable", &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    world.system.aws.fail(Fault::error("secretsmanager:GetSecretValue", 400, "AccessDeniedException", 1_000));
    let reply = world.put("/users/new/grants/unreachable", &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
    world.system.aws.heal();
    for contract in ["unusable", "unreachable"] {
        assert_eq!(world.get(&format!("/users/new/grants/{contract}")).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_grant_that_is_missing_names_the_contracts_of_those_that_are_there() {
    let world = World::new().await;
    for path in ["/users/demo-user/grants/other", "/users/demo-user/accounts/1_demo-bank/reauthorizations"] {
        let reply = match path.ends_with("other") {
            true => world.get(path).await,
            false => world.post(path, &json!({"contractId": "other"})).await,
        };
        let expected = "No grant under contract other; the user has grants under demo-contract.";
        assert_eq!(reply.json()["code"], "grant_not_found", "{path}");
        assert_eq!(reply.json()["detail"], expected, "{path}");
    }
    world.hand_in("no-grant", None, &super::broken("1_a")).await;
    let reply = world.get("/users/no-grant/grants/other").await.json();
    assert!(reply["detail"].as_str().unwrap().starts_with("No grant of the user is stored."), "{reply}");
}

#[tokio::test]
async fn storing_a_grant_reads_the_accounts_once_a_day() {
    let world = World::new().await;
    let accounts = world.get(&format!("/users/{DEMO_USER}/accounts")).await.json();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 3);
    world.system.simulator.clear_requests();
    let again = world.get(GRANT).await.json();
    world.put(GRANT, &again).await;
    assert!(world.system.simulator.requests().is_empty());
    world.advance(86_400);
    world
        .put(
            GRANT,
            &serde_json::to_value(world.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap(),
        )
        .await;
    assert_eq!(world.system.simulator.requests().len(), 1);
}

#[tokio::test]
async fn a_grant_is_stored_though_digime_is_down() {
    let world = World::new().await;
    world.advance(2 * 86_400);
    world.system.simulator.control().fail("/v1.7/*", Failure::status(500, 1_000));
    world.system.simulator.clear_requests();
    let reply = world.put(GRANT, &pair(1_895_000_000)).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let asked = world.system.simulator.requests();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.status == 500), "it was asked in vain: {asked:?}");
}

#[tokio::test]
async fn storing_a_grant_begins_no_refresh_that_could_be_cut_off() {
    let world = World::new().await;
    let issued = serde_json::to_value(world.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    world.advance(2 * 86_400);
    let stored = world.put(&format!("{GRANT}?replace=true"), &issued).await;
    assert_eq!((stored.status, refreshes(&world)), (StatusCode::NO_CONTENT, 0));
    assert_eq!(world.get(GRANT).await.status, StatusCode::OK);
    assert_eq!(refreshes(&world), 1, "with time enough it is refreshed");
}

#[tokio::test]
async fn a_pair_near_its_end_is_refreshed_before_it_is_given() {
    let world = World::new().await;
    let before = world.get(GRANT).await.json();
    world.advance(86_400 - 30);
    let after = world.get(GRANT).await.json();
    assert_ne!(before["accessToken"], after["accessToken"]);
    assert_eq!(refreshes(&world), 1);
    assert_eq!(world.get(GRANT).await.json(), after, "and only once");
}

#[tokio::test]
async fn many_who_find_the_token_expired_share_one_refresh() {
    let world = World::new().await;
    world.advance(2 * 86_400);
    let (a, b, c) = tokio::join!(world.get(GRANT), world.get(GRANT), world.get(GRANT));
    assert_eq!((a.status, b.status, c.status), (StatusCode::OK, StatusCode::OK, StatusCode::OK), "{}", a.body);
    assert_eq!((a.json(), b.json()), (b.json(), c.json()));
    assert_eq!(refreshes(&world), 1);
}

#[tokio::test]
async fn a_dead_refresh_token_asks_for_the_user() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.expire_access_tokens(DEMO_USER);
    control.kill_refresh_tokens(DEMO_USER);
    for _ in 0..2 {
        let reply = world.post(&format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), &json!({})).await;
        let code = reply.json()["code"].clone();
        assert_eq!((reply.status, code), (StatusCode::CONFLICT, json!("user_reauthorization_required")));
    }
    assert_eq!(refreshes(&world), 1, "the dead token is not tried again");
    let advice = world.post(&format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), &json!({})).await.json();
    assert!(advice["detail"].as_str().unwrap().contains("PUT"), "{advice}");
    let fresh = serde_json::to_value(control.issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    world.put(GRANT, &fresh).await;
    world.make_reauthorization(DEMO_USER, BANK).await;
}

#[tokio::test]
async fn the_last_pair_is_given_though_its_refresh_token_is_dead() {
    let world = World::new().await;
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
    assert_eq!(refreshes(&world), 1, "the dead token is not tried again");
    let mut fresh = serde_json::to_value(control.issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    fresh["status"] = json!("user_reauthorization_required");
    world.put(GRANT, &fresh).await;
    assert_eq!(world.get(GRANT).await.json()["status"], "active", "a status that is handed in is ignored");
}

#[tokio::test]
async fn a_refresh_token_that_is_found_dead_while_the_access_token_works_is_told() {
    let world = World::new().await;
    let before = world.get(GRANT).await.json();
    world.system.simulator.control().kill_refresh_tokens(DEMO_USER);
    world.advance(86_400 - 30);
    let reply = world.get(GRANT).await;
    assert_eq!((reply.status, refreshes(&world)), (StatusCode::OK, 1), "{}", reply.body);
    assert_eq!(reply.json()["accessToken"], before["accessToken"]);
    assert_eq!(reply.json()["status"], "user_reauthorization_required");
}

#[tokio::test]
async fn a_refresh_token_that_has_ended_is_not_tried() {
    let world = World::new().await;
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

#[tokio::test]
async fn a_new_reauthorization_says_how_long_its_url_and_its_callback_are_good() {
    let world = World::new().await;
    let reply = world.post(&format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), &json!({})).await;
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
async fn a_refresh_that_may_have_been_executed_is_not_repeated() {
    let world = World::new().await;
    world.advance(2 * 86_400);
    world.system.simulator.control().fail("/v1.7/oauth/token", Failure { executed: true, ..Failure::reset(1) });
    let reply = world.get(GRANT).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("digime_unavailable")));
    assert!(!reply.header("retry-after").is_empty());
    assert_eq!(refreshes(&world), 1);
}

#[tokio::test]
async fn the_contract_is_the_one_given_or_the_accounts_or_the_only_one() {
    let world = World::new().await;
    let url = |user: &str, account: &str| format!("/users/{user}/accounts/{account}/reauthorizations");
    let code =
        |reply: &tests::Reply| (reply.status.as_u16(), reply.json()["code"].as_str().unwrap_or_default().to_owned());

    let reply = world.post(&url("nobody", "1_a"), &json!({})).await;
    assert_eq!(code(&reply), (404, "user_not_found".into()));

    world.hand_in("no-grant", None, &super::broken("1_a")).await;
    let reply = world.post(&url("no-grant", "1_a"), &json!({})).await;
    assert_eq!(code(&reply), (409, "grant_not_found".into()));

    for contract in ["other-1", "other-2"] {
        configure(&world, contract);
        world.put(&format!("/users/two/grants/{contract}"), &pair(1_895_000_000)).await;
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
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, digime_simulator::Account::new("4_new", "New Service", Some("alex")));
    let (_, url) = world.make_reauthorization(DEMO_USER, "4_new").await;
    assert!(url.contains("/reauthorize?code="));
    assert_eq!(world.account(DEMO_USER, "4_new").await["serviceName"], "New Service");
}

#[tokio::test]
async fn a_grant_that_the_application_stores_during_a_refresh_stays() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    let mut newer = serde_json::to_value(control.issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    newer["access_token"]["expires_on"] = json!(world.clock_now().as_second() + 86_400 * 30);
    control.expire_access_tokens(DEMO_USER);
    // digi.me has made the next pair, and its answer is on its way.
    let (gateway, body) = (world.system.gateway.clone(), newer.to_string());
    control.observe(Some(Arc::new(move |moment, name: &str| {
        let (gateway, body) = (gateway.clone(), body.clone());
        let refreshed = moment == Moment::After && name == "POST /v1.7/oauth/token";
        Box::pin(async move {
            if refreshed {
                let path = format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}");
                let request = http::Request::put(path).body(body.into()).unwrap();
                assert_eq!(gateway.call(request).await.status(), StatusCode::NO_CONTENT);
            }
        })
    })));
    world.post(&format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), &json!({})).await;
    control.observe(None);
    assert_eq!(refreshes(&world), 1);
    let kept = world.get(GRANT).await.json();
    assert_eq!(kept["accessToken"]["value"], newer["access_token"]["value"]);
    assert_eq!(kept["refreshToken"]["value"], newer["refresh_token"]["value"]);
}

#[tokio::test]
async fn the_last_access_token_is_kept_though_digime_refuses_the_pair() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    let before = world.get(GRANT).await.json();
    control.expire_access_tokens(DEMO_USER);
    control.kill_refresh_tokens(DEMO_USER);
    let reply = world.post(&format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), &json!({})).await;
    assert_eq!(reply.json()["code"], "user_reauthorization_required");
    let environment = world.system.endpoints.environment(Function::Accounts).into_iter().collect();
    let store = services::store(&Aws::new(&environment).unwrap(), &world.clock.ambient()).unwrap();
    let kept = store.grant(&DEMO_USER.parse().unwrap(), &DEMO_CONTRACT.parse().unwrap()).await.unwrap().unwrap();
    assert!(kept.value.refresh_dead);
    assert_eq!(serde_json::to_value(kept.value.tokens.to_node_form()).unwrap()["accessToken"], before["accessToken"]);
}

#[tokio::test]
async fn a_refreshed_pair_replaces_the_one_it_came_from_whatever_was_said_of_that_meanwhile() {
    let world = Arc::new(World::new().await);
    let before = world.get(GRANT).await.json();
    world.advance(86_400 - 30);
    // While digi.me refreshes, the application stores the old pair, and says that it lasts longer.
    let mut old = before.clone();
    old["accessToken"]["expiry"] = json!(1_899_999_999);
    let stored = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (other, said, put) = (Arc::clone(&world), old.clone(), Arc::clone(&stored));
    world.system.simulator.control().observe(Some(Arc::new(move |moment, name: &str| {
        let refreshes = moment == Moment::After && name.contains("/oauth/token") && !name.contains("reference");
        let (world, old, put) = (Arc::clone(&other), said.clone(), Arc::clone(&put));
        Box::pin(async move {
            if refreshes && !put.swap(true, std::sync::atomic::Ordering::SeqCst) {
                assert_eq!(world.put(GRANT, &old).await.status, StatusCode::NO_CONTENT);
            }
        })
    })));
    let after = world.get(GRANT).await.json();
    world.system.simulator.control().observe(None);
    assert!(stored.load(std::sync::atomic::Ordering::SeqCst));
    assert_ne!(after["refreshToken"], before["refreshToken"]);
    assert_eq!(world.get(GRANT).await.json(), after, "the living pair is stored");
}

#[tokio::test]
async fn a_lease_whose_reply_is_lost_is_used_all_the_same() {
    let world = World::new().await;
    world.advance(2 * 86_400);
    world.system.aws.fail(local::aws::Fault::lose_reply("dynamodb:UpdateItem", 1));
    assert_eq!(world.get(GRANT).await.json()["status"], "active");
    assert_eq!(refreshes(&world), 1);
}
