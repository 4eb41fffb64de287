//! `GET /callback`: treats its parameters as untrusted, confirms with digi.me, and sends the browser on.

use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use http::StatusCode;
use serde_json::json;
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy};

#[tokio::test]
async fn a_forged_success_is_not_believed() {
    let (world, _) = World::in_need().await;
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    let forged = callback.replace("success=false", "success=true").replace("&errorCode=USER_CANCEL", "");
    let reply = world.get(&forged).await;
    assert!(
        reply.header("location").contains("status=failed&errorCode=NOT_AUTHORIZED"),
        "{}",
        reply.header("location")
    );
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    let reauthorization = world.get(&format!("/reauthorizations/{id}")).await.json();
    assert_eq!(
        (&reauthorization["status"], &reauthorization["errorCode"]),
        (&json!("failed"), &json!("NOT_AUTHORIZED"))
    );
}

#[tokio::test]
async fn another_account_of_the_service_is_the_wrong_one() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let result = world.reauthorize(&url, Decision::Another).await;
    assert_eq!(result.parameter("errorCode").as_deref(), Some("WRONG_ACCOUNT"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test]
async fn an_account_that_digime_lost_is_not_found() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    world.system.simulator.control().remove_account(BANK);
    let reply = world.get(&callback).await;
    assert!(reply.header("location").contains("errorCode=ACCOUNT_NOT_FOUND"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn success_is_final_and_repeatable() {
    let (world, _) = World::in_need().await;
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let result = world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    let published = world.published().len();
    assert_eq!(world.get(&result.callback).await.header("location"), result.reply.header("location"));
    let failure = result.callback.replace("success=true", "success=false&errorCode=USER_CANCEL");
    assert_eq!(world.get(&failure).await.header("location"), result.reply.header("location"));
    world.run_until_idle().await;
    assert_eq!(world.published().len(), published);
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["status"], "succeeded");
}

#[tokio::test]
async fn a_failure_may_be_overtaken_by_a_success() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let success = world.decide(&url, Decision::Success).await;
    let failure = success.replace("success=true", "success=false&errorCode=ONBOARD_ERROR");
    assert!(world.get(&failure).await.header("location").contains("status=failed&errorCode=ONBOARD_ERROR"));
    assert!(world.get(&failure).await.header("location").contains("status=failed&errorCode=ONBOARD_ERROR"));
    assert!(world.get(&success).await.header("location").contains("status=succeeded"));
    world.run_until_idle().await;
    let history = world.history(DEMO_USER, BANK).await;
    assert_eq!(
        history,
        ["account.reauthorization_required", "account.reauthorization_failed", "account.reauthorized"],
        "the repeated failure is told once"
    );
}

#[tokio::test]
async fn an_unknown_or_expired_state_gives_a_page_and_changes_nothing() {
    let (world, _) = World::in_need().await;
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    let secret = callback.split_once(&format!("state={id}.")).unwrap().1.split('&').next().unwrap();
    let guessed = callback.replace(secret, &"A".repeat(secret.len()));
    let long = format!("/callback?state={}&success=true", "x".repeat(60_000));
    let doubled = format!("{callback}&state=other");
    let silent = callback.replace("success=true", "");
    for wrong in [
        "/callback",
        "/callback?state=&success=true",
        "/callback?state=ra_x.y&success=true",
        &guessed,
        &long,
        &doubled,
        &silent,
    ] {
        let reply = world.get(wrong).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(reply.header("content-type").starts_with("text/html") && reply.text().contains("Nothing was changed"));
        assert_eq!(reply.header("cache-control"), "no-store");
    }
    world.advance(60 * 60);
    assert_eq!(world.get(&callback).await.status, StatusCode::BAD_REQUEST, "after an hour it is too late");
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["status"], "expired");
}

