//! No secret appears in a log, a reply, the table, a queue, a notification or a post, in any flow, failures included.

use std::time::Duration;

use digime::ambient::Ambient;
use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use http::StatusCode;
use local::{
    Function, Invoke, MailFeedback,
    aws::Fault,
    names::{self, CONTRACT_SECRET_PREFIX, Queue, SERVICE_SECRET},
};
use serde_json::{Value, json};
use tests::{
    Answer, BANK, DEMO_CONTRACT, DEMO_USER, Decision, WEBHOOK_SECRET, World, broken, runtime_api::LambdaFunction,
    start_binary,
};

const ACCOUNTS: &str = "/v1.7/permission-access/accounts";

/// Secrets, each with its name in the messages of this test.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        assert!(value.len() >= 16, "{name} is a secret");
        self.0.push((name, value));
    }

    /// The first secret of that name.
    fn first(&self, name: &str) -> &str {
        &self.0.iter().find(|(known, _)| *known == name).unwrap().1
    }

    /// Adds a parameter of a URL.
    fn add_parameter(&mut self, name: &'static str, url: &str, parameter: &str) {
        let url = url::Url::parse(url).or_else(|_| url::Url::parse(&format!("http://x{url}"))).unwrap();
        let value = url.query_pairs().find(|(known, _)| known == parameter).unwrap().1.into_owned();
        self.add(name, value);
    }

    /// Adds the tokens of the stored grant.
    async fn add_tokens(&mut self, world: &World) {
        let grant = world.get(&format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}")).await.json();
        for token in ["accessToken", "refreshToken"] {
            self.add("a token", grant[token]["value"].as_str().unwrap());
        }
    }

    /// Panics if the text contains a secret that is not allowed there.
    fn assert_absent(&self, place: &str, text: &str, allowed: &[&str]) {
        for (name, value) in self.0.iter().filter(|(name, _)| !allowed.contains(name)) {
            if let Some(at) = text.find(value) {
                let start = text[..at].char_indices().rev().nth(200).map_or(0, |(index, _)| index);
                panic!("{name} stands in {place}: …{}", &text[start..at]);
            }
        }
    }
}

fn everything_on_the_queues(world: &World) -> String {
    let queues = &world.system.queues;
    let bodies = Queue::ALL.into_iter().flat_map(|queue| {
        let waiting = queues.messages(queue, 1_000).unwrap();
        waiting.into_iter().chain(queues.dead_letters(queue, 1_000).unwrap())
    });
    bodies.map(|message| message.body).collect::<Vec<_>>().join("\n")
}

/// The path to which the demo user's read results are handed in.
fn read_results() -> String {
    format!("/users/{DEMO_USER}/read-results")
}

/// One walk through every flow, with the secrets and the replies that it came across.
struct Walk<'a> {
    world: &'a World,
    secrets: Secrets,
    replies: String,
}

