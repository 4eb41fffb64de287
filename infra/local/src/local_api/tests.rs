//! The description of the control APIs, against their routes and against a running system.

use std::collections::BTreeSet;

use axum::Router;
use digime::ambient::Ambient;
use digime_simulator::{Account, CONTROL_ROUTES, ContractKeys, ErrorShape};
use reqwest::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{descriptions::CONTROL, routes};
use crate::{DEMO_USER, MovableClock, Options, System, in_process, names, table::yaml};

const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];
const BANK: &str = "1_demo-bank";

/// An operation of the description.
struct Operation {
    /// Such as `GET /_local/info`.
    route: String,
    description: Value,
}

fn described() -> Vec<Operation> {
    let description = yaml(CONTROL).unwrap();
    let paths = description["paths"].as_object().unwrap().iter();
    let operations = paths.flat_map(|(path, item)| {
        METHODS.into_iter().filter_map(move |method| {
            let description = item.get(method)?.clone();
            Some(Operation { route: format!("{} {path}", method.to_uppercase()), description })
        })
    });
    operations.collect()
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let of_simulator = CONTROL_ROUTES.iter().map(|route| route.replacen(" /", " /_simulator/", 1));
    let routes: BTreeSet<_> = routes().iter().map(|route| route.key.to_owned()).chain(of_simulator).collect();
    let described: BTreeSet<_> = described().into_iter().map(|operation| operation.route).collect();
    assert_eq!(described, routes);
}

/// A receiver of webhooks that accepts everything, until the test ends. Returns its URL.
async fn receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(|| async {})).await });
    url
}

async fn system() -> System {
    let clock = MovableClock::open(&Ambient::system(), None).unwrap();
    let ambient = clock.ambient();
    let mut options =
        Options { background: false, clock: Some(clock), ..Options::new(ambient.clone(), ambient.clone()) };
    let webhook = [("WEBHOOK_URL", receiver().await), ("WEBHOOK_SECRET_ID", names::WEBHOOK_SECRET.to_owned())];
    options.settings.extend(webhook.map(|(name, value)| (name.to_owned(), value)));
    let system = System::start(options, |endpoints| async move { in_process(&endpoints, &ambient) }).await.unwrap();
    system.add_demo_user().await.unwrap();
    system
}

/// The id of a new event.
async fn event(system: &System) -> String {
    assert!(system.simulator.control().break_account(BANK, ErrorShape::Documented));
    system.application.read(DEMO_USER).await.unwrap();
    system.run_until_idle().await.unwrap();
    let published = system.topic.newest(1).remove(0).json();
    published["data"]["eventId"].as_str().unwrap().to_owned()
}

/// The id of a new mail.
fn mail(system: &System) -> String {
    let mail = serde_json::json!({"messageId": "", "sentAt": "2026-11-23T09:00:00Z", "from": "a@example.com",
        "to": "b@example.com", "replyTo": [], "subject": "A mail", "text": "Text", "html": "<p>Text</p>", "headers": [],
        "tags": [], "configurationSet": "set"});
    system.mails.send(serde_json::from_value(mail).unwrap()).unwrap()
}

/// The JSON of a message's example.
fn example(message: &Value) -> Option<&Value> {
    message["content"].as_object()?.values().next()?.get("example")
}

/// The example with a real key in place of the shortened one.
fn with_key(example: &Value, keys: &ContractKeys) -> String {
    let mut example = example.clone();
    for (field, key) in
        [("privateKey", keys.private_key_pkcs1_pem().unwrap()), ("publicKeyPem", keys.public_key_pem.clone())]
    {
        if example.get(field).is_some() {
            example[field] = key.into();
        }
    }
    example.to_string()
}

/// Compares the form of two values: the fields of objects, and the types of what is not null.
fn same_form(example: &Value, reply: &Value) -> bool {
    match (example, reply) {
        (Value::Object(example), Value::Object(reply)) => {
            example.keys().eq(reply.keys()) && example.iter().all(|(name, value)| same_form(value, &reply[name]))
        }
        (Value::Array(example), Value::Array(reply)) => {
            let (first, form) = (reply.first(), example.first());
            first.is_none_or(|first| form.is_some_and(|form| same_form(form, first)))
        }
        (Value::Null, _) | (_, Value::Null) => true,
        _ => std::mem::discriminant(example) == std::mem::discriminant(reply),
    }
}

