//! `POST /users/{userId}/accounts/{accountId}/accept-identity`.

use digime_simulator::ErrorShape;
use http::StatusCode;
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, Reply, World, broken};

async fn accept(world: &World, account: &str) -> Reply {
    world.post(&format!("/users/{DEMO_USER}/accounts/{account}/accept-identity"), &Value::Null).await
}

#[tokio::test]
async fn the_application_can_take_the_new_login_for_good() {
    let world = World::with_identity_mismatch().await;
    let reply = accept(&world, BANK).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!((&reply.json()["status"], &reply.json()["verified"]), (&json!("active"), &json!(true)));
    world.run_until_idle().await;
    let event = world.last_published();
    assert_eq!((&*event.kind, event.via.as_deref()), ("account.reauthorized", Some("application")));

    // From now on, the new login is the right one.
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:01:30Z"), &broken(BANK)).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    // The user signs in with the new login again. It is the simulator's other account of the service.
    let result = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_route_without_fields_refuses_each_field_by_name() {
    let world = World::with_identity_mismatch().await;
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/accept-identity");
    for (body, field) in [(json!({"returnUrl": "https://example.com"}), "returnUrl"), (json!([]), "")] {
        let problem = world.post(&path, &body).await;
        assert_eq!((problem.status, &problem.json()["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!(field)));
    }
    assert_eq!(world.post(&path, &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_login_is_accepted_only_where_there_is_another_one_that_works() {
    let world = World::builder().start().await;
    let problem = accept(&world, BANK).await;
    assert_eq!((problem.status, &problem.json()["code"]), (StatusCode::CONFLICT, &json!("no_identity_mismatch")));
    assert_eq!(accept(&world, "8_unknown").await.json()["code"], "account_not_found");

    let world = World::with_identity_mismatch().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    let problem = accept(&world, BANK).await;
    assert_eq!((problem.status, &problem.json()["code"]), (StatusCode::CONFLICT, &json!("identity_not_acceptable")));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}
