//! Everything over TLS, with AWS and digi.me at a distance: the start with its warm-up, and the first invocation.

use std::time::Duration;

use local::{DEMO_USER, Function};
use tests::{HTTP1, HTTP2};

use crate::{
    baseline::URLS,
    process::{cpu, median, milliseconds, now},
    stage::{Stage, start},
    starts,
    table::Table,
};

/// A round trip of AWS, and one of digi.me. TCP's and TLS's handshakes take one each.
pub(crate) const A: Duration = Duration::from_millis(10);
pub(crate) const L: Duration = Duration::from_millis(10);
const SAMPLES: usize = 20;
const BANK: &str = "1_demo-bank";

pub(crate) async fn run(table: &mut Table) {
    for (protocols, name) in [(HTTP2, "HTTP/2"), (HTTP1, "HTTP/1.1")] {
        let stage = Stage::over_tls(protocols).await;
        warm_url(&stage, name, table).await;
        if protocols == HTTP2 {
            for function in Function::ALL {
                ready(&stage, function, table).await;
            }
            for function in Function::ALL {
                first_invocation(&stage, function, table).await;
            }
        } else {
            first_invocation(&stage, Function::CreateReauthUrl, table).await;
        }
    }
}

async fn warm_url(stage: &Stage, protocol: &str, table: &mut Table) {
    stage.near();
    let process = stage.process(Function::CreateReauthUrl).await;
    for _ in 0..SAMPLES {
        stage.make_url(DEMO_USER, BANK).await;
    }
    let before = cpu(process);
    for _ in 0..URLS {
        stage.make_url(DEMO_USER, BANK).await;
    }
    let used = milliseconds((cpu(process) - before) / URLS);
    table.in_units(format!("TLS, digi.me over {protocol}: CPU of a warm URL"), used, 2.0);
    stage.distances(A, L);
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let begun = now();
        stage.make_url(DEMO_USER, BANK).await;
        times.push(begun.elapsed());
    }
    let (a, l) = (stage.aws_round_trip(A).await, stage.digime_round_trip(L).await);
    let figure = format!("TLS, digi.me over {protocol}: `create-reauth-url` warm, A = L = 10ms");
    table.overhead(figure, median(times), a + l.max(a), "A + max(L, A)", 6.0);
}

/// The handshakes of DynamoDB and Secrets Manager, and the two versions of a secret, take 4A.
async fn ready(stage: &Stage, function: Function, table: &mut Table) {
    stage.distances(A, L);
    let (mut times, mut used) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let begun = now();
        let process = start(function.name(), stage.environment(function)).await;
        times.push(begun.elapsed());
        used.push(cpu(process.processes().await[0]));
    }
    stage.near();
    let (time, used) = (median(times), median(used));
    let figure = format!("TLS: `{}`, start to ready, A = L = 10ms", function.name());
    let figure = format!("{figure} ({used:.1} ms of CPU)");
    table.overhead(figure, time, 4.0 * stage.aws_round_trip(A).await, "4A", 20.0);
}

async fn first_invocation(stage: &Stage, function: Function, table: &mut Table) {
    let (mut first, mut warm) = (Vec::new(), Vec::new());
    for round in 0..SAMPLES {
        stage.restart(function).await;
        first.push(work(stage, function, round * 3).await);
        warm.push(work(stage, function, round * 3 + 1).await);
        warm.push(work(stage, function, round * 3 + 2).await);
    }
    let (first, warm) = (median(first), median(warm));
    let figure = format!("TLS: `{}`, first invocation more than a warm one, A = L = 10ms", function.name());
    table.at_most(figure, first - warm, 21.0, "ms", &format!(" ({first:.1} ms beside {warm:.1} ms)"));
}

/// What a function does mostly, once, with AWS and digi.me at their distances only meanwhile.
pub(crate) async fn work(stage: &Stage, function: Function, number: usize) -> Duration {
    starts::work(stage, function, number, (A, L)).await
}
