//! Two channels side by side: a topic, and a webhook that is signed as Standard Webhooks says.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use digime_simulator::Moment;
use local::{aws::Fault, names};
use serde_json::Value;
use tests::{Answer, Delivery, Receiver, World};
use tokio::sync::watch;

use super::{BANK, DEMO_USER, broken};

/// The signatures of a delivery hold, one of them with each of the keys.
fn assert_signed(delivery: &Delivery, keys: &[&[u8]]) {
    let message =
        format!("{}.{}.{}", delivery.header("webhook-id"), delivery.header("webhook-timestamp"), delivery.body);
    let signature = |key: &&[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        format!("v1,{}", STANDARD.encode(hmac::sign(&key, message.as_bytes())))
    };
    let expected: Vec<_> = keys.iter().map(signature).collect();
    assert_eq!(delivery.header("webhook-signature"), expected.join(" "));
}

fn is_due(world: &World) -> bool {
    let scan = serde_json::from_value(serde_json::json!({"TableName": names::TABLE})).unwrap();
    serde_json::to_string(&world.system.database.scan(scan).unwrap()).unwrap().contains("dueAt")
}

#[tokio::test]
async fn each_channel_is_sent_an_event_with_the_same_id_and_link() {
    let (world, receiver) = World::with_webhook().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let (published, posted) = (world.published(), receiver.deliveries());
    assert_eq!((published.len(), posted.len()), (1, 1));
    assert_eq!(serde_json::from_str::<Value>(&posted[0].body).unwrap(), published[0]);
    assert_eq!(published[0]["data"]["eventId"], posted[0].header("webhook-id"));
    assert_eq!(posted[0].header("webhook-timestamp"), world.clock_now().as_second().to_string());
    assert_eq!(posted[0].header("content-type"), "application/json");
    assert_signed(&posted[0], &[&[b'a'; 32]]);
    assert!(!is_due(&world));
}

#[tokio::test]
async fn while_the_signing_secret_is_rotated_both_versions_sign() {
    let (world, receiver) = World::with_webhook().await;
    let new = format!("whsec_{}", STANDARD.encode([b'b'; 24]));
    world.system.secrets.put(names::WEBHOOK_SECRET, &new);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_signed(&receiver.deliveries()[0], &[&[b'b'; 24], &[b'a'; 32]]);
}

#[tokio::test]
async fn a_channel_that_has_taken_an_event_is_not_sent_it_again_because_another_has_not() {
    let (mut world, receiver) = World::with_webhook().await;
    world.expect_leftovers();
    let stranger = Receiver::start().await;
    for answer in [Answer::Status(500), Answer::Status(410), Answer::Redirect(stranger.url.clone())] {
        let before = (world.published().len(), receiver.deliveries().len());
        receiver.answer(answer.clone());
        world.advance(3_600);
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        assert_eq!(world.published().len() - before.0, 1, "{answer:?}");
        assert!(receiver.deliveries().len() - before.1 > 1, "{answer:?}: it is tried again");
        assert!(is_due(&world), "{answer:?}");
        receiver.answer(Answer::Status(200));
        world.advance(3_600);
        world.sweep().await;
        assert!(!is_due(&world), "{answer:?}");
        let posted = &receiver.deliveries()[before.1..];
        let same =
            |one: &Delivery| one.body == posted[0].body && one.header("webhook-id") == posted[0].header("webhook-id");
        assert!(posted.iter().all(same), "{answer:?}");
        assert_eq!(world.published().len() - before.0, 1, "{answer:?}");
        world.advance(60);
        world.hand_in(DEMO_USER, None, &super::healthy(BANK)).await;
    }
    assert_eq!(stranger.deliveries().len(), 0, "a redirect is not followed");
    // The other way round.
    let before = (world.published().len(), receiver.deliveries().len());
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.advance(3_600);
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.system.aws.heal();
    world.advance(3_600);
    world.sweep().await;
    let after = (world.published().len(), receiver.deliveries().len());
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_hangs_delays_neither_the_other_nor_other_accounts() {
    let (world, receiver) = World::with_webhook().await;
    let published = Arc::new(watch::Sender::new(0));
    let count = Arc::clone(&published);
    world.system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        if moment == Moment::After && name.ends_with("sns:Publish") {
            count.send_modify(|count| *count += 1);
        }
        Box::pin(async {})
    })));
    receiver.answer(Answer::NotYet);
    let both = [broken(BANK), broken("2_demo-hospital")];
    let handed_in = async {
        for one in &both {
            world.enqueue(&serde_json::json!({"userId": DEMO_USER, "readResult": one}).to_string());
        }
        world.settle().await;
    };
    let meanwhile = async {
        receiver.has_seen(2).await;
        published.subscribe().wait_for(|count| *count == 2).await.map(drop).unwrap();
        assert_eq!(world.published().len(), 2, "the topic has both while the webhook has answered none");
        receiver.answer(Answer::Status(204));
    };
    tokio::join!(handed_in, meanwhile);
    assert_eq!((world.published().len(), receiver.deliveries().len()), (2, 2));
    assert!(!is_due(&world));
}
