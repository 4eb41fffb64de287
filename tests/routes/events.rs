//! `GET /events`: the log.

use http::StatusCode;
use serde_json::Value;
use tests::{BANK, DEMO_USER, Decision, DeliveredEvent, World};

const DAY: u64 = 24 * 60 * 60;
/// Longer than readers wait for an event.
const SETTLED: u64 = 11;

/// A page of the log.
async fn page(world: &World, query: &str) -> Value {
    let reply = world.get(&format!("/events?{query}")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.json()
}

fn events(page: &Value) -> Vec<DeliveredEvent> {
    page["events"].as_array().unwrap().iter().map(DeliveredEvent::from).collect()
}

fn cursor(page: &Value) -> &str {
    page["cursor"].as_str().unwrap()
}

/// The demo user loses the bank account, cancels, and reconnects.
async fn with_three_events() -> World {
    let (world, link) = World::in_need().await;
    world.advance(60);
    let url = world.follow(&link).await;
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    world.advance(60);
    let url = world.follow(&link).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    world.advance(SETTLED);
    world
}

#[tokio::test]
async fn an_application_that_missed_everything_reads_the_events_as_they_were_delivered() {
    let world = with_three_events().await;
    let published = world.published();
    let whole = page(&world, "").await;
    assert_eq!((events(&whole), &whole["hasMore"]), (published.clone(), &Value::Bool(false)));

    let mut read = Vec::new();
    let mut next = String::new();
    for count in [1, 1, 1, 0] {
        let one = page(&world, &format!("limit=1&after={next}")).await;
        assert_eq!(one["events"].as_array().unwrap().len(), count);
        read.extend(events(&one));
        next = cursor(&one).to_owned();
    }
    assert_eq!(read, published);
    world.lose_authorization("2_demo-hospital").await;
    assert!(events(&page(&world, &format!("after={next}")).await).is_empty(), "the youngest events wait");
    world.advance(SETTLED);
    assert_eq!(events(&page(&world, &format!("after={next}")).await), [world.last_published()]);
}

#[tokio::test]
async fn the_log_can_be_read_by_type_and_by_user() {
    let world = with_three_events().await;
    let published = world.published();
    let types = "account.reauthorized,account.removed";
    assert_eq!(events(&page(&world, &format!("types={types}")).await), published[2..]);
    assert_eq!(events(&page(&world, &format!("userId={DEMO_USER}&limit=2")).await), published[..2]);
    let nobody = page(&world, "userId=nobody").await;
    assert_eq!((events(&nobody), &nobody["hasMore"]), (Vec::new(), &Value::Bool(false)));
    assert_eq!(events(&page(&world, &format!("userId={DEMO_USER}&types=account.removed")).await), []);
    let behind = cursor(&nobody);
    assert!(events(&page(&world, &format!("after={behind}")).await).is_empty(), "cursors serve every selection");
}

#[tokio::test]
async fn an_event_has_its_link_while_the_link_works() {
    let (world, link) = World::in_need().await;
    world.advance(SETTLED);
    let shown = events(&page(&world, "").await);
    assert_eq!(world.path(shown[0].reconnect_url()), link);
    world.advance(14 * DAY);
    assert_eq!(events(&page(&world, "").await), [world.last_published().without_link()]);
}

#[tokio::test]
async fn a_cursor_that_is_older_than_the_log_is_refused_as_such() {
    let world = with_three_events().await;
    let first = page(&world, "limit=1").await;
    world.advance(30 * DAY - 300);
    assert_eq!(events(&page(&world, &format!("after={}", cursor(&first))).await).len(), 2);
    world.advance(DAY);
    let reply = world.get(&format!("/events?after={}", cursor(&first))).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::GONE, &"cursor_expired".into()));
    let idle = page(&world, "").await;
    assert!(events(&idle).is_empty());
    world.advance(DAY);
    page(&world, &format!("after={}", cursor(&idle))).await;
}

#[tokio::test]
async fn an_erased_user_is_not_in_the_log() {
    let world = with_three_events().await;
    let first = page(&world, "limit=1").await;
    world.erase(DEMO_USER).await;
    for query in [String::new(), format!("after={}", cursor(&first)), format!("userId={DEMO_USER}")] {
        assert!(events(&page(&world, &query).await).is_empty(), "{query}");
    }
    let (account, event) = (BANK, &events(&first)[0].event_id);
    assert_eq!(world.get(&format!("/users/{DEMO_USER}/accounts/{account}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.get(&format!("/events/{event}/deliveries")).await.status, StatusCode::NOT_FOUND);
}
