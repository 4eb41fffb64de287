//! Whose account it is: another login than before is noticed, whenever the account became known, and stays noticed.

use digime_simulator::{Account, Failure};
use http::StatusCode;
use serde_json::{Value, json};
use tests::{Decision, World};

use super::{BANK, DEMO_USER, broken, healthy};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";
/// An account that the user added after the grant was stored.
const ADDED: &str = "9_added";

/// A world in which the bank came back with another login.
async fn mismatched() -> World {
    let world = World::new().await;
    world.system.simulator.control().break_account(BANK, digime_simulator::ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let ending = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(ending.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
    world.advance(60);
    world
}

async fn accept(world: &World, account: &str) -> tests::Reply {
    world.post(&format!("/users/{DEMO_USER}/accounts/{account}/accept-identity"), &Value::Null).await
}

#[tokio::test]
async fn a_completed_read_does_not_heal_an_account_with_another_login() {
    let world = mismatched().await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["identityMismatch"], json!({"expected": "al•••••an", "found": "so•••••se"}));
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["status"], "reauth_required", "{account}");
    assert_eq!(account["lastReadAt"], "2026-11-23T09:00:30.000Z");
}

#[tokio::test]
async fn a_completed_read_heals_when_the_list_names_the_expected_login_again() {
    let world = mismatched().await;
    world.system.simulator.control().set_username(BANK, Some("alex.morgan".into()));
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["identityMismatch"]), (&json!("active"), &Value::Null));
}

#[tokio::test]
async fn a_reauthorization_with_the_right_login_ends_the_mismatch() {
    let world = mismatched().await;
    world.system.simulator.control().set_username(BANK, Some("alex.morgan".into()));
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let ending = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(ending.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["identityMismatch"], Value::Null);
}

#[tokio::test]
async fn the_application_can_take_the_new_login_for_good() {
    let world = mismatched().await;
    let reply = accept(&world, BANK).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!((&reply.json()["status"], &reply.json()["verified"]), (&json!("active"), &json!(true)));
    world.run_until_idle().await;
    let told = world.published().pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["via"]), (&json!("account.reauthorized"), &json!("application")));

    // From now on, the new login is the right one.
    world.system.simulator.control().break_account(BANK, digime_simulator::ErrorShape::Documented);
    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:01:30Z"), &broken(BANK)).await;
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let ending = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(ending.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_login_is_accepted_only_where_there_is_another_one_that_works() {
    let world = World::new().await;
    let problem = accept(&world, BANK).await;
    assert_eq!((problem.status, &problem.json()["code"]), (StatusCode::CONFLICT, &json!("no_identity_mismatch")));
    assert_eq!(accept(&world, "8_unknown").await.json()["code"], "account_not_found");

    let world = mismatched().await;
    world.system.simulator.control().break_account(BANK, digime_simulator::ErrorShape::Documented);
    let problem = accept(&world, BANK).await;
    assert_eq!((problem.status, &problem.json()["code"]), (StatusCode::CONFLICT, &json!("identity_not_acceptable")));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test]
async fn an_account_that_breaks_before_it_was_listed_is_looked_up_so_that_another_login_is_noticed() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, Account::new(ADDED, "Hill Bank", Some("pat.doe")));
    control.break_account(ADDED, digime_simulator::ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(ADDED)).await;
    assert_eq!(world.published().pop().unwrap()["data"]["serviceName"], "Hill Bank");
    let (_, url) = world.make_reauthorization(DEMO_USER, ADDED).await;
    let ending = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(ending.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_account_that_could_not_be_looked_up_when_it_broke_is_looked_up_when_its_url_is_made() {
    let world = World::new().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, Account::new(ADDED, "Hill Bank", Some("pat.doe")));
    control.break_account(ADDED, digime_simulator::ErrorShape::Documented);
    control.fail(ACCOUNTS, Failure::status(500, 1_000));
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(ADDED)).await;
    let account = world.account(DEMO_USER, ADDED).await;
    assert_eq!((&account["status"], &account["serviceName"]), (&json!("reauth_required"), &Value::Null));

    // While digi.me does not list accounts, the user may go on all the same.
    world.make_reauthorization(DEMO_USER, ADDED).await;
    control.clear_failures();
    let (_, url) = world.make_reauthorization(DEMO_USER, ADDED).await;
    let ending = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(ending.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_sweep_does_not_take_a_working_read_for_the_right_login() {
    let world = mismatched().await;
    let control = world.system.simulator.control();
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    control.fail(ACCOUNTS, Failure::status(500, 1_000));
    assert!(world.get(&callback).await.header("location").contains("status=verifying"));
    control.clear_failures();
    control.set_access_token_status(digime_simulator::AccessTokenStatus::Absent);
    control.set_username(BANK, None);
    control.read_delay_polls(0);
    world.advance(60);
    assert_eq!(world.sweep().await["settled"], 0);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
}
