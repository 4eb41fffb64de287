//! Every flow, failures included, with the logs as talkative as they get: what is secret stands nowhere that it should
//! not.

use std::time::Duration;

use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use http::{Method, StatusCode};
use local::{Function, Invoke, aws::Fault, names::Queue};
use serde_json::{Value, json};
use tests::{Answer, Decision, WEBHOOK_SECRET, World, runtime_api::LambdaFunction, start_binary};

use super::{BANK, DEMO_CONTRACT, DEMO_USER, broken};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";

/// What is secret, by what it is called in a message of this test.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        assert!(value.len() >= 16, "{name} is a secret");
        self.0.push((name, value));
    }

    /// A parameter of a URL.
    fn add_parameter(&mut self, name: &'static str, url: &str, parameter: &str) {
        let url = url::Url::parse(url).or_else(|_| url::Url::parse(&format!("http://x{url}"))).unwrap();
        let value = url.query_pairs().find(|(known, _)| known == parameter).unwrap().1.into_owned();
        self.add(name, value);
    }

    /// The tokens that the service holds now.
    async fn add_tokens(&mut self, world: &World) {
        let grant = world.get(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")).await.json();
        for token in ["accessToken", "refreshToken"] {
            self.add("a token", grant[token]["value"].as_str().unwrap());
        }
    }

    /// Panics when one of them, but those that are allowed there, stands in the text.
    fn assert_absent(&self, place: &str, text: &str, allowed: &[&str]) {
        for (name, value) in self.0.iter().filter(|(name, _)| !allowed.contains(name)) {
            if let Some(at) = text.find(value) {
                let start = text[..at].char_indices().rev().nth(200).map_or(0, |(index, _)| index);
                panic!("{name} stands in {place}: …{}", &text[start..at]);
            }
        }
    }
}

fn everything_in_the_table(world: &World) -> String {
    let scan = serde_json::from_value(json!({"TableName": local::names::TABLE})).unwrap();
    serde_json::to_value(world.system.database.scan(scan).unwrap()).unwrap().to_string()
}

