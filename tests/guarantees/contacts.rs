//! The contact of a user: it stays readable over rotations of the service secret, stops nothing when it is not readable, and
//! whoever becomes reachable hears of what is open.

use http::{Method, StatusCode};
use local::{DEMO_CONTRACT, DEMO_USER, MailFeedback, SentMail, names};
use serde_json::{Value, json};
use tests::{BANK, World};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// A little longer than functions cache a secret.
const CACHED: u64 = 16 * MINUTE;
const CONTACT: &str = "/users/demo-user/contact";

fn grant() -> String {
    format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")
}

async fn put_contact(world: &World, contact: Value) {
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    let reply = world.put(&format!("{}?replace=true", grant()), &body).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
}

fn ann() -> Value {
    json!({"email": "ann@example.org", "locale": "nl", "timeZone": "Europe/Amsterdam"})
}

/// Rotates the service secret, and waits until every function uses the new version.
fn rotate(world: &World, version: &str) {
    world.system.secrets.put(names::SERVICE_SECRET, &version.repeat(40));
    world.advance(CACHED);
}

fn contact_item(world: &World) -> Value {
    world.items().into_iter().find(|item| item["SK"]["S"] == "CONTACT").expect("a contact")
}

/// Makes the contact one that was sealed with a key that is gone.
fn make_unreadable(world: &World) {
    let request = json!({
        "TableName": names::TABLE,
        "Key": {"PK": {"S": format!("USER#{DEMO_USER}")}, "SK": {"S": "CONTACT"}},
        "UpdateExpression": "SET contact = :sealed",
        "ExpressionAttributeValues": {":sealed": {"S": "AAAA".repeat(40)}},
    });
    world.system.database.update_item(serde_json::from_value(request).unwrap()).unwrap();
}

async fn pass(world: &World, seconds: u64) -> Value {
    world.advance(seconds);
    world.sweep().await
}

fn mails(world: &World) -> Vec<SentMail> {
    world.system.mails.all()
}

/// A world with mails whose demo user has something to mend, and hears of it only by mails that are not about an event.
async fn in_need_without_reminders() -> World {
    let world = World::builder().mails().setting("REMINDER_SCHEDULE", "none").start().await;
    world.lose_authorization(BANK).await;
    world
}

#[tokio::test]
async fn a_contact_is_sealed_again_with_every_write_of_a_grant() {
    for change in ["a pair is stored", "a pair is refreshed", "the refresh token expires"] {
        let world = World::builder().start().await;
        put_contact(&world, ann()).await;
        let shown = world.get(CONTACT).await.json();
        rotate(&world, "b");
        match change {
            "a pair is stored" => world.store_grant(DEMO_USER).await,
            "a pair is refreshed" => {
                world.advance(DAY);
                world.grant().await;
                assert_eq!(world.refreshes(), 1);
            }
            _ => {
                pass(&world, 31 * DAY).await;
                assert_eq!(world.published_types(), ["user.reauthorization_required"]);
            }
        }
        rotate(&world, "c");
        let reply = world.get(CONTACT).await;
        assert_eq!((reply.status, reply.json()), (StatusCode::OK, shown), "{change}");
    }
}

#[tokio::test]
async fn a_contact_that_needs_no_new_seal_is_not_written_with_a_grant() {
    let world = World::builder().start().await;
    put_contact(&world, ann()).await;
    rotate(&world, "b");
    let before = contact_item(&world);
    world.store_grant(DEMO_USER).await;
    let resealed = contact_item(&world);
    assert_ne!(resealed["contact"], before["contact"]);
    assert_eq!(resealed["version"], before["version"], "no other write fails because of it");
    world.store_grant(DEMO_USER).await;
    assert_eq!(contact_item(&world), resealed);
}

#[tokio::test]
async fn a_contact_that_cannot_be_decrypted_stops_no_page_no_reminder_and_no_mail_to_others() {
    let world = World::builder().mails().start().await;
    put_contact(&world, ann()).await;
    world.lose_authorization(BANK).await;
    assert_eq!(contact_item(&world)["dueShard"]["S"].as_str().unwrap().split('#').next(), Some("due-mail"));
    make_unreadable(&world);
    let link = world.last_link();
    assert_eq!(world.get(&link).await.status, StatusCode::OK);
    assert_eq!(world.use_link(&link).await.status, StatusCode::SEE_OTHER);
    for _ in 0..25 {
        let done = pass(&world, HOUR).await;
        assert_eq!(done["failed"], 0, "{done}");
    }
    let reminders: Vec<_> = world.published().iter().filter_map(|event| event.reminder).collect();
    assert_eq!(reminders, [0, 1]);
    assert!(mails(&world).is_empty());
    assert_eq!(contact_item(&world).get("dueShard"), None, "nobody looks at it each quarter of an hour");
    assert_eq!(world.get(CONTACT).await.json()["code"], "contact_not_found");
}

