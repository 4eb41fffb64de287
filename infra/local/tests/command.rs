//! The command `cargo run`, as a developer uses it: its options, what it prints, and what a second start keeps.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The longest wait for the process. It starts in a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(60);
const BANK: &str = "1_demo-bank";
const FREE_PORTS: [&str; 2] = ["--port", "0"];

/// A running local system, and what it has printed.
struct Local {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What is printed at the start, by name. Of several with one name, the first.
    printed: BTreeMap<String, String>,
    http: reqwest::Client,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command that ends by itself.
async fn ended(mut command: Command) -> Output {
    timeout(LIMIT, command.output()).await.expect("the command ends").expect("the command runs")
}

fn error_of(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

impl Local {
    async fn start(arguments: &[&str]) -> Self {
        Self::start_as(command(&[&FREE_PORTS, arguments].concat())).await
    }

    async fn start_as(command: Command) -> Self {
        // Log lines go to the test's output: a pipe that nobody reads would fill up.
        Self::start_logging_to(Stdio::inherit(), command).await
    }

    async fn start_logging_to(log: Stdio, mut command: Command) -> Self {
        let mut process = command.stderr(log).spawn().expect("the command starts");
        let output = process.stdout.take().expect("a pipe");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let http = http.expect("a client");
        let mut local = Self { process, lines: BufReader::new(output).lines(), printed: BTreeMap::new(), http };
        loop {
            let line = local.line().await;
            if line.contains("Ctrl-C") {
                return local;
            }
            let (name, value) = line.split_once(' ').expect("a name and a value");
            local.printed.entry(name.to_owned()).or_insert_with(|| value.trim().to_owned());
        }
    }

    async fn line(&mut self) -> String {
        let line = timeout(LIMIT, self.lines.next_line()).await.expect("a line in time");
        line.expect("output").expect("the process runs")
    }

    /// The first word of a printed value.
    fn address(&self, name: &str) -> &str {
        self.printed[name].split(' ').next().expect("a word")
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address("API"))
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let reply = self.http.get(self.url(path)).send().await.expect("a reply");
        (reply.status(), reply.text().await.expect("a body"))
    }

    async fn info(&self) -> Value {
        serde_json::from_str(&self.get("/_local/info").await.1).expect("JSON")
    }

    /// Sends a request that is signed as an SDK's client signs it.
    async fn signed(&self, method: Method, path: &str, body: &str, secret: &str) -> StatusCode {
        let id = self.address("Credentials");
        let identity = Credentials::new(id, secret, None, None, "test").into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("execute-api")
            .time(SystemTime::from(digime::ambient::Ambient::system().now()))
            .settings(SigningSettings::default())
            .build()
            .expect("parameters")
            .into();
        let url = self.url(path);
        let request =
            SignableRequest::new(method.as_str(), &url, std::iter::empty(), SignableBody::Bytes(body.as_bytes()));
        let (signature, _) = sign(request.expect("a request"), &parameters).expect("a signature").into_parts();
        let mut request = self.http.request(method, &url).body(body.to_owned());
        for (name, value) in signature.headers() {
            request = request.header(name, value);
        }
        request.send().await.expect("a reply").status()
    }

    async fn signal(&self, name: &str) {
        let id = self.process.id().expect("it runs").to_string();
        Command::new("kill").args(["-s", name, &id]).status().await.expect("a signal");
    }

    async fn stop(self) {
        self.stop_by("TERM").await;
    }

    async fn stop_by(mut self, signal: &str) {
        self.signal(signal).await;
        assert!(timeout(LIMIT, self.process.wait()).await.expect("it ends").expect("a status").success());
    }
}

async fn json_of(reply: reqwest::Response) -> Value {
    serde_json::from_str(&reply.text().await.expect("a body")).expect("JSON")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test]
async fn it_prints_and_tells_what_an_sdk_needs() {
    let local = Local::start(&["--ephemeral", "--return-origin", "http://localhost:3000", "--no-return-url"]).await;
    let info = local.info().await;
    for (name, field) in [
        ("API", "apiUrl"),
        ("Callback", "callbackUrl"),
        ("digi.me", "digimeBaseUrl"),
        ("Pages", "digimeOnboardUrl"),
        ("Control", "digimeControlUrl"),
        ("AWS", "awsUrl"),
        ("User", "demoUserId"),
    ] {
        assert_eq!(info[field], local.address(name), "{name}");
    }
    let contract = &info["contracts"][0];
    assert_eq!(contract["contractId"], local.address("Contract"));
    assert_eq!(contract["privateKeyFile"], local.address("Key"));
    assert_eq!(info["returnOrigins"], json!([local.address("API"), "http://localhost:3000"]));
    assert_eq!(
        (&info["defaultReturnUrl"], &info["webhook"], &info["dataDirectory"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let key = std::path::PathBuf::from(local.address("Key"));
    assert!(std::fs::read_to_string(&key).unwrap().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    // The first command to try.
    let url = local.printed["Try"].strip_prefix("curl -sS ").unwrap().to_owned();
    let accounts = json_of(local.http.get(url).send().await.unwrap()).await;
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 3);
    local.stop().await;
    assert!(!key.exists());
}

#[tokio::test]
async fn a_closed_terminal_ends_it_as_ctrl_c_does_unless_it_was_started_to_go_on() {
    let local = Local::start(&["--ephemeral"]).await;
    let key = std::path::PathBuf::from(local.address("Key"));
    local.stop_by("HUP").await;
    assert!(!key.exists());

    // As `nohup` starts it.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_local"), "--port", "0", "--ephemeral"]);
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).stdout(Stdio::piped()).kill_on_drop(true);
    let local = Local::start_as(command).await;
    local.signal("HUP").await;
    // The signal after it is the one that ends it.
    assert_eq!(local.get("/_local/info").await.0, 200);
    local.stop().await;
}

#[tokio::test]
async fn a_refused_request_has_one_log_line_with_its_reason_and_the_id_of_the_reply() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let log = std::fs::File::create(&path).unwrap();
    let arguments = [&FREE_PORTS, ["--ephemeral", "--verify-signatures"].as_slice()].concat();
    let local = Local::start_logging_to(log.into(), command(&arguments)).await;
    let unsigned = local.http.get(local.url("/accounts")).send().await.unwrap();
    let id = local.address("Credentials").to_owned();
    let other = format!(
        "AWS4-HMAC-SHA256 Credential={id}/20200101/eu-west-1/lambda/aws4_request, \
        SignedHeaders=host;x-amz-date, Signature=0"
    );
    let other = local.http.get(local.url("/accounts")).header("authorization", other);
    let other = other.header("x-amz-date", "20200101T000000Z").send().await.unwrap();
    let large = local.http.post(local.url("/users/a/read-results")).body(vec![b' '; 10_000_001]).send().await.unwrap();
    let unknown = local.http.get(local.url("/nothing")).send().await.unwrap();
    let secret = local.printed["Credentials"].split(' ').nth(1).unwrap().to_owned();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&secret));
    for (reply, status, parts) in [
        (unsigned, 403, ["GET /accounts", "no signature"]),
        (other, 403, ["GET /accounts", "service"]),
        (large, 413, ["POST /users/{userId}/read-results", "10 MB"]),
        (unknown, 404, ["", "no such route"]),
    ] {
        assert_eq!(reply.status(), status);
        let request_id = reply.headers()["apigw-requestid"].to_str().unwrap().to_owned();
        let lines: Vec<_> = text.lines().filter(|line| line.contains(&request_id)).collect();
        let [line] = lines.as_slice() else { panic!("{status}: {lines:?}") };
        let status = format!("status={status}");
        assert!(line.contains(&status) && parts.iter().all(|part| line.contains(part)), "{line}");
    }
    local.stop().await;
}

