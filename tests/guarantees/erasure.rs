//! Erasing a user: `DELETE /users/{userId}`.

use http::StatusCode;
use local::{aws::Fault, names::Queue};
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, ReadResult, World, broken};

#[tokio::test]
async fn an_erased_user_leaves_nothing_behind() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let link = world.last_link();
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    world.advance(1);

    world.erase(DEMO_USER).await;
    for path in [
        format!("/users/{DEMO_USER}/accounts"),
        format!("/users/{DEMO_USER}/accounts/{BANK}"),
        format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"),
        format!("/reauthorizations/{id}"),
        link,
    ] {
        assert_eq!(world.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(world.get(&callback).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.get("/accounts?status=reauth_required").await.json(), json!({"accounts": []}));

    let left: Vec<String> = world.items().iter().map(ToString::to_string).collect();
    assert!(left.iter().all(|item| !item.contains(DEMO_USER)), "nothing that is left names the user: {left:?}");
    // Counters of the services, and their logos, belong to no user.
    let of_users: Vec<_> = left.iter().filter(|item| !item.contains("SERVICE#") && !item.contains("LOGO#")).collect();
    assert_eq!(of_users.len(), 1, "only the tombstone is left: {of_users:?}");
}

#[tokio::test]
async fn erasing_an_unknown_user_replies_204() {
    let world = World::builder().start().await;
    world.erase("nobody").await;
}

#[tokio::test]
async fn what_was_sent_before_is_dropped_and_what_is_sent_later_is_not() {
    let world = World::builder().start().await;
    let message = ReadResult::new(DEMO_USER, &broken(BANK));
    world.enqueue(Queue::ReadResults, &message);
    world.advance(1);
    world.erase(DEMO_USER).await;
    world.advance(1);
    world.run_until_idle().await;
    assert!(world.published().is_empty());
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts")).await.status, StatusCode::NOT_FOUND);

    world.enqueue(Queue::ReadResults, &message);
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn an_event_of_an_erased_user_is_not_published() {
    let world = World::builder().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(1);
    world.erase(DEMO_USER).await;
    world.system.aws.clear_faults();
    world.system.queues.redrive(Queue::Notifications).unwrap();
    world.run_until_idle().await;
    world.advance(86_400);
    world.sweep().await;
    assert!(world.published().is_empty());
}

#[tokio::test]
async fn storing_a_grant_brings_an_erased_user_back() {
    let world = World::builder().start().await;
    world.advance(1);
    world.erase(DEMO_USER).await;
    let stored = world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"), &world.issue_tokens(DEMO_USER)).await;
    assert_eq!(stored.status, StatusCode::NO_CONTENT, "{}", stored.body);
    world.advance(1);
    world.create_reauthorization(DEMO_USER, BANK).await;
}

#[tokio::test]
async fn a_result_from_before_is_dropped_after_a_redrive_though_the_user_is_back() {
    let world = World::builder().start().await;
    let result = ReadResult::new(DEMO_USER, &broken(BANK));
    let bus = json!({"detail-type": "digi.me Read Result", "time": "2026-11-23T08:59:00Z", "detail": result.json()});
    let topic = json!({"Type": "Notification", "Timestamp": "2026-11-23T08:59:00Z", "Message": result.to_string()});
    let observed = result.observed_at("2026-11-23T08:59:00Z").json();
    world.advance(1);
    world.erase(DEMO_USER).await;
    world.advance(1);
    world.store_grant(DEMO_USER).await;
    world.advance(60);
    // Each is sent now, as by a redrive or a late envelope.
    for late in [bus, topic, observed] {
        world.enqueue(Queue::ReadResults, &late);
    }
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert!(world.published().is_empty());

    // The same for a result that waited in the dead-letter queue because the table failed.
    world.post(&format!("/users/{DEMO_USER}/read-results"), &json!({"readResult": broken(BANK)})).await;
    world.system.aws.fail(Fault::refuse("dynamodb:Query", 1_000));
    world.run_until_idle().await;
    world.system.aws.clear_faults();
    world.advance(1);
    world.erase(DEMO_USER).await;
    world.advance(60);
    assert_eq!(world.system.queues.redrive(Queue::ReadResults).unwrap(), 1);
    world.run_until_idle().await;
    assert!(world.published().is_empty());
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sequence_numbers_go_on_growing_after_erasing() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(1);
    world.erase(DEMO_USER).await;
    world.advance(1);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let sequences: Vec<_> = world.published().iter().map(|event| event.sequence).collect();
    assert!(sequences.len() == 2 && sequences[0] < sequences[1], "{sequences:?}");
}
