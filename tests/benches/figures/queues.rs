//! The functions behind the queues.

use std::time::Duration;

use digime_simulator::Account;
use http::Method;
use local::{DEMO_CONTRACT, Function, aws::Operation, names::Queue};
use serde_json::{Value, json};
use tests::{ReadResult, SqsMessage, broken, sqs_batch};

use crate::{
    process::{cpu, median, milliseconds, now},
    stage::{Stage, batch, receiver, silent_receiver},
    table::Table,
};

const A: Duration = Duration::from_millis(10);
/// How long the topic takes, and the receiver of the webhook.
const C: Duration = Duration::from_millis(50);
const SAMPLES: usize = 40;
const BATCH: usize = 10;
const ACCOUNTS: usize = 500;
const IN_NEED: usize = 5;
/// The number of events that wait for a dead endpoint.
const WAITING: usize = 10_000;

pub(crate) async fn run(table: &mut Table) {
    let stage = Stage::new(Some(&receiver(C).await)).await;
    batches(&stage, table).await;
    many_accounts(&stage, table).await;
    notifications(&stage, table).await;
    dead_endpoint(table).await;
}

/// The entry of an account that needs its user.
fn needs_user() -> Value {
    broken("account")["account"].take()
}

/// A read result of that second.
fn message(user: &str, second: usize, entries: impl Iterator<Item = (String, Value)>) -> String {
    let at = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    let entries = Value::Object(entries.collect());
    ReadResult::new(user, &entries).contract(DEMO_CONTRACT).observed_at(at).to_string()
}

async fn take_in(stage: &Stage, bodies: &[String]) {
    let reply = stage.invoke(Function::RecordReadResult, &batch(Queue::ReadResults, bodies)).await;
    assert_eq!(reply["batchItemFailures"], json!([]));
}

/// Gives a user accounts at digi.me, and a grant, and lets the service read digi.me's list of them.
async fn list(stage: &Stage, user: &str, accounts: impl Iterator<Item = String>) {
    let control = stage.system.simulator.control();
    for account in accounts {
        assert!(control.add_account(user, Account::new(account, "Meadow Bank", None)));
    }
    let tokens = serde_json::to_value(control.issue_tokens(user, DEMO_CONTRACT)).expect("a pair");
    let path = format!("/users/{user}/grants/{DEMO_CONTRACT}");
    stage.system.application.call(Method::PUT, &path, &tokens).await.expect("a stored grant");
    let path = format!("/users/{user}/accounts?refresh=true");
    stage.system.application.call(Method::GET, &path, &Value::Null).await.expect("a list");
}

async fn batches(stage: &Stage, table: &mut Table) {
    stage.near();
    for user in 0..BATCH {
        list(stage, &format!("batch-in-need-{user}"), std::iter::once(format!("0_{user}"))).await;
    }
    for (what, entry) in [("healthy", json!({"state": "completed"})), ("in need", needs_user())] {
        let mut times = Vec::new();
        for sample in 0..=SAMPLES {
            let results = |second: usize, entry: &Value| {
                let result = |user| {
                    let entries = std::iter::once((format!("0_{user}"), entry.clone()));
                    message(&format!("batch-{what}-{user}").replace(' ', "-"), second, entries)
                };
                (0..BATCH).map(result).collect::<Vec<_>>()
            };
            // An account breaks once in an episode: it is healed before each sample.
            stage.near();
            take_in(stage, &results(2 * sample, &json!({"state": "completed"}))).await;
            stage.distances(A, Duration::ZERO);
            let event = batch(Queue::ReadResults, &results(2 * sample + 1, &entry));
            let begun = now();
            let reply = stage.invoke(Function::RecordReadResult, &event).await;
            times.push(begun.elapsed());
            assert_eq!(reply["batchItemFailures"], json!([]));
        }
        let figure = format!("`record-read-result`, 10 results of one account each, {what}");
        table.overhead(figure, median(times), 2.0 * stage.aws_round_trip(A).await, "2A", 20.0);
    }
    stage.near();
}

async fn many_accounts(stage: &Stage, table: &mut Table) {
    stage.near();
    let (mut used, mut calls) = (Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let user = format!("many-{sample}");
        let all = |needy: usize| {
            (0..ACCOUNTS).map(move |account| {
                let entry = if account < needy { needs_user() } else { json!({"state": "completed"}) };
                (format!("{account}_many{sample}"), entry)
            })
        };
        list(stage, &user, (0..IN_NEED).map(|account| format!("{account}_many{sample}"))).await;
        take_in(stage, &[message(&user, 1, all(0))]).await;
        stage.system.aws.clear_record();
        let process = stage.process(Function::RecordReadResult).await;
        let before = cpu(process);
        take_in(stage, &[message(&user, 2, all(IN_NEED))]).await;
        used.push(cpu(process) - before);
        calls = ["dynamodb:Query", "dynamodb:TransactWriteItems"]
            .map(|action| {
                let caller = Function::RecordReadResult.name().to_owned();
                stage
                    .system
                    .aws
                    .operations()
                    .get(&Operation { caller, action: action.to_owned() })
                    .copied()
                    .unwrap_or(0)
            })
            .to_vec();
    }
    let figure = "a read result of 500 accounts, 5 in need: CPU";
    table.in_units(figure, median(used), 6.0);
    let measured = format!("{} query, {} transaction", calls[0], calls[1]);
    table.push("the same: calls", measured, "1 query, 1 transaction".to_owned(), calls == [1, 1]);
}

