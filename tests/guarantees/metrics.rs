//! The metrics that the functions write are those of `infra/metrics.yaml`, for which the template has alarms and a
//! dashboard.

use std::collections::{BTreeMap, BTreeSet};

use digime::ambient::Ambient;
use digime_simulator::{Account, ErrorShape, Failure};
use jiff::tz::TimeZone;
use local::{
    Function, MailFeedback,
    aws::Fault,
    names::{self, Queue},
};
use serde_json::{Value, json};
use tests::{Answer, BANK, DEMO_USER, Decision, World, broken, healthy};

/// A metric and one of its dimension sets, with its unit.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    dimensions: BTreeSet<String>,
    unit: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn described() -> Vec<Value> {
    let described = local::yaml(include_str!("../../infra/metrics.yaml")).unwrap();
    described["metrics"].as_array().unwrap().clone()
}

fn described_series() -> BTreeSet<Series> {
    let series = |metric: &Value| {
        let sets = metric["dimensions"].as_array().unwrap().clone();
        let (name, unit) = (text(&metric["name"]), text(&metric["unit"]));
        sets.into_iter().map(move |set| Series { name: name.clone(), dimensions: texts(&set), unit: unit.clone() })
    };
    described().iter().flat_map(series).collect()
}

/// The documents in embedded metric format that the functions wrote.
fn documents(world: &World) -> Vec<Value> {
    let logs = Function::ALL.map(|function| world.log(function));
    let lines = logs.iter().flat_map(|log| log.lines()).filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line.get("_aws").is_some()).collect()
}

fn written_series(documents: &[Value]) -> BTreeSet<Series> {
    let mut written = BTreeSet::new();
    for document in documents {
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], names::METRICS_NAMESPACE);
        for metric in directive["Metrics"].as_array().unwrap() {
            let name = text(&metric["Name"]);
            assert!(document[&name].is_number() || document[&name].is_array(), "{document}");
            let dimensions = texts(&directive["Dimensions"][0]);
            written.insert(Series { name, dimensions, unit: text(&metric["Unit"]) });
        }
    }
    written
}

/// The values of each dimension by the metric's name.
fn assert_known_values(documents: &[Value]) {
    let allowed: BTreeMap<_, _> =
        described().iter().map(|metric| (text(&metric["name"]), metric["values"].clone())).collect();
    for document in documents {
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        for metric in directive["Metrics"].as_array().unwrap() {
            for dimension in texts(&directive["Dimensions"][0]) {
                let allowed = texts(&allowed[metric["Name"].as_str().unwrap()][&dimension]);
                let value = text(&document[&dimension]);
                assert!(allowed.is_empty() || allowed.contains(&value), "{dimension} {value}: {document}");
                assert!(!value.is_empty() && !value.contains(DEMO_USER), "{document}");
            }
        }
    }
}

/// An account is lost, a first attempt fails, and a second one heals it.
async fn lose_and_heal(world: &World) {
    world.lose_authorization(BANK).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Error("USER_CANCEL")).await;
    world.get(&callback.replace("USER_CANCEL", "A_CODE_OF_TOMORROW")).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    let callback = world.decide(&url, Decision::Success).await;
    futures::join!(world.get(&callback), world.get(&callback));
    world.get(&callback).await;
    world.run_until_idle().await;
    assert_eq!(world.account(DEMO_USER, BANK).await["status"], "active");
}

/// The refresh token dies, and the user authorizes the application again.
async fn lose_and_heal_the_user(world: &World) {
    world.kill_tokens();
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    let (_, url) = world.create_user_reauthorization().await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
}

/// Two accounts of one service break at the same time, which are many with `OUTAGE_MIN_ACCOUNTS`.
async fn lose_a_service(world: &World) {
    let mut read = json!({});
    for account in ["8_down", "9_down"] {
        let added = Account::new(account, "A Service That Is Down", None);
        world.system.simulator.control().add_account(DEMO_USER, added);
        read[account] = broken(account)[account].clone();
    }
    world.hand_in(DEMO_USER, None, &read).await;
}

