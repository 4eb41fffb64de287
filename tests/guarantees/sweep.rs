//! The sweep publishes events that the topic has not taken, and verifies accounts that digi.me has not confirmed.

use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use local::{
    aws::Fault,
    names::{Queue, TABLE},
};
use serde_json::json;
use tests::{BANK, DEMO_USER, Decision, World, broken};

#[tokio::test]
async fn an_event_that_no_channel_took_is_delivered_by_the_sweep_with_the_same_id_and_link() {
    let world = World::builder().expect_leftovers().setting("REMINDER_SCHEDULE", "none").start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert!(world.published().is_empty());

    world.system.aws.clear_faults();
    assert_eq!(world.sweep().await["requeued"], 0, "it is not due yet");
    world.advance(5 * 60);
    assert_eq!(world.sweep().await["requeued"], 1);
    let event = world.last_published();
    assert_eq!(event.kind, "account.reauthorization_required");
    world.advance(86_400);
    assert_eq!(world.sweep().await["requeued"], 0, "what is delivered is not due");
    assert_eq!(world.published().len(), 1);

    world.system.queues.redrive(Queue::Notifications).unwrap();
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 1, "a channel that has taken an event is not sent it again");
    assert_eq!(event.event_id, world.events(DEMO_USER, BANK).await[0].event_id);
    world.follow(&world.last_link()).await;
}

async fn verifying() -> (World, String) {
    let (world, _) = World::in_need().await;
    let control = world.system.simulator.control();
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    control.fail("/v1.7/permission-access/accounts", Failure::status(500, 3));
    assert!(world.get(&callback).await.header("location").contains("status=verifying"));
    (world, id)
}

#[tokio::test]
async fn a_verifying_account_is_confirmed_when_digime_answers_again() {
    let (world, id) = verifying().await;
    assert_eq!(world.sweep().await["settled"], 0, "it is not due yet");
    world.advance(60);
    assert_eq!(world.sweep().await["settled"], 1);
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["verified"]), (&json!("active"), &json!(true)));
    assert_eq!(world.last_published().via.as_deref(), Some("sweep"));
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["status"], "succeeded");
}

#[tokio::test]
async fn a_verifying_account_that_is_not_authorized_needs_its_user_again() {
    let (world, id) = verifying().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Sdk);
    world.advance(60);
    assert_eq!(world.sweep().await["settled"], 1);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["errorCode"], "NOT_AUTHORIZED");
}

#[tokio::test]
async fn where_the_list_does_not_tell_a_read_of_the_account_does() {
    for (is_broken, status) in [(false, "active"), (true, "reauth_required")] {
        let (world, _) = verifying().await;
        let control = world.system.simulator.control();
        control.set_access_token_status(AccessTokenStatus::Absent);
        control.read_delay_polls(0);
        if is_broken {
            control.break_account(BANK, ErrorShape::Documented);
        }
        world.advance(60);
        assert_eq!(world.sweep().await["settled"], 1);
        assert_eq!(world.account(DEMO_USER, BANK).await["status"], status);
    }
}

#[tokio::test]
async fn after_a_day_without_an_answer_the_account_counts_as_reauthorized_unverified() {
    let (world, id) = verifying().await;
    world.system.simulator.control().fail("/v1.7/permission-access/accounts", Failure::status(500, 1_000));
    world.advance(23 * 3_600);
    assert_eq!(world.sweep().await["settled"], 0);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
    world.advance(3_600);
    assert_eq!(world.sweep().await["settled"], 1);
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["verified"]), (&json!("active"), &json!(false)));
    let reauthorization = world.get(&format!("/reauthorizations/{id}")).await.json();
    assert_eq!((&reauthorization["status"], &reauthorization["verified"]), (&json!("succeeded"), &json!(false)));
}

#[tokio::test]
async fn a_reauthorization_that_is_gone_does_not_keep_its_account_waiting() {
    let (world, id) = verifying().await;
    let request = json!({"TableName": TABLE, "Key": {"PK": {"S": format!("REAUTH#{id}")}, "SK": {"S": "REAUTH"}}});
    world.system.database.delete_item(serde_json::from_value(request).unwrap()).unwrap();
    world.advance(60);
    assert_eq!(world.sweep().await["settled"], 1);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.status.as_u16(), 404);
}

#[tokio::test]
async fn events_are_put_back_and_a_digime_that_fails_is_not_asked_for_every_account() {
    let world = World::builder().expect_leftovers().start().await;
    let control = world.system.simulator.control();
    for number in 0..40 {
        let (user, account) = (format!("user-{number}"), format!("{number}_bank"));
        control.add_account(&user, digime_simulator::Account::new(account.clone(), "Meadow Bank", Some("alex.morgan")));
        world.store_grant(&user).await;
        let (_, url) = world.create_reauthorization(&user, &account).await;
        let callback = world.decide(&url, Decision::Success).await;
        control.fail("/v1.7/permission-access/accounts", Failure::status(500, 3));
        assert!(world.get(&callback).await.header("location").contains("status=verifying"));
        control.clear_failures();
    }
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.system.aws.clear_faults();
    world.advance(5 * 60);
    control.fail("/v1.7/permission-access/accounts", Failure::status(500, 1_000));
    world.system.simulator.clear_requests();
    let summary = world.sweep().await;
    assert_eq!((&summary["requeued"], &summary["settled"]), (&json!(1), &json!(0)));
    let left = summary["left"].as_u64().unwrap();
    assert!(left >= 40 - 16 - 5, "{summary}");

    // The accounts that were left are still due. They are settled when digi.me answers again.
    control.clear_failures();
    assert_eq!(world.sweep().await["settled"], left);
}
