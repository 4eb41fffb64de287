//! When a service counts as down, and what the operator is told.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use digime_simulator::Moment;
use local::{Function, aws::Fault, names::Queue};
use tests::{BANK, DEMO_USER, SqsMessage, inserted, sqs_batch};
use tokio::sync::Notify;

use super::*;

#[tokio::test]
async fn the_operator_is_told_once_of_a_service_that_is_probably_down_and_once_when_it_has_ended() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..8).await;
    break_accounts(&world, 0..4).await;
    world.sweep().await;
    assert!(notices(&world).is_empty(), "four accounts are not many");

    break_accounts(&world, 4..6).await;
    assert_eq!(world.published().len(), 6, "the application is told of each account at once");
    for _ in 0..3 {
        world.sweep().await;
        world.advance(MINUTE);
    }
    break_accounts(&world, 6..8).await;
    world.sweep().await;
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"]);
    let data = &notices(&world)[0]["data"];
    assert_eq!((&data["service"], &data["accounts"]), (&json!(SERVICE), &json!(6)));
    let time = |field: &str| data[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("heldUntil").duration_since(time("since")).as_hours(), 2);
    let message = world.system.alarm_topic.all().remove(0);
    assert_eq!(message.attributes["eventType"], "service.outage_suspected");

    heal_accounts(&world, 0..1).await;
    for _ in 0..140 {
        world.advance(MINUTE);
        world.sweep().await;
    }
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected", "service.outage_ended"]);
    let ended = &notices(&world)[1]["data"];
    assert_eq!((&ended["since"], &ended["endedAt"]), (&data["since"], &data["heldUntil"]));
    assert_eq!((&ended["accounts"], &ended["healed"]), (&json!(8), &json!(1)), "also those that broke later");
    assert!(world.due().is_empty(), "{:?}", world.due());
}

#[tokio::test]
async fn without_a_topic_the_operator_is_not_told_and_an_outage_ends_all_the_same() {
    let world = builder().setting("ALARM_TOPIC_ARN", "").start().await;
    add_users(&world, SERVICE, 0..6).await;
    break_accounts(&world, 0..6).await;
    for _ in 0..130 {
        world.sweep().await;
        world.advance(MINUTE);
    }
    assert!(notices(&world).is_empty());
    assert!(world.due().is_empty(), "{:?}", world.due());
}

#[tokio::test]
async fn an_outage_is_prolonged_while_accounts_break_as_they_did() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..12).await;
    break_accounts(&world, 0..5).await;
    world.sweep().await;
    world.advance(2 * HOUR - 4 * MINUTE);
    break_accounts(&world, 5..12).await;
    for _ in 0..118 {
        world.sweep().await;
        world.advance(MINUTE);
    }
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"]);
    for _ in 0..10 {
        world.sweep().await;
        world.advance(MINUTE);
    }
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected", "service.outage_ended"]);
    assert_eq!(notices(&world)[1]["data"]["accounts"], 12);
}

/// The first outage was held for two hours only.
#[tokio::test]
async fn the_operator_is_told_of_an_outage_on_the_next_day_and_notices_wait_again() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..6).await;
    break_accounts(&world, 0..6).await;
    world.sweep().await;
    world.advance(20 * MINUTE);
    heal_accounts(&world, 0..6).await;
    world.advance(2 * HOUR);
    world.sweep().await;
    world.advance(27 * HOUR);
    let seconds = world.clock_now().as_second();
    break_accounts(&world, 0..6).await;
    world.sweep().await;
    let [suspected, ended, again] = notices(&world).try_into().unwrap();
    let kinds = [&suspected, &ended, &again].map(|notice| notice["type"].as_str().unwrap().to_owned());
    assert_eq!(kinds, ["service.outage_suspected", "service.outage_ended", "service.outage_suspected"]);
    let time = |field: &str| again["data"][field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!((time("since"), time("heldUntil")), (seconds / 300 * 300, seconds + 2 * 60 * 60));
}

#[tokio::test]
async fn accounts_that_break_as_often_as_usual_are_no_outage() {
    let world = builder().start().await;
    break_at_a_usual_rate(&world, 2);
    add_users(&world, SERVICE, 0..20).await;
    break_accounts(&world, 0..19).await;
    world.sweep().await;
    assert!(notices(&world).is_empty(), "{:?}", notices(&world));
    break_accounts(&world, 19..20).await;
    world.sweep().await;
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"], "ten times as many as usual");
}

#[tokio::test]
async fn services_are_counted_apart_and_accounts_without_one_not_at_all() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..4).await;
    add_users(&world, "Saint Clement's", 4..8).await;
    break_accounts(&world, 0..8).await;
    // Nothing is known of the accounts of users without a grant.
    break_accounts(&world, 8..16).await;
    world.sweep().await;
    assert_eq!((counted(&world), notices(&world).len()), (8, 0));
    let keys: BTreeSet<_> = service_items(&world).iter().map(|item| item["PK"]["S"].to_string()).collect();
    assert_eq!(keys, ["\"SERVICE#meadow bank\"", "\"SERVICE#saint clement's\""].map(str::to_owned).into());
    assert!(service_items(&world).iter().all(|item| item["ttl"]["N"].is_string()), "all of them expire");
}

