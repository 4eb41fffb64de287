//! The template, the description of the API, the sample events and the code agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use digime::ambient::Ambient;
use local::{Function, ROUTES};
use reauth_core::{
    config::{ConfigError, Environment, Variables},
    lambda::Function as _,
    web::HttpFunction as _,
};
use serde_json::Value;
use tests::{World, broken};

/// The template's functions by the name of their binary.
fn functions(template: &Value) -> BTreeMap<String, Value> {
    let resources = template["Resources"].as_object().unwrap().values();
    let functions = resources.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    let named = functions.map(|function| {
        let name = function["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        (name.to_owned(), function["Properties"].clone())
    });
    named.collect()
}

#[test]
fn the_template_has_every_function_and_no_other() {
    let names: BTreeSet<_> = functions(&local::template().unwrap()).into_keys().collect();
    assert_eq!(names, Function::ALL.iter().map(|function| function.name().to_owned()).collect());
}

#[test]
fn every_route_is_in_the_template_and_the_reverse() {
    let mut described = BTreeSet::new();
    for (name, function) in functions(&local::template().unwrap()) {
        for event in function["Events"].as_object().unwrap().values() {
            if event["Type"] == "HttpApi" {
                let property = |name: &str| event["Properties"][name].as_str().unwrap().to_owned();
                let public = event["Properties"]["Auth"]["Authorizer"] == "NONE";
                described.insert((property("Method"), property("Path"), name.clone(), !public));
            }
        }
    }
    let known = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned(), route.function.name().to_owned(), route.iam));
    assert_eq!(described, known.collect());
}

#[test]
fn every_route_is_in_the_openapi_description_and_the_reverse() {
    let openapi = local::yaml(include_str!("../../infra/openapi.yaml")).unwrap();
    let mut described = BTreeSet::new();
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let public = operation["security"].as_array().is_some_and(Vec::is_empty);
            described.insert((method.to_uppercase(), path.clone(), !public));
        }
    }
    // Greedy routes take links with something behind their token. The description shows links as they are.
    let known = ROUTES.iter().filter(|route| !route.path.ends_with("+}"));
    let known = known.map(|route| (route.method.to_owned(), route.path.to_owned(), route.iam));
    assert_eq!(described, known.collect());
}

/// The environment of a function. It records the names of the variables that the function reads.
struct Recorded {
    variables: BTreeMap<String, String>,
    read: Arc<Mutex<BTreeSet<String>>>,
}

impl Variables for Recorded {
    fn get(&self, name: &str) -> Option<&str> {
        self.read.lock().unwrap().insert(name.to_owned());
        self.variables.get(name).map(String::as_str)
    }
}

/// The variables that a function reads when `build` builds it, without those that only matter outside AWS.
fn read_by<F>(
    world: &World,
    function: Function,
    build: impl FnOnce(&Environment, &Ambient) -> Result<F, ConfigError>,
) -> BTreeSet<String> {
    let read = Arc::default();
    let variables = world.system.endpoints.environment(function);
    let environment = Environment::from(Recorded { variables, read: Arc::clone(&read) });
    build(&environment, &world.clock.ambient()).map(drop).unwrap();
    let read = read.lock().unwrap().clone();
    // The binary also reads the log level and the namespace of its metrics. Lambda sets region and credentials itself.
    let read = read.into_iter().chain(["RUST_LOG", "METRICS_NAMESPACE"].map(str::to_owned));
    read.filter(|name| !name.starts_with("AWS_") && name != "SSL_CERT_FILE").collect()
}

