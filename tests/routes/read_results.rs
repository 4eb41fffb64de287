//! `POST /users/{userId}/read-results`, and the queue behind it: order, duplicates, healing, envelopes, bad input.

use http::{Method, StatusCode};
use local::{Function, names::Queue};
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, ReadResult, World, broken, healthy};

use crate::bad_input::refused;

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
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_are_not_accounts_are_named_and_the_others_taken() {
    let world = World::builder().binaries().start().await;
    let mut details = broken("1_a");
    for n in 0..30 {
        details[format!("no id {n:02}")] = json!({"state": "completed"});
    }
    details["2_b"] = json!("completed");
    details["3_c"] = json!({});
    details["x".repeat(5_000)] = json!({});
    let body = json!({"readResult": {"status": {"details": details}}});
    let reply = world.post("/users/u/read-results", &body).await.json();
    let ignored = reply["ignored"].as_array().unwrap();
    assert_eq!((&reply["accounts"], ignored.len()), (&json!(2), 20));
    assert_eq!(ignored[0]["accountId"], "2_b");
    assert!(ignored.iter().all(|entry| entry["reason"].as_str().is_some_and(|reason| !reason.is_empty())));
    let queued = world.system.queues.messages(Queue::ReadResults, 10).unwrap();
    let message: serde_json::Value = serde_json::from_str(&queued[0].body).unwrap();
    assert!(message["submittedAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{message}");
    world.run_until_idle().await;
    assert_eq!(world.account("u", "1_a").await["status"], "reauth_required");
    let warning = "read-results: ignored entries that are not accounts";
    let log = world.log(Function::Accounts);
    assert!(log.lines().any(|line| line.contains(warning) && line.contains("\"ignored\":32")), "{log}");

    let reply = world.post("/users/u/read-results", &json!({"readResult": {"state": "pending"}})).await;
    assert_eq!(reply.json(), json!({"accounts": 0, "ignored": []}));
}

#[tokio::test]
async fn bad_read_results_are_refused_by_name() {
    let world = World::builder().start().await;
    let path = format!("/users/{DEMO_USER}/read-results");
    for (body, field) in [
        ("", "readResult"),
        ("not json", ""),
        ("[]", ""),
        ("{}", "readResult"),
        (r#"{"readResult":null}"#, "readResult"),
        (r#"{"readResult":"x"}"#, "readResult"),
        (r#"{"readResult":{"hello":"world"}}"#, "readResult.hello"),
        (r#"{"readResult":{"status":"partial"}}"#, "readResult.status"),
        (r#"{"readResult":{"status":{"details":7}}}"#, "readResult.status.details"),
        (r#"{"observedAt":"yesterday","readResult":{}}"#, "observedAt"),
        (r#"{"observedAt":1700000000,"readResult":{}}"#, "observedAt"),
        (r#"{"contractId":"a b","readResult":{}}"#, "contractId"),
        (r#"{"contractId":7,"readResult":{}}"#, "contractId"),
        (r#"{"readResult":{},"userAccessToken":{}}"#, "userAccessToken"),
    ] {
        refused(&world, (Method::POST, path.clone(), body, 400, field)).await;
    }
    let large = format!(r#"{{"readResult":{{}},"padding":"{}"}}"#, "x".repeat(5_000_000));
    refused(&world, (Method::POST, path.clone(), &large, 413, "read_result_too_large")).await;
    let entries = |number| (0..number).map(|n| format!(r#""{n}_a":{{"state":"running"}}"#)).collect::<Vec<_>>();
    let many = |number| format!(r#"{{"readResult":{{{}}}}}"#, entries(number).join(","));
    refused(&world, (Method::POST, path.clone(), &many(2_001), 413, "read_result_too_large")).await;
    assert_eq!(world.call(Method::POST, &path, many(2_000)).await.json()["accounts"], 2_000);
}

#[tokio::test]
async fn what_is_no_read_result_is_refused() {
    let world = World::builder().start().await;
    let path = format!("/users/{DEMO_USER}/read-results");
    let broken = broken("1_a")["1_a"].clone();
    let listed = json!([{"id": "1_a", "accessTokenStatus": {"authorized": true}}]);
    for (read_result, fields) in [
        // A readAccounts answer.
        (listed.clone(), "readResult"),
        // The same, as an object.
        (json!({"accounts": listed}), "readResult.accounts"),
        // A token pair.
        (
            json!({"accessToken": {"value": "a", "expiry": 1}, "refreshToken": {"value": "r", "expiry": 1}}),
            "readResult.accessToken readResult.refreshToken",
        ),
        // A token pair of the API.
        (json!({"access_token": {"value": "a", "expires_on": 1}}), "readResult.access_token"),
        // A grant of this API.
        (json!({"accessToken": {}, "status": "active"}), "readResult.status"),
        // An error body of digi.me.
        (json!({"error": {"code": "c", "message": "m"}}), "readResult.error"),
        // A problem.
        (json!({"type": "t", "status": 400}), "readResult.status"),
        // A single entry.
        (broken.clone(), "readResult"),
        // A single entry, named.
        (json!({"accountId": "1_a", "error": {}}), "readResult.accountId readResult.error"),
        // An entry without a state.
        (json!({"1_a": {"error": {}}, "2_b": broken}), "readResult.1_a"),
        // A state that is no text.
        (json!({"1_a": {"state": 7}}), "readResult.1_a"),
        // A status without anything.
        (json!({"status": {}}), "readResult.status"),
    ] {
        let body = json!({"readResult": read_result}).to_string();
        refused(&world, (Method::POST, path.clone(), &body, 400, fields)).await;
    }
    let junk: serde_json::Map<_, _> = (0..3_000).map(|n| (format!("key-{n}"), json!(n))).collect();
    let reply = world.post(&path, &json!({"readResult": junk})).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.body.len() < 20_000, "the list of wrong fields has an end");
}