impl<'a> Walk<'a> {
    /// Begins with the secrets of the deployment.
    async fn begin(world: &'a World) -> Self {
        let mut secrets = Secrets::default();
        let contract = format!("{CONTRACT_SECRET_PREFIX}{DEMO_CONTRACT}");
        let contract: Value = serde_json::from_str(&world.system.secrets.get(&contract).unwrap()).unwrap();
        let key = contract["privateKey"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
        secrets.add("the private key", key);
        secrets.add("the service secret", world.system.secrets.get(SERVICE_SECRET).unwrap());
        let private = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        world.system.secrets.put(names::WEBHOOK_SECRET, &format!("{WEBHOOK_SECRET}\n{private}"));
        secrets.add("the webhook's secret", WEBHOOK_SECRET);
        secrets.add("the webhook's private key", private);
        secrets.add("the webhook's address", world.webhook().url.split_once('?').unwrap().1);
        secrets.add_tokens(world).await;
        Self { world, secrets, replies: String::new() }
    }

    async fn get(&mut self, path: &str) {
        self.replies += &self.world.get(path).await.body;
    }

    async fn post(&mut self, path: &str, body: &Value) {
        self.replies += &self.world.post(path, body).await.body;
    }

    /// Hands in a read result that holds a token, and some that cannot be read.
    async fn hand_in_tokens(&mut self) {
        self.world.system.simulator.control().break_account(BANK, ErrorShape::Documented);
        let token = "a-token-that-stands-in-a-read-result";
        self.secrets.add("a token in a read result", token);
        let token = json!({"accessToken": {"value": token, "expiry": 1_900_000_000}});
        let result = json!({"status": {"state": "partial", "details": broken(BANK)}, "userAccessToken": token});
        self.post(&read_results(), &json!({"readResult": result})).await;
        self.post(&read_results(), &json!({"readResult": broken(BANK), "userAccessToken": token})).await;
        self.post(&read_results(), &json!({"readResult": {"status": token}})).await;
        self.secrets.assert_absent("a queue", &everything_on_the_queues(self.world), &[]);
        self.world.enqueue(Queue::ReadResults, &json!({"userId": 7, "readResult": token}));
        self.world.run_until_idle().await;
    }

    /// Gives the demo user an address, in a time zone in which it is noon: the binaries use the machine's clock.
    async fn put_contact(&mut self) {
        let address = "an-address-that-is-personal@example.org";
        self.secrets.add("the user's address", address);
        let from_noon = i32::from(Ambient::system().now().to_zoned(jiff::tz::TimeZone::UTC).hour()) - 12;
        let contact = json!({"email": address, "timeZone": format!("Etc/GMT{from_noon:+}")});
        let body = json!({"userAccessToken": self.world.issue_tokens(DEMO_USER), "contact": contact});
        let path = format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}?replace=true");
        let reply = self.world.put(&path, &body).await;
        assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
        self.secrets.add_tokens(self.world).await;
        self.get(&format!("/users/{DEMO_USER}/contact")).await;
    }

    /// A mail about the broken account is due. SES refuses it once, in an answer that repeats the address, and then it bounces.
    async fn mail_the_user(&mut self) {
        let world = self.world;
        let body = json!({"message": format!("{} is wrong", self.secrets.first("the user's address"))}).to_string();
        world
            .system
            .aws
            .fail(Fault { body: Some(body), ..Fault::error("ses:SendEmail", 429, "TooManyRequestsException", 1) });
        for _ in 0..2 {
            world.enqueue(Queue::Emails, &json!({"type": "mail.due", "userId": DEMO_USER}));
            world.run_until_idle().await;
        }
        let mail = world.system.mails.all().pop().unwrap_or_else(|| panic!("{}", world.log(Function::EmailUser)));
        let url = mail.header("List-Unsubscribe").trim_start_matches('<').trim_end_matches('>').to_owned();
        self.secrets.add("an unsubscription's token", url.rsplit('/').next().unwrap());
        self.get(&world.path(&url)).await;
        world.system.mails.give_feedback(&mail, MailFeedback::PermanentBounce).unwrap();
        world.run_until_idle().await;
        self.get(&format!("/users/{DEMO_USER}/contact")).await;
    }

    /// An answer of digi.me that repeats the access token in its error.
    fn telling(&self, status: u16, times: u32) -> Failure {
        Failure {
            message: Some(format!("The access_token {} is wrong", self.secrets.first("a token"))),
            code: Some("InvalidToken".into()),
            ..Failure::status(status, times)
        }
    }

    /// Follows the link: while digi.me fails, and then up to the callback, which it returns.
    async fn follow_link(&mut self) -> String {
        let (world, control) = (self.world, self.world.system.simulator.control());
        let link = world.last_link();
        self.secrets.add("a link's token", link.strip_prefix("/reconnect/").unwrap());
        self.get(&link).await;
        let page = format!("<html>{}", self.secrets.first("a token"));
        let page = Failure { body: Some(page), ..Failure::status(200, 1) };
        for failure in [self.telling(500, 3), self.telling(401, 9), page] {
            control.fail("/v1.7/oauth/token/reference", failure);
            self.replies += &world.use_link(&link).await.body;
            control.clear_failures();
        }
        world.change_browser();
        let reply = world.use_link(&link).await;
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
        self.secrets.add_parameter("a code", reply.header("location"), "code");
        let binding = reply.header("set-cookie").split_once(';').unwrap().0.split_once('=').unwrap().1;
        self.secrets.add("a browser's binding", binding);
        let callback = world.decide(reply.header("location"), Decision::Success).await;
        self.secrets.add_parameter("a state", &callback, "state");
        let state = self.secrets.first("a state").split_once('.').unwrap().1.to_owned();
        self.secrets.add("a state's secret", state);
        callback
    }

