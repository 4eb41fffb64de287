//! What read results do to accounts: order, duplicates, healing, envelopes.

use local::names::Queue;
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, ReadResult, World, broken, healthy};

#[tokio::test]
async fn one_episode_is_told_once_and_healed_by_a_completed_read() {
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:00:00Z"), &broken(BANK)).await;
    world.hand_in(DEMO_USER, Some("2026-11-23T08:10:00Z"), &broken(BANK)).await;
    assert_eq!(world.published().len(), 1);
    let account = world.account(DEMO_USER, BANK).await;
    assert_eq!(
        (&account["since"], &account["lastReadAt"]),
        (&json!("2026-11-23T08:00:00.000Z"), &json!("2026-11-23T08:10:00.000Z"))
    );

    world.hand_in(DEMO_USER, Some("2026-11-23T08:20:00Z"), &healthy(BANK)).await;
    let event = world.last_published();
    assert_eq!((&*event.kind, event.via.as_deref()), ("account.reauthorized", Some("read_result")));
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

#[tokio::test]
async fn results_that_come_late_change_nothing() {
    let world = World::builder().start().await;
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
    let world = World::builder().start().await;
    world.hand_in(DEMO_USER, Some("2030-01-01T00:00:00Z"), &healthy(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["lastReadAt"], "2026-11-23T09:00:00.000Z");
    world.advance(1);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}

#[tokio::test]
async fn an_error_without_a_time_soon_after_a_reauthorization_changes_nothing() {
    let world = World::builder().start().await;
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
    let world = World::builder().start().await;
    let file_list = json!({"status": {"state": "partial", "details": broken("1_a")}, "fileList": []});
    let message = |user: &str| ReadResult::new(user, &file_list);
    world.enqueue(Queue::ReadResults, &message("plain"));
    let bus = json!({"version": "0", "source": "digime.reads", "detail-type": "digi.me Read Result",
        "time": "2026-11-23T08:00:00Z", "detail": message("bus").json()});
    world.enqueue(Queue::ReadResults, &bus);
    let topic = json!({"Type": "Notification", "Message": message("topic").to_string()});
    world.enqueue(Queue::ReadResults, &topic);
    world.run_until_idle().await;
    for user in ["plain", "bus", "topic"] {
        assert_eq!(world.account(user, "1_a").await["status"], "reauth_required", "{user}");
    }
    assert_eq!(world.account("bus", "1_a").await["since"], "2026-11-23T08:00:00.000Z");
}

#[tokio::test]
async fn tokens_and_files_in_a_result_go_nowhere() {
    let world = World::builder().start().await;
    let result = json!({"status": {"state": "partial", "details": broken(BANK)}, "fileList": [{"name": "a-private-file"}],
        "userAccessToken": {"accessToken": {"value": "a-secret-token", "expiry": 1}}});
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": result});
    world.post(&format!("/users/{DEMO_USER}/read-results"), &body).await;
    let queued = world.system.queues.messages(Queue::ReadResults, 10).unwrap();
    assert_eq!(queued.len(), 1);
    assert!(!queued[0].body.contains("a-secret-token") && !queued[0].body.contains("a-private-file"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
}
