//! Forgetting a user.

use http::{Method, StatusCode};
use serde_json::json;
use tests::{Decision, World};

use super::{BANK, DEMO_CONTRACT, DEMO_USER, broken};

#[tokio::test]
async fn a_forgotten_user_leaves_nothing_behind() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let link = world.last_link();
    let (id, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    world.advance(1);

    let gone = world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    assert_eq!((gone.status, gone.body.as_str()), (StatusCode::NO_CONTENT, ""));
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

    let left = world.system.database.scan(serde_json::from_value(json!({"TableName": local::names::TABLE})).unwrap());
    let left = serde_json::to_value(left.unwrap()).unwrap();
    assert_eq!(left["Count"], 1, "only the mark is left: {left}");
    assert!(!left.to_string().contains(DEMO_USER), "and it does not name him");
}

#[tokio::test]
async fn forgetting_an_unknown_user_is_fine() {
    let world = World::new().await;
    assert_eq!(world.call(Method::DELETE, "/users/nobody", "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn what_was_sent_before_is_dropped_and_what_is_sent_later_is_not() {
    let world = World::new().await;
    let message = json!({"userId": DEMO_USER, "readResult": broken(BANK)}).to_string();
    world.enqueue(&message);
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.advance(1);
    world.run_until_idle().await;
    assert!(world.published().is_empty());
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts")).await.status, StatusCode::NOT_FOUND);

    world.enqueue(&message);
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 1);
}

#[tokio::test]
async fn an_event_of_a_forgotten_user_is_not_told() {
    let mut world = World::new().await;
    world.system.aws.fail(local::aws::Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.system.aws.heal();
    world.system.queues.redrive(local::names::Queue::Notifications).unwrap();
    world.run_until_idle().await;
    world.advance(86_400);
    world.sweep().await;
    assert!(world.published().is_empty());
    world.expect_leftovers();
}

#[tokio::test]
async fn storing_a_grant_brings_a_forgotten_user_back() {
    let world = World::new().await;
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    let tokens = serde_json::to_value(world.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    let stored = world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"), &tokens).await;
    assert_eq!(stored.status, StatusCode::NO_CONTENT, "{}", stored.body);
    world.advance(1);
    world.make_reauthorization(DEMO_USER, BANK).await;
}

#[tokio::test]
async fn a_result_from_before_is_dropped_after_a_redrive_though_the_user_is_back() {
    let world = World::new().await;
    let (inner, queue) = (json!({"userId": DEMO_USER, "readResult": broken(BANK)}), local::names::Queue::ReadResults);
    let bus = json!({"detail-type": "digi.me Read Result", "time": "2026-11-23T08:59:00Z", "detail": inner});
    let topic = json!({"Type": "Notification", "Timestamp": "2026-11-23T08:59:00Z", "Message": inner.to_string()});
    let observed = json!({"userId": DEMO_USER, "observedAt": "2026-11-23T08:59:00Z", "readResult": broken(BANK)});
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.advance(1);
    let tokens = serde_json::to_value(world.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    world.put(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}"), &tokens).await;
    world.advance(60);
    // Each is sent anew, as a redrive or a slow envelope does.
    for late in [bus, topic, observed] {
        world.enqueue(&late.to_string());
    }
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert!(world.published().is_empty());

    // What a failing table held up in the dead-letter queue, too.
    world.post(&format!("/users/{DEMO_USER}/read-results"), &json!({"readResult": broken(BANK)})).await;
    world.system.aws.fail(local::aws::Fault::refuse("dynamodb:Query", 1_000));
    world.run_until_idle().await;
    world.system.aws.heal();
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.advance(60);
    assert_eq!(world.system.queues.redrive(queue).unwrap(), 1);
    world.run_until_idle().await;
    assert!(world.published().is_empty());
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn sequence_numbers_go_on_growing_after_forgetting() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(1);
    world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    world.advance(1);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let published = world.published();
    let sequences: Vec<_> = published.iter().map(|event| event["data"]["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.len() == 2 && sequences[0] < sequences[1], "{sequences:?}");
}
