//! The HTTP flows with DynamoDB and digi.me at a distance, and what a URL costs of CPU.

use std::{process::Stdio, time::Duration};

use local::{DEMO_APPLICATION, DEMO_CONTRACT, DEMO_USER, Function, names};
use reauth_core::ambient::Ambient;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::{
    process::{cpu, median, milliseconds, now},
    stage::{Stage, release},
    table::Table,
};

const BANK: &str = "1_demo-bank";
/// A round trip of DynamoDB, and one of digi.me.
const A: Duration = Duration::from_millis(10);
const L: Duration = Duration::from_millis(50);
const SAMPLES: usize = 60;
const URLS: u32 = 500;
/// A link may be used as often in ten minutes.
const PRESSES: usize = 5;

pub(crate) async fn run(table: &mut Table) {
    let stage = Stage::new(None).await;
    warm_url(&stage, table).await;
    expired_token(&stage, table).await;
    callback(&stage, table).await;
    reconnect(&stage, table).await;
    cpu_of_a_url(&stage, table).await;
}

fn bound(aws: u32, digime: u32, more: f64) -> f64 {
    milliseconds(A * aws + L * digime) + more
}

async fn warm_url(stage: &Stage, table: &mut Table) {
    for (a, l) in [(A, L), (A, Duration::from_millis(20)), (Duration::from_millis(5), Duration::from_millis(100))] {
        stage.near();
        stage.make_url(DEMO_USER, BANK).await;
        stage.distances(a, l);
        let mut times = Vec::new();
        for _ in 0..SAMPLES {
            let begun = now();
            stage.make_url(DEMO_USER, BANK).await;
            times.push(begun.elapsed());
        }
        let figure = format!("`create-reauth-url` warm, A = {a:?}, L = {l:?}");
        table.at_most(figure, median(times), milliseconds(a + l.max(a)) + 5.0, "ms", " = A + max(L, A) + 5");
    }
}

async fn expired_token(stage: &Stage, table: &mut Table) {
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        stage.near();
        stage.grant(DEMO_USER, Some(Ambient::system().now().as_second() - 60)).await;
        stage.distances(A, L);
        let begun = now();
        stage.make_url(DEMO_USER, BANK).await;
        times.push(begun.elapsed());
    }
    table.at_most("the same, access token expired", median(times), bound(3, 2, 8.0), "ms", " = 3A + 2L + 8");
}

async fn callback(stage: &Stage, table: &mut Table) {
    let mut times = Vec::new();
    for number in 0..=SAMPLES {
        stage.near();
        let callback = stage.allowed(DEMO_USER, BANK).await;
        stage.distances(A, L);
        let begun = now();
        stage.follow(&callback).await;
        // The first one finds nothing cached.
        if number > 0 {
            times.push(begun.elapsed());
        }
    }
    stage.near();
    stage.run_until_idle().await;
    table.at_most("`reauth-callback`", median(times), bound(3, 1, 5.0), "ms", " = 3A + L + 5");
}

async fn reconnect(stage: &Stage, table: &mut Table) {
    let mut times = Vec::new();
    for number in 0..SAMPLES / PRESSES {
        stage.near();
        let (user, account) = (format!("reconnecting-{number}"), format!("{number}_reconnecting"));
        stage.add_user(&user, &[&account]).await;
        stage.needs_user(&user, &account).await;
        let link = stage.link(&user);
        stage.distances(A, L);
        for _ in 0..PRESSES {
            let begun = now();
            stage.use_link(&link).await;
            times.push(begun.elapsed());
        }
    }
    table.at_most("`POST /reconnect`", median(times), bound(2, 1, 5.0), "ms", " = 2A + max(L, A) + 5");
}

async fn cpu_of_a_url(stage: &Stage, table: &mut Table) {
    stage.near();
    let process = stage.process(Function::CreateReauthUrl).await;
    for _ in 0..20 {
        stage.make_url(DEMO_USER, BANK).await;
    }
    let before = cpu(process);
    for _ in 0..URLS {
        stage.make_url(DEMO_USER, BANK).await;
    }
    let ours = milliseconds((cpu(process) - before) / URLS);
    let bare = bare_protocol(stage).await;
    table.at_most("CPU of a warm URL", ours, 3.0, "ms", "");
    let how = format!(" (bare protocol: {bare:.2} ms)");
    table.at_most("CPU of a warm URL beside the bare protocol", ours / bare, 1.8, "×", &how);
}

/// The CPU that the bare protocol takes for a URL.
async fn bare_protocol(stage: &Stage) -> f64 {
    let contract = stage.system.secrets.get(&format!("{}{DEMO_CONTRACT}", names::CONTRACT_SECRET_PREFIX));
    let contract: Value = serde_json::from_str(&contract.expect("a contract")).expect("JSON");
    let tokens = stage.system.simulator.control().issue_tokens(DEMO_USER, DEMO_CONTRACT);
    let wanted = |count: u32| {
        json!({"baseUrl": stage.system.endpoints.digime_base_url, "clientId": format!("{DEMO_APPLICATION}_{DEMO_CONTRACT}"),
            "privateKey": contract["privateKey"], "accessToken": tokens.access_token.value, "accountId": BANK,
            "redirectUri": format!("{}/callback", stage.system.endpoints.public_base_url), "count": count})
    };
    let mut child = Command::new(release().join("bare-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the bare protocol starts");
    let (process, mut input) = (child.id().expect("it runs"), child.stdin.take().expect("an input"));
    let mut output = BufReader::new(child.stdout.take().expect("an output")).lines();
    let mut before = Duration::ZERO;
    for count in [20, URLS] {
        before = cpu(process);
        input.write_all(format!("{}\n", wanted(count)).as_bytes()).await.expect("it reads");
        assert_eq!(output.next_line().await.expect("it writes").as_deref(), Some("done"));
    }
    milliseconds((cpu(process) - before) / URLS)
}