#[tokio::test]
async fn every_variable_that_a_function_reads_is_in_the_template_and_the_local_system_and_the_reverse() {
    let world = World::builder()
        .webhook()
        .mails()
        .setting("DEFAULT_TIME_ZONE", "UTC")
        .setting("SUPPORT_URL", "https://example.com/help")
        .start()
        .await;
    let template = local::template().unwrap();
    let names = |variables: &Value| -> BTreeSet<String> {
        variables.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    let everywhere = names(&template["Globals"]["Function"]["Environment"]["Variables"]);
    for function in Function::ALL {
        let read = match function {
            Function::CreateReauthUrl => read_by(&world, function, create_reauth_url::CreateReauthUrl::new),
            Function::EmailUser => read_by(&world, function, email_user::EmailUser::new),
            Function::ReauthCallback => read_by(&world, function, reauth_callback::ReauthCallback::new),
            Function::RecordReadResult => read_by(&world, function, record_read_result::RecordReadResult::new),
            Function::NotifyReauth => read_by(&world, function, notify_reauth::NotifyReauth::new),
            Function::PostWebhook => read_by(&world, function, post_webhook::PostWebhook::new),
            Function::Accounts => read_by(&world, function, accounts::Accounts::new),
            Function::Events => read_by(&world, function, events::Events::new),
            Function::SweepAccounts => read_by(&world, function, sweep_accounts::SweepAccounts::new),
        };
        let mut described = names(&functions(&template)[function.name()]["Environment"]["Variables"]);
        described.extend(everywhere.clone());
        let in_aws = read.iter().filter(|name| !name.ends_with("_ALLOW_LOOPBACK")).cloned().collect();
        assert_eq!(described, in_aws, "the template's {}", function.name());
        let local = world.system.endpoints.environment(function).into_keys();
        let local: BTreeSet<_> = local.filter(|name| !name.starts_with("AWS_")).collect();
        assert_eq!(local, read, "the local system's {}", function.name());
    }
}

#[tokio::test]
async fn every_function_answers_its_sample_event() {
    let world = World::builder().webhook().expect_leftovers().start().await;
    world.hand_in("example-user", Some("2026-11-23T08:00:00Z"), &broken("1_1xxxxxxxxx")).await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/events");
    let mut answered = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let function = Function::ALL.into_iter().find(|function| name.starts_with(function.name())).unwrap();
        let reply = world.system.functions.get(function).invoke(std::fs::read(&path).unwrap().into()).await;
        let reply: Value = serde_json::from_slice(&reply.unwrap()).unwrap();
        let expected = match name.as_str() {
            "accounts" | "events" => ("statusCode", 200.into()),
            "accounts-read-result" => ("statusCode", 202.into()),
            // The example's user has no grant.
            "create-reauth-url" => ("statusCode", 409.into()),
            "reauth-callback" => ("statusCode", 400.into()),
            "record-read-result" | "notify-reauth" | "post-webhook" | "email-user" => {
                ("batchItemFailures", Value::Array(Vec::new()))
            }
            "sweep-accounts" => ("failed", 0.into()),
            other => panic!("{other} is a sample that nobody expects"),
        };
        assert_eq!(reply[expected.0], expected.1, "{name}: {reply}");
        answered.insert(function);
    }
    assert_eq!(answered.len(), Function::ALL.len());
}

#[test]
fn the_local_system_delivers_webhooks_as_the_template_does() {
    let template = local::template().unwrap();
    let queue = &template["Resources"]["WebhooksQueue"]["Properties"];
    let settings = local::QueueSettings::default();
    assert_eq!(queue["VisibilityTimeout"], settings.webhook_visibility_timeout.as_secs());
    assert_eq!(queue["RedrivePolicy"]["maxReceiveCount"], settings.webhook_max_receive_count);
    let subscription = &template["Resources"]["WebhooksSubscription"]["Properties"];
    assert_eq!(subscription["RawMessageDelivery"], true);
}

#[test]
fn at_most_ten_events_are_posted_at_once_and_a_batch_ends_before_its_messages_are_received_again() {
    let template = local::template().unwrap();
    let function = &functions(&template)["post-webhook"];
    let source = &function["Events"]["Queue"]["Properties"];
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(number(&source["BatchSize"]), local::batch_size(local::names::Queue::Webhooks) as u64);
    assert_eq!(number(&source["BatchSize"]) * number(&source["ScalingConfig"]["MaximumConcurrency"]), 10);
    let timeout = number(&template["Globals"]["Function"]["Timeout"]);
    let visibility = &template["Resources"]["WebhooksQueue"]["Properties"]["VisibilityTimeout"];
    assert!(number(visibility) >= 6 * timeout);
}

/// The function writes no item of a user, and its role does not allow it.
#[test]
fn the_role_of_the_sender_allows_its_own_items_only() {
    let role = &local::template().unwrap()["Resources"]["PostWebhookRole"]["Properties"];
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap().clone();
    let table = statements.iter().find(|statement| statement["Resource"] == "Table.Arn").unwrap();
    let keys = &table["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    assert_eq!(keys, &serde_json::json!(["WEBHOOK", "DELIVERY#*"]));
}

/// A redelivery changes items of users, and enabling the endpoint its health.
#[test]
fn the_role_of_the_log_writes_items_of_users_and_the_health_of_the_endpoint_only() {
    let role = &local::template().unwrap()["Resources"]["EventsRole"]["Properties"];
    let statements = role["Policies"][0]["PolicyDocument"]["Statement"].as_array().unwrap().clone();
    let allows = |action: &str| {
        let text = statements.iter().filter(|statement| statement.to_string().contains(action));
        text.cloned().collect::<Vec<_>>()
    };
    let updates = allows("dynamodb:UpdateItem");
    assert_eq!(updates.len(), 1);
    let keys = &updates[0]["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
    assert_eq!(
        (keys, &updates[0]["Action"]),
        (&serde_json::json!(["USER#*"]), &serde_json::json!(["dynamodb:UpdateItem"]))
    );
    assert!(allows("dynamodb:PutItem").iter().all(|statement| statement.to_string().contains("WEBHOOK")));
    assert!(allows("dynamodb:DeleteItem").is_empty());
}

#[test]
fn a_run_of_the_sweep_that_failed_is_not_repeated() {
    let sweep = &functions(&local::template().unwrap())["sweep-accounts"];
    assert_eq!(sweep["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
    assert_eq!(sweep["Events"]["EveryMinute"]["Properties"]["RetryPolicy"]["MaximumRetryAttempts"], 0);
}