#[tokio::test]
async fn every_example_of_a_request_is_accepted_and_answered_in_the_form_of_the_example() {
    let (system, keys) = (system().await, ContractKeys::generate().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let info = system.info.read();
    let control = system.simulator.control();
    for Operation { route, description } in described() {
        // What an earlier operation changed is undone.
        control.add_account(DEMO_USER, Account::new(BANK, "Meadow Bank", Some("alex.morgan")));
        control.issue_tokens(DEMO_USER, "demo-contract");
        let (method, path) = route.split_once(' ').unwrap();
        let path = path.replace("{userId}", DEMO_USER).replace("{contractId}", "my-contract");
        let path = path.replace("{accountId}", BANK).replace("{id}", BANK).replace("{queue}", "ReadResults");
        let path = path.replace("{service}", "Meadow%20Bank").replace("{messageId}", &mail(&system));
        let path = if path.contains("{eventId}") { path.replace("{eventId}", &event(&system).await) } else { path };
        let base = match path.strip_prefix("/_simulator/") {
            Some(_) => info.digime_control_url.trim_end_matches("/_simulator/"),
            None => &info.api_url,
        };
        let body = example(&description["requestBody"]).map(|example| with_key(example, &keys)).unwrap_or_default();
        let request = http.request(method.parse().unwrap(), format!("{base}{path}")).body(body);
        let reply = request.send().await.unwrap();
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        let documented = &description["responses"][status.as_str()];
        // The account has no other login that could be accepted.
        let is_expected = status.is_success() || (route.ends_with("accept-identity") && status == StatusCode::CONFLICT);
        assert!(is_expected && documented.is_object(), "{route}: {status} {text}");
        match example(documented) {
            None => assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""), "{route}"),
            Some(Value::String(beginning)) => assert_eq!(text.lines().next(), beginning.lines().next(), "{route}"),
            Some(example) => {
                let reply: Value = serde_json::from_str(&text).unwrap();
                assert!(same_form(example, &reply), "{route}: {reply:#}");
            }
        }
    }
    system.stop().await;
}