#[tokio::test]
async fn an_event_is_counted_once_however_often_it_is_delivered() {
    let world = builder().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    assert_eq!(counted(&world), 1, "the topic refuses it, and it is received again");
    world.system.aws.clear_faults();
    for _ in 0..2 {
        world.advance(20 * MINUTE);
        world.sweep().await;
    }
    assert_eq!((world.published().len(), counted(&world)), (1, 1), "the sweep has put it on the queue again");
    assert_eq!(world.system.queues.redrive(Queue::Notifications).unwrap(), 1);
    world.run_until_idle().await;
    assert_eq!(counted(&world), 1, "it was moved back from the dead-letter queue");
    world.advance(HOUR);
    let event = world.last_published().event_id;
    world.post(&format!("/events/{event}/redeliver"), &json!({"channel": "topic"})).await;
    world.sweep().await;
    assert_eq!((world.published().len(), counted(&world)), (2, 1), "the application has asked for it again");
}

#[tokio::test]
async fn copies_of_an_event_in_a_batch_and_messages_that_are_received_again_are_counted_once() {
    let world = builder().start().await;
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    let event = world.items().into_iter().find(|item| item["eventId"].is_object()).unwrap();
    let message = |id: &str| SqsMessage::new(inserted(&event), world.clock_now()).id(id);
    let batches = [
        sqs_batch([message("a"), message("b"), message("c").receive_count(2)]),
        sqs_batch([message("a").receive_count(2), message("b").receive_count(3)]),
    ];
    let before = counted(&world);
    for batch in batches {
        world.invoke(Function::NotifyReauth, &batch).await;
    }
    assert_eq!((before, counted(&world)), (1, 2));
}

#[tokio::test]
async fn an_account_that_heals_is_counted_as_healed() {
    let (world, _) = World::in_need().await;
    let before = (counted(&world), sum(&world, "healed"));
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    assert_eq!((before, counted(&world), sum(&world, "healed")), ((1, 0), 1, 1));
}

/// The first update of an invocation is that of the counter: the receipt of an event follows its publication.
#[tokio::test]
async fn an_event_is_published_though_its_service_cannot_be_counted() {
    for hangs in [false, true] {
        let world = builder().start().await;
        let updates = Arc::new(AtomicUsize::new(0));
        if hangs {
            world.system.aws.observe(Some(Arc::new(move |moment, name| {
                let is_update = moment == Moment::Before && name == "notify-reauth dynamodb:UpdateItem";
                if is_update && updates.fetch_add(1, Ordering::Relaxed) == 0 {
                    return Box::pin(std::future::pending());
                }
                Box::pin(async {})
            })));
        } else {
            world.system.aws.fail(Fault::error("dynamodb:UpdateItem", 400, "AccessDeniedException", 1));
        }
        world.hand_in(DEMO_USER, None, &broken(BANK)).await;
        assert_eq!((world.published().len(), world.due().len()), (1, 0), "hangs: {hangs}");
        assert_eq!(world.system.queues.depth(Queue::Notifications).unwrap(), local::Depth::default());
    }
}

#[tokio::test]
async fn sweeps_at_the_same_time_tell_the_operator_once() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..5).await;
    break_accounts(&world, 0..5).await;
    let (publishes, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (publishing, released, first) = (Arc::clone(&publishes), Arc::clone(&goes_on), AtomicUsize::new(0));
    world.system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        let is_first = moment == Moment::Before
            && name == "sweep-accounts sns:Publish"
            && first.fetch_add(1, Ordering::Relaxed) == 0;
        let (publishing, released) = (Arc::clone(&publishing), Arc::clone(&released));
        Box::pin(async move {
            if is_first {
                publishing.notify_one();
                released.notified().await;
            }
        })
    })));
    let event = json!({});
    let sweep = || world.invoke(Function::SweepAccounts, &event);
    let meanwhile = async {
        publishes.notified().await;
        sweep().await;
        goes_on.notify_one();
    };
    futures::join!(sweep(), meanwhile);
    world.system.aws.observe(None);
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"]);
}

#[tokio::test]
async fn a_topic_that_refuses_a_notice_gets_it_from_a_later_sweep() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..5).await;
    break_accounts(&world, 0..5).await;
    world.system.aws.fail(Fault::error("sns:Publish", 400, "AuthorizationError", 1));
    world.sweep().await;
    assert!(notices(&world).is_empty());
    world.advance(2 * MINUTE);
    world.sweep().await;
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"]);
}
