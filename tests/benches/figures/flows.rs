//! The HTTP flows with DynamoDB and digi.me at a distance, and what a URL costs of CPU.

use std::time::Duration;

use digime::ambient::Ambient;
use local::{DEMO_USER, Function};

use crate::{
    baseline::URLS,
    process::{cpu, median, milliseconds, now},
    stage::Stage,
    table::Table,
};

const BANK: &str = "1_demo-bank";
/// A round trip of DynamoDB, and one of digi.me.
const A: Duration = Duration::from_millis(10);
const L: Duration = Duration::from_millis(50);
const SAMPLES: usize = 60;
/// A link may be used as often in ten minutes.
const USES: usize = 5;

pub(crate) async fn run(table: &mut Table) {
    let stage = Stage::new(None).await;
    warm_url(&stage, table).await;
    expired_token(&stage, table).await;
    callback(&stage, table).await;
    user_page(&stage, table).await;
    reconnect(&stage, table).await;
    cpu_of_a_url(&stage, table).await;
}

/// How long empty calls in the place of those of a flow take, in milliseconds.
async fn calls(stage: &Stage, aws: u32, digime: u32) -> f64 {
    stage.aws_round_trip(A).await * f64::from(aws) + stage.digime_round_trip(L).await * f64::from(digime)
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
        let (a, l) = (stage.aws_round_trip(a).await, stage.digime_round_trip(l).await);
        table.overhead(figure, median(times), a + l.max(a), "A + max(L, A)", 6.0);
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
    table.overhead("the same, access token expired", median(times), calls(stage, 3, 2).await, "3A + 2L", 12.0);
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
    table.overhead("`reauth-callback`", median(times), calls(stage, 3, 1).await, "3A + L", 9.0);
}

/// The refresh token is dead, and so is the account.
async fn user_page(stage: &Stage, table: &mut Table) {
    let (mut urls, mut callbacks) = (Vec::new(), Vec::new());
    for number in 0..=SAMPLES {
        stage.near();
        let (user, account) = (format!("away-{number}"), format!("{number}_away"));
        stage.add_user(&user, &[&account]).await;
        stage.break_account(&account);
        stage.needs_user(&user, &account).await;
        stage.kill_tokens(&user);
        stage.make_url(&user, &account).await;
        stage.distances(A, L);
        let begun = now();
        let made = stage.make_url(&user, &account).await;
        let url = begun.elapsed();
        stage.near();
        let callback = stage.decide(&made).await;
        stage.distances(A, L);
        let begun = now();
        stage.go_on(&callback).await;
        // The first one finds nothing cached.
        if number > 0 {
            urls.push(url);
            callbacks.push(begun.elapsed());
        }
    }
    stage.near();
    stage.run_until_idle().await;
    let (a, l) = (stage.aws_round_trip(A).await, stage.digime_round_trip(L).await);
    table.overhead("a URL of the user page", median(urls), a + l.max(a), "A + max(L, A)", 6.0);
    let figure = "`reauth-callback`, from the user page on to an account's page";
    table.overhead(figure, median(callbacks), calls(stage, 5, 3).await, "5A + 3L", 18.0);
}

async fn reconnect(stage: &Stage, table: &mut Table) {
    let mut times = Vec::new();
    for number in 0..SAMPLES / USES {
        stage.near();
        let (user, account) = (format!("reconnecting-{number}"), format!("{number}_reconnecting"));
        stage.add_user(&user, &[&account]).await;
        stage.needs_user(&user, &account).await;
        let link = stage.link(&user);
        stage.distances(A, L);
        for _ in 0..USES {
            let begun = now();
            stage.use_link(&link).await;
            times.push(begun.elapsed());
        }
    }
    table.overhead("`POST /reconnect`", median(times), calls(stage, 3, 1).await, "3A + max(L, A)", 9.0);
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
    table.in_units("CPU of a warm URL", ours, 1.8);
}