#[tokio::test]
async fn an_own_contract_is_usable_at_once_and_a_wrong_one_is_refused() {
    let (system, keys) = (system().await, ContractKeys::generate().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |id: &str| format!("{}/_local/contracts/{id}", system.endpoints.public_base_url);
    let contract = serde_json::json!({
        "applicationId": "my-app", "contractId": "mine", "privateKey": keys.private_key_pkcs1_pem().unwrap(),
    });
    let put = |id: &str, body: &Value| http.put(url(id)).body(body.to_string()).send();
    assert_eq!(put("mine", &contract).await.unwrap().status(), 200);
    // The user gets a grant under it, the demo application reads under it, and the simulator's user is found by its
    // token.
    let tokens = serde_json::to_value(system.simulator.control().issue_tokens(DEMO_USER, "mine")).unwrap();
    let grant = system.application.call(http::Method::PUT, "/users/a%7Cb/grants/mine", &tokens).await;
    assert!(grant.is_ok(), "{grant:?}");
    system.application.read("a|b").await.unwrap();
    assert_eq!(system.application.simulated_user("a|b").await.as_deref(), Some(DEMO_USER));
    assert_eq!(system.application.simulated_user("nobody").await, None);
    // A new grant is under the contract that the user has, and of the same person at digi.me.
    system.run_pipe().await.unwrap();
    let stored = http.post(format!("{}/_local/users/a%7Cb/grant", system.endpoints.public_base_url)).send().await;
    assert_eq!(stored.unwrap().status(), StatusCode::NO_CONTENT);
    let known = system.application.call(http::Method::GET, "/users/a%7Cb/accounts", &Value::Null).await.unwrap();
    let contracts: Vec<_> = known["grants"].as_array().unwrap().iter().map(|grant| &grant["contractId"]).collect();
    assert_eq!(contracts, ["mine"]);
    assert_eq!(system.application.simulated_user("a|b").await.as_deref(), Some(DEMO_USER));

    let other = put("other", &contract).await.unwrap();
    assert_eq!((other.status(), other.text().await.unwrap().contains("contractId")), (StatusCode::BAD_REQUEST, true));
    let unknown = put("mine", &serde_json::json!({"contractId": "mine", "secret": 1})).await.unwrap();
    assert_eq!((unknown.status(), unknown.text().await.unwrap().contains("`secret`")), (StatusCode::BAD_REQUEST, true));
    system.stop().await;
}

#[tokio::test]
async fn a_contract_can_be_removed_but_the_demo_contract_can_be_neither_removed_nor_replaced() {
    let (system, keys) = (system().await, ContractKeys::generate().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |id: &str| format!("{}/_local/contracts/{id}", system.endpoints.public_base_url);
    let put = |id: &str| {
        let contract = serde_json::json!({"applicationId": "a", "contractId": id, "privateKey": keys.private_key_pem});
        http.put(url(id)).body(contract.to_string()).send()
    };
    let info: Value = serde_json::from_str(&put("mine").await.unwrap().text().await.unwrap()).unwrap();
    let file = std::path::PathBuf::from(info["privateKeyFile"].as_str().unwrap());
    assert!(file.exists());
    assert_eq!(http.delete(url("mine")).send().await.unwrap().status(), 204);
    assert_eq!(http.delete(url("mine")).send().await.unwrap().status(), 404);
    assert!(!file.exists());
    assert_eq!(system.secrets.get("digime-reauth/contracts/mine"), None);
    let state = system.simulator.control().call(digime_simulator::ControlCall::State).unwrap();
    let ids: Vec<_> = state["contracts"].as_array().unwrap().iter().map(|one| &one["contractId"]).collect();
    assert_eq!(ids, ["demo-contract"]);

    let before = system.secrets.get("digime-reauth/contracts/demo-contract");
    for reply in [put("demo-contract").await, http.delete(url("demo-contract")).send().await] {
        assert_eq!(reply.unwrap().status(), 409);
    }
    assert_eq!(system.secrets.get("digime-reauth/contracts/demo-contract"), before);
    assert_eq!(system.contracts.list().len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn no_error_contains_what_was_sent() {
    let (system, secret) = (system().await, crate::contracts::testing::SECRET);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let base = format!("{}/_local", system.endpoints.public_base_url);
    let put = |path: &str, body: String| http.put(format!("{base}{path}")).body(body).send();
    let mut replies = Vec::new();
    for document in crate::contracts::testing::with_secret_in_each_place() {
        replies.push(put("/contracts/mine", document).await.unwrap());
    }
    for document in
        [serde_json::json!(secret), serde_json::json!({"advance": secret}), serde_json::json!({"advance": [secret]})]
    {
        replies.push(put("/clock", document.to_string()).await.unwrap());
    }
    let redrive = serde_json::json!({"messageId": [secret]}).to_string();
    replies.push(http.post(format!("{base}/queues/ReadResults/redrive")).body(redrive).send().await.unwrap());
    for reply in replies {
        let (status, text) = (reply.status(), reply.text().await.unwrap());
        assert!(status == 400 && !text.contains("MIIE"), "{status} {text}");
    }
    system.stop().await;
}

#[tokio::test]
async fn unknown_routes_and_methods_are_answered_as_api_gateway_does() {
    let system = system().await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    for (method, path) in [
        ("GET", "/nothing"),
        ("GET", "/_local/nothing"),
        ("POST", "/_local/info"),
        ("POST", "/returned"),
        ("DELETE", "/"),
        ("PATCH", "/accounts"),
    ] {
        let url = format!("{}{path}", system.endpoints.public_base_url);
        let reply = http.request(method.parse().unwrap(), url).send().await.unwrap();
        assert_eq!(reply.status(), 404, "{method} {path}");
        assert!(reply.headers().contains_key("apigw-requestid"), "{method} {path}");
        assert!(!reply.headers().contains_key("allow"), "{method} {path}");
        assert_eq!(reply.text().await.unwrap(), r#"{"message":"Not Found"}"#, "{method} {path}");
    }
    system.stop().await;
}
