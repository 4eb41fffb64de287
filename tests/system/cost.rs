//! What each flow costs in calls and in DynamoDB's units, with warm caches. The table stands in docs/performance.md: a
//! change that adds a call has to say so there.

use std::{collections::BTreeMap, fmt::Write};

use digime_simulator::{Account, ErrorShape};
use http::{Method, StatusCode};
use local::{DEMO_CONTRACT, Function};
use serde_json::json;
use tests::{Decision, World};

use super::{BANK, DEMO_USER, broken, healthy};

const HOSPITAL: &str = "2_demo-hospital";

/// The table, as it grows.
struct Costs<'a> {
    world: &'a World,
    lines: String,
}

impl Costs<'_> {
    fn begin(&self) {
        self.world.system.aws.clear_record();
        self.world.system.aws.count_units();
        self.world.system.simulator.clear_requests();
    }

    /// What a function called since the beginning, as a line.
    fn end(&mut self, flow: &str, function: Function) {
        let ours = |caller: &str| caller == function.name();
        let (aws, units) = (self.world.system.aws.operations(), self.world.system.aws.units());
        let calls = aws.iter().filter(|(operation, _)| ours(&operation.caller));
        let calls = calls.map(|(operation, count)| times(*count, operation.action.split(':').next_back().unwrap()));
        let mut asked = BTreeMap::new();
        for request in self.world.system.simulator.requests() {
            let path = request.path.trim_start_matches("/v1.7/").to_owned();
            *asked.entry(path).or_insert(0) += 1;
        }
        let asked =
            asked.iter().filter(|(path, _)| !path.starts_with("/apps")).map(|(path, count)| times(*count, path));
        let reads = ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"];
        let sum = |read: bool| -> f64 {
            let of_kind = |action: &str| reads.contains(&action) == read;
            let units = units.iter().filter(|(operation, _)| ours(&operation.caller) && of_kind(&operation.action));
            // No flow of nothing costs less than nothing.
            units.map(|(_, units)| units).sum::<f64>() + 0.0
        };
        writeln!(self.lines, "| {flow} | {} | {} | {} | {} |", list(calls), list(asked), sum(true), sum(false))
            .unwrap();
    }
}

fn times(count: u64, what: &str) -> String {
    if count == 1 { format!("`{what}`") } else { format!("{count} `{what}`") }
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    if items.is_empty() { "–".to_owned() } else { items.join(", ") }
}

#[tokio::test]
async fn no_flow_costs_more_than_is_written_down() {
    let (world, _receiver) = World::with_webhook().await;
    let control = world.system.simulator.control();
    let mut costs = Costs { world: &world, lines: String::new() };
    let grant = format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}");
    let tokens = || serde_json::to_value(control.issue_tokens(DEMO_USER, DEMO_CONTRACT)).unwrap();
    let hand_in = async |entries: &serde_json::Value, minute: u32| {
        let at = format!("2026-11-23T08:{minute:02}:00Z");
        let body = json!({"userId": DEMO_USER, "contractId": DEMO_CONTRACT, "observedAt": at, "readResult": entries});
        world.enqueue(&body.to_string());
        world.run_until_idle().await;
    };
    // Every function has what it caches.
    control.break_account(HOSPITAL, ErrorShape::Documented);
    hand_in(&broken(HOSPITAL), 0).await;
    let url = world.follow(&world.last_link()).await;
    world.reauthorize(&url, Decision::Success).await;
    world.sweep().await;
    let tokens_now = tokens();
    world.put(&format!("{grant}?replace=true"), &tokens_now).await;

    costs.begin();
    world.make_reauthorization(DEMO_USER, BANK).await;
    costs.end("URL", Function::CreateReauthUrl);

    let mut expired = tokens();
    expired["access_token"]["expires_on"] = json!(world.clock_now().as_second() - 60);
    world.put(&format!("{grant}?replace=true"), &expired).await;
    costs.begin();
    let (_, url) = world.make_reauthorization(DEMO_USER, BANK).await;
    costs.end("URL, access token expired", Function::CreateReauthUrl);

    let callback = world.decide(&url, Decision::Success).await;
    costs.begin();
    world.get(&callback).await;
    costs.end("callback, success", Function::ReauthCallback);
    costs.begin();
    world.get(&callback).await;
    costs.end("the same callback again", Function::ReauthCallback);
    world.run_until_idle().await;

    let needy = (0..5).map(|number| format!("{number}_many"));
    for account in needy.chain(["4_bank".to_owned()]) {
        control.add_account(DEMO_USER, Account::new(account, "Meadow Bank", None));
    }
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    let bank = |needs_user| if needs_user { broken("4_bank") } else { healthy("4_bank") };
    costs.begin();
    hand_in(&bank(false), 1).await;
    costs.end("read result, one account, healthy", Function::RecordReadResult);
    costs.begin();
    hand_in(&bank(true), 2).await;
    costs.end("read result, one account in need", Function::RecordReadResult);
    costs.end("its notification", Function::NotifyReauth);
    costs.begin();
    hand_in(&bank(true), 3).await;
    costs.end("read result, still in need", Function::RecordReadResult);

    control.add_account(DEMO_USER, Account::new("6_unlisted", "Meadow Bank", None));
    costs.begin();
    hand_in(&broken("6_unlisted"), 3).await;
    costs.end("read result, one account in need that was never listed", Function::RecordReadResult);

    costs.begin();
    world.get(&world.last_link()).await;
    costs.end("reconnect link, the page", Function::CreateReauthUrl);
    costs.begin();
    assert_eq!(world.call(Method::POST, &world.last_link(), "").await.status, StatusCode::SEE_OTHER);
    costs.end("reconnect link, the button", Function::CreateReauthUrl);

    let many = |needy: u32| {
        let entry = |account: u32| {
            let one = if account < needy { broken("x") } else { healthy("x") };
            (format!("{account}_many"), one["x"].clone())
        };
        serde_json::Value::Object((0..500).map(entry).collect())
    };
    hand_in(&many(0), 4).await;
    costs.begin();
    hand_in(&many(5), 5).await;
    costs.end("read result, 500 accounts, 5 in need", Function::RecordReadResult);

    costs.begin();
    world.put(&format!("{grant}?replace=true"), &tokens()).await;
    costs.end("grant stored", Function::Accounts);
    costs.begin();
    world.get(&grant).await;
    costs.end("grant shown", Function::Accounts);
    costs.begin();
    world.get(&format!("/users/{DEMO_USER}/accounts/{BANK}")).await;
    costs.end("account shown", Function::Accounts);
    costs.begin();
    world.get("/accounts?status=reauth_required").await;
    costs.end("accounts in need, listed", Function::Accounts);

    costs.begin();
    world.sweep().await;
    costs.end("sweep, nothing due", Function::SweepAccounts);
    costs.begin();
    let gone = world.call(Method::DELETE, &format!("/users/{DEMO_USER}"), "").await;
    assert_eq!(gone.status, http::StatusCode::NO_CONTENT);
    costs.end("user forgotten, with all of the above", Function::Accounts);

    let documented = include_str!("../../docs/performance.md");
    assert!(documented.contains(&costs.lines), "docs/performance.md should say:\n{}", costs.lines);
}