#[tokio::test]
async fn a_new_contact_replaces_one_that_cannot_be_decrypted_and_the_unsubscription_stays() {
    let world = World::builder().mails().start().await;
    put_contact(&world, ann()).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let header = mails(&world)[0].header("List-Unsubscribe").to_owned();
    let unsubscribe = world.path(header.trim_start_matches('<').trim_end_matches('>'));
    make_unreadable(&world);
    let sealed = contact_item(&world)["contact"].clone();
    assert_eq!(world.get(&unsubscribe).await.status, StatusCode::OK);
    assert_eq!(world.call(Method::POST, &unsubscribe, "List-Unsubscribe=One-Click").await.status, StatusCode::OK);
    world.run_until_idle().await;
    assert_eq!(contact_item(&world)["contact"], sealed, "its key may come back");

    put_contact(&world, ann()).await;
    assert_eq!(world.get(CONTACT).await.json()["stopped"]["reason"], "unsubscribed");
    make_unreadable(&world);
    put_contact(&world, Value::Null).await;
    assert_eq!(contact_item(&world).get("contact"), None);
    put_contact(&world, ann()).await;
    assert_eq!(world.get(CONTACT).await.json()["stopped"]["reason"], "unsubscribed");
}

#[tokio::test]
async fn the_first_contact_of_a_user_hears_of_what_is_open_by_day() {
    let world = in_need_without_reminders().await;
    pass(&world, 11 * MINUTE).await;
    // It is after 22:00 there.
    put_contact(&world, json!({"email": "ann@example.org", "timeZone": "Pacific/Auckland"})).await;
    for _ in 0..9 {
        pass(&world, HOUR).await;
        assert!(mails(&world).is_empty(), "{}", world.clock_now());
    }
    for _ in 0..60 {
        pass(&world, HOUR).await;
    }
    let sent = mails(&world);
    assert_eq!(sent.len(), 1);
    assert_eq!((&*sent[0].to, &*sent[0].subject), ("ann@example.org", "Your connection to Meadow Bank has ended"));
}

#[tokio::test]
async fn another_address_hears_of_what_is_open_48_hours_after_the_last_mail() {
    let world = in_need_without_reminders().await;
    put_contact(&world, json!({"email": "ann@exmaple.org"})).await;
    pass(&world, MINUTE).await;
    assert_eq!(mails(&world).len(), 1);
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    for _ in 0..47 {
        pass(&world, HOUR).await;
        assert_eq!(mails(&world).len(), 1, "{}", world.clock_now());
    }
    for _ in 0..72 {
        pass(&world, HOUR).await;
    }
    let to: Vec<_> = mails(&world).into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, ["ann@exmaple.org", "ann@example.org"]);
}

#[tokio::test]
async fn a_user_who_wants_mails_again_hears_of_what_is_open() {
    let world = in_need_without_reminders().await;
    put_contact(&world, ann()).await;
    pass(&world, MINUTE).await;
    let header = mails(&world)[0].header("List-Unsubscribe").to_owned();
    let unsubscribe = world.path(header.trim_start_matches('<').trim_end_matches('>'));
    assert_eq!(world.call(Method::POST, &unsubscribe, "List-Unsubscribe=One-Click").await.status, StatusCode::OK);
    world.run_until_idle().await;
    world.advance(3 * DAY);
    put_contact(&world, json!({"email": "ann@example.org", "resubscribe": true})).await;
    pass(&world, MINUTE).await;
    assert_eq!(mails(&world).len(), 2);
}

#[tokio::test]
async fn a_contact_of_a_user_with_nothing_open_is_not_looked_at() {
    let world = World::builder().mails().start().await;
    put_contact(&world, ann()).await;
    assert_eq!(contact_item(&world).get("dueShard"), None);
}

#[tokio::test]
async fn a_complaint_outlives_another_address_and_the_removal_of_the_contact() {
    let world = in_need_without_reminders().await;
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    pass(&world, MINUTE).await;
    world.system.mails.give_feedback(&mails(&world)[0], MailFeedback::Complaint).unwrap();
    world.run_until_idle().await;
    for contact in [
        json!({"email": "bob@example.org"}),
        json!({"email": "ann@example.org"}),
        Value::Null,
        json!({"email": "ann@example.org"}),
    ] {
        let removed = contact.is_null();
        put_contact(&world, contact).await;
        let shown = world.get(CONTACT).await.json();
        assert!(removed || shown["stopped"]["reason"] == "complained", "{shown}");
    }
    // The user's word does not help the address that reported a mail: SES does not write to it any more.
    put_contact(&world, json!({"email": "ann@example.org", "resubscribe": true})).await;
    assert_eq!(world.get(CONTACT).await.json()["emails"], "stopped");
    put_contact(&world, json!({"email": "bob@example.org", "resubscribe": true})).await;
    assert_eq!(world.get(CONTACT).await.json()["emails"], "active");
}