#[tokio::test]
async fn equal_duplicates_of_a_parameter_count_once() {
    let (world, _) = World::in_need().await;
    world.system.simulator.control().echo_state(true);
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let result = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(result.callback.matches("state=").count(), 2, "digi.me echoes the state: {}", result.callback);
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn what_digime_cannot_confirm_is_verifying_until_a_read_settles_it() {
    let (world, _) = World::in_need().await;
    world.system.simulator.control().set_access_token_status(AccessTokenStatus::Absent);
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let result = world.reauthorize(&url, Decision::Success).await;
    assert_eq!(result.parameter("status").as_deref(), Some("verifying"));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["status"], "pending");

    world.hand_in(DEMO_USER, Some("2026-11-23T08:59:00Z"), &healthy(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying", "that read began before the callback");
    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &healthy(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["verified"]), (&json!("active"), &json!(true)));
    assert_eq!(account["reauthorizedAt"], "2026-11-23T09:00:00.000Z");
    let reauthorization = world.get(&format!("/reauthorizations/{id}")).await.json();
    assert_eq!((&reauthorization["status"], &reauthorization["verified"]), (&json!("succeeded"), &json!(true)));
}

#[tokio::test]
async fn an_error_while_verifying_ends_the_reauthorization_in_the_same_episode() {
    let (world, _) = World::in_need().await;
    let episode = world.account(DEMO_USER, BANK).await["episodeId"].clone();
    let (id, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    world.system.simulator.control().fail("/v1.7/permission-access/accounts", Failure::status(500, 3));
    assert!(world.get(&callback).await.header("location").contains("status=verifying"), "digi.me cannot be reached");
    world.advance(60);
    world.hand_in(DEMO_USER, Some("2026-11-23T09:00:30Z"), &broken(BANK)).await;
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!((&account["status"], &account["episodeId"]), (&json!("reauth_required"), &episode));
    assert_eq!(world.get(&format!("/reauthorizations/{id}")).await.json()["errorCode"], "NOT_AUTHORIZED");
    assert_eq!(
        world.history(DEMO_USER, BANK).await,
        ["account.reauthorization_required", "account.reauthorization_failed"]
    );
}

#[tokio::test]
async fn an_odd_error_code_counts_as_unknown_and_is_not_shown() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    let reply = world.get(&callback.replace("USER_CANCEL", "%3Cscript%3E")).await;
    assert!(reply.header("location").contains("errorCode=UNKNOWN"));
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_callback_that_is_reloaded_tells_nobody_again_and_asks_digime_five_times() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let cancelled = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    let forged = cancelled.replace("success=false&errorCode=USER_CANCEL", "success=true");
    world.system.simulator.clear_requests();
    for _ in 0..20 {
        let reply = world.get(&forged).await;
        assert!(reply.header("location").contains("status=failed&errorCode=NOT_AUTHORIZED"), "{reply:?}");
    }
    world.run_until_idle().await;
    let asked = world.system.simulator.requests().len();
    assert_eq!(asked, 5);
    assert_eq!(
        world.history(DEMO_USER, BANK).await,
        ["account.reauthorization_required", "account.reauthorization_failed"]
    );
    world.advance(10 * 60);
    world.get(&forged).await;
    assert_eq!(world.system.simulator.requests().len(), asked + 1, "after ten minutes it is asked again");
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_that_are_loaded_at_once_ask_digime_five_times() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let cancelled = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    let forged = cancelled.replace("success=false&errorCode=USER_CANCEL", "success=true");
    world.system.simulator.clear_requests();
    futures::future::join_all((0..12).map(|_| world.get(&forged))).await;
    assert!(world.system.simulator.requests().len() <= 5);
    world.run_until_idle().await;
    assert_eq!(world.history(DEMO_USER, BANK).await.len(), 2);
}

#[tokio::test]
async fn each_failure_of_a_reauthorization_is_told_once() {
    let (world, _) = World::in_need().await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Another).await;
    let control = world.system.simulator.control();
    for (authorized, code) in [(true, "WRONG_ACCOUNT"), (true, "WRONG_ACCOUNT"), (false, "WRONG_ACCOUNT")] {
        if !authorized {
            control.break_account(BANK, ErrorShape::Documented);
        }
        assert!(world.get(&callback).await.header("location").contains(code));
    }
    control.set_username(BANK, Some("alex.morgan".into()));
    assert!(world.get(&callback).await.header("location").contains("NOT_AUTHORIZED"));
    control.set_username(BANK, Some("someone-else".into()));
    assert!(world.get(&callback).await.header("location").contains("WRONG_ACCOUNT"));
    world.run_until_idle().await;
    let codes = world.events(DEMO_USER, BANK).await.into_iter().filter_map(|event| event.error_code);
    assert_eq!(codes.collect::<Vec<_>>(), ["WRONG_ACCOUNT", "NOT_AUTHORIZED"]);
}

