//! `GET /events/{eventId}/deliveries`.

use http::StatusCode;
use local::aws::Fault;
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_USER, World, broken};

const DAY: u64 = 24 * 60 * 60;

async fn deliveries(world: &World) -> Vec<Value> {
    let event = &world.events(DEMO_USER, BANK).await[0].event_id;
    let reply = world.get(&format!("/events/{event}/deliveries")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.json()["eventId"], json!(event));
    reply.json()["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn the_attempts_of_a_post_are_shown_with_what_the_receiver_said() {
    let world = World::builder().webhook().start().await;
    world.webhook().answer(Answer::Body(503, "not <now>\nplease".repeat(100)));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let failed = deliveries(&world).await;
    let at = "2026-11-23T09:00:00.000Z";
    assert_eq!(failed[0], json!({"channel": "topic", "status": "delivered", "deliveredAt": at, "attempts": []}));
    assert_eq!((&failed[1]["channel"], &failed[1]["status"]), (&json!("webhook"), &json!("pending")));
    let attempt = &failed[1]["attempts"][0];
    assert_eq!((&attempt["attemptedAt"], &attempt["statusCode"]), (&json!(at), &json!(503)));
    assert!(attempt["response"].as_str().is_some_and(|text| text.starts_with("not <now>") && text.len() <= 512));
    assert!(failed[1]["nextAttemptAt"].as_str().is_some_and(|next| next > at));

    world.webhook().answer(Answer::Status(204));
    world.advance(60);
    world.run_until_idle().await;
    let posted = deliveries(&world).await.remove(1);
    assert_eq!((&posted["status"], posted.get("nextAttemptAt")), (&json!("delivered"), None));
    assert_eq!(posted["deliveredAt"], json!("2026-11-23T09:01:00.000Z"));
    let statuses: Vec<_> = posted["attempts"].as_array().unwrap().iter().map(|one| one["statusCode"].clone()).collect();
    assert_eq!(statuses, [503, 204]);

    world.advance(8 * DAY);
    let later = deliveries(&world).await.remove(1);
    assert_eq!((&later["status"], &later["attempts"]), (&json!("delivered"), &json!([])), "shown for seven days");
    world.advance(7 * DAY);
    assert_eq!(deliveries(&world).await.len(), 1, "kept for fourteen days");
}

#[tokio::test]
async fn an_event_that_no_channel_took_is_pending() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let pending = |channel: &str| json!({"channel": channel, "status": "pending", "attempts": []});
    assert_eq!(deliveries(&world).await, [pending("topic"), pending("webhook")]);
}

#[tokio::test]
async fn without_a_webhook_there_is_one_delivery() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(deliveries(&world).await.len(), 1);
}

#[tokio::test]
async fn an_event_that_is_not_in_the_log_is_not_found() {
    let world = World::builder().start().await;
    for id in ["evt_00000000000000000000000000000000", "evt_ffffffffffffffffffffffffffffffff"] {
        for (method, path) in [("GET", "deliveries"), ("POST", "redeliver")] {
            let reply = world.call(method.parse().unwrap(), &format!("/events/{id}/{path}"), "").await;
            assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::NOT_FOUND, &json!("event_not_found")));
        }
    }
}

#[tokio::test]
async fn the_times_of_earlier_deliveries_are_kept_while_an_event_is_delivered_again() {
    let world = World::builder().webhook().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(60);
    let event = world.last_published().event_id;
    world.webhook().answer(Answer::Status(503));
    world.post(&format!("/events/{event}/redeliver"), &json!({})).await;
    let first = json!("2026-11-23T09:00:00.000Z");
    let topic = deliveries(&world).await.remove(0);
    assert_eq!((&topic["status"], &topic["deliveredAt"]), (&json!("pending"), &first));
    world.sweep().await;
    let [topic, webhook] = <[Value; 2]>::try_from(deliveries(&world).await).unwrap();
    assert_eq!((&topic["status"], &topic["deliveredAt"]), (&json!("delivered"), &json!("2026-11-23T09:01:00.000Z")));
    assert_eq!((&webhook["status"], &webhook["deliveredAt"]), (&json!("pending"), &first));
    world.webhook().answer(Answer::Status(204));
    world.advance(60);
    world.run_until_idle().await;
    assert_eq!(deliveries(&world).await[1]["status"], "delivered");
}

#[tokio::test]
async fn an_event_without_attempts_is_not_pending_for_ever() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let is_attempt = |item: &&Value| item["PK"]["S"].as_str().is_some_and(|key| key.starts_with("DELIVERY#"));
    let attempt = world.items().iter().find(is_attempt).unwrap().clone();
    let delete = json!({"TableName": local::names::TABLE, "Key": {"PK": attempt["PK"], "SK": attempt["SK"]}});
    world.system.database.delete_item(serde_json::from_value(delete).unwrap()).unwrap();
    world.advance(60);
    assert_eq!(deliveries(&world).await[1]["status"], "pending");
    world.advance(2 * 60 * 60);
    assert_eq!(deliveries(&world).await.len(), 1);
}
