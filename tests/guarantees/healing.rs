//! A broken account is notified, reauthorized and healed, end to end, by the functions' real binaries.

use digime_simulator::ErrorShape;
use http::StatusCode;
use serde_json::json;
use tests::{BANK, DEMO_CONTRACT, DEMO_USER, Decision, DeliveredError, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_notified_of_a_broken_account_and_the_account_heals() {
    let world = World::builder().binaries().start().await;
    for shape in [ErrorShape::Documented, ErrorShape::Sdk] {
        let before = world.published().len();
        world.system.simulator.control().break_account(BANK, shape);
        world.system.application.read(DEMO_USER).await.unwrap();
        world.run_until_idle().await;

        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!(account["status"], "reauth_required");
        assert_eq!(account["error"]["code"], "ServiceAuthorizationError");
        let event = &world.published()[before];
        assert_eq!(event.kind, "account.reauthorization_required");
        assert_eq!(event.service_name.as_deref(), Some("Meadow Bank"));
        assert_eq!(event.episode_id.as_deref(), account["episodeId"].as_str());

        let url = world.follow(&world.last_link()).await;
        let result = world.reauthorize(&url, Decision::Success).await;
        assert_eq!(result.reply.status, StatusCode::SEE_OTHER);
        assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
        assert_eq!(result.parameter("accountId").as_deref(), Some(BANK));
        world.run_until_idle().await;

        let account = world.account(DEMO_USER, BANK).await;
        assert_eq!((&account["status"], &account["verified"]), (&json!("active"), &json!(true)));
        assert!(account.get("episodeId").is_none() && account.get("error").is_none(), "{account}");
        let event = &world.published()[before + 1];
        assert_eq!(event.kind, "account.reauthorized");
        assert_eq!((event.via.as_deref(), event.verified), (Some("callback"), Some(true)));
        let id = result.parameter("reauthorizationId").unwrap();
        let reauthorization = world.get(&format!("/reauthorizations/{id}")).await.json();
        assert_eq!((&reauthorization["status"], &reauthorization["verified"]), (&json!("succeeded"), &json!(true)));
    }
    // The history holds the delivered events without their links, in the order of their sequence.
    let account = world.account(DEMO_USER, BANK).await;
    let mut published = world.published_json();
    for event in &mut published {
        let data = event["data"].as_object_mut().unwrap();
        data.remove("reconnectUrl");
        data.remove("reconnectUrlExpiresAt");
    }
    assert_eq!(account["events"], json!(published));
    let sequences: Vec<_> = world.published().iter().map(|event| event.sequence).collect();
    assert!(sequences.len() == 4 && sequences.is_sorted_by(|before, after| before < after), "{sequences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancel_the_account_waits_and_the_link_still_works() {
    let world = World::builder().binaries().start().await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    world.system.application.read(DEMO_USER).await.unwrap();
    world.run_until_idle().await;
    let link = world.last_link();

    let result = world.reauthorize(&world.follow(&link).await, Decision::Error("USER_CANCEL")).await;
    assert_eq!(result.parameter("status").as_deref(), Some("failed"));
    assert_eq!(result.parameter("errorCode").as_deref(), Some("USER_CANCEL"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "reauth_required");
    let event = world.last_published();
    assert_eq!(event.kind, "account.reauthorization_failed");
    assert_eq!((event.error_code.as_deref(), event.retryable), (Some("USER_CANCEL"), Some(true)));

    let result = world.reauthorize(&world.follow(&link).await, Decision::Success).await;
    assert_eq!(result.parameter("status").as_deref(), Some("succeeded"));
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
    let page = world.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text().contains("All set") && page.text().contains("Meadow Bank is connected."), "{}", page.body);
}

/// The error on digi.me's documentation page, byte for byte, is the bare map of a read result.
#[tokio::test(flavor = "multi_thread")]
async fn the_documented_error_is_understood_byte_for_byte() {
    const SEED: &str = r#"{
  "1_1xxxxxxxxx": {
    "state": "partial",
    "error": {
      "code": "ServiceAuthorizationError",
      "error": {
        "message": "Service authorization required",
        "reauth": true
      },
      "statusCode": 511
    }
  }
}"#;
    let world = World::builder().binaries().start().await;
    let body = format!(r#"{{"contractId":"{DEMO_CONTRACT}","readResult":{SEED}}}"#);
    let reply = world.call(http::Method::POST, "/users/somebody/read-results", body).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
    world.run_until_idle().await;
    let event = world.last_published();
    assert_eq!((&*event.kind, &*event.account_id), ("account.reauthorization_required", "1_1xxxxxxxxx"));
    let error = DeliveredError {
        code: Some("ServiceAuthorizationError".to_owned()),
        status_code: Some(511),
        message: Some("Service authorization required".to_owned()),
    };
    assert_eq!(event.error, Some(error));
    assert_eq!(world.account("somebody", "1_1xxxxxxxxx").await["status"], "reauth_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_access_token_is_refreshed_on_the_way() {
    let world = World::builder().binaries().start().await;
    let before = world.get(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")).await.json();
    world.system.simulator.control().expire_access_tokens(DEMO_USER);
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    assert!(url.contains("/apps/saas/reauthorize?code="), "a URL of digi.me's page");
    let after = world.get(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")).await.json();
    assert_ne!(before["accessToken"]["value"], after["accessToken"]["value"]);
    assert_ne!(before["refreshToken"]["value"], after["refreshToken"]["value"]);
}
