//! Links and callbacks that are used by another browser or another user, or guessed, and forged cursors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use digime_simulator::Failure;
use futures::future::join_all;
use http::StatusCode;
use local::Function;
use serde_json::json;
use tests::{BANK, DEMO_USER, Decision, World};

#[tokio::test]
async fn the_browser_that_begins_a_reconnection_gets_a_binding_cookie() {
    let (world, link) = World::in_need().await;
    let reply = world.use_link(&link).await;
    let cookie = reply.header("set-cookie");
    let (name_and_value, attributes) = cookie.split_once("; ").unwrap();
    let binding = name_and_value.strip_prefix("__Host-reauth=").unwrap();
    assert_eq!(binding.len(), 43);
    assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=3600");
    assert!(!json!(world.items()).to_string().contains(binding), "only its hash is kept");
}

#[tokio::test]
async fn another_browser_is_not_sent_on_and_the_account_is_healed_all_the_same() {
    let (world, link) = World::in_need().await;
    let url = world.follow(&link).await;
    world.change_browser();
    let result = world.reauthorize(&url, Decision::Success).await;
    assert_eq!((result.reply.status, result.reply.header("location")), (StatusCode::OK, ""));
    assert!(result.reply.text().contains("is connected"));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_forged_binding_cookie_is_no_better_than_none() {
    let (world, link) = World::in_need().await;
    let url = world.follow(&link).await;
    world.change_browser();
    let callback = world.decide(&url, Decision::Success).await;
    for cookie in ["__Host-reauth=", "__Host-reauth=x; other=y", &format!("__Host-reauth={}", "A".repeat(43))] {
        let mut request = http::Request::new(bytes::Bytes::new());
        *request.uri_mut() = callback.parse().unwrap();
        request.headers_mut().insert("cookie", cookie.parse().unwrap());
        assert_eq!(world.send(request).await.status, StatusCode::OK, "{cookie}");
    }
    world.run_until_idle().await;
}

#[tokio::test]
async fn two_reconnections_in_one_browser_both_end_where_they_should() {
    let (world, first) = World::in_need().await;
    world.lose_authorization("2_demo-hospital").await;
    let urls = [world.follow(&first).await, world.follow(&world.last_link()).await];
    // The first leaves the other account to mend: the browser comes back to the page of its link.
    let result = world.reauthorize(&urls[0], Decision::Success).await;
    assert!(world.path(result.reply.header("location")).starts_with(&first), "{}", result.reply.header("location"));
    let result = world.reauthorize(&urls[1], Decision::Success).await;
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_page_tells_whose_account_it_is_and_not_its_name() {
    let (world, link) = World::in_need().await;
    let page = world.get(&link).await;
    assert!(
        page.text().contains("<dt>Account</dt><dd>al•••••an</dd>") && page.text().contains("Not yours?"),
        "{}",
        page.body
    );
    assert!(!page.text().contains("alex.morgan"));
    assert!(page.text().contains("Meadow Bank") && page.text().contains("Demo Application"));
}

#[tokio::test]
async fn a_link_is_followed_five_times_in_ten_minutes_and_no_more() {
    let (world, link) = World::in_need().await;
    for _ in 0..5 {
        world.advance(60);
        assert_eq!(world.use_link(&link).await.status, StatusCode::SEE_OTHER);
    }
    world.system.simulator.clear_requests();
    let page = world.use_link(&link).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(page.header("retry-after"), "360", "the first of the five was four minutes ago");
    assert!(page.text().contains("Try again in 6 minutes"), "{}", page.body);
    assert!(world.system.simulator.requests().is_empty(), "digi.me is not called");
    assert_eq!(world.get(&link).await.status, StatusCode::OK, "the page itself may be looked at");
    for (seconds, retry_after, shown) in
        [(255, "105", "in 2 minutes."), (75, "30", "in 30 seconds."), (29, "1", "in 1 second.")]
    {
        world.advance(seconds);
        let page = world.use_link(&link).await;
        assert_eq!(page.header("retry-after"), retry_after);
        assert!(page.text().contains(shown), "{}", page.body);
    }
    world.advance(1);
    assert_eq!(world.use_link(&link).await.status, StatusCode::SEE_OTHER);
    assert_eq!(world.use_link(&link).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_use_that_fails_on_our_side_is_not_counted() {
    let (world, link) = World::in_need().await;
    let control = world.system.simulator.control();
    for _ in 0..6 {
        control.fail("/v1.7/reference", Failure::status(503, 3));
        let page = world.use_link(&link).await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
        control.clear_failures();
    }
    control.revoke_tokens(DEMO_USER);
    for _ in 0..6 {
        let page = world.use_link(&link).await;
        assert!(page.status == StatusCode::OK && page.text().contains("cannot be reconnected"), "{}", page.body);
    }
    world.store_grant(DEMO_USER).await;
    world.run_until_idle().await;
    for _ in 0..5 {
        world.follow(&link).await;
    }
    assert_eq!(world.use_link(&link).await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twelve_concurrent_uses_five_succeed() {
    let (world, link) = World::in_need().await;
    let replies = join_all((0..12).map(|_| world.use_link(&link))).await;
    let count = |status| replies.iter().filter(|reply| reply.status == status).count();
    assert_eq!((count(StatusCode::SEE_OTHER), count(StatusCode::TOO_MANY_REQUESTS)), (5, 7));
}

#[tokio::test]
async fn the_secret_of_another_reauthorization_is_refused() {
    let (world, _) = World::in_need().await;
    let mut callbacks = Vec::new();
    for account in [BANK, "2_demo-hospital"] {
        let (id, url) = world.create_reauthorization(DEMO_USER, account).await;
        let callback = world.decide(&url, Decision::Success).await;
        let secret = callback.split_once(&format!("{id}.")).unwrap().1.split('&').next().unwrap().to_owned();
        callbacks.push((id, secret, callback));
    }
    let [(_, first, _), (_, second, callback)] = &callbacks[..] else { panic!("two") };
    let crossed = callback.replace(second, first);
    assert_eq!(world.get(&crossed).await.status, StatusCode::BAD_REQUEST);
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test]
async fn a_callback_full_of_rubbish_changes_nothing_and_shows_nothing() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    world.lose_authorization(BANK).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    let before = world.account(DEMO_USER, BANK).await;
    for wrong in [
        format!("{callback}&errorCode=OTHER"),
        format!("{callback}&success=true"),
        callback.replace("success=false", "success=FALSE"),
        callback.replace("state=", "state=%00"),
        callback.replace("state=", "state=%0d%0aSet-Cookie:x"),
    ] {
        assert_eq!(world.get(&wrong).await.status, StatusCode::BAD_REQUEST, "{}", &wrong[..200.min(wrong.len())]);
    }
    let mut event: serde_json::Value =
        serde_json::from_str(include_str!("../../infra/events/reauth-callback.json")).unwrap();
    let query = callback.split_once('?').unwrap().1;
    event["rawQueryString"] = json!(format!("{query}&x={}", "y".repeat(64 * 1024)));
    let reply = world.invoke(Function::ReauthCallback, &event).await;
    assert_eq!(reply["statusCode"], 400);
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await, before);
    let reply = world.get(&callback.replace("USER_CANCEL", "%3Cb%3E%00%0d%0aX:y")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.text().contains("UNKNOWN") && !reply.text().contains("<b>"), "{}", reply.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_forged_cursor_reads_nothing_but_its_own_list() {
    let (world, _) = World::in_need().await;
    let reply = |cursor: String| {
        let world = &world;
        async move { world.get(&format!("/accounts?status=reauth_required&cursor={cursor}")).await }
    };
    for position in ["", "USER#demo-user", "0", "~~~~", "2026-11-23T08:00:00.000Z#someone#1_x"] {
        let listed = reply(URL_SAFE_NO_PAD.encode(format!("reauth_required\n{position}"))).await;
        assert_eq!(listed.status, StatusCode::OK, "{}", listed.body);
        for account in listed.json()["accounts"].as_array().unwrap() {
            assert_eq!(account["status"], "reauth_required");
        }
    }
    for other in ["active\n", "verifying\n2026", "reauth_required", "due\n"] {
        let refused = reply(URL_SAFE_NO_PAD.encode(other)).await;
        assert_eq!(refused.json()["errors"][0]["field"], "cursor", "{}", refused.body);
    }
}
