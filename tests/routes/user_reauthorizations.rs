//! User reauthorizations: their creation, the callback of digi.me's user page, and the way on to an account.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use digime_simulator::{Account, ErrorShape, Failure, Moment};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{BANK, CallbackResult, DEMO_CONTRACT, DEMO_USER, Decision, Reply, World, broken};

const HOSPITAL: &str = "2_demo-hospital";
const GRANT: &str = "/users/demo-user/grants/demo-contract";

/// A world whose demo user needs to reauthorize the bank account, and has a dead refresh token.
async fn lost() -> World {
    let (world, _) = World::in_need().await;
    world.kill_tokens();
    world
}

/// Creates a reauthorization of the bank account, for which only the user page helps. Returns its id and its URL.
async fn create(world: &World) -> (String, String) {
    let reply = world.request_reauthorization(DEMO_USER, BANK).await;
    assert_eq!((reply.status, &reply.json()["kind"]), (StatusCode::CREATED, &json!("user")), "{}", reply.body);
    let text = |name: &str| reply.json()[name].as_str().unwrap().to_owned();
    (text("reauthorizationId"), text("url"))
}

/// The URL of the account's page that a callback of the user page led to.
fn account_page(result: &CallbackResult) -> String {
    let location = result.reply.header("location");
    assert!(location.contains("/reauthorize?code="), "{} {location}", result.reply.body);
    location.to_owned()
}

/// Loads the callback. The application or the browser sends another request when digi.me has exchanged the code, before its
/// answer arrives, so many seconds later. That request is answered with `expected`.
async fn load_during(
    world: &World,
    callback: &str,
    seconds: u64,
    other: http::Request<bytes::Bytes>,
    expected: StatusCode,
) -> Reply {
    let (gateway, control, clock) =
        (world.system.gateway.clone(), world.system.simulator.control(), world.clock.clone());
    let sent = Arc::new(AtomicBool::new(false));
    let was_sent = Arc::clone(&sent);
    control.observe(Some(Arc::new(move |moment, name: &str| {
        let (gateway, other, sent, clock) = (gateway.clone(), other.clone(), Arc::clone(&was_sent), clock.clone());
        let exchanged = moment == Moment::After && name == "POST /v1.7/oauth/token";
        Box::pin(async move {
            if exchanged && !sent.swap(true, Ordering::SeqCst) {
                clock.advance(Duration::from_secs(seconds));
                assert_eq!(gateway.call(other).await.status(), expected);
            }
        })
    })));
    let reply = world.get(callback).await;
    control.observe(None);
    assert!(sent.load(Ordering::SeqCst), "the code was exchanged");
    reply
}

/// How often codes were exchanged, and tokens refreshed.
fn token_requests(world: &World) -> usize {
    world.refreshes()
}

#[tokio::test]
async fn a_dead_token_and_a_dead_account_are_one_journey() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    assert!(url.contains("/user-reauth?code=") && url.contains("lng=en"), "{url}");
    let result = world.reauthorize(&url, Decision::Success).await;
    let reauthorization = world.reauthorization(&id).await;
    assert_eq!((&reauthorization["kind"], &reauthorization["status"]), (&json!("user"), &json!("pending")));
    assert_eq!(world.grant().await["status"], "active", "the pair is stored before the account's page");
    let end = world.reauthorize(&account_page(&result), Decision::Success).await;
    assert_eq!(end.parameter("reauthorizationId"), Some(id.clone()));
    assert_eq!(
        (end.parameter("accountId").as_deref(), end.parameter("status").as_deref()),
        (Some(BANK), Some("succeeded"))
    );
    let reauthorization = world.reauthorization(&id).await;
    assert_eq!((&reauthorization["status"], &reauthorization["verified"]), (&json!("succeeded"), &json!(true)));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert_eq!(
        world.published_types(),
        [
            "account.reauthorization_required",
            "account.reauthorized",
            "user.reauthorization_required",
            "user.reauthorized"
        ]
    );
    let event = world.published_of_user().remove(1);
    assert_eq!((event.via.as_deref(), event.contract_id.as_deref()), (Some("callback"), Some(DEMO_CONTRACT)));
    assert_eq!(event.account_id, "", "an event of the user has no account");
}

