//! `/reconnect/{token}`: the page, its button, and when the link stops working.

use std::sync::atomic::{AtomicU32, Ordering};

use digime_simulator::{AccessTokenStatus, ErrorShape, Moment};
use http::{Method, StatusCode};
use local::names::Queue;
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy, inserted};

/// The labels of the buttons of a page.
fn buttons(body: &str) -> Vec<String> {
    let buttons = body.split("<button").skip(1).map(|rest| rest.split("</button>").next().unwrap());
    let label = |button: &str| button.split_once('>').unwrap().1.replace("<bdi>", "").replace("</bdi>", "");
    buttons.map(label).map(|label| label.replace("&#39;", "'")).collect()
}

#[tokio::test]
async fn the_page_names_the_service_and_calls_nobody() {
    let (world, link) = World::in_need().await;
    world.system.simulator.clear_requests();
    world.system.aws.clear_record();
    let page = world.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("Meadow Bank") && page.text().contains("Demo Application"));
    assert_eq!(buttons(&page.body), ["Reconnect Meadow Bank", "Not now", "I no longer use this"]);
    assert!(!page.text().contains("<script"));
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
        assert!(reply.text().contains("expired"));
    }
}

#[tokio::test]
async fn the_link_of_an_account_that_is_connected_starts_nothing() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    for method in [Method::GET, Method::POST] {
        let page = world.call(method, &link, "").await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text().contains("All set") && page.text().contains("Meadow Bank is connected."), "{}", page.body);
        assert!(!page.text().contains("<button"), "{}", page.body);
    }
}

#[tokio::test]
async fn the_link_of_an_earlier_episode_leads_on_until_it_expires() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:40:00Z"), &broken(BANK)).await;
    assert_ne!(world.last_link(), link, "a new episode has a link of its own");
    let page = world.get(&link).await;
    assert!(page.text().contains("Your connection to Meadow Bank has ended"), "{}", page.body);
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
        assert!(page.text().contains("This link has expired"), "{}", page.body);
    }
}