    /// Loads the callback: forged, then so that the sweep has to verify it with an expired token.
    async fn load_callback(&mut self, callback: &str) {
        let (world, control) = (self.world, self.world.system.simulator.control());
        self.get(&callback.replace("success=true", "success=maybe")).await;
        control.set_access_token_status(AccessTokenStatus::Absent);
        control.expire_access_tokens(DEMO_USER);
        let reply = world.get(callback).await;
        assert!(reply.header("location").contains("status=verifying"), "{}", reply.header("location"));
        self.replies += reply.header("location");
        self.secrets.add_tokens(world).await;
        control.expire_access_tokens(DEMO_USER);
        control.fail("/v1.7/oauth/token", self.telling(500, 1));
        control.fail(ACCOUNTS, self.telling(401, 9));
        self.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
        control.clear_failures();
        self.replies += &world.sweep().await.to_string();
    }

    /// Renews a dead refresh token: digi.me refuses the code once, and answers once.
    async fn reauthorize_the_user(&mut self) {
        let (world, control) = (self.world, self.world.system.simulator.control());
        world.kill_tokens();
        for decision in [Decision::OtherVerifier, Decision::AnotherUser, Decision::Success] {
            let reply = world.post(&format!("/users/{DEMO_USER}/reauthorizations"), &json!({})).await;
            assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
            let url = reply.json()["url"].as_str().unwrap().to_owned();
            self.secrets.add_parameter("a code of the user page", &url, "code");
            let callback = world.decide(&url, decision).await;
            self.secrets.add_parameter("a code to exchange", &callback, "code");
            self.secrets.add_parameter("a state", &callback, "state");
            let reply = world.get(&callback).await;
            assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
            self.get(&callback).await;
        }
        self.secrets.add_tokens(world).await;
        control.revoke_tokens(DEMO_USER);
        self.post(&format!("/users/{DEMO_USER}/reauthorizations"), &json!({})).await;
        world.store_grant(DEMO_USER).await;
        world.run_until_idle().await;
    }

    /// Lets AWS fail, then the webhook, then the topic. What waits on the queues stays there.
    async fn let_aws_and_webhook_fail(&mut self) {
        let world = self.world;
        for action in ["sns:Publish", "dynamodb:Query", "secretsmanager:GetSecretValue", "dynamodb:TransactWriteItems"]
        {
            world.system.aws.fail(Fault::error(action, 400, "AccessDeniedException", 40));
        }
        world.system.simulator.control().break_account("2_demo-hospital", ErrorShape::Documented);
        self.post(&read_results(), &json!({"readResult": broken("2_demo-hospital")})).await;
        self.get(&format!("/users/{DEMO_USER}/accounts")).await;
        world.run_until_idle().await;
        world.system.aws.clear_faults();
        world.webhook().answer(Answer::Status(500));
        for account in ["2_demo-hospital", "4_another"] {
            self.post(&read_results(), &json!({"readResult": broken(account)})).await;
        }
        world.run_until_idle().await;
        world.system.aws.fail(Fault::error("sns:Publish", 400, "InvalidParameter", 1_000));
        self.post(&read_results(), &json!({"readResult": broken("3_demo-instagram")})).await;
        world.run_until_idle().await;
        world.system.aws.clear_faults();
        self.secrets.add_tokens(world).await;
        self.get("/accounts?status=reauth_required").await;
        self.replies += &world.account(DEMO_USER, BANK).await.to_string();
    }