#[tokio::test]
async fn an_account_that_is_authorized_with_the_new_pair_needs_no_second_page() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    world.system.simulator.control().mend_account(BANK);
    let end = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"), "{}", end.reply.header("location"));
    assert_eq!((end.parameter("reauthorizationId"), end.parameter("accountId").as_deref()), (Some(id), Some(BANK)));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn without_an_account_in_need_the_journey_ends_after_the_user_page() {
    let world = World::builder().start().await;
    world.kill_tokens();
    let (id, url) = world.create_user_reauthorization().await;
    let end = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(
        (end.parameter("reauthorizationId"), end.parameter("status").as_deref()),
        (Some(id.clone()), Some("succeeded"))
    );
    assert_eq!(end.parameter("accountId"), None);
    let reauthorization = world.reauthorization(&id).await;
    assert_eq!((&reauthorization["kind"], &reauthorization["status"]), (&json!("user"), &json!("succeeded")));
    assert!(reauthorization.get("accountId").is_none(), "{reauthorization}");
    assert_eq!(world.grant().await["status"], "active");
    world.run_until_idle().await;
    assert!(world.published().is_empty(), "nobody had noticed that the token was dead");
}

#[tokio::test]
async fn a_user_reauthorization_goes_on_to_the_account_that_needs_the_user_the_longest() {
    let world = lost().await;
    let control = world.system.simulator.control();
    control.break_account(HOSPITAL, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some("2026-11-23T07:00:00Z"), &broken(HOSPITAL)).await;
    let (id, url) = world.create_user_reauthorization().await;
    let result = world.reauthorize(&url, Decision::Success).await;
    let end = world.reauthorize(&account_page(&result), Decision::Success).await;
    assert_eq!(
        (end.parameter("reauthorizationId"), end.parameter("accountId").as_deref()),
        (Some(id.clone()), Some(HOSPITAL))
    );
    assert_eq!(world.reauthorization(&id).await["accountId"], HOSPITAL);
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_way_on_to_the_account_can_fail_and_start_again() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    let first = world.reauthorize(&url, Decision::Success).await;
    let end = world.reauthorize(&account_page(&first), Decision::Error("USER_CANCEL")).await;
    assert_eq!(end.parameter("errorCode").as_deref(), Some("USER_CANCEL"));
    assert_eq!(world.reauthorization(&id).await["status"], "failed");
    // The browser goes back to the callback of the user page: the account's page follows again.
    let exchanges = token_requests(&world);
    let reply = world.get(&first.callback).await;
    let again = CallbackResult { callback: first.callback.clone(), reply };
    let end = world.reauthorize(&account_page(&again), Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"));
    assert_eq!(token_requests(&world), exchanges, "the code is not exchanged again");
    world.run_until_idle().await;
    let types = world.history(DEMO_USER, BANK).await;
    assert_eq!(types, ["account.reauthorization_required", "account.reauthorization_failed", "account.reauthorized"]);
}

#[tokio::test]
async fn a_callback_that_is_repeated_exchanges_nothing() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let before = token_requests(&world);
    let first = world.reauthorize(&url, Decision::Success).await;
    let again = world.get(&first.callback).await;
    assert!(again.header("location").contains("/reauthorize?code="), "{}", again.body);
    assert_eq!(token_requests(&world), before + 1);
    let end = world.reauthorize(&account_page(&first), Decision::Success).await;
    for callback in [&first.callback, &end.callback] {
        let again = world.get(callback).await;
        assert_eq!(again.header("location"), end.reply.header("location"), "the answer is final");
    }
    assert_eq!(token_requests(&world), before + 1);
    world.run_until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_at_the_same_time_exchange_the_code_once() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let callback = world.decide(&url, Decision::Success).await;
    let before = token_requests(&world);
    let replies = futures::future::join_all((0..3).map(|_| world.get(&callback))).await;
    assert_eq!(token_requests(&world), before + 1);
    for reply in replies {
        assert!(reply.header("location").contains("/reauthorize?code="), "{} {}", reply.status, reply.body);
    }
    world.run_until_idle().await;
    assert_eq!(world.published_types().iter().filter(|kind| *kind == "user.reauthorized").count(), 1);
}

