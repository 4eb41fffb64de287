//! `GET /webhook`, `POST /webhook/enable` and `POST /webhook/test`.

use digime_simulator::Moment;
use http::StatusCode;
use local::{aws::Fault, names::Queue};
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_USER, Reply, World, broken, healthy};

async fn shown(world: &World) -> Value {
    let reply = world.get("/webhook").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.json()
}

async fn test(world: &World) -> Value {
    let reply = world.post("/webhook/test", &Value::Null).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.json()
}

fn is_not_configured(reply: &Reply) {
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::NOT_FOUND, &json!("webhook_not_configured")));
}

/// The state of the endpoint, as the table holds it.
fn health(world: &World) -> Vec<Value> {
    world.items().into_iter().filter(|item| item["PK"]["S"] == "WEBHOOK").collect()
}

#[tokio::test]
async fn without_a_webhook_its_routes_say_so() {
    let world = World::builder().start().await;
    is_not_configured(&world.get("/webhook").await);
    is_not_configured(&world.post("/webhook/enable", &Value::Null).await);
    is_not_configured(&world.post("/webhook/test", &Value::Null).await);
}

#[tokio::test]
async fn the_endpoint_is_active_before_the_first_post_and_its_last_success_is_known() {
    let world = World::builder().webhook().start().await;
    let expected = json!({"url": world.webhook().url, "state": "active", "waiting": 0, "publicKeys": []});
    assert_eq!(shown(&world).await, expected);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(shown(&world).await["lastSuccessAt"], "2026-11-23T09:00:00.000Z");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_can_be_enabled_again() {
    let world = World::builder().webhook().start().await;
    world.webhook().answer(Answer::Status(410));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(60);
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    let disabled = shown(&world).await;
    assert_eq!((&disabled["state"], &disabled["reason"]), (&json!("disabled"), &json!("gone")));
    assert_eq!((&disabled["since"], &disabled["waiting"]), (&json!("2026-11-23T09:00:00.000Z"), &json!(2)));
    assert_eq!(world.webhook().deliveries().len(), 1, "nothing is posted");

    world.webhook().answer(Answer::Status(204));
    let reply = world.post("/webhook/enable", &Value::Null).await;
    assert_eq!((reply.status, &reply.json()["state"]), (StatusCode::OK, &json!("active")));
    assert_eq!((reply.json().get("since"), reply.json().get("reason")), (None, None));
    assert_eq!(world.post("/webhook/enable", &Value::Null).await.json(), reply.json(), "once is enough");
    world.advance(30 * 60);
    world.run_until_idle().await;
    assert_eq!((&shown(&world).await["waiting"], world.webhook().deliveries().len()), (&json!(0), 3));
}

#[tokio::test]
async fn a_test_posts_a_signed_event_and_tells_its_outcome() {
    let world = World::builder().webhook().start().await;
    let accepted = test(&world).await;
    assert_eq!((&accepted["delivered"], &accepted["statusCode"]), (&json!(true), &json!(204)));
    let post = &world.webhook().deliveries()[0];
    let body: Value = serde_json::from_str(&post.body).unwrap();
    assert_eq!((&body["type"], &body["data"]), (&json!("webhook.test"), &json!({"eventId": accepted["eventId"]})));
    assert_eq!(post.header("webhook-id"), accepted["eventId"].as_str().unwrap());
    assert!(post.header("webhook-signature").starts_with("v1,"));

    world.webhook().answer(Answer::Body(422, "no such type".to_owned()));
    let refused = test(&world).await;
    assert_eq!((&refused["delivered"], &refused["statusCode"]), (&json!(false), &json!(422)));
    assert_eq!(refused["response"], "no such type");
    assert_ne!(refused["eventId"], accepted["eventId"]);
}

#[tokio::test]
async fn a_test_changes_nothing_and_is_posted_also_while_the_endpoint_is_disabled() {
    let world = World::builder().webhook().start().await;
    world.webhook().answer(Answer::Status(410));
    test(&world).await;
    assert!(health(&world).is_empty(), "410 disables nothing here");
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let before = health(&world);
    world.webhook().answer(Answer::Status(204));
    assert_eq!(test(&world).await["delivered"], true);
    assert_eq!((health(&world), &shown(&world).await["state"]), (before, &json!("disabled")));
    world.post("/webhook/enable", &Value::Null).await;
    world.advance(30 * 60);
    world.run_until_idle().await;
    assert_eq!(world.system.queues.depth(Queue::Webhooks).unwrap(), local::Depth::default());
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_an_outcome_too() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = World::builder().setting("WEBHOOK_URL", &format!("http://{closed}/")).start().await;
    let outcome = test(&world).await;
    assert_eq!((&outcome["delivered"], &outcome["error"]), (&json!(false), &json!("connection_failed")));
    assert_eq!((outcome.get("statusCode"), outcome.get("response")), (None, None));
}

#[tokio::test]
async fn the_state_is_shown_and_enabled_without_the_secret_and_a_test_is_not_posted() {
    let world = World::builder().webhook().start().await;
    world.system.aws.fail(Fault::refuse("secretsmanager:GetSecretValue", 1_000));
    let state = shown(&world).await;
    assert_eq!((&state["state"], state.get("publicKeys")), (&json!("active"), None));
    assert_eq!(world.post("/webhook/enable", &Value::Null).await.status, StatusCode::OK);
    assert_eq!(world.post("/webhook/test", &Value::Null).await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.webhook().deliveries().is_empty());
}

#[tokio::test]
async fn a_test_that_could_be_cut_off_is_not_posted() {
    let world = World::builder().webhook().start().await;
    let clock = world.clock.clone();
    world.system.aws.observe(Some(std::sync::Arc::new(move |moment, name| {
        if moment == Moment::Before && name == "events secretsmanager:GetSecretValue" {
            clock.advance(std::time::Duration::from_secs(8));
        }
        Box::pin(async {})
    })));
    let reply = world.post("/webhook/test", &Value::Null).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    assert!(world.webhook().deliveries().is_empty());
    world.system.aws.observe(None);
    assert_eq!(test(&world).await["delivered"], true);
}
