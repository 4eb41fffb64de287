//! The reconnect link: its page, its button, its end.

use digime_simulator::ErrorShape;
use http::{Method, StatusCode};
use tests::{Decision, World};

use super::{BANK, DEMO_USER, broken, healthy};

async fn told() -> (World, String) {
    let world = World::new().await;
    world.system.simulator.levers().break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    let link = world.last_link();
    (world, link)
}

#[tokio::test]
async fn the_page_names_the_service_and_calls_nobody() {
    let (world, link) = told().await;
    world.system.simulator.clear_requests();
    world.system.aws.clear_record();
    let page = world.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Meadow Bank") && page.body.contains("Demo Application"));
    assert_eq!(page.body.matches("<button").count(), 1);
    assert!(!page.body.contains("<script"));
    let policy = page.header("content-security-policy");
    let onboard = world.system.simulator.onboard_url().origin().ascii_serialization();
    assert!(policy.contains(&format!("form-action 'self' {onboard}")), "{policy}");
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("no-referrer", "no-store"));
    assert!(world.system.simulator.requests().is_empty(), "a scanner's GET calls nobody");
    let written = world.system.aws.permissions();
    assert!(written.iter().all(|one| one.action == "dynamodb:GetItem"), "and starts nothing: {written:?}");
}

#[tokio::test]
async fn the_link_works_a_week_later_and_not_after_it_expired() {
    let (world, link) = told().await;
    world.advance(7 * 86_400);
    world.follow(&link).await;
    world.advance(7 * 86_400);
    for method in [Method::GET, Method::POST] {
        let reply = world.call(method, &link, "").await;
        assert_eq!(reply.status, StatusCode::GONE);
        assert!(reply.body.contains("expired"));
    }
}

#[tokio::test]
async fn the_link_dies_with_its_episode() {
    let (world, link) = told().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    assert_eq!(world.call(Method::POST, &link, "").await.status, StatusCode::GONE);
    world.hand_in(DEMO_USER, Some("2026-11-23T08:40:00Z"), &broken(BANK)).await;
    assert_eq!(world.get(&link).await.status, StatusCode::GONE, "a new episode has a link of its own");
    assert_ne!(world.last_link(), link);
    world.follow(&world.last_link()).await;
}

#[tokio::test]
async fn an_unknown_link_is_refused_before_anything_is_read() {
    let (world, link) = told().await;
    world.system.aws.clear_record();
    for wrong in ["/reconnect/x", "/reconnect/..", &link[..link.len() - 1], &format!("{link}A"), "/reconnect/%00"] {
        let reply = world.get(wrong).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    assert!(world.system.aws.operations().is_empty());
    let mut guessed = link.clone();
    guessed.replace_range(guessed.len() - 10.., "AAAAAAAAAA");
    assert_eq!(world.get(&guessed).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_digime_the_button_says_to_try_again() {
    let (world, link) = told().await;
    let levers = world.system.simulator.levers();
    levers.fail("/v1.7/reference", digime_simulator::Failure::status(503, 3));
    let reply = world.call(Method::POST, &link, "").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("Try again"));
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    world.settle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}