#[tokio::test]
async fn going_on_asks_digime_five_times_in_ten_minutes() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let first = world.reauthorize(&url, Decision::Success).await;
    for _ in 1..5 {
        assert_eq!(world.get(&first.callback).await.status, StatusCode::SEE_OTHER);
    }
    let refused = world.get(&first.callback).await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "600"));
    assert!(refused.body.contains("Try again in 10 minutes"), "{}", refused.body);
    world.run_until_idle().await;
}

/// Another person authorizes: the stored pair stays, and the application is told.
async fn is_refused_as_another_person(world: &World) {
    let (id, url) = create(world).await;
    let before = world.grant().await;
    let end = world.reauthorize(&url, Decision::AnotherUser).await;
    assert_eq!(
        (end.parameter("status").as_deref(), end.parameter("errorCode").as_deref()),
        (Some("failed"), Some("WRONG_USER"))
    );
    assert_eq!(world.grant().await, before, "nothing is stored");
    assert_eq!(world.reauthorization(&id).await["errorCode"], "WRONG_USER");
    world.run_until_idle().await;
    let event = world.published_of_user().pop().unwrap();
    assert_eq!((&*event.kind, event.error_code.as_deref()), ("user.reauthorization_failed", Some("WRONG_USER")));
    assert_eq!((event.reauthorization_id, event.retryable), (Some(id), Some(true)));
    assert!(event.episode_id.is_some() && event.account_id.is_empty());
}

