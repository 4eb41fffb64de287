//! Outages of services: when many accounts of one service break, the operator is told, and notices to users wait.

mod crashes;
mod detection;
mod notices;
mod scale;

use std::ops::Range;

use digime_simulator::Account;
use http::StatusCode;
use local::names;
use serde_json::{Value, json};
use tests::{DEMO_CONTRACT, World, WorldBuilder, broken, healthy};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const SERVICE: &str = "Meadow Bank";
/// `OUTAGE_MIN_ACCOUNTS` of these tests.
const MIN_ACCOUNTS: u64 = 5;

/// A system in which a few broken accounts are many.
fn builder() -> WorldBuilder {
    World::builder().setting("OUTAGE_MIN_ACCOUNTS", &MIN_ACCOUNTS.to_string())
}

fn user(number: usize) -> String {
    format!("user-{number}")
}

fn account(number: usize) -> String {
    format!("{number}_bank")
}

/// Users with a grant and an account of the service each.
async fn add_users(world: &World, service: &str, numbers: Range<usize>) {
    for number in numbers {
        let account = Account::new(account(number), service, None);
        world.system.simulator.control().add_account(&user(number), account);
        world.store_grant(&user(number)).await;
    }
}

/// A read finds the users' accounts broken.
async fn break_accounts(world: &World, numbers: Range<usize>) {
    for number in numbers {
        world.hand_in(&user(number), None, &broken(&account(number))).await;
    }
}

/// A read finds the users' accounts healthy.
async fn heal_accounts(world: &World, numbers: Range<usize>) {
    for number in numbers {
        world.hand_in(&user(number), Some(&world.clock_now().to_string()), &healthy(&account(number))).await;
    }
}

/// What the operator was told.
fn notices(world: &World) -> Vec<Value> {
    world.system.alarm_topic.all().iter().map(local::Publication::json).collect()
}

fn kinds_of_notices(world: &World) -> Vec<String> {
    notices(world).iter().map(|notice| notice["type"].as_str().unwrap().to_owned()).collect()
}

/// The items of services.
fn service_items(world: &World) -> Vec<Value> {
    let is_of_service = |item: &Value| item["PK"]["S"].as_str().is_some_and(|pk| pk.starts_with("SERVICE#"));
    world.items().into_iter().filter(is_of_service).collect()
}

/// The counters of broken accounts, together.
fn counted(world: &World) -> u64 {
    sum(world, "accounts")
}

fn sum(world: &World, counter: &str) -> u64 {
    let is_counter = |item: &&Value| item["SK"]["S"].as_str().is_some_and(|sk| sk.starts_with("BREAKS#"));
    let count = |item: &Value| item[counter]["N"].as_str().unwrap().parse::<u64>().unwrap();
    service_items(world).iter().filter(is_counter).map(count).sum()
}

/// Writes items into the table, without the functions and without records in its stream.
fn import(world: &World, items: Vec<Value>) {
    let items = serde_json::from_value(Value::Array(items)).unwrap();
    world.system.database.import_items(names::TABLE, items, Default::default()).unwrap();
}

/// Writes counters of a service as if the same number of accounts had broken in each five minutes of a week.
fn break_at_a_usual_rate(world: &World, accounts: u64) {
    let now = world.clock_now().as_second();
    let counter = |bucket: i64| {
        let time = jiff::Timestamp::from_second((now / 300 - bucket) * 300).unwrap();
        json!({"PK": {"S": "SERVICE#meadow bank"}, "SK": {"S": format!("BREAKS#{time:.3}")},
            "accounts": {"N": accounts.to_string()}, "ttl": {"N": (now + 1_000_000).to_string()}})
    };
    import(world, (1..=7 * 288).map(counter).collect());
}

/// A user of the service with a contact, whose account is healthy.
async fn add_user_with_contact(world: &World, number: usize) {
    let (id, account) = (user(number), Account::new(account(number), SERVICE, None));
    world.system.simulator.control().add_account(&id, account);
    put_contact(world, number).await;
}

/// Stores a grant of the user, with a contact.
async fn put_contact(world: &World, number: usize) {
    let id = user(number);
    let body = json!({"userAccessToken": world.issue_tokens(&id), "contact": {"email": address(number)}});
    let reply = world.put(&format!("/users/{id}/grants/{DEMO_CONTRACT}?replace=true"), &body).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
}

fn address(number: usize) -> String {
    format!("{}@example.com", user(number))
}

/// To whom the mails went so far, up to the last 1,000, oldest first.
fn recipients(world: &World) -> Vec<String> {
    world.system.mails.all().into_iter().map(|mail| mail.to).collect()
}
