//! Least privilege: what each function calls in AWS is what its role in the template allows, no more and no less.

use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use http::Method;
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, World, broken, granted, healthy, needed};

/// Everything that the functions do: grants, refreshes, reads, links, callbacks of every outcome, sweeps, forgetting.
async fn everything(world: &World) {
    let control = world.system.simulator.control();
    let accounts = "/v1.7/permission-access/accounts";
    let link = async || {
        world.run_until_idle().await;
        world.follow(&world.last_link()).await
    };
    for account in [BANK, "2_demo-hospital", "3_demo-instagram"] {
        control.break_account(account, ErrorShape::Documented);
    }
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &healthy(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:01:00Z"), &broken(BANK)).await;

    // An expired token, found by each function that calls digi.me.
    control.expire_access_tokens(DEMO_USER);
    let url = link().await;
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    let url = link().await;
    let callback = world.decide(&url, Decision::Success).await;
    control.expire_access_tokens(DEMO_USER);
    world.get(&callback).await;
    control.expire_access_tokens(DEMO_USER);
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;

    // An account that only digi.me knows, and one that waits for the sweep, which finds an expired token too.
    control.add_account(DEMO_USER, digime_simulator::Account::new("4_new", "New", None));
    world.make_reauthorization(DEMO_USER, "4_new").await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:02:00Z"), &broken("2_demo-hospital")).await;
    let callback = world.decide(&link().await, Decision::Success).await;
    control.set_access_token_status(AccessTokenStatus::Absent);
    control.fail(accounts, Failure::status(500, 3));
    world.get(&callback).await;
    control.expire_access_tokens(DEMO_USER);
    control.read_delay_polls(0);
    world.advance(60);
    world.sweep().await;
    assert_eq!(world.account(DEMO_USER, "2_demo-hospital").await["status"], "active");

    // A user's first results, and an account that breaks before digi.me's list named it.
    world.hand_in("a-new-user", None, &broken("6_first")).await;
    control.add_account(DEMO_USER, digime_simulator::Account::new("5_newer", "Newer", None));
    world.hand_in(DEMO_USER, None, &broken("5_newer")).await;

    // An event that has to be brought again.
    world.system.aws.fail(local::aws::Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken("3_demo-instagram")).await;
    world.system.aws.heal();
    world.advance(3_600);
    world.sweep().await;

    world.get("/accounts?status=reauth_required").await;
    world.account(DEMO_USER, BANK).await;
    let tokens = serde_json::to_value(control.issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}?replace=true"), &tokens).await;
    world.post(&format!("/users/{DEMO_USER}/read-results"), &json!({"readResult": {}})).await;
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.run_until_idle().await;
}

/// Each world that ends checks that no function did what its role does not allow. Here the reverse: with what the roles
/// allow all done in one walk, the whole suite needs exactly that.
#[tokio::test]
async fn every_function_is_allowed_exactly_what_it_does() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    everything(&world).await;
    let (needed, granted) = (needed(world.system.aws.permissions()), granted());
    let superfluous: Vec<_> = granted.difference(&needed).collect();
    assert!(superfluous.is_empty(), "a role allows what nobody does: {superfluous:#?}");
}
