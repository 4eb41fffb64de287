//! One process gets several events at the same time, as from Lambda's managed instances.

use std::sync::Arc;

use digime::ambient::Ambient;
use digime_simulator::Moment;
use futures::future::join_all;
use http::StatusCode;
use local::{Function, Functions, Gateway, Invoke, aws::Operation};
use serde_json::json;
use tests::{BANK, DEMO_USER, Reply, World, start_concurrent};
use tokio::sync::Barrier;

const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_events_in_one_process_go_side_by_side_and_fetch_everything_once() {
    let world = World::builder().binaries().start().await;
    let environment = world.system.endpoints.environment(Function::CreateReauthUrl);
    world.system.aws.clear_record();
    world.system.simulator.clear_requests();
    let function = Arc::new(start_concurrent(Function::CreateReauthUrl, environment, AT_ONCE).await.unwrap());
    let every = Functions::each(|_| Arc::clone(&function) as Arc<dyn Invoke>);
    let gateway = Gateway::new(every, Ambient::system());

    // digi.me answers when all events have asked.
    let all = Arc::new(Barrier::new(AT_ONCE));
    world.system.simulator.control().observe(Some(Arc::new(move |moment, name: &str| {
        let all = Arc::clone(&all);
        let wait = moment == Moment::Before && name.ends_with("/oauth/token/reference");
        Box::pin(async move {
            if wait {
                all.wait().await;
            }
        })
    })));
    let path = format!("/users/{DEMO_USER}/accounts/{BANK}/reauthorizations");
    let replies = join_all((0..AT_ONCE).map(|_| {
        let mut request = http::Request::new(json!({}).to_string().into());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path.parse().unwrap();
        gateway.call(request)
    }));
    let mut ids = Vec::new();
    for reply in replies.await.into_iter().map(Reply::from) {
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
        ids.push(reply.json()["reauthorizationId"].as_str().unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), AT_ONCE);

    assert_eq!(function.processes().await.len(), 1);
    let caller = Function::CreateReauthUrl.name().to_owned();
    let secrets = Operation { caller, action: "secretsmanager:GetSecretValue".to_owned() };
    // The service secret's two versions, and the contract.
    assert_eq!(world.system.aws.operations()[&secrets], 3);
    let asked = world.system.simulator.requests();
    assert_eq!(asked.iter().filter(|request| request.path.ends_with("/jwks/oauth")).count(), 1);
}
