//! The contact of a user: in with `PUT /users/{userId}/grants/{contractId}`, out with `GET /users/{userId}/contact`.

use http::StatusCode;
use serde_json::{Value, json};
use tests::{DEMO_USER, Reply, World};

const GRANT: &str = "/users/demo-user/grants/demo-contract";
const CONTACT: &str = "/users/demo-user/contact";

async fn put(world: &World, contact: Value) -> Reply {
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    world.put(&format!("{GRANT}?replace=true"), &body).await
}

async fn store(world: &World, contact: Value) {
    let reply = put(world, contact).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
}

fn wrong_fields(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
    let errors = reply.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_contact_is_stored_with_a_grant_and_shown_masked() {
    let world = World::builder().start().await;
    let reply = world.get(CONTACT).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::NOT_FOUND, &json!("contact_not_found")));
    assert_eq!(world.get("/users/nobody/contact").await.json()["code"], "user_not_found");

    let whole = json!({"email": "ann@example.org", "name": "Ann", "locale": "nl", "timeZone": "Europe/Amsterdam"});
    store(&world, whole).await;
    let shown = json!({"email": "a•••••@ex•••••rg", "name": "Ann", "locale": "nl", "timeZone": "Europe/Amsterdam",
        "contractId": "demo-contract", "emails": "active"});
    assert_eq!(world.get(CONTACT).await.json(), shown);

    // A pair alone, and a wrapper without the field, leave it as it is.
    world.store_grant(DEMO_USER).await;
    let tokens = json!({"userAccessToken": world.issue_tokens(DEMO_USER)});
    assert_eq!(world.put(&format!("{GRANT}?replace=true"), &tokens).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(CONTACT).await.json(), shown);

    store(&world, json!({"email": "bob@example.org"})).await;
    let replaced = json!({"email": "b•••••@ex•••••rg", "contractId": "demo-contract", "emails": "active"});
    assert_eq!(world.get(CONTACT).await.json(), replaced);
    store(&world, Value::Null).await;
    assert_eq!(world.get(CONTACT).await.json()["code"], "contact_not_found");
}

#[tokio::test]
async fn a_contact_is_written_only_when_it_changes() {
    let world = World::builder().start().await;
    let contact = || world.items().into_iter().find(|item| item["SK"]["S"] == "CONTACT");
    store(&world, json!({"email": "ann@example.org"})).await;
    let first = contact().unwrap();
    store(&world, json!({"email": "ann@example.org"})).await;
    assert_eq!(contact().unwrap(), first);
    store(&world, json!({"email": "ann@example.org", "locale": "de"})).await;
    assert_ne!(contact().unwrap()["version"], first["version"]);
}

#[tokio::test]
async fn nothing_of_a_contact_is_readable_in_the_table() {
    let world = World::builder().start().await;
    store(&world, json!({"email": "ann@example.org", "name": "Zoe", "timeZone": "Europe/Amsterdam"})).await;
    let items = serde_json::to_string(&world.items()).unwrap();
    for secret in ["ann@", "example.org", "Zoe", "Amsterdam"] {
        assert!(!items.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn every_wrong_field_is_named_and_nothing_is_stored() {
    let world = World::builder().start().await;
    let before = world.items();
    let reply = put(&world, json!({"email": "ann@x\r\nBcc: b@example.org", "phone": "1", "timeZone": "Mars"})).await;
    assert_eq!(wrong_fields(&reply), ["contact.email", "contact.timeZone", "contact.phone"]);
    assert!(!reply.body.contains("Bcc"), "{}", reply.body);
    assert_eq!(wrong_fields(&put(&world, json!("ann@example.org")).await), ["contact"]);
    let tokens = world.issue_tokens(DEMO_USER);
    for (body, expected) in [
        (json!({"userAccessToken": tokens, "contacts": {}}), vec!["contacts"]),
        (
            json!({"userAccessToken": {"accessToken": 7}}),
            vec!["userAccessToken.accessToken", "userAccessToken.refreshToken"],
        ),
        (json!({"userAccessToken": null}), vec!["userAccessToken"]),
        (json!({"contact": {"email": "ann@example.org"}}), vec!["userAccessToken"]),
    ] {
        assert_eq!(wrong_fields(&world.put(GRANT, &body).await), expected, "{body}");
    }
    // A contact beside the tokens of a pair is not silently dropped.
    let mut beside = tokens.clone();
    beside["contact"] = json!({"email": "ann@example.org"});
    assert_eq!(wrong_fields(&world.put(GRANT, &beside).await)[0], "userAccessToken");
    assert_eq!(world.items(), before);
}

#[tokio::test]
async fn a_refused_grant_stores_no_contact() {
    let world = World::builder().start().await;
    let tokens = json!({"accessToken": {"value": "a", "expiry": 1_000_000_000}, "refreshToken": {"value": "r", "expiry": 1_900_000_000}});
    let body = json!({"userAccessToken": tokens, "contact": {"email": "ann@example.org"}});
    assert_eq!(world.put(GRANT, &body).await.json()["code"], "grant_stale");
    assert_eq!(world.get(CONTACT).await.json()["code"], "contact_not_found");
}

#[tokio::test]
async fn a_contact_goes_with_its_user() {
    let world = World::builder().start().await;
    store(&world, json!({"email": "ann@example.org"})).await;
    world.erase(DEMO_USER).await;
    assert_eq!(world.get(CONTACT).await.json()["code"], "user_not_found");
    assert!(!world.items().iter().any(|item| item["SK"]["S"] == "CONTACT"));
    // A pair alone makes the user known again, without the old contact.
    world.advance(1);
    world.store_grant(DEMO_USER).await;
    assert_eq!(world.get(CONTACT).await.json()["code"], "contact_not_found");
}