#[tokio::test]
async fn without_a_return_url_a_journey_ends_on_the_page_of_its_link() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    world.lose_authorization(BANK).await;
    let link = world.last_link();
    let end = async |decision| {
        let url = world.follow(&link).await;
        let reply = world.reauthorize(&url, decision).await.reply;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        let target = world.path(reply.header("location"));
        assert!(target.starts_with(&link), "{target}");
        world.get(&target).await.text()
    };
    let page = end(Decision::Error("USER_CANCEL")).await;
    assert!(page.contains("You cancelled. Nothing was changed.") && page.contains("Reconnect Meadow Bank"), "{page}");
    assert!(!page.contains("Reference for support"), "a cancellation needs no support: {page}");
    let page = end(Decision::Another).await;
    assert!(page.contains("You used a different account at Meadow Bank. Use the one shown as al•••••an."), "{page}");
    assert!(page.contains("Reconnect Meadow Bank") && page.contains("Reference for support: WRONG_ACCOUNT"), "{page}");
    world.run_until_idle().await;

    let callback = world.decide(&world.follow(&link).await, Decision::Error("USER_CANCEL")).await;
    world.change_browser();
    let page = world.get(&callback).await.text();
    assert!(
        page.contains("Meadow Bank is not connected") && !page.contains("reconnect/"),
        "no link for others: {page}"
    );
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_page_at_the_end_says_what_has_become_of_the_connection() {
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").start().await;
    assert!(world.system.simulator.control().set_account_expires_at(BANK, None));
    world.get("/users/demo-user/accounts?refresh=true").await;
    let end = async |decision| {
        let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
        let callback = world.decide(&url, decision).await;
        (world.get(&callback).await.text(), callback)
    };
    // The account is active, and nobody knows until when.
    for code in ["USER_CANCEL", "INVALID_CODE", "ONBOARD_ERROR"] {
        let (page, _) = end(Decision::Error(code)).await;
        assert!(page.contains("<span>The connection to Meadow Bank was not renewed</span>"), "{code}: {page}");
        assert!(page.contains("Your connection still works."), "{code}: {page}");
        assert!(page.matches("Nothing was changed.").count() <= 1, "{code}: {page}");
    }
    // digi.me says that the account is not authorized: the next read ends the connection.
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    let page = world.get(&callback).await.text();
    assert!(page.contains("was not renewed") && !page.contains("still works"), "{page}");
    world.system.simulator.control().mend_account(BANK);

    let (page, callback) = end(Decision::Success).await;
    assert!(page.contains("<span>Meadow Bank is connected</span>"), "{page}");
    assert!(page.contains("Demo Application can keep using your data."), "{page}");
    world.advance(60);
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.hand_in(DEMO_USER, Some(&world.clock_now().to_string()), &broken(BANK)).await;
    let page = world.get(&callback).await.text();
    assert!(page.contains("<span>Meadow Bank is not connected</span>"), "a page that is loaded again: {page}");
    let (page, _) = end(Decision::Error("USER_CANCEL")).await;
    assert!(page.contains("<span>Meadow Bank is not connected</span>") && !page.contains("still works"), "{page}");
    world.run_until_idle().await;
}