#[tokio::test]
async fn help_has_each_option_with_its_explanation_on_one_line() {
    let output = |argument| async move { String::from_utf8(ended(command(&[argument])).await.stdout).unwrap() };
    let help = output("--help").await;
    assert!(help.contains("Usage: local [OPTIONS]"), "{help}");
    let options: Vec<_> = help.lines().filter(|line| line.trim_start().starts_with('-')).collect();
    assert_eq!(options.len(), 10, "{help}");
    for line in options {
        let explained = line.trim_start().split_once("  ").is_some_and(|(_, text)| text.trim().len() > 5);
        assert!(explained && line.len() <= 100, "{line:?} in {help}");
    }
    assert_eq!(output("--version").await, format!("local {}\n", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn each_event_is_a_line_and_without_a_return_url_the_browser_ends_on_the_result_page() {
    let mut local = Local::start(&["--ephemeral", "--no-return-url"]).await;
    let broken = json!({"contractId": "demo-contract", "readResult": {BANK: {"state": "partial",
        "error": {"code": "ServiceAuthorizationError", "statusCode": 511, "error": {"reauth": true}}}}});
    let url = local.url("/users/demo-user/read-results");
    assert_eq!(local.http.post(url).body(broken.to_string()).send().await.unwrap().status(), 202);
    let lost = local.line().await;
    let (time, rest) = lost.split_once(' ').unwrap();
    assert_eq!(time.len(), "15:55:55".len(), "{lost}");
    let link = rest.strip_prefix("demo-user Meadow Bank lost → told ").expect(&lost);
    assert_eq!(local.http.get(link).send().await.unwrap().status(), 200);
    // The user confirms on the simulator's page.
    let url = local.url(&format!("/users/demo-user/accounts/{BANK}/reauthorizations"));
    let created = json_of(local.http.post(url).send().await.unwrap()).await;
    let (page, query) = created["url"].as_str().unwrap().split_once('?').unwrap();
    let form = format!("{query}&decision=success");
    let request = local.http.post(page).header("content-type", "application/x-www-form-urlencoded").body(form);
    let callback = request.send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let result = local.http.get(callback).send().await.unwrap();
    assert_eq!(
        (result.status(), result.headers()["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/html; charset=utf-8")
    );
    let healed = local.line().await;
    assert!(healed.ends_with(" demo-user Meadow Bank healed (callback, verified)"), "{healed}");
    local.stop().await;
}

#[tokio::test]
async fn signatures_are_checked_on_the_routes_of_the_application_only() {
    let local = Local::start(&["--ephemeral", "--verify-signatures"]).await;
    let forbidden = (StatusCode::FORBIDDEN, r#"{"message":"Forbidden"}"#.to_owned());
    assert_eq!(local.get("/users/demo-user/accounts").await, forbidden);
    let secret = local.printed["Credentials"].split(' ').nth(1).unwrap().to_owned();
    let large = format!("{{\"readResult\": {{}}, \"pad\": \"{}\"}}", "x".repeat(2_000_000));
    for (method, path, body, expected) in [
        (Method::GET, "/users/demo-user/accounts", "", 200),
        (Method::GET, "/users/demo-user/accounts?refresh=true", "", 200),
        (Method::GET, "/accounts?status=reauth_required&limit=5", "", 200),
        (Method::GET, "/users/a%40b%7Cc:d/accounts", "", 404),
        (Method::GET, "/users/a@b:c/accounts", "", 404),
        (Method::POST, "/users/a:b/read-results", r#"{"readResult": {}}"#, 202),
        (Method::POST, "/users/demo-user/read-results", large.as_str(), 400),
    ] {
        assert_eq!(local.signed(method.clone(), path, body, &secret).await.as_u16(), expected, "{path}");
        assert_eq!(local.signed(method, path, body, "another").await, StatusCode::FORBIDDEN, "{path}");
    }
    // A browser cannot sign, and neither can the console's page.
    for (path, expected) in [("/", 200), ("/reconnect/unknown", 404), ("/callback?state=x&success=true", 400)] {
        assert_eq!(local.get(path).await.0, expected, "{path}");
    }
    let pressed = local.http.post(local.url("/console/control/read")).header("origin", local.address("API"));
    let pressed = pressed.header("content-type", "application/x-www-form-urlencoded").body("user=demo-user");
    assert_eq!(pressed.send().await.unwrap().status(), 303);
    local.stop().await;
}

#[tokio::test]
async fn a_second_start_keeps_secrets_and_contracts_and_reads_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let keys = digime_simulator::ContractKeys::generate().unwrap();
    let contract = |id: &str| {
        json!({"applicationId": "my-app", "contractId": id, "privateKey": keys.private_key_pem,
            "redirectUris": ["http://localhost:3000/authorized"]})
    };
    let file = directory.path().join("mine.json");
    std::fs::write(&file, contract("of-option").to_string()).unwrap();
    let arguments = ["--data-dir", text(&data), "--webhook-url", "http://127.0.0.1:9/hook", "--contract", text(&file)];
    let first = Local::start(&arguments).await;
    let url = first.url("/_local/contracts/of-put");
    assert_eq!(first.http.put(url).body(contract("of-put").to_string()).send().await.unwrap().status(), 200);
    let before = first.info().await;
    // The directory is in use.
    let second = ended(command(&[&FREE_PORTS, ["--data-dir", text(&data)].as_slice()].concat())).await;
    let holder = format!("another local system (process {}) is using it", first.process.id().unwrap());
    assert!(error_of(&second).contains(&holder), "{}", error_of(&second));
    // So is the port.
    let port = first.address("API").rsplit_once(':').unwrap().1.to_owned();
    let error = error_of(&ended(command(&["--ephemeral", "--port", &port])).await);
    assert!(error.starts_with(&format!("port {port} is in use")), "{error}");
    assert!(data.join("keys/of-option.pem").exists());
    first.stop().await;
    assert!(!data.join("keys/of-option.pem").exists() && data.join("keys/of-put.pem").exists());

    std::fs::write(data.join("local.toml"), "webhook-url = \"http://127.0.0.1:9/file\"\nno-return-url = true\n")
        .unwrap();
    let again = Local::start(&["--data-dir", text(&data)]).await;
    let after = again.info().await;
    assert_eq!(after["credentials"], before["credentials"]);
    assert_eq!(after["webhook"]["secret"], before["webhook"]["secret"]);
    assert_eq!(after["webhook"]["publicKey"], before["webhook"]["publicKey"]);
    assert!(after["webhook"]["publicKey"].as_str().unwrap().starts_with("whpk_"));
    assert_eq!(after["webhook"]["url"], "http://127.0.0.1:9/file");
    assert_eq!(after["defaultReturnUrl"], Value::Null);
    let ids = |info: &Value| -> Vec<String> {
        let contracts = info["contracts"].as_array().unwrap().iter();
        contracts.map(|one| one["contractId"].as_str().unwrap().to_owned()).collect()
    };
    // A contract of an option is there as long as the option.
    assert_eq!(ids(&before), ["demo-contract", "of-option", "of-put"]);
    assert_eq!(ids(&after), ["demo-contract", "of-put"]);
    again.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("local.toml"), "webhok-url = \"x\"\n").unwrap();
    let keys = digime_simulator::ContractKeys::generate().unwrap();
    let demo = directory.path().join("demo.json");
    let contract = json!({"applicationId": "a", "contractId": "demo-contract", "privateKey": keys.private_key_pem});
    std::fs::write(&demo, contract.to_string()).unwrap();
    let (broken, open) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&broken, &open] {
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    let contracts_json = broken.path().join("contracts.json");
    std::fs::write(&contracts_json, "[{}]").unwrap();
    let key_directory = open.path().join("keys");
    std::fs::create_dir(&key_directory).unwrap();
    std::fs::set_permissions(&key_directory, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let unreadable = format!("{} cannot be read: contract 1: missing field", text(&contracts_json));
    let public = format!("{}: others can look into it", text(&key_directory));
    let userinfo = "webhook-url must have no user name and no password";
    let (no_file, with_file) = (["--ephemeral"].as_slice(), ["--data-dir", text(directory.path())]);
    let cases = [
        (with_file.as_slice(), None, "unknown field `webhok-url`"),
        (&["--ephemeral", "--contract", "/nowhere.json"], None, "contract /nowhere.json: "),
        (&["--ephemeral", "--webhook-url", "http://example.com/"], None, "webhook-url must be"),
        (&["--ephemeral", "--webhook-url", "https://me:secret@example.com/"], None, userinfo),
        (&["--ephemeral", "--contract", text(&demo)], None, "demo-contract is the demo contract"),
        (&["--data-dir", text(broken.path())], None, &unreadable),
        (&["--data-dir", text(open.path())], None, &public),
        (no_file, Some(("REMINDER_SCHEDULE", "3d,1d")), "REMINDER_SCHEDULE must be up to 20 growing durations"),
        (no_file, Some(("TABLE_NAME", "mine")), "TABLE_NAME names a resource in AWS"),
        (no_file, Some(("DIGIME_BASE_URL", "http://localhost/")), "DIGIME_BASE_URL is that of the digi.me simulator"),
        (no_file, Some(("RUST_LOG", "verbose")), "RUST_LOG must be a level"),
        (no_file, Some(("RECONNECT_LINK_TTL", "soon")), "RECONNECT_LINK_TTL must be a duration"),
    ];
    for (arguments, variable, expected) in cases {
        let mut command = command(&[&FREE_PORTS, arguments].concat());
        command.envs(variable);
        let error = error_of(&ended(command).await);
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[tokio::test]
async fn settings_of_the_environment_are_honoured() {
    let mut command = command(&[&FREE_PORTS, ["--ephemeral"].as_slice()].concat());
    command.envs([
        ("APPLICATION_NAME", "My Application"),
        ("ALLOWED_RETURN_ORIGINS", "https://app.example"),
        ("DEFAULT_RETURN_URL", "https://app.example/done"),
        ("WEBHOOK_URL", "http://127.0.0.1:9/environment"),
    ]);
    let local = Local::start_as(command).await;
    let info = local.info().await;
    assert_eq!(info["returnOrigins"], json!([local.address("API"), "https://app.example"]));
    assert_eq!(info["defaultReturnUrl"], "https://app.example/done");
    assert_eq!(info["webhook"]["url"], "http://127.0.0.1:9/environment");
    local.stop().await;
}