fn everything_on_the_queues(world: &World) -> String {
    let queues = &world.system.queues;
    let bodies = Queue::ALL.into_iter().flat_map(|queue| {
        let waiting = queues.messages(queue, 1_000).unwrap();
        waiting.into_iter().chain(queues.dead_letters(queue, 1_000).unwrap())
    });
    bodies.map(|message| message.body).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_stands_where_it_should_not() {
    let (mut world, receiver) = World::with_talkative_binaries().await;
    world.expect_leftovers();
    let (mut secrets, mut replies) = (Secrets::default(), String::new());
    let control = world.system.simulator.control();
    let contract = format!("{}{DEMO_CONTRACT}", local::names::CONTRACT_SECRET_PREFIX);
    let contract: Value = serde_json::from_str(&world.system.secrets.get(&contract).unwrap()).unwrap();
    let key = contract["privateKey"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    secrets.add("the private key", key);
    secrets.add("the service secret", world.system.secrets.get(local::names::SERVICE_SECRET).unwrap());
    secrets.add("the webhook's secret", WEBHOOK_SECRET);
    secrets.add("the webhook's address", receiver.url.split_once('?').unwrap().1);
    secrets.add_tokens(&world).await;

    // A read result that holds a token, and one that cannot be read.
    control.break_account(BANK, ErrorShape::Documented);
    secrets.add("a token in a read result", "a-token-that-stands-in-a-read-result");
    let token = json!({"accessToken": {"value": secrets.0.last().unwrap().1, "expiry": 1_900_000_000}});
    let result = json!({"status": {"state": "partial", "details": broken(BANK)}, "userAccessToken": token});
    let path = format!("/users/{DEMO_USER}/read-results");
    replies += &world.post(&path, &json!({"readResult": result})).await.body;
    replies += &world.post(&path, &json!({"readResult": broken(BANK), "userAccessToken": token})).await.body;
    replies += &world.post(&path, &json!({"readResult": {"status": token}})).await.body;
    secrets.assert_absent("a queue", &everything_on_the_queues(&world), &[]);
    world.enqueue(&json!({"userId": 7, "readResult": token}).to_string());
    world.run_until_idle().await;

    // A link, followed until digi.me ends it; digi.me repeats what it was sent in its errors.
    let link = world.last_link();
    secrets.add("a link's token", link.strip_prefix("/reconnect/").unwrap());
    replies += &world.get(&link).await.body;
    let access_token = secrets.0.iter().find(|(name, _)| *name == "a token").unwrap().1.clone();
    let telling = |status, times| Failure {
        message: Some(format!("The access_token {access_token} is wrong")),
        code: Some("InvalidToken".into()),
        ..Failure::status(status, times)
    };
    let page = |times| Failure { body: Some(format!("<html>{access_token}")), ..Failure::status(200, times) };
    for failure in [telling(500, 3), telling(401, 9), page(1)] {
        control.fail("/v1.7/oauth/token/reference", failure);
        replies += &world.call(Method::POST, &link, "").await.body;
        control.clear_failures();
    }
    world.change_browser();
    let reply = world.call(Method::POST, &link, "").await;
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    secrets.add_parameter("a code", reply.header("location"), "code");
    let mark = reply.header("set-cookie").split_once(';').unwrap().0.split_once('=').unwrap().1.to_owned();
    secrets.add("a browser's mark", mark);
    let callback = world.decide(reply.header("location"), Decision::Success).await;
    secrets.add_parameter("a state", &callback, "state");
    let state = secrets.0.last().unwrap().1.split_once('.').unwrap().1.to_owned();
    secrets.add("a state's secret", state);

    // The callback: guessed, then verified by the sweep, which reads with an expired token.
    replies += &world.get(&callback.replace("success=true", "success=maybe")).await.body;
    control.set_access_token_status(AccessTokenStatus::Absent);
    control.expire_access_tokens(DEMO_USER);
    let reply = world.get(&callback).await;
    assert!(reply.header("location").contains("status=verifying"), "{}", reply.header("location"));
    replies += reply.header("location");
    secrets.add_tokens(&world).await;
    control.expire_access_tokens(DEMO_USER);
    control.fail("/v1.7/oauth/token", telling(500, 1));
    control.fail(ACCOUNTS, telling(401, 9));
    replies += &world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await.body;
    control.clear_failures();
    replies += &world.sweep().await.to_string();

    // AWS fails; what waits on the queues then is looked at too.
    for action in ["sns:Publish", "dynamodb:Query", "secretsmanager:GetSecretValue", "dynamodb:TransactWriteItems"] {
        world.system.aws.fail(Fault::error(action, 400, "AccessDeniedException", 40));
    }
    control.break_account("2_demo-hospital", ErrorShape::Documented);
    replies += &world.post(&path, &json!({"readResult": broken("2_demo-hospital")})).await.body;
    replies += &world.get(&format!("/users/{DEMO_USER}/accounts")).await.body;
    world.run_until_idle().await;
    world.system.aws.heal();
    // A webhook that fails, then a topic that does.
    receiver.answer(Answer::Status(500));
    for account in ["2_demo-hospital", "4_another"] {
        replies += &world.post(&path, &json!({"readResult": broken(account)})).await.body;
    }
    world.run_until_idle().await;
    world.system.aws.fail(Fault::error("sns:Publish", 400, "InvalidParameter", 1_000));
    replies += &world.post(&path, &json!({"readResult": broken("3_demo-instagram")})).await.body;
    world.run_until_idle().await;
    world.system.aws.heal();
    secrets.add_tokens(&world).await;
    replies += &world.get("/accounts?status=reauth_required").await.body;
    replies += &world.account(DEMO_USER, BANK).await.to_string();

    secrets.assert_absent("a reply", &replies, &[]);
    secrets.assert_absent("the table", &everything_in_the_table(&world), &[]);
    let queues = everything_on_the_queues(&world);
    assert!(queues.contains("\"NewImage\""), "an event waits on the queue");
    secrets.assert_absent("a queue", &queues, &["a token in a read result"]);
    let told = json!(world.published()).to_string();
    assert!(told.contains("reconnectUrl"));
    secrets.assert_absent("a notification", &told, &["a link's token"]);
    let posted: Vec<_> =
        receiver.deliveries().into_iter().map(|one| format!("{:?}{}", one.headers, one.body)).collect();
    assert!(posted.len() > 2);
    secrets.assert_absent("a post", &posted.join("\n"), &["a link's token"]);
    assert!(world.log(Function::PostWebhook).contains("could not post an event"), "failed posts are logged");
    assert!(world.log(Function::CreateReauthUrl).contains("\"level\":\""), "problems are logged");
    for function in Function::ALL {
        let log = world.log(function);
        secrets.assert_absent(&format!("the log of {}", function.name()), &log, &[]);
        assert!(!log.contains("BEGIN") && !log.contains("alex.morgan"), "{}", function.name());
    }
}

/// The application reads the demo user's grant: the table is read, then the service secret.
fn reading_the_grant() -> bytes::Bytes {
    let mut event: Value = serde_json::from_str(include_str!("../../infra/events/accounts.json")).unwrap();
    event["requestContext"]["routeKey"] = json!("GET /users/{userId}/grants/{contractId}");
    event["pathParameters"] = json!({"userId": DEMO_USER, "contractId": DEMO_CONTRACT});
    event.to_string().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_of_aws_is_logged_with_its_code_and_without_its_answer() {
    const SECRET: &str = "a-secret-in-an-answer-that-cannot-be-read";
    let world = World::new().await;
    let mut environment = world.system.endpoints.environment(Function::Accounts);
    environment.insert("RUST_LOG".to_owned(), "trace".to_owned());
    let function = start_binary(Function::Accounts, environment).await.unwrap();
    let mut problems = 0;
    for action in ["dynamodb:GetItem", "secretsmanager:GetSecretValue"] {
        for status in [200, 400, 500] {
            let body = Some(format!("{{\"SecretString\": \"{SECRET}"));
            world.system.aws.fail(Fault { status, body, ..Fault::refuse(action, 9) });
            let reply: Value = serde_json::from_slice(&function.invoke(reading_the_grant()).await.unwrap()).unwrap();
            world.system.aws.heal();
            assert_eq!(reply["statusCode"], 503, "{reply}");
            assert!(!reply.to_string().contains(SECRET), "{reply}");
            problems += 1;
            let (line, log) = logged_problem(&function, problems).await;
            assert!(!log.contains(SECRET), "{log}");
            assert!(line.contains(&format!("HTTP {status}")), "{line}");
        }
        world.system.aws.fail(Fault::error(action, 400, "AccessDeniedException", 9));
        function.invoke(reading_the_grant()).await.unwrap();
        world.system.aws.heal();
        problems += 1;
        let (line, _) = logged_problem(&function, problems).await;
        assert!(line.contains("AccessDeniedException") && line.contains("request id"), "{action}: {line}");
    }
}

/// The line of the `count`th problem, with the whole log. A line arrives a moment after the reply.
async fn logged_problem(function: &LambdaFunction, count: usize) -> (String, String) {
    let line = async {
        loop {
            let log = function.log();
            let complete = log.rfind('\n').map_or("", |end| &log[..end]);
            let mut lines = complete.lines().filter(|line| line.contains("\"code\":\"unavailable\""));
            if let Some(line) = lines.nth(count - 1) {
                return (line.to_owned(), log);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), line).await.unwrap()
}