#[tokio::test]
async fn while_digime_has_not_confirmed_it_the_page_says_that_the_connection_is_checked() {
    let (world, link) = World::in_need().await;
    world.system.simulator.control().set_access_token_status(AccessTokenStatus::Absent);
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
    let page = world.get(&link).await;
    assert!(page.text().contains("We are checking your connection"), "{}", page.body);
    assert!(page.text().contains("Reconnect again") && !page.text().contains("has ended"), "{}", page.body);
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
        assert!(page.text().contains("We are checking your connection"), "{}", page.body);
        assert!(!page.text().contains("is connected") && !page.text().contains("<button"), "{}", page.body);
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
    assert!(reply.text().contains("Try again"));
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
        assert!(page.text().contains("This link does not work"), "{path}: {}", page.body);
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

/// A world without a return URL, whose demo user has three broken accounts and a dead refresh token. With the link of the
/// first account.
async fn much_to_mend() -> (World, String) {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    world.lose_authorization(BANK).await;
    let link = world.last_link();
    for account in ["2_demo-hospital", "3_demo-instagram"] {
        world.lose_authorization(account).await;
    }
    world.kill_tokens();
    world.get("/users/demo-user/accounts?refresh=true").await;
    world.run_until_idle().await;
    (world, link)
}

#[tokio::test]
async fn one_link_mends_everything() {
    let (world, link) = much_to_mend().await;
    let page = world.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    let [one, two, three] =
        ["Meadow Bank", "St. Clement's Hospital", "Instagram"].map(|name| format!("Reconnect {name}"));
    let none = "I no longer use this";
    assert_eq!(buttons(&page.body), ["Reconnect to digi.me", &one, none, &two, none, &three, none, "Not now"]);
    let headings: Vec<_> =
        page.text().split("<h2><span>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    assert_eq!(headings, ["digi.me", "Meadow Bank", "St. Clement's Hospital", "Instagram"]);
    assert!(page.text().contains("al•••••an"), "{}", page.body);

    // The first account goes through digi.me's user page, and the others no longer need to.
    let mut url = world.choose(&link, "account", "2_demo-hospital").await;
    assert!(url.contains("/user-reauth?"), "{url}");
    url = world.reauthorize(&url, Decision::Success).await.reply.header("location").to_owned();
    for (next, name) in
        [("1_demo-bank", "St. Clement's Hospital"), ("3_demo-instagram", "Meadow Bank"), ("", "Instagram")]
    {
        let end = world.reauthorize(&url, Decision::Success).await;
        let back = world.path(end.reply.header("location"));
        let page = world.get(&back).await.text();
        assert!(page.contains(&format!("{name} is connected.")), "{page}");
        assert!(!page.contains("<h2><span>digi.me</span>"), "the connection to digi.me is renewed: {page}");
        if next.is_empty() {
            assert!(page.contains("All set") && !page.contains("<button"), "{page}");
        } else {
            url = world.choose(&link, "account", next).await;
            assert!(url.contains("/reauthorize?"), "{url}");
        }
    }
    world.run_until_idle().await;
    assert_eq!(world.get("/accounts?status=reauth_required").await.json()["accounts"], serde_json::json!([]));
}

#[tokio::test]
async fn with_a_return_url_the_browser_goes_there_when_nothing_is_left_to_mend() {
    let (world, link) = World::in_need().await;
    let return_url = world.system.info.read().default_return_url.unwrap();
    let (hospital, instagram) = ("2_demo-hospital", "3_demo-instagram");
    world.lose_authorization(instagram).await;
    let try_to_mend = async |account, decision| {
        let end = world.reauthorize(&world.choose(&link, "account", account).await, decision).await;
        end.reply.header("location").to_owned()
    };
    let ending = try_to_mend(BANK, Decision::Error("USER_CANCEL")).await;
    let page = world.get(&world.path(&ending)).await.text();
    assert!(page.contains("You cancelled.") && page.contains("Reconnect Instagram"), "{page}");
    assert!(page.contains("Reconnect what has ended"), "{page}");
    let back = page.split("<a class=\"button secondary\"").nth(1).unwrap_or_default();
    assert!(back.contains(">Back to Demo Application</a>"), "the page has another primary button: {page}");

    // What the user postponed is not asked for again at once.
    let postponed = world.call(Method::POST, &link, format!("account={instagram}&action=postpone")).await;
    assert_eq!(postponed.status, StatusCode::OK, "{}", postponed.body);
    let ending = try_to_mend(BANK, Decision::Success).await;
    assert!(ending.starts_with(&return_url) && ending.contains("status=succeeded"), "{ending}");

    // What ends within 30 days is renewed on the way.
    let ten_days_ahead = world.clock_now().as_second() + 10 * 86_400;
    assert!(world.system.simulator.control().set_account_expires_at(hospital, Some(ten_days_ahead)));
    world.get("/users/demo-user/accounts?refresh=true").await;
    let ending = try_to_mend(instagram, Decision::Success).await;
    let page = world.get(&world.path(&ending)).await.text();
    assert!(page.contains("Renew the connection to St. Clement's Hospital"), "{page}");
    let ending = try_to_mend(hospital, Decision::Error("USER_CANCEL")).await;
    assert!(ending.starts_with(&return_url) && ending.contains("status=failed"), "{ending}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_connection_to_digime_can_be_renewed_by_itself_and_leads_on_to_an_account() {
    let (world, link) = much_to_mend().await;
    let url = world.choose(&link, "contract", "demo-contract").await;
    let first = world.reauthorize(&url, Decision::Success).await;
    // The user stops at the account's page, and opens the link again.
    let page = world.get(&format!("{link}?ended={}", reauthorization_of(&first.callback))).await.text();
    assert!(page.contains("You are connected to digi.me again. Now reconnect the rest."), "{page}");
    let end = world.reauthorize(first.reply.header("location"), Decision::Error("ONBOARD_ERROR")).await;
    let page = world.get(&world.path(end.reply.header("location"))).await.text();
    assert!(
        page.contains("Meadow Bank did not accept the sign-in.") && page.contains("Reference for support"),
        "{page}"
    );
    let reconnecting = buttons(&page).into_iter().filter(|label| label.starts_with("Reconnect "));
    assert_eq!(reconnecting.count(), 3, "{page}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_user_who_stops_before_the_account_learns_that_one_step_is_left() {
    let (world, link) = World::in_need().await;
    world.kill_tokens();
    let url = world.choose(&link, "account", BANK).await;
    let first = world.reauthorize(&url, Decision::Success).await;
    let page = world.get(&format!("{link}?ended={}", reauthorization_of(&first.callback))).await.text();
    assert!(page.contains("You are connected to digi.me again. One step is left."), "{page}");
    assert_eq!(buttons(&page), ["Reconnect Meadow Bank", "Not now", "I no longer use this"]);
    let end = world.reauthorize(first.reply.header("location"), Decision::Error("USER_CANCEL")).await;
    let page = world.get(&format!("{link}?ended={}", reauthorization_of(&end.callback))).await.text();
    assert!(
        page.contains("You are connected to digi.me again.") && page.contains("You cancelled at Meadow Bank."),
        "{page}"
    );
    assert!(!page.contains("Nothing was changed"), "{page}");
    world.run_until_idle().await;
}

/// The reauthorization that a callback names.
fn reauthorization_of(callback: &str) -> String {
    callback.split("state=").nth(1).unwrap().split('.').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_outcome_of_another_users_reauthorization_is_not_shown() {
    let (world, link) = much_to_mend().await;
    let end = world.reauthorize(&world.choose(&link, "account", BANK).await, Decision::Error("USER_CANCEL")).await;
    let id = reauthorization_of(&end.callback);
    assert!(world.get(&format!("{link}?ended={id}")).await.text().contains("You cancelled"));
    world.run_until_idle().await;
    // A link of another event of the same user, and a reauthorization that the application created.
    let other = world.path(world.published_of_user()[0].reconnect_url());
    assert!(!world.get(&format!("{other}?ended={id}")).await.text().contains("You cancelled"));
    let (by_application, url) = world.create_user_reauthorization().await;
    world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    assert!(!world.get(&format!("{link}?ended={by_application}")).await.text().contains("You cancelled"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_link_mends_only_what_is_its_users_and_to_be_mended() {
    let (world, link) = World::in_need().await;
    world.hand_in("another", None, &broken("9_theirs")).await;
    for form in ["account=9_theirs", "account=2_demo-hospital", "contract=demo-contract", "contract=unknown"] {
        let page = world.call(Method::POST, &link, form).await;
        assert_eq!(page.status, StatusCode::OK, "{form}");
        assert!(page.text().contains("Reconnect Meadow Bank"), "{form}: {}", page.body);
    }
    for _ in 0..5 {
        world.follow(&link).await;
    }
    let page = world.use_link(&link).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "those presses started nothing, and do not count");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_press_while_the_first_is_under_way_starts_nothing_and_gets_its_url() {
    let (world, link) = World::in_need().await;
    world.get(&link).await;
    let count = |world: &World| {
        let items = world.items();
        items.iter().filter(|item| item["PK"]["S"].as_str().unwrap().starts_with("REAUTH#")).count()
    };
    let control = world.system.simulator.control();
    control.set_latency(Some("oauth/token/reference"), std::time::Duration::from_millis(300));
    let presses = futures::future::join_all((0..6).map(|_| world.use_link(&link))).await;
    control.set_latency(Some("oauth/token/reference"), std::time::Duration::ZERO);
    let urls: std::collections::BTreeSet<_> = presses.iter().map(|press| press.header("location").to_owned()).collect();
    assert_eq!((urls.len(), count(&world)), (1, 1), "{urls:?}");
    // One use counted: four are left.
    for _ in 0..4 {
        world.follow(&link).await;
    }
    assert_eq!(world.use_link(&link).await.status, StatusCode::TOO_MANY_REQUESTS);
    let end = world.reauthorize(urls.first().unwrap(), Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_page_says_how_to_get_back_to_the_application() {
    let (world, link) = World::in_need().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    let page = world.get(&link).await.text();
    assert!(page.contains("Back to Demo Application") && page.contains("href=\"http://127.0.0.1:"), "{page}");
    let page = world.get("/reconnect/x").await.text();
    assert!(page.contains("Back to Demo Application"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_whose_answer_does_not_come_holds_up_no_other() {
    let (world, link) = World::in_need().await;
    world.get(&link).await;
    let control = world.system.simulator.control();
    // digi.me does not answer until it is allowed to.
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let closed = std::sync::Arc::clone(&gate);
    let asked = std::sync::Arc::new(AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&asked);
    control.observe(Some(std::sync::Arc::new(move |moment, name: &str| {
        let (gate, waits) =
            (std::sync::Arc::clone(&closed), moment == Moment::Before && name.ends_with("/token/reference"));
        if waits {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            if waits {
                gate.acquire().await.unwrap().forget();
            }
        })
    })));
    let reads = |world: &World| {
        let operations = world.system.aws.operations();
        operations.iter().filter(|(operation, _)| operation.action == "dynamodb:GetItem").map(|(_, count)| count).sum()
    };
    let second = async {
        let before: u64 = reads(&world);
        // The second press has read the link again, so it waits for the first.
        while reads(&world) < before + 4 {
            tokio::task::yield_now().await;
        }
        world.advance(4);
        while asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        gate.add_permits(2);
    };
    let (first, again, ()) = tokio::join!(world.use_link(&link), world.use_link(&link), second);
    control.observe(None);
    assert_eq!((first.status, again.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER), "{}", again.body);
    assert_ne!(first.header("location"), again.header("location"));
    world.run_until_idle().await;
}
