//! The calls and DynamoDB units of each flow, with warm caches. `docs/performance.md` has the table: a change that adds a
//! call must also change the table.

use std::{collections::BTreeMap, fmt::Write};

use digime_simulator::{Account, ErrorShape};
use http::StatusCode;
use local::{Function, names::Queue};
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_CONTRACT, DEMO_USER, Decision, ReadResult, World, broken, healthy};

const HOSPITAL: &str = "2_demo-hospital";

/// The lines of the table so far.
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

    /// Adds a line with the calls of a function since `begin`.
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
            // An empty sum of `f64` is -0.0.
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

/// The path of the demo user's grant.
fn grant() -> String {
    format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")
}

/// Takes a read result in from the queue, and runs the system until it is idle.
async fn hand_in(world: &World, accounts: &Value, minute: u32) {
    let result = ReadResult::new(DEMO_USER, accounts).contract(DEMO_CONTRACT);
    world.enqueue(Queue::ReadResults, &result.observed_at(format!("2026-11-23T08:{minute:02}:00Z")));
    world.run_until_idle().await;
}

/// Every function fetches what it caches.
async fn warm_up(world: &World) {
    world.system.simulator.control().break_account(HOSPITAL, ErrorShape::Documented);
    hand_in(world, &broken(HOSPITAL), 0).await;
    let url = world.follow(&world.last_link()).await;
    world.reauthorize(&url, Decision::Success).await;
    world.sweep().await;
    world.store_grant(DEMO_USER).await;
}

async fn urls_and_callbacks(costs: &mut Costs<'_>) {
    let world = costs.world;
    costs.begin();
    world.create_reauthorization(DEMO_USER, BANK).await;
    costs.end("URL", Function::CreateReauthUrl);

    let mut expired = world.issue_tokens(DEMO_USER);
    expired["access_token"]["expires_on"] = json!(world.clock_now().as_second() - 60);
    world.put(&format!("{}?replace=true", grant()), &expired).await;
    costs.begin();
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    costs.end("URL, access token expired", Function::CreateReauthUrl);

    let callback = world.decide(&url, Decision::Success).await;
    costs.begin();
    world.get(&callback).await;
    costs.end("callback, success", Function::ReauthCallback);
    costs.begin();
    world.get(&callback).await;
    costs.end("the same callback again", Function::ReauthCallback);
    world.run_until_idle().await;
}

async fn results_of_one_account(costs: &mut Costs<'_>) {
    let world = costs.world;
    let control = world.system.simulator.control();
    let many = (0..5).map(|number| format!("{number}_many"));
    for account in many.chain(["4_bank".to_owned()]) {
        control.add_account(DEMO_USER, Account::new(account, "Meadow Bank", None));
    }
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    costs.begin();
    hand_in(world, &healthy("4_bank"), 1).await;
    costs.end("read result, one account, healthy", Function::RecordReadResult);
    costs.begin();
    hand_in(world, &broken("4_bank"), 2).await;
    costs.end("read result, one account in need", Function::RecordReadResult);
    costs.end("its notification", Function::NotifyReauth);
    costs.end("its post to the webhook", Function::PostWebhook);
    costs.begin();
    hand_in(world, &broken("4_bank"), 3).await;
    costs.end("read result, still in need", Function::RecordReadResult);

    control.add_account(DEMO_USER, Account::new("6_unlisted", "Meadow Bank", None));
    costs.begin();
    hand_in(world, &broken("6_unlisted"), 3).await;
    costs.end("read result, one account in need that was never listed", Function::RecordReadResult);
}

async fn reconnect_link(costs: &mut Costs<'_>) {
    let link = costs.world.last_link();
    costs.begin();
    costs.world.get(&link).await;
    costs.end("reconnect link, the page", Function::CreateReauthUrl);
    costs.begin();
    assert_eq!(costs.world.use_link(&link).await.status, StatusCode::SEE_OTHER);
    costs.end("reconnect link, the button", Function::CreateReauthUrl);
}

/// The receiver accepted events before.
async fn refused_posts(costs: &mut Costs<'_>) {
    let world = costs.world;
    let event = json!({"type": "account.removed", "timestamp": "2026-11-23T09:00:00.000Z", "data": {
        "eventId": format!("evt_{:032x}", 1), "userId": DEMO_USER, "accountId": BANK, "sequence": 1}});
    world.webhook().answer(Answer::Status(500));
    costs.begin();
    world.enqueue(Queue::Webhooks, &event);
    world.run_until_idle().await;
    costs.end("a post to the webhook that is refused, the first", Function::PostWebhook);
    world.advance(10);
    costs.begin();
    world.run_until_idle().await;
    costs.end("a post to the webhook that is refused, a later one", Function::PostWebhook);
    world.webhook().answer(Answer::Status(204));
    world.advance(600);
    world.run_until_idle().await;
}

