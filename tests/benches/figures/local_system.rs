//! The local system as `cargo run --release -- --ephemeral` starts it: from read results to delivered notifications.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use digime::ambient::Ambient;
use digime_simulator::Moment;
use http::{Method, StatusCode};
use local::{DEMO_CONTRACT, Options, QueueSettings, System, in_process};
use serde_json::{Map, Value, json};
use tests::options;
use tokio::sync::watch;

use crate::{
    process::{memory, now},
    table::Table,
};

const USERS: usize = 100;
/// So many accounts of a user break at once.
const ACCOUNTS: usize = 10;
const WAVES: usize = 6;
/// What the waves after the first one may add to memory besides what they add to the table, in MiB. As DynamoDB does, the
/// embedded one remembers for ten minutes which transactions it was sent, two for each account: 24. The console's index holds
/// an account, an event and a link of each, and the queues' file, here in memory, what was delivered: 3 KiB an account, 16.
const FLAT: f64 = 40.0;

pub(crate) async fn run(table: &mut Table) {
    let ambient = Ambient::system();
    let options = Options {
        background: true,
        queues: QueueSettings::default(),
        settings: BTreeMap::new(),
        ..options(Ambient::system(), ambient.clone())
    };
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await;
    let system = system.expect("the system starts");
    system.add_demo_user().await.expect("the demo user has a grant");
    let delivered = Arc::new(watch::Sender::new(0_usize));
    let count = Arc::clone(&delivered);
    system.aws.observe(Some(Arc::new(move |moment, name: &str| {
        if moment == Moment::After && name.ends_with("sns:Publish") {
            count.send_modify(|count| *count += 1);
        }
        Box::pin(async {})
    })));
    let (mut slowest, mut after_first) = (f64::MAX, 0.0);
    for wave in 0..WAVES {
        let begun = now();
        for user in 0..USERS {
            hand_in(&system, user, wave).await;
        }
        let all = (wave + 1) * USERS * ACCOUNTS;
        delivered.subscribe().wait_for(|delivered| *delivered >= all).await.expect("it goes on");
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = (USERS * ACCOUNTS) as f64 / begun.elapsed().as_secs_f64();
        slowest = rate.min(slowest);
        if wave == 0 {
            after_first = besides_the_table(&system);
        }
    }
    let figure = "local system: an account in need, from read result to notification";
    table.in_units(figure, 1_000.0 / slowest, 6.0);
    let more = (WAVES - 1) * USERS * ACCOUNTS;
    let figure = format!("local system: memory that {more} more such accounts add besides their items");
    table.at_most(figure, besides_the_table(&system) - after_first, FLAT, "MiB", "");
    system.stop().await;
}

/// The memory of this process less that of the table, which is in memory too, in MiB.
fn besides_the_table(system: &System) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let table = system.database.db_size_bytes().expect("a size") as f64 / 1_048_576.0;
    memory("self", "VmRSS") - table
}

/// The same users again and again, each time with accounts that were never heard of.
async fn hand_in(system: &System, user: usize, wave: usize) {
    let entry = json!({"state": "partial", "error": {"code": "ServiceAuthorizationError", "statusCode": 511}});
    let entries: Map<String, Value> =
        (0..ACCOUNTS).map(|account| (format!("{wave}_{account}"), entry.clone())).collect();
    let body = json!({"contractId": DEMO_CONTRACT, "readResult": entries}).to_string();
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("/users/load-{user}/read-results").parse().expect("a path");
    assert_eq!(system.gateway.call(request).await.status(), StatusCode::ACCEPTED);
}
