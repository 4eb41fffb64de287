//! A token pair is refreshed once for all callers, never replaces a newer pair, and only if it can be checked and stored.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use digime_simulator::{Failure, Moment};
use http::StatusCode;
use local::{Function, aws::Fault};
use reauth_core::{aws::Aws, services};
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, World};

use crate::failures::{DigimeFault, MORE_THAN_ANY_TEST_SENDS, asked, assert_problem, digime_faults};

const GRANT: &str = "/users/demo-user/grants/demo-contract";

#[tokio::test]
async fn storing_a_grant_begins_no_refresh_that_could_be_cut_off() {
    let world = World::builder().start().await;
    let issued = world.issue_tokens(DEMO_USER);
    world.advance(2 * 86_400);
    let stored = world.put(&format!("{GRANT}?replace=true"), &issued).await;
    assert_eq!((stored.status, world.refreshes()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(world.get(GRANT).await.status, StatusCode::OK);
    assert_eq!(world.refreshes(), 1, "with time enough it is refreshed");
}

#[tokio::test]
async fn many_who_find_the_token_expired_share_one_refresh() {
    let world = World::builder().start().await;
    world.advance(2 * 86_400);
    let (a, b, c) = tokio::join!(world.get(GRANT), world.get(GRANT), world.get(GRANT));
    assert_eq!((a.status, b.status, c.status), (StatusCode::OK, StatusCode::OK, StatusCode::OK), "{}", a.body);
    assert_eq!((a.json(), b.json()), (b.json(), c.json()));
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_refresh_that_may_have_been_executed_is_not_repeated() {
    let world = World::builder().start().await;
    world.advance(2 * 86_400);
    world.system.simulator.control().fail("/v1.7/oauth/token", Failure { executed: true, ..Failure::reset(1) });
    let reply = world.get(GRANT).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("digime_unavailable")));
    assert!(!reply.header("retry-after").is_empty());
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_grant_that_the_application_stores_during_a_refresh_stays() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    let mut newer = world.issue_tokens(DEMO_USER);
    newer["access_token"]["expires_on"] = json!(world.clock_now().as_second() + 86_400 * 30);
    control.expire_access_tokens(DEMO_USER);
    // The application stores a pair when digi.me has refreshed, before its answer arrives.
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
    world.request_reauthorization(DEMO_USER, BANK).await;
    control.observe(None);
    assert_eq!(world.refreshes(), 1);
    let kept = world.get(GRANT).await.json();
    assert_eq!(kept["accessToken"]["value"], newer["access_token"]["value"]);
    assert_eq!(kept["refreshToken"]["value"], newer["refresh_token"]["value"]);
}

#[tokio::test]
async fn the_last_access_token_is_kept_though_digime_refuses_the_pair() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    let before = world.get(GRANT).await.json();
    control.expire_access_tokens(DEMO_USER);
    control.kill_refresh_tokens(DEMO_USER);
    let reply = world.request_reauthorization(DEMO_USER, BANK).await;
    assert_eq!(reply.json()["kind"], "user");
    let environment = world.system.endpoints.environment(Function::Accounts).into_iter().collect();
    let store = services::store(&Aws::new(&environment).unwrap(), &world.clock.ambient()).unwrap();
    let kept = store.grant(&DEMO_USER.parse().unwrap(), &DEMO_CONTRACT.parse().unwrap()).await.unwrap().unwrap();
    assert!(kept.value.episode.is_some());
    assert_eq!(serde_json::to_value(kept.value.tokens.to_node_form()).unwrap()["accessToken"], before["accessToken"]);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_refreshed_pair_replaces_its_predecessor_even_if_that_was_stored_again() {
    let world = Arc::new(World::builder().start().await);
    let before = world.get(GRANT).await.json();
    world.advance(86_400 - 30);
    // While digi.me refreshes, the application stores the old pair with a later expiry.
    let mut old = before.clone();
    old["accessToken"]["expiry"] = json!(1_899_999_999);
    let stored = Arc::new(AtomicBool::new(false));
    let (other, said, put) = (Arc::clone(&world), old.clone(), Arc::clone(&stored));
    world.system.simulator.control().observe(Some(Arc::new(move |moment, name: &str| {
        let refreshes = moment == Moment::After && name.contains("/oauth/token") && !name.contains("reference");
        let (world, old, put) = (Arc::clone(&other), said.clone(), Arc::clone(&put));
        Box::pin(async move {
            if refreshes && !put.swap(true, Ordering::SeqCst) {
                assert_eq!(world.put(GRANT, &old).await.status, StatusCode::NO_CONTENT);
            }
        })
    })));
    let after = world.get(GRANT).await.json();
    world.system.simulator.control().observe(None);
    assert!(stored.load(Ordering::SeqCst));
    assert_ne!(after["refreshToken"], before["refreshToken"]);
    assert_eq!(world.get(GRANT).await.json(), after, "the living pair is stored");
}

#[tokio::test]
async fn a_lease_whose_reply_is_lost_is_used_all_the_same() {
    let world = World::builder().start().await;
    world.advance(2 * 86_400);
    world.system.aws.fail(Fault::lose_reply("dynamodb:UpdateItem", 1));
    assert_eq!(world.get(GRANT).await.json()["status"], "active");
    assert_eq!(world.refreshes(), 1);
}

#[tokio::test]
async fn a_refresh_that_fails_keeps_the_stored_pair() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    let executed = |fault: &DigimeFault| fault.failure.status == 200;
    for DigimeFault { name, failure, .. } in digime_faults().into_iter().filter(|fault| !executed(fault)) {
        control.expire_access_tokens(DEMO_USER);
        control.fail("/v1.7/oauth/token", failure);
        let reply = world.request_reauthorization(DEMO_USER, BANK).await;
        assert!(reply.status.is_server_error(), "{name}: {}", reply.body);
        control.clear_failures();
        let reply = world.request_reauthorization(DEMO_USER, BANK).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{name}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_refresh_answered_without_a_refresh_token_keeps_the_stored_pair() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.expire_access_tokens(DEMO_USER);
    let claims = json!({"access_token": {"value": "new", "expires_on": 1_900_000_000}});
    control.set_answer_claims("oauth/token", Some(claims));
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 502, "digime_invalid_answer");
    control.set_answer_claims("oauth/token", None);
    let kept = world.get(GRANT).await;
    assert_eq!(kept.status, StatusCode::OK, "{}", kept.body);
    assert!(!kept.body.contains("\"new\""));
}

