//! `POST /events/{eventId}/redeliver` and `POST /events/redeliver`.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use local::{aws::Fault, names, names::Queue};
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_USER, DeliveredEvent, Reply, World, broken};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Longer than readers of the log wait for an event.
const SETTLED: u64 = 11;
const FROM: &str = "2026-11-23T08:59:00Z";

async fn redeliver(world: &World, event: &DeliveredEvent, body: Value) -> Reply {
    world.post(&format!("/events/{}/redeliver", event.event_id), &body).await
}

/// The first event, published and in the log.
async fn published(world: &World) -> DeliveredEvent {
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(SETTLED);
    world.last_published()
}

/// One slice of a range that ends now.
async fn slice(world: &World, channel: &str, cursor: Option<&str>) -> Reply {
    let mut body = json!({"from": FROM, "to": "2026-11-24T09:00:00Z", "channel": channel});
    if let Some(cursor) = cursor {
        body["cursor"] = json!(cursor);
    }
    world.post("/events/redeliver", &body).await
}

#[tokio::test]
async fn an_event_goes_to_the_topic_again_with_the_same_id_and_link() {
    let world = World::builder().webhook().start().await;
    let event = published(&world).await;
    for _ in 0..2 {
        let reply = redeliver(&world, &event, Value::Null).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
        assert_eq!((&reply.json()["eventId"], &reply.json()["channel"]), (&json!(event.event_id), &json!("topic")));
    }
    assert_eq!(world.sweep().await["requeued"], 1, "asking twice is asking once");
    assert_eq!(world.published(), [event.clone(), event.clone()]);
    assert_eq!(world.webhook().deliveries().len(), 2, "every subscriber gets it");
    world.advance(HOUR);
    assert_eq!(world.sweep().await["requeued"], 0, "it has its receipt again");
}

#[tokio::test]
async fn an_event_goes_to_the_webhook_again_as_the_topic_sent_it() {
    let world = World::builder().webhook().start().await;
    let event = published(&world).await;
    let reply = redeliver(&world, &event, json!({"channel": "webhook"})).await;
    let expected = json!({"eventId": event.event_id, "channel": "webhook", "pending": false});
    assert_eq!((reply.status, reply.json()), (StatusCode::ACCEPTED, expected));
    let message = world.system.queues.messages(Queue::Webhooks, 10).unwrap().remove(0);
    let attributes = &world.system.topic.all()[0].attributes;
    assert_eq!(&message.attributes, attributes);
    world.run_until_idle().await;
    assert_eq!(world.published().len(), 1, "nobody else gets it");
    let deliveries = world.webhook().deliveries();
    assert_eq!((deliveries.len(), deliveries[1].event(), &deliveries[1].body), (2, event, &deliveries[0].body));
}

#[tokio::test]
async fn an_event_that_is_on_its_way_is_left_alone_and_the_reply_says_so() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1_000));
    world.hand_in(DEMO_USER, None, &broken(BANK)).await;
    world.advance(SETTLED);
    let event = &world.events(DEMO_USER, BANK).await[0];
    for channel in ["topic", "webhook"] {
        let reply = redeliver(&world, event, json!({"channel": channel})).await;
        let expected = json!({"eventId": event.event_id, "channel": channel, "pending": true});
        assert_eq!((reply.status, reply.json()), (StatusCode::ACCEPTED, expected));
        let report = slice(&world, channel, None).await.json();
        assert_eq!(report, json!({"redelivered": 0, "pending": 1, "skipped": 0}));
    }
    assert_eq!(world.system.queues.depth(Queue::Webhooks).unwrap(), local::Depth::default());
}

#[tokio::test]
async fn without_a_webhook_only_the_topic_takes_events_again() {
    let world = World::builder().start().await;
    let event = published(&world).await;
    for reply in [redeliver(&world, &event, json!({"channel": "webhook"})).await, slice(&world, "webhook", None).await]
    {
        assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::NOT_FOUND, &json!("webhook_not_configured")));
    }
    assert_eq!(redeliver(&world, &event, json!({})).await.status, StatusCode::ACCEPTED);
    world.sweep().await;
}

#[tokio::test]
async fn a_redelivery_during_a_publication_is_not_lost() {
    let world = World::builder().start().await;
    let event = published(&world).await;
    // Redelivered and requeued. The publication takes the event, and the application asks once more meanwhile.
    redeliver(&world, &event, json!({})).await;
    let (reached, go) =
        (std::sync::Arc::new(tokio::sync::Notify::new()), std::sync::Arc::new(tokio::sync::Notify::new()));
    let (seen, resume) = (reached.clone(), go.clone());
    world.system.aws.observe(Some(std::sync::Arc::new(move |moment, name| {
        let (seen, resume) = (seen.clone(), resume.clone());
        let is_publication = moment == digime_simulator::Moment::After && name == "notify-reauth sns:Publish";
        Box::pin(async move {
            if is_publication {
                seen.notify_one();
                resume.notified().await;
            }
        })
    })));
    let asks = async {
        reached.notified().await;
        world.system.aws.observe(None);
        let reply = redeliver(&world, &event, json!({})).await;
        assert_eq!(reply.json()["pending"], true, "it has no receipt yet, so that it is due again anyway");
        go.notify_one();
    };
    tokio::join!(world.sweep(), asks);
    assert_eq!(world.published().len(), 2);
}