/// A user is written to, and the address bounces. The processes have the machine's clock, so the mail is made due, and the user
/// lives where it is noon.
async fn write_to_a_user(world: &World) {
    let hour = Ambient::system().now().to_zoned(TimeZone::UTC).hour();
    let zone = format!("Etc/GMT{:+}", hour - 12);
    world.lose_with_contact("a-reader", &json!({"email": "ann@example.org", "timeZone": zone})).await;
    let mut contact = world.items().into_iter().find(|item| item["SK"]["S"] == "CONTACT").unwrap();
    contact["dueAt"]["S"] = json!("2026-01-01T00:00:00.000Z");
    let request = serde_json::from_value(json!({"TableName": names::TABLE, "Item": contact})).unwrap();
    world.system.database.put_item(request).unwrap();
    world.sweep().await;
    let mail = world.system.mails.all().remove(0);
    world.system.mails.give_feedback(&mail, MailFeedback::PermanentBounce).unwrap();
    world.run_until_idle().await;
}

/// What an operator must notice.
async fn break_things(world: &World) {
    let control = world.system.simulator.control();
    control.set_forged_jku(Some("https://elsewhere.example/jwks/oauth"));
    world.create_reauthorization(DEMO_USER, BANK).await;
    let refusal = Failure { code: Some("InvalidClient".to_owned()), ..Failure::status(406, 10) };
    control.fail("/v1.7/oauth/token/reference", refusal);
    world.request_reauthorization(DEMO_USER, BANK).await;
    world.webhook().answer(Answer::Status(500));
    world.enqueue(Queue::ReadResults, "{}");
    world.hand_in("another-user", None, &broken("1_lost")).await;
    let unknown = format!("/users/{DEMO_USER}/grants/a-contract-without-a-secret");
    world.put(&unknown, &world.issue_tokens(DEMO_USER)).await;
    // Once for each attempt of the call.
    world.system.aws.fail(Fault::refuse("secretsmanager:GetSecretValue", 3));
    world.put(&unknown.replace("without", "with"), &world.issue_tokens(DEMO_USER)).await;
    world.system.aws.fail(Fault::refuse("sns:Publish", 1));
    world.hand_in("a-third-user", None, &broken("1_lost")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_written_as_it_is_described_and_the_reverse() {
    let world = World::builder()
        .setting("OUTAGE_MIN_ACCOUNTS", "2")
        .binaries()
        .webhook()
        .mails()
        .expect_leftovers()
        .start()
        .await;
    world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
    lose_and_heal(&world).await;
    lose_and_heal_the_user(&world).await;
    world.hand_in(DEMO_USER, None, &healthy(BANK)).await;
    lose_a_service(&world).await;
    write_to_a_user(&world).await;
    break_things(&world).await;
    let documents = documents(&world);
    let (written, described) = (written_series(&documents), described_series());
    let names: BTreeSet<_> = self::described().iter().map(|metric| text(&metric["name"])).collect();
    assert_eq!(names.len(), self::described().len(), "each metric is described once");
    let missing: Vec<_> = described.difference(&written).collect();
    let unknown: Vec<_> = written.difference(&described).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not written: {missing:#?}, not described: {unknown:#?}");
    assert_known_values(&documents);
    let sum = |name: &str| documents.iter().filter_map(|document| document[name].as_u64()).sum::<u64>();
    assert_eq!((sum("UsersLost"), sum("UsersHealed"), sum("SweepRuns")), (1, 1, 1));
    // The failure, the success, and the user's. The callback that came again is not counted again.
    assert_eq!(sum("ReauthorizationsReturned"), 3);
    let codes: BTreeSet<_> = documents.iter().map(|document| text(&document["ErrorCode"])).collect();
    assert!(codes.contains("OTHER"), "a code that a browser made up is no dimension: {codes:?}");
}