async fn notifications(stage: &Stage, table: &mut Table) {
    let (mut published, mut posted) = (Vec::new(), Vec::new());
    for sample in 0..=SAMPLES {
        stage.near();
        stage.channel_distance(Duration::ZERO);
        // What other figures left behind is not this one's.
        while !stage.take_notifications().await["Records"].as_array().expect("a list").is_empty() {}
        while !stage.take_webhooks()["Records"].as_array().expect("a list").is_empty() {}
        let bodies: Vec<_> = (0..BATCH)
            .map(|user| message(&format!("told-{user}"), 1, std::iter::once((format!("{sample}_told"), needs_user()))))
            .collect();
        take_in(stage, &bodies).await;
        let event = stage.take_notifications().await;
        stage.distances(A, Duration::ZERO);
        stage.channel_distance(C);
        published.push(timed(stage, Function::NotifyReauth, &event).await);
        let event = stage.take_webhooks();
        posted.push(timed(stage, Function::PostWebhook, &event).await);
    }
    let calls = 2.0 * stage.aws_round_trip(A).await + milliseconds(C);
    table.overhead("`notify-reauth`, 10 events, a topic of C = 50ms", median(published), calls, "2A + C", 16.0);
    let calls = milliseconds(C);
    let calls = 2.0 * stage.aws_round_trip(A).await + calls;
    table.overhead("`post-webhook`, 10 events, a receiver of C = 50ms", median(posted), calls, "2A + C", 16.0);
}

/// Events wait for an endpoint that never answers. How much longer than without them the topic waits for its events: two systems
/// in turns, of which one has such an endpoint.
async fn dead_endpoint(table: &mut Table) {
    let dead = Some(&*silent_receiver().await);
    let (alone, beside) = (Stage::new(dead).await, Stage::new(dead).await);
    alone.near();
    beside.near();
    for number in 0..WAITING {
        let event = json!({"type": "account.removed", "timestamp": "2026-01-01T00:00:00.000Z", "data": {
            "eventId": format!("evt_{number:032x}"), "userId": "u", "accountId": "1_a", "sequence": number}});
        beside.system.queues.send(Queue::Webhooks, &event.to_string()).expect("the queue takes it");
    }
    let posting = async {
        loop {
            futures::join!(post_waiting(&beside), post_waiting(&beside));
        }
    };
    let publishing = async {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for sample in 0..=SAMPLES {
            without.push(time_to_publish(&alone, sample).await);
            with.push(time_to_publish(&beside, sample).await);
        }
        (median(without), median(with))
    };
    let (without, with) = tokio::select! {
        () = posting => unreachable!("events wait for longer"),
        times = publishing => times,
    };
    let figure = format!("`notify-reauth`, 10 events, {WAITING} events wait for a dead webhook, beside without them");
    table.at_most(figure, with / without, 1.2, "×", &format!(" ({with:.2} ms beside {without:.2} ms)"));
}

/// How long it takes from ten new events of the table to the topic.
async fn time_to_publish(stage: &Stage, sample: usize) -> Duration {
    let entries = || std::iter::once((format!("{sample}_account"), needs_user()));
    let bodies: Vec<_> = (0..BATCH).map(|user| message(&format!("user-{user}"), 1, entries())).collect();
    take_in(stage, &bodies).await;
    let begun = now();
    let event = stage.take_notifications().await;
    timed(stage, Function::NotifyReauth, &event).await;
    begun.elapsed()
}

/// Gives one batch of waiting events to the function.
async fn post_waiting(stage: &Stage) {
    let received = stage.system.queues.receive(Queue::Webhooks, local::batch_size(Queue::Webhooks)).expect("the queue");
    let batch = received.iter().map(|message| {
        let handle = message.receipt_handle.as_deref().expect("a received message");
        let one = SqsMessage::new(&message.body, message.sent_at).id(&message.message_id).receipt_handle(handle);
        one.queue(Queue::Webhooks).receive_count(message.receive_count)
    });
    stage.invoke(Function::PostWebhook, &sqs_batch(batch)).await;
}

/// How long a function takes for a batch of ten.
async fn timed(stage: &Stage, function: Function, event: &Value) -> Duration {
    assert_eq!(event["Records"].as_array().expect("a list").len(), BATCH);
    let begun = now();
    let reply = stage.invoke(function, event).await;
    let time = begun.elapsed();
    assert_eq!(reply["batchItemFailures"], json!([]));
    time
}
