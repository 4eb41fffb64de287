//! Logos are fetched once, stored and shown as a part of the page. One that cannot be fetched holds up nothing.

use digime_simulator::Account;
use http::StatusCode;
use serde_json::json;
use tests::{BANK, DEMO_USER, World, broken};

/// A world whose demo user's bank has a logo, with the reconnect link.
async fn with_logo(path: &str) -> (World, String) {
    let world = World::builder().start().await;
    let url = world.system.simulator.base_url().join(path).unwrap();
    assert!(world.system.simulator.control().set_account_logo(BANK, Some(url.to_string())));
    world.get("/users/demo-user/accounts?refresh=true").await;
    world.lose_authorization(BANK).await;
    let link = world.last_link();
    (world, link)
}

/// The stored logos.
fn logos(world: &World) -> Vec<serde_json::Value> {
    world.items().into_iter().filter(|item| item["SK"]["S"] == "LOGO").collect()
}

#[tokio::test]
async fn the_page_shows_the_stored_logo_and_loads_nothing() {
    let (world, link) = with_logo("/logos/meadow-bank.svg").await;
    let page = world.get(&link).await;
    assert!(!page.body.contains("<img"), "no logo is stored yet: {}", page.body);
    assert!(!page.header("content-security-policy").contains("img-src"));
    assert_eq!(logos(&world).len(), 1, "the notification asked for it");
    world.sweep().await;
    world.advance(61);
    let page = world.get(&link).await;
    assert!(page.body.contains("<h1><img src=\"data:image/svg+xml;base64,"), "{}", page.body);
    assert!(page.header("content-security-policy").contains("; img-src data:; form-action"));
    assert_eq!(page.body.matches("logos/").count(), 0, "the browser is not sent there");
}

#[tokio::test]
async fn a_logo_is_fetched_again_after_a_month_and_not_before() {
    let (world, _) = with_logo("/logos/meadow-bank.svg").await;
    let fetched = |world: &World| logos(world)[0]["fetchedAt"]["S"].as_str().unwrap().to_owned();
    world.sweep().await;
    let first = fetched(&world);
    world.advance(29 * 86_400);
    world.sweep().await;
    assert_eq!(fetched(&world), first);
    world.advance(86_400);
    world.sweep().await;
    assert_ne!(fetched(&world), first);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_logo_that_cannot_be_fetched_leaves_the_page_and_the_sweep_as_they_are() {
    for path in ["/logos/missing", "/", "/v1.7/nothing"] {
        let (world, link) = with_logo(path).await;
        let summary = world.sweep().await;
        assert_eq!(summary["failed"], 0, "{path}: {summary}");
        world.advance(61);
        let page = world.get(&link).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(!page.body.contains("<img") && page.text().contains("Reconnect Meadow Bank"), "{path}: {}", page.body);
        assert_eq!(logos(&world).len(), 1, "it is tried again later");
        assert!(logos(&world)[0].get("bytes").is_none());
        world.run_until_idle().await;
    }
}

#[tokio::test]
async fn of_two_accounts_of_one_service_the_logo_is_asked_for_once() {
    let (world, _) = with_logo("/logos/meadow-bank.svg").await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:40:00Z"), &broken(BANK)).await;
    world.sweep().await;
    world.sweep().await;
    assert_eq!(logos(&world).len(), 1);
    world.run_until_idle().await;
}

#[tokio::test]
async fn a_page_with_many_accounts_has_the_logos_of_the_first() {
    let (world, link) = with_logo("/logos/meadow-bank.svg").await;
    let logo = world.system.simulator.base_url().join("/logos/meadow-bank.svg").unwrap().to_string();
    let control = world.system.simulator.control();
    let ids: Vec<String> = (0..30).map(|number| format!("{}_more", number + 100)).collect();
    for id in &ids {
        assert!(control.add_account(DEMO_USER, Account::new(id, "River Bank", None)));
        assert!(control.set_account_logo(id, Some(logo.clone())));
    }
    world.get("/users/demo-user/accounts?refresh=true").await;
    for id in &ids {
        world.lose_authorization(id).await;
    }
    world.sweep().await;
    world.advance(61);
    let page = world.get(&link).await;
    assert_eq!(page.body.matches("<h2").count(), 31, "{}", page.body);
    assert_eq!(page.body.matches("<img").count(), 20, "{}", page.body);
    world.run_until_idle().await;
}

#[tokio::test]
async fn the_page_that_stops_mails_shows_the_applications_logo_though_it_is_the_first_page_of_its_process() {
    let world = World::builder().mails().own_logo().start().await;
    world.sweep().await;
    let contact = json!({"email": "ann@example.org"});
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    world.put("/users/demo-user/grants/demo-contract?replace=true", &body).await;
    world.lose_authorization(BANK).await;
    world.advance(11 * 60);
    world.sweep().await;
    let mail = world.system.mails.all().pop().expect("a mail");
    let path = world.path(mail.header("List-Unsubscribe").trim_matches(['<', '>']));
    let page = world.get(&path).await;
    assert!(page.text().contains("If you stop them, you get no more emails"), "{}", page.body);
    assert!(page.body.contains("<header><img src=\"data:image/svg+xml;base64,"), "{}", page.body);
}
