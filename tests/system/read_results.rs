//! What read results do to accounts: order, duplicates, healing, envelopes.

use serde_json::json;
use tests::World;

use super::{BANK, DEMO_CONTRACT, DEMO_USER, broken, healthy};

#[tokio::test]
async fn one_episode_is_told_once_and_healed_by_a_completed_read() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:10:00Z"), &broken(BANK)).await;
    assert_eq!(world.published().len(), 1);
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(
        (&account["since"], &account["lastReadAt"]),
        (&json!("2026-11-23T08:00:00.000Z"), &json!("2026-11-23T08:10:00.000Z"))
    );

    world.hand_in(DEMO_USER, Some("2026-11-23T08:20:00Z"), &healthy(BANK)).await;
    let told = world.published().pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["via"]), (&json!("account.reauthorized"), &json!("read_result")));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn results_that_come_late_change_nothing() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:29:59Z"), &broken(BANK)).await;
    assert!(world.history(DEMO_USER, BANK).await.is_empty(), "older than a healthy read");
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &broken(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required", "at equal times the error wins");
    world.hand_in(DEMO_USER, Some("2026-11-23T08:30:00Z"), &healthy(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required", "and keeps winning");
}

#[tokio::test]
async fn a_time_in_the_future_counts_as_the_time_of_sending() {
    let world = World::new().await;
    world.hand_in(DEMO_USER, Some("2030-01-01T00:00:00Z"), &healthy(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["lastReadAt"], "2026-11-23T09:00:00.000Z");
    world.advance(1);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test]
async fn an_error_without_a_time_soon_after_a_reauthorization_changes_nothing() {
    let world = World::new().await;
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    world.reauthorize(&url, tests::Decision::Success).await;
    world.run_until_idle().await;
    world.advance(14 * 60);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    world.hand_in(DEMO_USER, Some("2026-11-23T09:10:00Z"), &broken(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required", "with its time it is certain");
}

#[tokio::test]
async fn all_envelopes_are_opened() {
    let world = World::new().await;
    let message = |user: &str| json!({"userId": user, "readResult": {"status": {"state": "partial", "details": broken("1_a")}, "fileList": []}});
    world.enqueue(&message("plain").to_string());
    world.enqueue(
        &json!({"version": "0", "source": "digime.reads", "detail-type": "digi.me Read Result",
        "time": "2026-11-23T08:00:00Z", "detail": message("bus")})
        .to_string(),
    );
    world.enqueue(&json!({"Type": "Notification", "Message": message("topic").to_string()}).to_string());
    world.run_until_idle().await;
    for user in ["plain", "bus", "topic"] {
        assert_eq!(world.account(user, "1_a").await["status"], "reauth_required", "{user}");
    }
    assert_eq!(world.account("bus", "1_a").await["since"], "2026-11-23T08:00:00.000Z");
}

#[tokio::test]
async fn the_list_of_accounts_in_need_is_oldest_first_in_pages() {
    let world = World::new().await;
    for n in 0..7 {
        let at = format!("2026-11-23T08:00:0{n}Z");
        world.hand_in(&format!("user-{n}"), Some(&at), &broken("1_a")).await;
    }
    let mut users = Vec::new();
    let mut cursor = String::new();
    for _ in 0..4 {
        let page = world.get(&format!("/accounts?status=reauth_required&limit=2{cursor}")).await.json();
        let accounts = page["accounts"].as_array().unwrap();
        users.extend(accounts.iter().map(|account| account["userId"].as_str().unwrap().to_owned()));
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(users, (0..7).map(|n| format!("user-{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn tokens_and_files_in_a_result_go_nowhere() {
    let world = World::new().await;
    let result = json!({"status": {"state": "partial", "details": broken(BANK)}, "fileList": [{"name": "a-private-file"}],
        "userAccessToken": {"accessToken": {"value": "a-secret-token", "expiry": 1}}});
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": result});
    world.post(&format!("/users/{DEMO_USER}/read-results"), &body).await;
    let queued = world.system.queues.messages(local::names::Queue::ReadResults, 10).unwrap();
    assert_eq!(queued.len(), 1);
    assert!(!queued[0].body.contains("a-secret-token") && !queued[0].body.contains("a-private-file"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}
