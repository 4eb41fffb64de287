//! The environment of a function names a proxy for every protocol. Nothing is sent through it.

use local::{Function, Invoke, names::Queue};
use serde_json::{Value, json};
use tests::{Relay, SqsMessage, World, address, start_binary};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_posted_directly_though_the_environment_names_a_proxy() {
    let world = World::builder().webhook().binaries().start().await;
    let proxy = Relay::plain(address(&world.webhook().url)).await;
    let mut environment = world.system.endpoints.environment(Function::PostWebhook);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        for name in [name.to_owned(), name.to_lowercase()] {
            environment.insert(name, format!("http://{}", proxy.address()));
        }
    }
    let function = start_binary(Function::PostWebhook, environment).await.unwrap();
    let event = json!({"type": "account.removed", "timestamp": "2026-11-23T09:00:00.000Z", "data": {
        "eventId": "evt_00000000000000000000000000000001", "userId": "u", "accountId": "1_a", "sequence": 1}});
    let batch = SqsMessage::new(&event, world.clock_now()).queue(Queue::Webhooks).alone();
    let reply = function.invoke(batch.to_string().into()).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply).unwrap();
    assert_eq!(reply["batchItemFailures"], json!([]), "{}", function.log());
    assert_eq!((world.webhook().deliveries().len(), proxy.connections()), (1, 0));
}
