//! The delivery to the webhook: the schedule of the posts, the health of the endpoint, what is done with its answers.

mod answers;
mod crashes;
mod failures;
mod health;
mod schedule;

use std::{collections::BTreeMap, time::Duration};

use local::{Depth, Function, names::Queue};
use reauth_core::{
    aws::Aws,
    lambda::NO_DEADLINE,
    store::{StoredAttempt, WebhookStore, url_hash},
};
use reauth_domain::{
    EventId,
    webhook::{WebhookHealth, WebhookStateName},
};
use serde_json::{Value, json};
use tests::{Answer, Delivery, Receiver, World, WorldBuilder};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// In seconds: the pauses after the posts of an event.
const PAUSES: [u64; 11] =
    [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR, 12 * HOUR, 10 * HOUR];

/// A system with a webhook whose events come right from its queue.
struct Sender {
    world: World,
    store: WebhookStore,
    url_hash: String,
}

/// The id of the event with this number.
fn event_id(number: usize) -> String {
    format!("evt_{number:032x}")
}

/// The event with this number.
fn event(number: usize) -> Value {
    json!({"type": "account.removed", "timestamp": "2026-11-23T09:00:00.000Z", "data": {"eventId": event_id(number),
        "userId": "a-user", "accountId": "an-account", "sequence": number + 1}})
}

impl Sender {
    async fn start() -> Self {
        Self::of(World::builder()).await
    }

    async fn of(builder: WorldBuilder) -> Self {
        let world = builder.webhook().expect_leftovers().start().await;
        let mut environment = world.system.endpoints.environment(Function::PostWebhook);
        environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned());
        let environment = environment.into_iter().collect();
        let store = WebhookStore::from_environment(&Aws::new(&environment).unwrap(), &world.clock.ambient()).unwrap();
        let url_hash = url_hash(&world.webhook().url.parse().unwrap());
        Self { world, store, url_hash }
    }

    fn receiver(&self) -> &Receiver {
        self.world.webhook()
    }

    fn answer(&self, status: u16) {
        self.receiver().answer(Answer::Status(status));
    }

    /// Puts the event with this number on the queue, with the attributes that the topic sends.
    fn send(&self, number: usize) {
        let attributes = BTreeMap::from([("eventId".to_owned(), event_id(number))]);
        self.world.system.queues.send_with(Queue::Webhooks, &event(number).to_string(), &attributes).unwrap();
    }

    /// Moves the time on, and runs the system until it is idle.
    async fn after(&self, seconds: u64) {
        self.world.advance(seconds);
        self.world.run_until_idle().await;
    }

    /// The number of posts so far.
    fn posts(&self) -> usize {
        self.receiver().deliveries().len()
    }

    /// The posts of the event with this number.
    fn posts_of(&self, number: usize) -> Vec<Delivery> {
        let mut posts = self.receiver().deliveries();
        posts.retain(|post| post.header("webhook-id") == event_id(number));
        posts
    }

    async fn attempts(&self, number: usize) -> Vec<StoredAttempt> {
        self.store.attempts(&event_id(number).parse::<EventId>().unwrap()).await.unwrap()
    }

    fn depth(&self) -> Depth {
        self.world.system.queues.depth(Queue::Webhooks).unwrap()
    }

    async fn health(&self) -> WebhookHealth {
        self.store.health_of(&self.url_hash).await.unwrap().value
    }

    async fn state(&self) -> WebhookStateName {
        self.health().await.state.name()
    }

    async fn change_health(&self, decide: impl Fn(&WebhookHealth) -> Option<WebhookHealth>) {
        self.store.change_health(&self.url_hash, NO_DEADLINE, decide).await.unwrap();
    }

    /// Enables the endpoint by hand.
    async fn enable(&self) {
        let now = self.world.clock_now();
        self.change_health(|health| health.enabled(now)).await;
    }

    /// What the operator was told.
    fn notices(&self) -> Vec<Value> {
        self.world.system.alarm_topic.all().iter().map(local::Publication::json).collect()
    }

    fn kinds_of_notices(&self) -> Vec<String> {
        self.notices().iter().map(|notice| notice["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// The time that one message takes, moved on in steps.
fn steps(total: u64, step: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_n(step, usize::try_from(total / step).unwrap())
}
