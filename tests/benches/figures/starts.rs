//! From nothing to ready, the first invocation, and the memory that a process holds after many.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use local::{DEMO_CONTRACT, DEMO_USER, Function, names::Queue};
use serde_json::{Value, json};

use crate::{
    process::{median, memory, milliseconds, now},
    stage::{Stage, batch, receiver, start},
    table::Table,
};

const STARTS: usize = 21;
const INVOCATIONS: usize = 1_000;
const WARM: usize = 20;
/// No distance.
const NEAR: (Duration, Duration) = (Duration::ZERO, Duration::ZERO);
const BANK: &str = "1_demo-bank";

pub(crate) async fn run(table: &mut Table) {
    let stage = Stage::new(Some(&receiver(Duration::ZERO).await)).await;
    stage.near();
    ready(&stage, table).await;
    for function in Function::ALL {
        first_invocation(&stage, function, table).await;
    }
    for function in Function::ALL {
        peak(&stage, function, table).await;
    }
}

/// All functions and the hello-world in turns, so that what the machine does besides hits all alike.
async fn ready(stage: &Stage, table: &mut Table) {
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let environments: BTreeMap<&str, BTreeMap<String, String>> = Function::ALL
        .into_iter()
        .map(|function| (function.name(), stage.system.endpoints.environment(function)))
        .chain([("hello-world", BTreeMap::new())])
        .collect();
    for _ in 0..STARTS {
        for (binary, environment) in &environments {
            let begun = now();
            let process = start(binary, environment.clone()).await;
            times.entry(binary).or_default().push(begun.elapsed());
            drop(process);
        }
    }
    let hello = median(times.remove("hello-world").expect("it was started"));
    for (binary, times) in times {
        let time = median(times);
        let how = format!(" ({time:.2} ms beside {hello:.2} ms)");
        let figure = format!("`{binary}`: start to ready, with its warm-up, beside hello-world");
        table.at_most(figure, time / hello, 5.0, "×", &how);
    }
}

/// What a function does mostly, once; gives how long that took. AWS and digi.me are at these distances only meanwhile.
pub(crate) async fn work(
    stage: &Stage,
    function: Function,
    number: usize,
    (aws, digime): (Duration, Duration),
) -> Duration {
    stage.near();
    let prepared = prepare(stage, function, number).await;
    stage.distances(aws, digime);
    let begun = now();
    match prepared {
        Work::Url => drop(stage.make_url(DEMO_USER, BANK).await),
        Work::Callback(path) => drop(stage.follow(&path).await),
        Work::List => drop(stage.call(Method::GET, &format!("/users/{DEMO_USER}/accounts"), "").await),
        Work::Log => drop(stage.call(Method::GET, "/events", "").await),
        Work::Event(event) => drop(stage.invoke(function, &event).await),
    }
    let took = begun.elapsed();
    stage.near();
    took
}

enum Work {
    Url,
    /// The path of a callback.
    Callback(String),
    List,
    /// The first page of the log.
    Log,
    Event(Value),
}

async fn prepare(stage: &Stage, function: Function, number: usize) -> Work {
    match function {
        Function::CreateReauthUrl => Work::Url,
        Function::ReauthCallback => Work::Callback(stage.allowed(DEMO_USER, BANK).await),
        Function::RecordReadResult => Work::Event(batch(Queue::ReadResults, &[read_result(function, number)])),
        Function::NotifyReauth => {
            let event = batch(Queue::ReadResults, &[read_result(function, number)]);
            stage.invoke(Function::RecordReadResult, &event).await;
            Work::Event(stage.take_notifications().await)
        }
        Function::PostWebhook => Work::Event(batch(Queue::Webhooks, &[event(number)])),
        Function::EmailUser => Work::Event(batch(Queue::Emails, &[event(number)])),
        Function::Accounts => Work::List,
        Function::Events => Work::Log,
        Function::SweepAccounts => Work::Event(json!({})),
    }
}

/// A result of a user who was never heard of, with an account in need.
fn read_result(function: Function, number: usize) -> String {
    json!({"userId": format!("{}-{number}", function.name()), "contractId": DEMO_CONTRACT, "readResult": {
        "1_account": {"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511}}}})
    .to_string()
}

/// An event as the topic has it.
fn event(number: usize) -> String {
    json!({"type": "account.reauthorized", "timestamp": "2026-11-23T09:00:00.000Z", "data": {
        "eventId": format!("evt_{number:032x}"), "userId": "u", "accountId": "1_account", "sequence": 1,
        "via": "read_result", "verified": true}})
    .to_string()
}

async fn first_invocation(stage: &Stage, function: Function, table: &mut Table) {
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    for round in 0..WARM {
        stage.restart(function).await;
        first.push(work(stage, function, round * 3, NEAR).await);
        warm.push(work(stage, function, round * 3 + 1, NEAR).await);
        warm.push(work(stage, function, round * 3 + 2, NEAR).await);
    }
    let (first, warm) = (median(first), median(warm));
    let figure = format!("`{}`: first invocation more than a warm one", function.name());
    table.in_units(figure, first - warm, 2.5);
}

async fn peak(stage: &Stage, function: Function, table: &mut Table) {
    stage.restart(function).await;
    let mut spent = Duration::ZERO;
    for number in 0..INVOCATIONS {
        spent += work(stage, function, 1_000 + number, NEAR).await;
    }
    let held = memory(&stage.process(function).await.to_string(), "VmHWM");
    let figure = format!("`{}`: memory at most after {INVOCATIONS} invocations", function.name());
    let how = format!(" ({:.2} ms each)", milliseconds(spent) / 1_000.0);
    table.at_most(figure, held, 24.0, "MiB", &how);
}
