//! The versions of the service secret: equal ones, unusable ones, and a rotation while they are fetched.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use digime_simulator::Moment;
use http::StatusCode;
use local::{DEMO_CONTRACT, names::SERVICE_SECRET};
use tests::{BANK, DEMO_USER, World};
use tokio::sync::Notify;

/// In seconds: a little longer than functions cache a secret.
const LIFETIME: u64 = 16 * 60;

fn grant() -> String {
    format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")
}

#[tokio::test]
async fn two_equal_versions_of_the_service_secret_stop_no_write() {
    let world = World::builder().start().await;
    let secret = world.system.secrets.get(SERVICE_SECRET).unwrap();
    world.system.secrets.put(SERVICE_SECRET, &secret);
    world.advance(LIFETIME);
    world.create_reauthorization(DEMO_USER, BANK).await;
}

#[tokio::test]
async fn an_unusable_previous_version_is_ignored_and_an_unusable_current_one_is_not() {
    let world = World::builder().start().await;
    let secret = world.system.secrets.get(SERVICE_SECRET).unwrap();
    world.system.secrets.put(SERVICE_SECRET, "short");
    world.advance(LIFETIME);
    assert_eq!(world.get(&grant()).await.status, StatusCode::SERVICE_UNAVAILABLE);
    world.system.secrets.put(SERVICE_SECRET, &secret);
    assert_eq!(world.get(&grant()).await.status, StatusCode::OK);
}

/// The user was away for longer than two rotations.
#[tokio::test]
async fn a_pair_that_cannot_be_decrypted_any_more_is_replaced_by_a_new_one() {
    let world = World::builder().start().await;
    world.advance(31 * 24 * 60 * 60);
    world.sweep().await;
    for version in ["b", "c"] {
        world.system.secrets.put(SERVICE_SECRET, &version.repeat(40));
        world.advance(LIFETIME);
    }
    assert_eq!(world.get(&grant()).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    let written = world.put(&grant(), &world.issue_tokens(DEMO_USER)).await;
    assert_eq!(written.status, StatusCode::NO_CONTENT, "{}", written.body);
    assert_eq!(world.grant().await["status"], "active");
    world.run_until_idle().await;
    assert_eq!(world.published_types(), ["user.reauthorization_required", "user.reauthorized"]);
}

/// Stores `next` as the current version of the service secret when the first fetch of a version was answered. A second
/// fetch that begins earlier waits for that.
fn rotate_after_the_first_fetch(world: &World, next: &str) {
    let (secrets, next) = (world.system.secrets.clone(), next.to_owned());
    let (begun, answered, rotated) = (AtomicUsize::new(0), AtomicUsize::new(0), Arc::new(Notify::new()));
    world.system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        let rotated = Arc::clone(&rotated);
        let fetch = name == "accounts secretsmanager:GetSecretValue";
        let wait = fetch && moment == Moment::Before && begun.fetch_add(1, Ordering::SeqCst) == 1;
        if fetch && moment == Moment::After && answered.fetch_add(1, Ordering::SeqCst) == 0 {
            secrets.put(SERVICE_SECRET, &next);
            rotated.notify_one();
        }
        Box::pin(async move {
            if wait {
                rotated.notified().await;
            }
        })
    })));
}

#[tokio::test]
async fn a_rotation_between_the_two_fetches_leaves_both_versions_in_use() {
    let world = World::builder().start().await;
    world.advance(LIFETIME);
    rotate_after_the_first_fetch(&world, &"b".repeat(40));
    let read = world.get(&grant()).await;
    assert_eq!(read.status, StatusCode::OK, "the previous version opens what it sealed: {}", read.body);
    let written = world.put(&grant(), &read.json()).await;
    assert_eq!(written.status, StatusCode::NO_CONTENT, "{}", written.body);

    world.system.aws.observe(None);
    world.system.secrets.put(SERVICE_SECRET, &"c".repeat(40));
    world.advance(LIFETIME);
    let read = world.get(&grant()).await;
    assert_eq!(read.status, StatusCode::OK, "the new version sealed the grant: {}", read.body);
    world.run_until_idle().await;
}
