//! The console with many accounts: 10,000 of one user, and 10,000 users with one each. All of them have to be mended, so that
//! no list is short.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::Moment;
use http::{Method, StatusCode};
use local::{DEMO_CONTRACT, Options, System, in_process};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::{
    process::{median, now},
    table::Table,
};

const ACCOUNTS: usize = 10_000;
const USERS: usize = 10_000;
/// Accounts in one read result.
const READ: usize = 500;
/// How often each page is fetched.
const FETCHES: usize = 9;
/// 30 units are some 30 ms, a tenth of what a page may take.
const PAGE: f64 = 30.0;
/// Every kind of page, and the most expensive questions of each: the last page of a list, a search that finds all.
const PAGES: [&str; 10] = [
    "/",
    "/?page=1000",
    "/?service=unknown+service&step=told&page=1000",
    "/console/users?page=400",
    "/console/users?q=account",
    "/console/users?q=nobody",
    "/console/users/big",
    "/console/users/big?page=400",
    "/console/users/big/accounts/account-1",
    "/console/notifications?page=800",
];

pub(crate) async fn run(table: &mut Table) {
    let system = filled().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let get = async |path: &str| {
        let begun = now();
        let answer = http.get(format!("{}{path}", system.endpoints.public_base_url)).send().await.expect("an answer");
        let status = answer.status();
        let length = answer.bytes().await.expect("a body").len();
        assert_eq!(status, StatusCode::OK, "{path}");
        assert!(length < 200_000, "{path}: {length} bytes");
        begun.elapsed()
    };
    let mut slowest = ("", Duration::ZERO);
    for path in PAGES {
        let mut times = Vec::new();
        for _ in 0..FETCHES {
            times.push(get(path).await);
        }
        let time = Duration::from_secs_f64(median(times) / 1_000.0);
        if time > slowest.1 {
            slowest = (path, time);
        }
    }
    let (path, time) = slowest;
    let figure = format!("console: the slowest page with {} accounts ({path})", ACCOUNTS + USERS);
    table.in_units(figure, time.as_secs_f64() * 1_000.0, PAGE);
    system.stop().await;
}

/// A local system with all accounts, and with a notification for each.
async fn filled() -> System {
    let ambient = Ambient::system();
    let options = Options::new(ambient.clone(), ambient.clone());
    let options = Options { rust_log: "warn".to_owned(), ..options };
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await;
    let system = system.expect("the system starts");
    let delivered = Arc::new(watch::Sender::new(0_usize));
    let count = Arc::clone(&delivered);
    system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        if moment == Moment::After && name.ends_with("sns:Publish") {
            count.send_modify(|count| *count += 1);
        }
        Box::pin(async {})
    })));
    for read in 0..ACCOUNTS / READ {
        hand_in(&system, "big", (0..READ).map(|account| read * READ + account)).await;
    }
    for user in 0..USERS {
        hand_in(&system, &format!("user-{user}"), std::iter::once(user)).await;
    }
    delivered.subscribe().wait_for(|delivered| *delivered >= ACCOUNTS + USERS).await.expect("it goes on");
    system.run_pipe().await.expect("the stream is read");
    system
}

async fn hand_in(system: &System, user: &str, accounts: impl Iterator<Item = usize>) {
    let entry = json!({"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511}});
    let entries: Map<String, Value> = accounts.map(|account| (format!("account-{account}"), entry.clone())).collect();
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": entries}).to_string();
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("/users/{user}/read-results").parse().expect("a path");
    assert_eq!(system.gateway.call(request).await.status(), StatusCode::ACCEPTED);
}
