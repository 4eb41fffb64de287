//! Connections that end soon are renewed from the reconnect page, and renewing early breaks nothing.

use http::Method;
use serde_json::json;
use tests::{BANK, DEMO_USER, Decision, World, broken};

const HOSPITAL: &str = "2_demo-hospital";
/// 2026-12-03T09:00:00Z, ten days after the clock's start.
const IN_TEN_DAYS: i64 = 1_796_288_400;

/// A world whose demo user must reconnect the hospital, and whose bank connection ends in ten days.
async fn ending_soon() -> (World, String) {
    ending_soon_in(World::builder().setting("DEFAULT_RETURN_URL", "").start().await).await
}

async fn ending_soon_in(world: World) -> (World, String) {
    assert!(world.system.simulator.control().set_account_expires_at(BANK, Some(IN_TEN_DAYS)));
    world.get("/users/demo-user/accounts?refresh=true").await;
    world.lose_authorization(HOSPITAL).await;
    let link = world.last_link();
    (world, link)
}

#[tokio::test]
async fn a_connection_that_ends_within_thirty_days_can_be_renewed_on_the_same_page() {
    let (world, link) = ending_soon().await;
    let page = world.get(&link).await.text();
    assert!(page.contains("<dt>Works until</dt><dd>3 December 2026</dd>"), "{page}");
    let primary = "<button type=\"submit\">Reconnect St. Clement's Hospital</button>";
    assert!(page.contains(primary), "what has ended comes first: {page}");
    assert!(
        page.contains("<button class=\"secondary\" type=\"submit\">Renew the connection to Meadow Bank</button>"),
        "{page}"
    );
    world.reauthorize(&world.choose(&link, "account", HOSPITAL).await, Decision::Success).await;
    let page = world.get(&link).await.text();
    assert!(page.contains("<button type=\"submit\">Renew the connection to Meadow Bank</button>"), "{page}");
    assert!(page.contains("It works until then. If you cancel, nothing changes."), "{page}");
    world.system.simulator.control().set_account_expires_at(BANK, Some(IN_TEN_DAYS + 90 * 86_400));
    world.reauthorize(&world.choose(&link, "account", BANK).await, Decision::Success).await;
    let page = world.get(&link).await.text();
    assert!(page.contains("All set"), "one journey renews all: {page}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn an_early_renewal_that_is_cancelled_or_fails_changes_nothing_and_says_so() {
    let (world, link) = ending_soon().await;
    for (decision, told) in [
        (Decision::Error("USER_CANCEL"), "You cancelled. Nothing was changed."),
        (Decision::Error("INVALID_CODE"), "was opened twice. Nothing was changed."),
        (Decision::Error("ONBOARD_ERROR"), "Meadow Bank did not accept the sign-in."),
    ] {
        let end = world.reauthorize(&world.choose(&link, "account", BANK).await, decision).await;
        let page = world.get(&world.path(end.reply.header("location"))).await.text();
        assert!(page.contains(told), "{page}");
        assert!(page.contains("Your connection works until 3 December 2026."), "{page}");
        assert!(page.matches("Nothing was changed.").count() <= 1, "{page}");
        world.run_until_idle().await;
        assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    }
    // The same in another browser, which gets a page of its own.
    let callback = world.decide(&world.choose(&link, "account", BANK).await, Decision::Error("USER_CANCEL")).await;
    world.change_browser();
    let page = world.get(&callback).await.text();
    assert!(page.contains("The connection to Meadow Bank was not renewed"), "{page}");
    assert!(page.contains("You cancelled. Nothing was changed."), "{page}");
    assert!(page.contains("Your connection works until 3 December 2026."), "{page}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn dates_are_those_of_the_contacts_time_zone_or_else_of_the_default_one() {
    // 22:00 of the day before there.
    let world = World::builder().setting("DEFAULT_RETURN_URL", "").setting("DEFAULT_TIME_ZONE", "Etc/GMT+11");
    let (world, link) = ending_soon_in(world.start().await).await;
    let page = world.get(&link).await.text();
    assert!(page.contains("<dt>Works until</dt><dd>2 December 2026</dd>"), "{page}");
    assert!(page.contains("<dt>Ended on</dt><dd>22 November 2026</dd>"), "{page}");

    let contact = json!({"email": "ann@example.org", "timeZone": "Europe/Amsterdam"});
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    world.put("/users/demo-user/grants/demo-contract?replace=true", &body).await;
    let page = world.get(&link).await.text();
    assert!(page.contains("<dt>Works until</dt><dd>3 December 2026</dd>"), "{page}");
    assert!(page.contains("<dt>Ended on</dt><dd>23 November 2026</dd>"), "{page}");

    let callback = world.decide(&world.choose(&link, "account", BANK).await, Decision::Error("USER_CANCEL")).await;
    world.change_browser();
    let page = world.get(&callback).await.text();
    assert!(page.contains("Your connection works until 3 December 2026."), "{page}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_connection_that_ends_later_or_has_no_known_end_is_not_renewed_from_the_page() {
    let (world, link) = ending_soon().await;
    for expires_at in [Some(IN_TEN_DAYS + 21 * 86_400), None] {
        world.system.simulator.control().set_account_expires_at(BANK, expires_at);
        world.get("/users/demo-user/accounts?refresh=true").await;
        assert!(!world.get(&link).await.text().contains("Meadow Bank"));
        let page = world.call(Method::POST, &link, format!("account={BANK}")).await;
        assert_eq!(page.status, http::StatusCode::OK, "nothing is started: {}", page.body);
    }
    world.hand_in(DEMO_USER, None, &broken("9_unlisted")).await;
    world.run_until_idle().await;
}