#[tokio::test]
async fn a_range_is_redelivered_by_types_and_ends() {
    let world = World::builder().start().await;
    let event = published(&world).await;
    world.advance(HOUR);
    let body = |types: &[&str], to: &str| json!({"from": FROM, "to": to, "types": types});
    let none = world.post("/events/redeliver", &body(&["account.removed"], "2026-11-24T00:00:00Z")).await;
    assert_eq!(none.json(), json!({"redelivered": 0, "pending": 0, "skipped": 0}));
    let earlier = world.post("/events/redeliver", &body(&[], "2026-11-23T08:59:59Z")).await;
    assert_eq!(earlier.json(), json!({"redelivered": 0, "pending": 0, "skipped": 0}));
    let kinds = [event.kind.as_str(), "user.reauthorized"];
    let found = world.post("/events/redeliver", &body(&kinds, "2026-11-24T00:00:00Z")).await;
    assert_eq!(found.json(), json!({"redelivered": 1, "pending": 0, "skipped": 0}));
    world.sweep().await;
    assert_eq!(world.published().len(), 2);
}

#[tokio::test]
async fn a_failed_call_does_not_skip_an_event() {
    let world = World::builder().webhook().start().await;
    let events = copies(&world, 40).await;
    world.system.aws.fail(Fault::refuse("sqs:SendMessageBatch", 3));
    let refused = slice(&world, "webhook", None).await;
    assert_eq!((refused.status, &refused.json()["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
    // Nothing was done. The application begins again.
    world.system.aws.clear_faults();
    let mut reports = vec![slice(&world, "webhook", None).await.json()];
    while let Some(cursor) = reports.last().unwrap()["cursor"].as_str().map(str::to_owned) {
        reports.push(slice(&world, "webhook", Some(&cursor)).await.json());
    }
    let redelivered: u64 = reports.iter().map(|report| report["redelivered"].as_u64().unwrap()).sum();
    assert_eq!((redelivered, on_queue(&world)), (events.len() as u64, events));
    world.webhook().answer(Answer::Status(204));
    world.run_until_idle().await;
}

/// The ids of the events on the queue of webhooks.
fn on_queue(world: &World) -> BTreeSet<String> {
    let messages = world.system.queues.messages(Queue::Webhooks, 100_000).unwrap();
    messages.into_iter().map(|message| message.attributes["eventId"].clone()).collect()
}

/// Writes so many copies of a published event, of other users, as if they had happened within a second. Returns the ids of
/// all events.
async fn copies(world: &World, count: u64) -> BTreeSet<String> {
    let event = published(world).await;
    world.run_until_idle().await;
    let is_event = |item: &Value| item["eventId"]["S"] == json!(event.event_id) && item.get("payload").is_some();
    let original = world.items().into_iter().find(is_event).unwrap();
    let mut ids = BTreeSet::from([event.event_id.clone()]);
    let mut requests = Vec::new();
    for number in 0..count {
        let sequence = event.sequence + number % 1_000;
        let id = format!("evt_{sequence:016x}{number:016x}");
        let user = format!("copy-{number}");
        let mut payload: Value = serde_json::from_str(original["payload"]["S"].as_str().unwrap()).unwrap();
        // Of a type without a link: a copy has none.
        payload["type"] = json!("account.removed");
        payload["data"].as_object_mut().unwrap().retain(|name, _| !["error", "since", "reminder"].contains(&&**name));
        payload["data"]["eventId"] = json!(id);
        payload["data"]["userId"] = json!(user);
        payload["data"]["sequence"] = json!(sequence);
        let mut item = original.clone();
        item["PK"] = json!({"S": format!("USER#{user}")});
        item["SK"] = json!({"S": format!("EVENT#{BANK}#{sequence:020}")});
        item["eventId"] = json!({"S": id});
        item["logShard"] = json!({"S": format!("log#{:02}", number % 16)});
        item["payload"] = json!({"S": payload.to_string()});
        item["eventType"] = json!({"S": "account.removed"});
        requests.push(json!({"PutRequest": {"Item": item}}));
        ids.insert(id);
    }
    for chunk in requests.chunks(25) {
        let request = serde_json::from_value(json!({"RequestItems": {names::TABLE: chunk}})).unwrap();
        world.system.database.batch_write_item(request).unwrap();
    }
    world.advance(SETTLED);
    ids
}

/// The events that the sweep would put on their way now.
fn due(world: &World) -> BTreeSet<String> {
    let due = world.due().into_iter().filter(|item| item.get("publishedAt").is_none());
    due.map(|item| item["eventId"]["S"].as_str().unwrap().to_owned()).collect()
}

/// Redelivers everything. The function is killed at a point that is further on in each call. The application goes on with
/// the last cursor that it got.
async fn interrupted(world: &World, channel: &str) -> usize {
    let (mut cursor, mut kills, mut calls) = (None::<String>, 0, 0);
    loop {
        calls += 1;
        world.crashes.arm(53 * calls);
        let reply = slice(world, channel, cursor.as_deref()).await;
        if world.crashes.trace().is_some() {
            assert!(reply.status.is_server_error(), "{}", reply.body);
            kills += 1;
            world.crashes.disarm();
            // It is taken up again.
            continue;
        }
        world.crashes.disarm();
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        cursor = reply.json()["cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return kills;
        }
        assert!(calls < 2_000, "it never ends");
    }
}

#[tokio::test]
async fn ten_thousand_events_are_redelivered_to_the_topic_also_if_the_function_is_killed_on_the_way() {
    let world = World::builder().crashes().expect_leftovers().start().await;
    let ids = copies(&world, 10_000).await;
    assert!(due(&world).is_empty());
    assert!(interrupted(&world, "topic").await > 5);
    assert!(due(&world) == ids, "each of them, and none is lost");
}

#[tokio::test]
async fn events_are_redelivered_to_the_webhook_also_if_the_function_is_killed_on_the_way() {
    let world = World::builder().webhook().crashes().expect_leftovers().start().await;
    let ids = copies(&world, 2_000).await;
    assert!(interrupted(&world, "webhook").await > 1);
    assert!(on_queue(&world) == ids, "each of them, and none is lost");
    let messages = world.system.queues.messages(Queue::Webhooks, 100_000).unwrap();
    let mut bodies: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in messages {
        bodies.entry(message.attributes["eventId"].clone()).or_default().insert(message.body);
    }
    assert!(bodies.values().all(|bodies| bodies.len() == 1), "copies of an event are equal");
}

#[tokio::test]
async fn events_that_are_older_than_the_log_are_left_out_of_a_range() {
    let world = World::builder().start().await;
    published(&world).await;
    world.advance(31 * 24 * HOUR);
    let body = json!({"from": FROM, "to": "2026-12-31T09:00:00Z"});
    let report = world.post("/events/redeliver", &body).await;
    assert_eq!(report.json(), json!({"redelivered": 0, "pending": 0, "skipped": 0}));
    assert!(due(&world).is_empty());
}

#[tokio::test]
async fn an_event_that_waits_for_its_next_post_is_not_put_on_the_queue_again() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.webhook().answer(Answer::Status(503));
    let event = published(&world).await;
    world.run_until_idle().await;
    let before = world.system.queues.depth(Queue::Webhooks).unwrap();
    let reply = redeliver(&world, &event, json!({"channel": "webhook"})).await;
    assert_eq!((reply.status, &reply.json()["pending"]), (StatusCode::ACCEPTED, &json!(true)), "{}", reply.body);
    let report = slice(&world, "webhook", None).await.json();
    assert_eq!(report, json!({"redelivered": 0, "pending": 1, "skipped": 0}));
    assert_eq!(world.system.queues.depth(Queue::Webhooks).unwrap(), before);
}

#[tokio::test]
async fn an_event_whose_link_cannot_be_derived_any_more_is_not_posted_without_it() {
    let world = World::builder().webhook().start().await;
    let event = published(&world).await;
    for secret in ["b", "c"] {
        world.system.secrets.put(names::SERVICE_SECRET, &secret.repeat(40));
    }
    world.advance(16 * MINUTE);
    let reply = redeliver(&world, &event, json!({"channel": "webhook"})).await;
    assert_eq!((reply.status, &reply.json()["code"]), (StatusCode::CONFLICT, &json!("link_not_available")));
    let report = slice(&world, "webhook", None).await.json();
    assert_eq!(report, json!({"redelivered": 0, "pending": 0, "skipped": 1}));
    assert_eq!(world.system.queues.depth(Queue::Webhooks).unwrap(), local::Depth::default());
}

#[tokio::test]
async fn an_event_of_a_later_version_is_read_and_posted_again() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    let event = published(&world).await;
    let is_event = |item: &Value| item["eventId"]["S"] == json!(event.event_id) && item.get("payload").is_some();
    let mut item = world.items().into_iter().find(is_event).unwrap();
    let payload =
        json!({"type": "account.paused", "timestamp": FROM, "data": {"eventId": event.event_id, "later": [1]}});
    item["payload"] = json!({"S": payload.to_string()});
    item["eventType"] = json!({"S": "account.paused"});
    let put = json!({"TableName": names::TABLE, "Item": item});
    world.system.database.put_item(serde_json::from_value(put).unwrap()).unwrap();
    assert_eq!(world.get("/events").await.json()["events"], json!([payload]));
    let reply = redeliver(&world, &event, json!({"channel": "webhook"})).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
    let message = world.system.queues.messages(Queue::Webhooks, 10).unwrap().remove(0);
    assert_eq!((message.body, &*message.attributes["eventType"]), (payload.to_string(), "account.paused"));
}
