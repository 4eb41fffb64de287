//! `/reconnect/{token}`: the page, its button, and when the link stops working.

use digime_simulator::{AccessTokenStatus, ErrorShape};
use http::{Method, StatusCode};
use local::names::Queue;
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy, inserted};

#[tokio::test]
async fn the_page_names_the_service_and_calls_nobody() {
    let (world, link) = World::in_need().await;
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
    let used = world.system.aws.permissions();
    let reads = ["dynamodb:GetItem", "dynamodb:Query"];
    assert!(used.iter().all(|one| reads.contains(&&*one.action)), "and starts nothing: {used:?}");
}

#[tokio::test]
async fn the_link_works_a_week_later_and_not_after_it_expired() {
    let (world, link) = World::in_need().await;
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
async fn the_link_of_an_account_that_is_connected_starts_nothing() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    for method in [Method::GET, Method::POST] {
        let page = world.call(method, &link, "").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("All set") && page.body.contains("Meadow Bank is connected."), "{}", page.body);
        assert!(!page.body.contains("<button"), "{}", page.body);
    }
}

#[tokio::test]
async fn the_link_of_an_earlier_episode_leads_on_until_it_expires() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:40:00Z"), &broken(BANK)).await;
    assert_ne!(world.last_link(), link, "a new episode has a link of its own");
    let page = world.get(&link).await;
    assert!(page.body.contains("Your connection to <strong>Meadow Bank</strong> has ended"), "{}", page.body);
    world.advance(14 * 86_400 - 3_600);
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.advance(3_600);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    for method in [Method::GET, Method::POST] {
        let page = world.call(method, &link, "").await;
        assert_eq!(page.status, StatusCode::GONE);
        assert!(page.body.contains("This link has expired"), "{}", page.body);
    }
}

#[tokio::test]
async fn while_digime_has_not_confirmed_it_the_page_says_that_the_connection_is_checked() {
    let (world, link) = World::in_need().await;
    world.system.simulator.control().set_access_token_status(AccessTokenStatus::Absent);
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
    let page = world.get(&link).await;
    assert!(page.body.contains("We are checking your connection"), "{}", page.body);
    assert!(page.body.contains("Reconnect again") && !page.body.contains("has ended"), "{}", page.body);
    world.follow(&link).await;
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_account_that_is_checked_without_an_episode_is_not_called_connected() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    world.system.simulator.control().set_access_token_status(AccessTokenStatus::Absent);
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    world.reauthorize(&url, Decision::Success).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
    for method in [Method::GET, Method::POST] {
        let page = world.call(method, &link, "").await;
        assert!(page.body.contains("We are checking your connection"), "{}", page.body);
        assert!(!page.body.contains("is connected") && !page.body.contains("<button"), "{}", page.body);
    }
    world.run_until_idle().await;
}

/// Puts all events of the table on the queue of notifications again.
async fn deliver_again(world: &World) {
    for item in world.items() {
        if item["SK"]["S"].as_str().unwrap().starts_with("EVENT#") {
            world.enqueue(Queue::Notifications, &inserted(&item));
        }
    }
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_event_that_is_delivered_again_leaves_the_count_of_its_links_uses() {
    let (world, link) = World::in_need().await;
    for _ in 0..5 {
        world.follow(&link).await;
    }
    deliver_again(&world).await;
    assert_eq!(world.use_link(&link).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn an_unknown_link_is_refused_before_anything_is_read() {
    let (world, link) = World::in_need().await;
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
    let (world, link) = World::in_need().await;
    let control = world.system.simulator.control();
    control.fail("/v1.7/reference", digime_simulator::Failure::status(503, 3));
    let reply = world.use_link(&link).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("Try again"));
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn a_link_checker_that_asks_with_head_gets_the_status_and_no_page() {
    let (world, link) = World::in_need().await;
    for (path, status) in [(link.as_str(), StatusCode::OK), ("/reconnect/x", StatusCode::NOT_FOUND)] {
        let reply = world.call(Method::HEAD, path, "").await;
        assert_eq!((reply.status, reply.body.as_str()), (status, ""), "{path}");
    }
}

#[tokio::test]
async fn punctuation_behind_the_token_is_tolerated() {
    let (world, link) = World::in_need().await;
    for behind in ["/", ".", ",", ")", "./"] {
        let page = world.get(&format!("{link}{behind}")).await;
        assert_eq!(page.status, StatusCode::OK, "{behind}");
    }
    let reply = world.call(Method::POST, &format!("{link}/"), "").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_link_without_its_token_leads_to_a_page() {
    let world = World::builder().start().await;
    for path in ["/reconnect", "/reconnect/", "/reconnect/a/b"] {
        let page = world.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.body.contains("This link does not work"), "{path}: {}", page.body);
    }
}

#[tokio::test]
async fn on_loopback_over_http_the_cookie_needs_no_tls() {
    let (world, link) = World::in_need().await;
    let on_loopback = |method: Method, path: &str, cookie: &str| {
        let mut request = http::Request::new(bytes::Bytes::new());
        (*request.method_mut(), *request.uri_mut()) = (method, path.parse().unwrap());
        request.headers_mut().insert("host", "127.0.0.1:9000".parse().unwrap());
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        request
    };
    let reply = world.send(on_loopback(Method::POST, &link, "other=x")).await;
    let cookie = reply.header("set-cookie").to_owned();
    let (binding, attributes) = cookie.split_once("; ").unwrap();
    assert!(binding.starts_with("reauth=") && attributes == "Path=/; HttpOnly; SameSite=Lax; Max-Age=3600", "{cookie}");
    let callback = world.decide(reply.header("location"), Decision::Success).await;
    let ending = world.send(on_loopback(Method::GET, &callback, binding)).await;
    assert!(ending.header("location").contains("status=succeeded"), "{}", ending.body);
    world.run_until_idle().await;
}