#[tokio::test]
async fn no_refresh_is_begun_while_its_answer_could_not_be_checked() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.expire_access_tokens(DEMO_USER);
    control.fail("/v1.7/jwks/oauth", Failure::status(500, MORE_THAN_ANY_TEST_SENDS));
    world.system.simulator.clear_requests();
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 503, "digime_unavailable");
    assert_eq!(asked(&world, "/oauth/token"), 0);
    control.clear_failures();
    // An error about the key set is not an error about the token, whatever its code.
    let misleading = Failure { code: Some("InvalidToken".into()), ..Failure::status(401, MORE_THAN_ANY_TEST_SENDS) };
    control.fail("/v1.7/jwks/oauth", misleading);
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 502, "digime_refused");
    control.clear_failures();
    assert_eq!(world.request_reauthorization(DEMO_USER, BANK).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_refresh_whose_preparations_took_too_long_is_not_begun() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    // An access token that has expired, and a cached key set that is too old.
    let mut tokens = world.issue_tokens(DEMO_USER);
    tokens["access_token"]["expires_on"] = json!(world.clock_now().as_second() - 60);
    assert_eq!(world.put(&format!("{GRANT}?replace=true"), &tokens).await.status, StatusCode::NO_CONTENT);
    world.advance(3_600);
    let clock = world.clock.clone();
    control.observe(Some(Arc::new(move |moment, name: &str| {
        if moment == Moment::After && name.ends_with("/jwks/oauth") {
            clock.advance(Duration::from_secs(25));
        }
        Box::pin(async {})
    })));
    world.system.simulator.clear_requests();
    assert_problem(&world.request_reauthorization(DEMO_USER, BANK).await, 503, "unavailable");
    assert_eq!((asked(&world, "/jwks/oauth"), asked(&world, "/oauth/token")), (1, 0));
    control.observe(None);
    // The lease was released.
    assert_eq!(world.request_reauthorization(DEMO_USER, BANK).await.status, StatusCode::CREATED);
}