    /// Replies, table, queues, notifications and posts hold no secret but those that belong there.
    fn assert_nothing_holds_secrets(&self) {
        let (world, secrets) = (self.world, &self.secrets);
        secrets.assert_absent("a reply", &self.replies, &[]);
        secrets.assert_absent("the table", &json!(world.items()).to_string(), &[]);
        let queues = everything_on_the_queues(world);
        assert!(queues.contains("\"NewImage\""), "an event waits on the queue");
        secrets.assert_absent("a queue", &queues, &["a token in a read result"]);
        let published = json!(world.published_json()).to_string();
        assert!(published.contains("reconnectUrl"));
        secrets.assert_absent("a notification", &published, &["a link's token"]);
        let deliveries = world.webhook().deliveries();
        let posted: Vec<_> = deliveries.into_iter().map(|one| format!("{:?}{}", one.headers, one.body)).collect();
        assert!(posted.len() > 2);
        secrets.assert_absent("a post", &posted.join("\n"), &["a link's token"]);
    }

    /// The logs hold no secret, though failures are logged.
    fn assert_logs_hold_no_secrets(&self) {
        let world = self.world;
        assert!(world.log(Function::PostWebhook).contains("could not post an event"), "failed posts are logged");
        assert!(
            world.log(Function::CreateReauthUrl).contains("request: could not be completed"),
            "problems are logged"
        );
        for function in Function::ALL {
            let log = world.log(function);
            self.secrets.assert_absent(&format!("the log of {}", function.name()), &log, &[]);
            assert!(!log.contains("BEGIN") && !log.contains("alex.morgan"), "{}", function.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_stands_where_it_should_not() {
    let world = World::builder().webhook().mails().binaries().trace_logs().expect_leftovers().start().await;
    let mut walk = Walk::begin(&world).await;
    walk.put_contact().await;
    walk.hand_in_tokens().await;
    walk.mail_the_user().await;
    let callback = walk.follow_link().await;
    walk.load_callback(&callback).await;
    walk.reauthorize_the_user().await;
    walk.let_aws_and_webhook_fail().await;
    walk.assert_nothing_holds_secrets();
    walk.assert_logs_hold_no_secrets();
}

/// The event in which the application reads the demo user's grant. The function reads the table, then the service secret.
fn reading_the_grant() -> bytes::Bytes {
    let mut event: Value = serde_json::from_str(include_str!("../../infra/events/accounts.json")).unwrap();
    event["requestContext"]["routeKey"] = json!("GET /users/{userId}/grants/{contractId}");
    event["pathParameters"] = json!({"userId": DEMO_USER, "contractId": DEMO_CONTRACT});
    event.to_string().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_of_aws_is_logged_with_its_code_and_without_its_answer() {
    const SECRET: &str = "a-secret-in-an-answer-that-cannot-be-read";
    let world = World::builder().start().await;
    let mut environment = world.system.endpoints.environment(Function::Accounts);
    environment.insert("RUST_LOG".to_owned(), "trace".to_owned());
    let function = start_binary(Function::Accounts, environment).await.unwrap();
    let mut problems = 0;
    for action in ["dynamodb:GetItem", "secretsmanager:GetSecretValue"] {
        for status in [200, 400, 500] {
            let body = Some(format!("{{\"SecretString\": \"{SECRET}"));
            world.system.aws.fail(Fault { status, body, ..Fault::refuse(action, 9) });
            let reply: Value = serde_json::from_slice(&function.invoke(reading_the_grant()).await.unwrap()).unwrap();
            world.system.aws.clear_faults();
            assert_eq!(reply["statusCode"], 503, "{reply}");
            assert!(!reply.to_string().contains(SECRET), "{reply}");
            problems += 1;
            let (line, log) = logged_problem(&function, problems).await;
            assert!(!log.contains(SECRET), "{log}");
            assert!(line.contains(&format!("HTTP {status}")), "{line}");
        }
        world.system.aws.fail(Fault::error(action, 400, "AccessDeniedException", 9));
        function.invoke(reading_the_grant()).await.unwrap();
        world.system.aws.clear_faults();
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
            let mut lines = complete.lines().filter(|line| line.contains("request: could not be completed"));
            if let Some(line) = lines.nth(count - 1) {
                return (line.to_owned(), log);
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), line).await.unwrap()
}