#[tokio::test]
async fn another_person_is_refused_and_the_right_one_can_start_again() {
    let world = lost().await;
    is_refused_as_another_person(&world).await;
    let (_, url) = create(&world).await;
    let result = world.reauthorize(&url, Decision::Success).await;
    let end = world.reauthorize(&account_page(&result), Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

/// Replaces the demo user's grant by one that does not name the digi.me user.
async fn store_grant_without_user(world: &World) {
    let mut tokens = world.issue_tokens(DEMO_USER);
    tokens.as_object_mut().unwrap().remove("sub");
    let reply = world.put(&format!("{GRANT}?replace=true"), &tokens).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
}

#[tokio::test]
async fn where_no_user_id_is_known_the_accounts_tell_who_authorized() {
    let (world, _) = World::in_need().await;
    store_grant_without_user(&world).await;
    world.kill_tokens();
    is_refused_as_another_person(&world).await;
    let control = world.system.simulator.control();
    control.add_account("someone-else", Account::new("9_theirs", "Meadow Bank", Some("alex.morgan")));
    is_refused_as_another_person(&world).await;
    let (_, url) = create(&world).await;
    account_page(&world.reauthorize(&url, Decision::Success).await);
    assert_eq!(world.grant().await["user"]["id"], DEMO_USER, "from now on, the user is known");
    world.run_until_idle().await;
}

#[tokio::test]
async fn where_nothing_tells_who_authorized_the_browser_must_be_the_one_that_started() {
    let world = World::builder().start().await;
    let control = world.system.simulator.control();
    for account in control.accounts(DEMO_USER) {
        control.remove_account(&account.id);
    }
    store_grant_without_user(&world).await;
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    world.kill_tokens();
    world.get(GRANT).await;
    world.advance(86_400);
    world.get(GRANT).await;
    world.run_until_idle().await;
    let link = world.last_link();
    let start = async || world.choose(&link, "contract", DEMO_CONTRACT).await;
    let callback = world.decide(&start().await, Decision::Success).await;
    world.change_browser();
    let page = world.get(&callback).await;
    assert!(page.text().contains("Reference for support: WRONG_USER"), "{}", page.body);
    let end = world.reauthorize(&start().await, Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"), "{}", end.reply.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_code_that_cannot_be_exchanged_fails_and_the_user_starts_again() {
    let world = lost().await;
    let control = world.system.simulator.control();
    for decision in [Decision::UsedCode, Decision::OtherVerifier] {
        let (id, url) = create(&world).await;
        let end = world.reauthorize(&url, decision).await;
        assert_eq!(end.parameter("errorCode").as_deref(), Some("INVALID_CODE"), "{decision:?}");
        assert_eq!(world.reauthorization(&id).await["status"], "failed");
        assert_eq!(world.get(&end.callback).await.header("location"), end.reply.header("location"), "the same answer");
    }
    // digi.me exchanges the code, and its answer is lost.
    control.fail("/v1.7/oauth/token", Failure { executed: true, ..Failure::reset(1) });
    let (_, url) = create(&world).await;
    let end = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(end.parameter("errorCode").as_deref(), Some("SERVER_ERROR"));
    let (_, url) = create(&world).await;
    account_page(&world.reauthorize(&url, Decision::Success).await);
    world.run_until_idle().await;
    let failed: Vec<_> = world.published_of_user().into_iter().filter_map(|event| event.error_code).collect();
    assert_eq!(failed, ["INVALID_CODE", "INVALID_CODE", "SERVER_ERROR"]);
}

#[tokio::test]
async fn without_a_key_set_no_exchange_is_begun() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    // The key set is cached for 15 minutes, and so long is a code valid.
    world.advance(600);
    let callback = world.decide(&url, Decision::Success).await;
    world.advance(600);
    let before = token_requests(&world);
    world.system.simulator.control().fail("/v1.7/jwks/oauth", Failure::status(500, 100));
    let page = world.get(&callback).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (token_requests(&world), world.reauthorization(&id).await["status"].clone()),
        (before, json!("pending"))
    );
    world.system.simulator.control().clear_failures();
    assert!(world.get(&callback).await.header("location").contains("/reauthorize?code="));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_success_after_a_cancel_counts_and_a_success_without_a_code_does_not() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    let cancelled = world.reauthorize(&url, Decision::Error("USER_CANCEL")).await;
    assert_eq!(cancelled.parameter("errorCode").as_deref(), Some("USER_CANCEL"));
    let without_code =
        |callback: &str| callback.replace("success=false", "success=true").replace("&errorCode=USER_CANCEL", "");
    let forged = without_code(&cancelled.callback);
    assert!(forged.contains("success=true") && !forged.contains("errorCode"));
    assert_eq!(world.get(&forged).await.header("location"), cancelled.reply.header("location"));
    // The user goes back in the browser, and authorizes.
    account_page(&world.reauthorize(&url, Decision::Success).await);
    assert_eq!(world.reauthorization(&id).await["status"], "pending");

    let (_, url) = world.create_user_reauthorization().await;
    let callback = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    assert!(world.get(&without_code(&callback)).await.header("location").contains("errorCode=NOT_AUTHORIZED"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_fresh_pair_that_the_application_stores_in_the_middle_wins_and_the_journey_ends_well() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let callback = world.decide(&url, Decision::Success).await;
    // The application stores a pair that lasts longer, while digi.me exchanges the code.
    let mut newer = world.issue_tokens(DEMO_USER);
    newer["access_token"]["expires_on"] = json!(world.clock_now().as_second() + 86_400 * 3);
    let put = http::Request::put(GRANT).body(newer.to_string().into()).unwrap();
    let reply = load_during(&world, &callback, 0, put, StatusCode::NO_CONTENT).await;
    let result = CallbackResult { callback, reply };
    assert_eq!(world.grant().await["accessToken"]["value"], newer["access_token"]["value"]);
    let end = world.reauthorize(&account_page(&result), Decision::Success).await;
    assert_eq!(end.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
    let reauthorized: Vec<_> = world
        .published()
        .into_iter()
        .filter(|event| event.kind == "user.reauthorized")
        .map(|event| event.via)
        .collect();
    assert_eq!(reauthorized, [Some("grant".to_owned())]);
}

#[tokio::test]
async fn a_pair_of_another_user_that_the_application_stores_in_the_middle_stays() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let callback = world.decide(&url, Decision::Success).await;
    let mut other = world.issue_tokens("someone-else");
    other["access_token"]["expires_on"] = json!(world.clock_now().as_second() + 60);
    let put = http::Request::put(format!("{GRANT}?replace=true")).body(other.to_string().into()).unwrap();
    load_during(&world, &callback, 0, put, StatusCode::NO_CONTENT).await;
    let items = world.items();
    let stored = items.iter().find(|item| item["SK"]["S"] == format!("GRANT#{DEMO_CONTRACT}")).unwrap().clone();
    assert!(stored.get("episode").is_none(), "the application's pair ended the episode");
    assert_eq!(world.grant().await["user"]["id"], "someone-else");
    world.run_until_idle().await;
}

#[tokio::test]
async fn another_browser_is_not_sent_on_to_the_accounts_page() {
    let (world, link) = World::in_need().await;
    world.kill_tokens();
    let callback = world.decide(&world.follow(&link).await, Decision::Success).await;
    world.change_browser();
    let page = world.get(&callback).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::OK, ""));
    assert!(page.text().contains("You are connected to digi.me again. One step is left."), "{}", page.body);
    assert_eq!(world.grant().await["status"], "active", "the pair is the user's, whoever loads the callback");
    // The user opens the link again, and needs the account's page only.
    assert!(world.follow(&link).await.contains("/reauthorize?code="));
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_access_token_that_digime_refuses_is_refreshed_before_the_user_is_given_up() {
    let world = World::builder().start().await;
    let refused = Failure {
        code: Some("InvalidToken".into()),
        message: Some("The token (access_token) is invalid".into()),
        ..Failure::status(401, 1)
    };
    world.system.simulator.control().fail("/v1.7/oauth/token/reference", refused);
    let before = token_requests(&world);
    world.create_user_reauthorization().await;
    assert_eq!(token_requests(&world), before + 1);
    world.run_until_idle().await;
    assert!(world.published().is_empty() && world.grant().await["status"] == "active");
}

#[tokio::test]
async fn a_pair_whose_exchange_was_given_up_by_another_callback_is_stored_all_the_same() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    let callback = world.decide(&url, Decision::Success).await;
    // The callback is loaded again when the exchange has taken longer than any exchange does.
    let again = http::Request::get(&callback).body("".into()).unwrap();
    let reply = load_during(&world, &callback, 31, again, StatusCode::SEE_OTHER).await;
    assert!(reply.header("location").contains("errorCode=SERVER_ERROR"), "{}", reply.body);
    assert_eq!(world.reauthorization(&id).await["status"], "failed");
    assert_eq!(world.grant().await["status"], "active");
    world.create_reauthorization(DEMO_USER, BANK).await;
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_user_who_is_erased_in_the_middle_stays_erased() {
    let world = lost().await;
    let (_, url) = create(&world).await;
    let callback = world.decide(&url, Decision::Success).await;
    let erase = http::Request::delete(format!("/users/{DEMO_USER}")).body("".into()).unwrap();
    let page = load_during(&world, &callback, 1, erase, StatusCode::NO_CONTENT).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("This page can no longer be used"), "{}", page.body);
    world.run_until_idle().await;
    // Tombstones do not name their users, and counters belong to a service.
    let is_of_nobody = |item: &Value| {
        let pk = item["PK"]["S"].as_str().unwrap();
        pk.starts_with("FORGOTTEN#") || pk.starts_with("SERVICE#")
    };
    let left: Vec<Value> = world.items().into_iter().filter(|item| !is_of_nobody(item)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_code_verifier_is_sealed_and_gone_after_the_exchange() {
    let world = lost().await;
    let (id, url) = create(&world).await;
    let verifier = || {
        let items = world.items();
        let item = items.iter().find(|item| item["PK"]["S"] == format!("REAUTH#{id}")).unwrap().clone();
        item.get("verifier").and_then(|sealed| sealed["S"].as_str()).map(ToOwned::to_owned)
    };
    assert_ne!(verifier().unwrap().len(), 43, "it is not the verifier itself");
    assert!(!world.get(&format!("/reauthorizations/{id}")).await.text().contains("verifier"));
    account_page(&world.reauthorize(&url, Decision::Success).await);
    assert_eq!(verifier(), None);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_user_whom_digime_does_not_recognize_must_be_authorized_from_scratch() {
    let world = lost().await;
    create(&world).await;
    world.system.simulator.control().revoke_tokens(DEMO_USER);
    for path in
        [format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations"), format!("/users/{DEMO_USER}/reauthorizations")]
    {
        let reply = world.post(&path, &json!({})).await;
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (StatusCode::CONFLICT, &json!("user_authorization_required"))
        );
    }
    world.run_until_idle().await;
    let told = world.published_of_user();
    assert_eq!(told.iter().map(|event| event.recoverable).collect::<Vec<_>>(), [Some(true), Some(false)]);
    assert_eq!(told[0].episode_id, told[1].episode_id);
    // The links of both events, and of the account's, lead to a page that says so.
    for event in world.published() {
        let link = world.path(event.reconnect_url());
        for method in [Method::GET, Method::POST] {
            let page = world.call(method, &link, "").await;
            assert_eq!(page.status, StatusCode::OK);
            assert!(page.text().contains("cannot be renewed from this page"), "{}", page.body);
            assert!(!page.text().contains("Reconnect"), "nothing on it can be reconnected: {}", page.body);
            assert!(page.text().contains("Back to Demo Application"), "{}", page.body);
            let buttons = page.body.matches("<button").count();
            assert_eq!(page.body.matches("<button class=\"quiet\"").count(), buttons, "{}", page.body);
        }
    }
    world.put(&format!("{GRANT}?replace=true"), &world.issue_tokens(DEMO_USER)).await;
    world.run_until_idle().await;
    let event = world.published_of_user().pop().unwrap();
    assert_eq!((&*event.kind, event.via.as_deref()), ("user.reauthorized", Some("grant")));
    world.create_reauthorization(DEMO_USER, BANK).await;
}

#[tokio::test]
async fn the_request_is_checked_like_that_of_an_account() {
    let world = World::builder().start().await;
    let post = async |user: &str, body: Value| {
        let reply = world.post(&format!("/users/{user}/reauthorizations"), &body).await;
        (reply.status.as_u16(), reply.json())
    };
    let code = |(status, body): (u16, Value)| (status, body["code"].as_str().unwrap_or_default().to_owned());
    assert_eq!(code(post("nobody", json!({})).await), (404, "user_not_found".into()));
    assert_eq!(code(post(DEMO_USER, json!({"contractId": "other"})).await), (409, "grant_not_found".into()));
    let (status, body) =
        post(DEMO_USER, json!({"return_url": "x", "locale": "!", "returnUrl": "https://evil.example"})).await;
    let fields: Vec<_> = body["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!((status, fields), (400, vec![json!("locale"), json!("returnUrl"), json!("return_url")]));
    world.configure_contract("second");
    let second = world.put(&format!("/users/{DEMO_USER}/grants/second"), &world.issue_tokens(DEMO_USER)).await;
    assert_eq!(second.status, StatusCode::NO_CONTENT);
    assert_eq!(code(post(DEMO_USER, json!({})).await), (409, "contract_required".into()));
    let (status, body) = post(DEMO_USER, json!({"contractId": DEMO_CONTRACT, "locale": "de"})).await;
    assert_eq!((status, &body["kind"], body.get("accountId")), (201, &json!("user"), None));
    assert!(body["url"].as_str().unwrap().ends_with("&lng=de"), "{body}");
}
