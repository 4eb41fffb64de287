//! An account that comes back with another login is noticed, and stays so until the right login returns.

use digime_simulator::{Account, Failure};
use serde_json::{Value, json};
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";
/// An account that the user added after the grant was stored.
const ADDED: &str = "9_added";

#[tokio::test]
async fn a_completed_read_does_not_heal_an_account_with_another_login() {
    let world = World::with_identity_mismatch().await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["identityMismatch"], json!({"expected": "al•••••an", "found": "so•••••se"}));
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(account["status"], "reauth_required", "{account}");
    assert_eq!(account["lastReadAt"], "2026-11-23T09:00:30.000Z");
}

#[tokio::test]
async fn a_completed_read_heals_when_the_list_names_the_expected_login_again() {
    let world = World::with_identity_mismatch().await;
    world.system.simulator.control().set_username(BANK, Some("alex.morgan".into()));
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["identityMismatch"]), (&json!("active"), &Value::Null));
}

#[tokio::test]
async fn a_reauthorization_with_the_right_login_ends_the_mismatch() {
    let world = World::with_identity_mismatch().await;
    world.system.simulator.control().set_username(BANK, Some("alex.morgan".into()));
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let result = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["identityMismatch"], Value::Null);
}

#[tokio::test]
async fn an_account_that_breaks_before_it_was_listed_is_looked_up_so_that_another_login_is_noticed() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, Account::new(ADDED, "Hill Bank", Some("pat.doe")));
    control.break_account(ADDED, digime_simulator::ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(ADDED)).await;
    assert_eq!(world.last_published().service_name.as_deref(), Some("Hill Bank"));
    let (_, url) = world.create_reauthorization(DEMO_USER, ADDED).await;
    let result = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(result.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_account_that_could_not_be_looked_up_when_it_broke_is_looked_up_when_its_url_is_made() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, Account::new(ADDED, "Hill Bank", Some("pat.doe")));
    control.break_account(ADDED, digime_simulator::ErrorShape::Documented);
    control.fail(ACCOUNTS, Failure::status(500, 1_000));
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(ADDED)).await;
    let account = world.account(DEMO_USER, ADDED).await;
    assert_eq!((&account["status"], &account["serviceName"]), (&json!("reauth_required"), &Value::Null));

    // The user can continue although digi.me does not list accounts.
    world.create_reauthorization(DEMO_USER, ADDED).await;
    control.clear_failures();
    let (_, url) = world.create_reauthorization(DEMO_USER, ADDED).await;
    let result = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(result.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_sweep_does_not_take_a_working_read_for_the_right_login() {
    let world = World::with_identity_mismatch().await;
    let control = world.system.simulator.control();
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
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