/// The refresh token is dead, and so is an account.
async fn user_reauthorization(costs: &mut Costs<'_>) {
    let world = costs.world;
    world.kill_tokens();
    let (_, first) = world.create_reauthorization(DEMO_USER, "4_bank").await;
    costs.begin();
    world.create_reauthorization(DEMO_USER, "4_bank").await;
    costs.end("URL of the user page", Function::CreateReauthUrl);
    let callback = world.decide(&first, Decision::Success).await;
    costs.begin();
    world.get(&callback).await;
    costs.end("callback of the user page, on to an account's page", Function::ReauthCallback);
    world.run_until_idle().await;
}

async fn result_of_many_accounts(costs: &mut Costs<'_>) {
    let many = |in_need: u32| {
        let entry = |account: u32| {
            let one = if account < in_need { broken("x") } else { healthy("x") };
            (format!("{account}_many"), one["x"].clone())
        };
        Value::Object((0..500).map(entry).collect())
    };
    hand_in(costs.world, &many(0), 4).await;
    costs.begin();
    hand_in(costs.world, &many(5), 5).await;
    costs.end("read result, 500 accounts, 5 in need", Function::RecordReadResult);
}

async fn log_and_redelivery(costs: &mut Costs<'_>) {
    let world = costs.world;
    world.advance(60);
    world.run_until_idle().await;
    // The function fetches what it caches.
    world.get("/events?limit=10").await;
    costs.begin();
    let page = world.get("/events?limit=10").await.json();
    costs.end("log, a page of 10 events", Function::Events);
    let event = page["events"][9]["data"]["eventId"].as_str().unwrap();
    costs.begin();
    world.get(&format!("/events/{event}/deliveries")).await;
    costs.end("deliveries of an event, shown", Function::Events);
    costs.begin();
    world.post(&format!("/events/{event}/redeliver"), &json!({})).await;
    costs.end("event redelivered to the topic", Function::Events);
    world.sweep().await;
    costs.begin();
    world.post(&format!("/events/{event}/redeliver"), &json!({"channel": "webhook"})).await;
    costs.end("event redelivered to the webhook", Function::Events);
    world.run_until_idle().await;
}

async fn grants_accounts_sweep_and_erasure(costs: &mut Costs<'_>) {
    let world = costs.world;
    costs.begin();
    world.store_grant(DEMO_USER).await;
    costs.end("grant stored", Function::Accounts);
    costs.begin();
    world.get(&grant()).await;
    costs.end("grant shown", Function::Accounts);
    costs.begin();
    world.get(&format!("/users/{DEMO_USER}/accounts/{BANK}")).await;
    costs.end("account shown", Function::Accounts);
    costs.begin();
    world.get("/accounts?status=reauth_required").await;
    costs.end("accounts in need, listed", Function::Accounts);

    costs.begin();
    world.get(&format!("/users/{DEMO_USER}/accounts")).await;
    costs.end("accounts of a user, listed", Function::Accounts);

    log_and_redelivery(costs).await;
    costs.begin();
    world.sweep().await;
    costs.end("sweep, nothing due", Function::SweepAccounts);
    costs.begin();
    world.erase(DEMO_USER).await;
    costs.end("user erased, with all of the above", Function::Accounts);
}

/// The demo user, with a contact, loses an account after a first mail, and gets a mail about both.
async fn mails(costs: &mut Costs<'_>) {
    let world = costs.world;
    let contact = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": {"email": "ann@example.org"}});
    world.put(&format!("{}?replace=true", grant()), &contact).await;
    hand_in(world, &broken(HOSPITAL), 1).await;
    world.advance(11 * 60);
    world.sweep().await;
    world.advance(49 * 60 * 60);
    // The function fetches what it caches.
    world.enqueue(Queue::Emails, &json!({"type": "mail.due", "userId": DEMO_USER}));
    world.run_until_idle().await;
    costs.begin();
    hand_in(world, &broken(BANK), 2).await;
    costs.end("a mail planned", Function::EmailUser);
    world.advance(11 * 60);
    costs.begin();
    world.sweep().await;
    costs.end("a mail sent", Function::EmailUser);
}

#[tokio::test]
async fn the_documented_costs_are_those_that_are_counted() {
    let world = World::builder().webhook().start().await;
    let mut costs = Costs { world: &world, lines: String::new() };
    warm_up(&world).await;
    urls_and_callbacks(&mut costs).await;
    results_of_one_account(&mut costs).await;
    reconnect_link(&mut costs).await;
    user_reauthorization(&mut costs).await;
    result_of_many_accounts(&mut costs).await;
    grants_accounts_sweep_and_erasure(&mut costs).await;
    refused_posts(&mut costs).await;
    let with_mails = World::builder().mails().setting("REMINDER_SCHEDULE", "none").start().await;
    let mut costs = Costs { world: &with_mails, lines: costs.lines };
    mails(&mut costs).await;

    let documented = include_str!("../../docs/performance.md");
    assert!(documented.contains(&costs.lines), "docs/performance.md should say:\n{}", costs.lines);
}
