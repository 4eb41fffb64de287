//! Reads, and what the state file keeps.

use digime_simulator::{Account, ControlCall, ErrorShape, Simulator};
use serde_json::{Value, json};

use crate::client::{ACCOUNT, CONTRACT, Sim, USER, contract};

const SEED: &str = r#"{
  "1_1xxxxxxxxx": {
    "state": "partial",
    "error": {
      "code": "ServiceAuthorizationError",
      "error": {
        "message": "Service authorization required",
        "reauth": true
      },
      "statusCode": 511
    }
  }
}"#;

async fn read(sim: &Sim, token: &str, options: Value) -> (String, Value) {
    let access = json!({ "access_token": token });
    let trigger = "permission-access/trigger";
    let answer = sim.call(trigger, access.clone(), Some(options)).await;
    let key = answer["session"]["key"].as_str().expect("a key").to_owned();
    let path = format!("permission-access/query/{key}");
    let running = sim.call(&path, access.clone(), None).await;
    assert_eq!(running["status"]["state"], "running");
    let result = sim.call(&path, access, None).await;
    assert_eq!(result["fileList"], json!([]));
    (path, result["status"].clone())
}

#[tokio::test]
async fn a_read_of_a_broken_account_ends_with_the_documented_error() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let (_, healthy) = read(&sim, &token, json!({})).await;
    assert_eq!(healthy["state"], "completed");
    sim.control.break_account(ACCOUNT, ErrorShape::Documented);
    let (_, status) = read(&sim, &token, json!({})).await;
    assert_eq!(status["state"], "partial");
    let seed: Value = serde_json::from_str(SEED).unwrap();
    assert_eq!(status["details"], seed);
    sim.control.break_account(ACCOUNT, ErrorShape::Sdk);
    let (_, status) = read(&sim, &token, json!({})).await;
    let error = &status["details"][ACCOUNT]["error"];
    assert_eq!(error["reauth"], true);
    assert_eq!(error["statusCode"], 511);
    sim.control.mend_account(ACCOUNT);
    let (_, status) = read(&sim, &token, json!({})).await;
    assert_eq!(status["state"], "completed");
}

#[tokio::test]
async fn a_read_can_be_limited_to_accounts() {
    let sim = Sim::start().await;
    sim.control.add_account(USER, Account::new("2_2", "Riverside Bank", None));
    sim.control.break_account(ACCOUNT, ErrorShape::Sdk);
    let token = sim.tokens().access_token.value;
    let only = json!({ "sourceFetchFilter": { "account": { "id": ["2_2", "9_9"] } } });
    let (_, status) = read(&sim, &token, only).await;
    assert_eq!(status, json!({ "state": "completed", "details": { "2_2": { "state": "completed" } } }));
}

#[tokio::test]
async fn a_session_belongs_to_its_user_and_ends() {
    let sim = Sim::start().await;
    let (path, _) = read(&sim, &sim.tokens().access_token.value, json!({})).await;
    let other_user = sim.control.issue_tokens("user-2", CONTRACT);
    let claims = json!({ "access_token": other_user.access_token.value });
    let refused = (406, "InvalidRequest".to_owned());
    assert_eq!(sim.error(&path, claims).await, refused);
    sim.pass(std::time::Duration::from_secs(15 * 60));
    let claims = json!({ "access_token": sim.tokens().access_token.value });
    assert_eq!(sim.error(&path, claims).await, refused);
}

#[tokio::test]
async fn the_state_file_carries_everything_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("simulator.json");
    let start = || Simulator::builder().state_file(path.clone()).start();
    let first = start().await.unwrap();
    first.control().register_contract(contract()).unwrap();
    first.control().add_account(USER, Account::new(ACCOUNT, "Songbird Music", None));
    first.control().break_account(ACCOUNT, ErrorShape::Sdk);
    first.control().echo_state(true);
    let pair = first.control().issue_tokens(USER, CONTRACT);
    let keys = key_set(&first).await;
    first.shutdown().await;

    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777, 0o600);
    let second = start().await.unwrap();
    assert_eq!(key_set(&second).await, keys);
    let state = second.control().call(ControlCall::State).unwrap();
    assert_eq!(state["contracts"], json!([contract()]));
    assert!(second.control().is_broken(ACCOUNT));
    assert!(second.control().settings().echo_state);
    assert_eq!(second.control().expire_access_tokens(USER), 1);
    assert_ne!(second.control().issue_tokens(USER, CONTRACT), pair);
    second.shutdown().await;

    std::fs::write(&path, "{").unwrap();
    let error = start().await.err().unwrap().to_string();
    assert!(error.contains("simulator.json"), "{error}");
}

async fn key_set(simulator: &Simulator) -> Value {
    let url = simulator.base_url().join("jwks/oauth").expect("a URL");
    let response = crate::client::http().get(url).send().await;
    response.expect("an answer").json().await.expect("JSON")
}

#[tokio::test]
async fn the_port_is_free_after_a_shutdown() {
    let simulator = Simulator::builder().signing_key_pkcs8(crate::client::private_key_der()).start().await.unwrap();
    let address = simulator.address();
    simulator.shutdown().await;
    std::net::TcpListener::bind(address).unwrap();
}
