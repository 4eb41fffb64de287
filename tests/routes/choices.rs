//! 'Not now' and 'I no longer use this': buttons of the reconnect page, and links in mails that ask first.

use http::{Method, StatusCode};
use tests::{BANK, DEMO_USER, Decision, World, broken, healthy};

const HOSPITAL: &str = "2_demo-hospital";

/// The stored account.
fn stored(world: &World, account: &str) -> serde_json::Value {
    let mut items = world.items().into_iter();
    items.find(|item| item["SK"]["S"] == format!("ACCOUNT#{account}")).unwrap()
}

#[tokio::test]
async fn not_now_pauses_the_reminders_for_seven_days() {
    let (world, link) = World::in_need().await;
    let before = world.published().len();
    for _ in 0..2 {
        let page = world.call(Method::POST, &link, format!("action=postpone&account={BANK}")).await;
        assert_eq!(page.status, StatusCode::OK);
        let text =
            "You get no reminder before 30 November 2026. Until you reconnect, Demo Application gets no new data.";
        assert!(page.text().contains(text), "{}", page.body);
        assert!(stored(&world, BANK).to_string().contains("2026-11-30T"), "{}", stored(&world, BANK));
    }
    world.run_until_idle().await;
    assert_eq!(world.published().len(), before, "nobody is told");
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn an_account_that_is_no_longer_used_is_dismissed_and_can_be_reconnected() {
    let (world, link) = World::in_need().await;
    for _ in 0..2 {
        let page = world.call(Method::POST, &link, format!("account={BANK}&action=dismiss")).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.text().contains("You no longer use Meadow Bank"), "{}", page.body);
    }
    world.run_until_idle().await;
    let told = world.published();
    assert_eq!(told.iter().filter(|event| event.kind == "account.dismissed").count(), 1, "told once");
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "dismissed");
    let page = world.get(&link).await;
    assert!(page.text().contains("<button class=\"secondary\" type=\"submit\">Reconnect Meadow Bank"), "{}", page.body);
    assert_eq!(page.body.matches("<button").count(), 1, "{}", page.body);
    let end = world.reauthorize(&world.follow(&link).await, Decision::Error("USER_CANCEL")).await;
    assert_eq!(end.parameter("status").as_deref(), Some("failed"));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "dismissed");
    world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    assert_eq!(world.last_published().kind, "account.reauthorized");
}

#[tokio::test]
async fn a_link_that_asks_shows_the_question_with_one_button_and_changes_nothing() {
    let (world, link) = World::in_need().await;
    let before = world.items();
    for (choice, question, label) in [
        ("postpone", "Reconnect Meadow Bank later?", "Not now"),
        ("dismiss", "Do you no longer use Meadow Bank?", "I no longer use this"),
    ] {
        for account in ["", "&account=1_demo-bank"] {
            let asking = format!("{link}?choose={choice}{account}");
            let page = world.get(&asking).await;
            assert!(page.text().contains(question), "{}", page.body);
            assert!(!page.text().contains("remind you"), "no other reminder may follow: {}", page.body);
            let button = format!("<button type=\"submit\" name=\"action\" value=\"{choice}\">{label}</button>");
            assert!(page.body.contains(&button) && page.body.matches("<button").count() == 1, "{}", page.body);
            assert!(page.body.contains("name=\"account\" value=\"1_demo-bank\""), "{}", page.body);
            assert_eq!(world.call(Method::HEAD, &asking, "").await.status, StatusCode::OK);
        }
    }
    assert_eq!(world.items(), before);
    let page = world.get(&format!("{link}?choose=everything")).await;
    assert!(page.text().contains("Reconnect Meadow Bank"), "an unknown choice is none: {}", page.body);
}

#[tokio::test]
async fn a_choice_for_several_accounts_pauses_all_and_dismisses_the_named_one() {
    let (world, link) = World::in_need().await;
    world.lose_authorization(HOSPITAL).await;
    let page = world.get(&format!("{link}?choose=postpone")).await;
    assert!(page.text().contains("Reconnect your accounts later?"), "{}", page.body);
    let page = world.get(&format!("{link}?choose=dismiss")).await;
    assert!(page.text().contains("Reconnect your accounts</span>"), "the list asks which one: {}", page.body);
    world.call(Method::POST, &link, "action=dismiss").await;
    world.call(Method::POST, &link, "action=postpone").await;
    for account in [BANK, HOSPITAL] {
        assert_eq!(world.account(DEMO_USER, account).await["status"], "reauth_required");
        assert!(stored(&world, account).to_string().contains("2026-11-30T"), "{}", stored(&world, account));
    }
    world.call(Method::POST, &link, format!("action=dismiss&account={HOSPITAL}")).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, HOSPITAL).await["status"], "dismissed");
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    let page = world.get(&link).await.text();
    assert!(
        page.contains("You told us that you no longer use St. Clement&#39;s Hospital")
            || page.contains("You told us that you no longer use St. Clement's Hospital"),
        "{page}"
    );
}

