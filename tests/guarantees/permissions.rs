//! Least privilege: the role of each function in the template allows exactly the calls that the function makes.

use digime_simulator::{AccessTokenStatus, Account, ErrorShape, Failure};
use http::StatusCode;
use local::{MailFeedback, aws::Fault, names::Queue};
use serde_json::json;
use tests::{Answer, BANK, DEMO_USER, Decision, World, broken, granted_permissions, healthy, used_permissions};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";
const HOSPITAL: &str = "2_demo-hospital";
const INSTAGRAM: &str = "3_demo-instagram";

/// The URL behind the newest reconnect link.
async fn reconnect(world: &World) -> String {
    world.run_until_idle().await;
    world.follow(&world.last_link()).await
}

/// Reauthorizations and a list of accounts. Each function that calls digi.me finds an expired token.
async fn reauthorize_with_expired_tokens(world: &World) {
    let control = world.system.simulator.control();
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &healthy(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:01:00Z"), &broken(BANK)).await;
    control.expire_access_tokens(DEMO_USER);
    let url = reconnect(world).await;
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    let url = reconnect(world).await;
    let callback = world.decide(&url, Decision::Success).await;
    control.expire_access_tokens(DEMO_USER);
    world.get(&callback).await;
    control.expire_access_tokens(DEMO_USER);
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
}

/// A user whose refresh token is dead goes through digi.me's user page and the page of the bank account.
async fn reauthorize_the_user(world: &World) {
    let control = world.system.simulator.control();
    control.set_access_token_status(AccessTokenStatus::default());
    control.break_account(BANK, ErrorShape::Documented);
    world.advance(3_600);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    control.expire_access_tokens(DEMO_USER);
    control.kill_refresh_tokens(DEMO_USER);
    let result = world.reauthorize(&reconnect(world).await, Decision::Success).await;
    world.reauthorize(result.reply.header("location"), Decision::Success).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

/// An account that only digi.me knows, and one that the sweep verifies, with an expired token too.
async fn verify_by_the_sweep(world: &World) {
    let control = world.system.simulator.control();
    control.add_account(DEMO_USER, Account::new("4_new", "New", None));
    world.create_reauthorization(DEMO_USER, "4_new").await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:02:00Z"), &broken(HOSPITAL)).await;
    let callback = world.decide(&reconnect(world).await, Decision::Success).await;
    control.set_access_token_status(AccessTokenStatus::Absent);
    control.fail(ACCOUNTS, Failure::status(500, 3));
    world.get(&callback).await;
    control.expire_access_tokens(DEMO_USER);
    control.read_delay_polls(0);
    world.advance(60);
    world.sweep().await;
    assert_eq!(world.account(DEMO_USER, HOSPITAL).await["status"], "active");
}

/// A user's first results, an account that breaks before digi.me's list named it, and an event that the sweep publishes.
async fn take_in_first_results(world: &World) {
    world.hand_in("a-new-user", None, &broken("6_first")).await;
    world.system.simulator.control().add_account(DEMO_USER, Account::new("5_newer", "Newer", None));
    world.hand_in(DEMO_USER, None, &broken("5_newer")).await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(INSTAGRAM)).await;
    world.system.aws.clear_faults();
    world.advance(3_600);
    world.sweep().await;
}

/// Two accounts of one service break, which are many with `OUTAGE_MIN_ACCOUNTS`. The operator is told.
async fn lose_a_service(world: &World) {
    let mut read = json!({});
    for account in ["8_down", "9_down"] {
        let added = Account::new(account, "A Service That Is Down", None);
        world.system.simulator.control().add_account(DEMO_USER, added);
        read[account] = broken(account)[account].clone();
    }
    world.hand_in(DEMO_USER, None, &read).await;
    world.sweep().await;
}

/// The webhook's endpoint refuses an event once more, and is gone. The operator is told.
async fn post_to_an_endpoint_that_fails(world: &World) {
    world.enqueue(Queue::Webhooks, "no event");
    for status in [500, 410] {
        world.webhook().answer(Answer::Status(status));
        world.hand_in("a-new-user", None, &broken("7_second")).await;
        world.advance(60);
    }
    world.sweep().await;
}

/// The log, redelivery on both channels, and the webhook's routes, with an endpoint that is disabled first.
async fn use_the_log(world: &World) {
    world.webhook().answer(Answer::Status(410));
    world.advance(60);
    world.hand_in("a-new-user", None, &healthy("6_first")).await;
    world.post("/webhook/enable", &json!({})).await;
    world.webhook().answer(Answer::Status(204));
    world.advance(3_600);
    world.run_until_idle().await;
    let events = world.get("/events").await.json()["events"].clone();
    let event = events[0]["data"]["eventId"].as_str().unwrap();
    for channel in ["webhook", "topic"] {
        let reply = world.post(&format!("/events/{event}/redeliver"), &json!({"channel": channel})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
    }
    world.get(&format!("/events/{event}/deliveries")).await;
    world.post("/webhook/test", &json!({})).await;
    world.get("/webhook").await;
    world.sweep().await;
}

/// A user is written to and reminded of it, and complains.
async fn write_to_a_user(world: &World) {
    world.lose_with_contact("a-reader", &json!({"email": "ann@example.org"})).await;
    for seconds in [11 * 60, 86_400] {
        world.advance(seconds);
        world.sweep().await;
    }
    let mail = world.system.mails.all().remove(0);
    world.system.mails.give_feedback(&mail, MailFeedback::Complaint).unwrap();
    world.run_until_idle().await;
}

/// The application's other routes, erasure last.
async fn list_store_and_erase(world: &World) {
    world.get("/accounts?status=reauth_required").await;
    world.account(DEMO_USER, BANK).await;
    world.store_grant(DEMO_USER).await;
    world.post(&format!("/users/{DEMO_USER}/read-results"), &json!({"readResult": {}})).await;
    world.erase(DEMO_USER).await;
    world.run_until_idle().await;
}

/// Each world checks when it is dropped that no function did what its role does not allow. This test checks the reverse.
#[tokio::test]
async fn every_function_is_allowed_exactly_what_it_does() {
    let world = World::builder().setting("OUTAGE_MIN_ACCOUNTS", "2").webhook().mails().expect_leftovers().start().await;
    for account in [BANK, HOSPITAL, INSTAGRAM] {
        world.system.simulator.control().break_account(account, ErrorShape::Documented);
    }
    reauthorize_with_expired_tokens(&world).await;
    verify_by_the_sweep(&world).await;
    reauthorize_the_user(&world).await;
    take_in_first_results(&world).await;
    lose_a_service(&world).await;
    post_to_an_endpoint_that_fails(&world).await;
    use_the_log(&world).await;
    write_to_a_user(&world).await;
    list_store_and_erase(&world).await;
    let used = used_permissions(world.system.aws.permissions());
    let granted = granted_permissions();
    let superfluous: Vec<_> = granted.difference(&used).collect();
    assert!(superfluous.is_empty(), "a role allows what nobody does: {superfluous:#?}");
}