#[tokio::test]
async fn a_choice_that_comes_too_late_or_for_nothing_changes_nothing() {
    let (world, link) = World::in_need().await;
    for form in
        ["action=dismiss&account=9_theirs", "action=postpone&account=2_demo-hospital", "action=dismiss&account="]
    {
        let page = world.call(Method::POST, &link, form).await;
        if !form.ends_with('=') {
            assert!(page.text().contains("Reconnect Meadow Bank"), "{form}: {}", page.body);
            assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required", "{form}");
        }
    }
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    let page = world.call(Method::POST, &link, format!("action=dismiss&account={BANK}")).await;
    assert!(page.text().contains("All set"), "{}", page.body);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");

    let (world, link) = World::in_need().await;
    world.advance(14 * 86_400);
    let page = world.call(Method::POST, &link, format!("action=dismiss&account={BANK}")).await;
    assert_eq!(page.status, StatusCode::GONE);
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_presses_at_once_the_application_is_told_once() {
    let (world, link) = World::in_need().await;
    let form = format!("action=dismiss&account={BANK}");
    let presses = futures::future::join_all((0..4).map(|_| world.call(Method::POST, &link, form.clone()))).await;
    assert!(presses.iter().all(|page| page.status == StatusCode::OK));
    world.run_until_idle().await;
    assert_eq!(world.published().iter().filter(|event| event.kind == "account.dismissed").count(), 1);
}

#[tokio::test]
async fn a_question_about_an_account_that_works_again_says_so_and_changes_nothing() {
    let (world, link) = World::in_need().await;
    world.lose_authorization(HOSPITAL).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(HOSPITAL)).await;
    for choice in ["postpone", "dismiss"] {
        let before = world.items();
        let page = world.get(&format!("{link}?choose={choice}&account={HOSPITAL}")).await.text();
        assert!(page.contains("St. Clement's Hospital is connected."), "{choice}: {page}");
        let page = world.call(Method::POST, &link, format!("action={choice}&account={HOSPITAL}")).await.text();
        assert!(page.contains("St. Clement's Hospital is connected."), "{choice}: {page}");
        assert!(page.contains("Reconnect Meadow Bank"), "what is left is on the same page: {page}");
        assert_eq!(world.items(), before, "{choice}");
    }
    // One that the user has dismissed meanwhile.
    world.lose_authorization(HOSPITAL).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:40:00Z"), &broken(HOSPITAL)).await;
    world.call(Method::POST, &link, format!("action=dismiss&account={HOSPITAL}")).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:50:00Z"), &healthy(BANK)).await;
    let page = world.get(&format!("{link}?choose=postpone&account={HOSPITAL}")).await.text();
    assert!(page.contains("<span>You no longer use St. Clement's Hospital</span>"), "{page}");
    world.run_until_idle().await;
}

#[tokio::test]
async fn where_nothing_can_be_reconnected_from_the_page_the_reminders_can_be_stopped() {
    let (world, link) = World::in_need().await;
    world.kill_tokens();
    world.system.simulator.control().revoke_tokens(DEMO_USER);
    world.get("/users/demo-user/accounts?refresh=true").await;
    // That digi.me no longer recognizes the user shows when a reauthorization is started.
    world.use_link(&link).await;
    let page = world.get(&link).await;
    assert!(page.text().contains("cannot be renewed from this page"), "{}", page.body);
    assert!(!page.text().contains(">Reconnect"), "{}", page.body);
    for (choice, label) in [("postpone", "Not now"), ("dismiss", "I no longer use this")] {
        let button =
            format!("<button class=\"quiet\" type=\"submit\" name=\"action\" value=\"{choice}\">{label}</button>");
        assert_eq!(page.body.matches(&button).count(), 1, "{}", page.body);
    }
    world.call(Method::POST, &link, format!("account={BANK}&action=postpone")).await;
    assert!(stored(&world, BANK).to_string().contains("2026-11-30T"), "{}", stored(&world, BANK));
    world.call(Method::POST, &link, format!("account={BANK}&action=dismiss")).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "dismissed");
    let page = world.get(&link).await;
    assert!(page.text().contains("cannot be renewed from this page"), "{}", page.body);
    assert!(!page.body.contains("<button"), "nothing is left to choose: {}", page.body);
    world.run_until_idle().await;
}
