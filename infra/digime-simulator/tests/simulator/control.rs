//! The control API, in process and over HTTP.

use std::time::Duration;

use digime_simulator::{AccessTokenStatus, Account, Failure, KeyForm, RecordedRequest};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::client::{ACCOUNT, CALLBACK, CONTRACT, Sim, USER, contract, error_of};

const ACCOUNTS: &str = "permission-access/accounts";

pub(crate) async fn action(sim: &Sim, method: Method, path: &str, body: Option<Value>) -> Response {
    let url = format!("http://{}/_simulator/{path}", sim.simulator.address());
    let mut request = sim.http.request(method, url);
    if let Some(body) = body {
        request = request.body(body.to_string());
    }
    request.send().await.expect("an answer")
}

#[tokio::test]
async fn failures_happen_as_often_as_asked_and_use_up_the_nonce() {
    let sim = Sim::start().await;
    let jwt = sim.good_jwt(json!({ "access_token": sim.tokens().access_token.value }));
    let failure = Failure { retry_after: Some(7), code: Some("Busy".to_owned()), ..Failure::status(503, 1) };
    sim.control.fail(ACCOUNTS, failure);
    let response = sim.send(ACCOUNTS, &jwt, None).await;
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(error_of(response).await, (503, "Busy".to_owned()));
    let same_jwt = error_of(sim.send(ACCOUNTS, &jwt, None).await).await;
    assert_eq!(same_jwt, (406, "InvalidRequest".to_owned()));
    let token = json!({ "access_token": sim.tokens().access_token.value });
    sim.call(ACCOUNTS, token, None).await;
}

#[tokio::test]
async fn a_failure_can_have_a_body_that_is_not_json() {
    let sim = Sim::start().await;
    let failure = Failure { body: Some("<h1>Bad gateway</h1>".to_owned()), ..Failure::status(502, 1) };
    sim.control.fail(ACCOUNTS, failure);
    let response = sim.send(ACCOUNTS, "x", None).await;
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["content-type"], "text/html");
    assert_eq!(response.text().await.unwrap(), "<h1>Bad gateway</h1>");
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_is_carried_out() {
    let sim = Sim::start().await;
    let pair = sim.tokens();
    let lost = Failure { executed: true, ..Failure::reset(1) };
    sim.control.fail("oauth/token", lost);
    let claims = json!({
        "grant_type": "refresh_token",
        "refresh_token": pair.refresh_token.value,
    });
    let url = sim.simulator.base_url().join("oauth/token").unwrap();
    let jwt = format!("Bearer {}", sim.good_jwt(claims.clone()));
    let request = sim.http.post(url).header("authorization", jwt);
    assert!(request.send().await.is_err());
    let again = sim.error("oauth/token", claims).await;
    assert_eq!(again, (401, "InvalidToken".to_owned()));
    let statuses: Vec<u16> = sim.simulator.requests().iter().map(|r| r.status).collect();
    assert_eq!(statuses, [0, 401]);
}

#[tokio::test]
async fn requests_are_recorded_without_their_query() {
    let sim = Sim::start().await;
    let url = sim.simulator.onboard_url().join("reauthorize?code=c").unwrap();
    sim.http.get(url).send().await.unwrap();
    let expected = RecordedRequest { method: "GET".to_owned(), path: "/apps/saas/reauthorize".to_owned(), status: 400 };
    assert_eq!(sim.simulator.requests(), [expected]);
    sim.simulator.clear_requests();
    assert_eq!(sim.simulator.requests(), []);
}

#[tokio::test]
async fn a_rotated_key_signs_and_the_one_before_still_verifies() {
    let sim = Sim::start().await;
    let claims = || json!({ "access_token": sim.tokens().access_token.value, "redirect_uri": CALLBACK });
    let reference = "oauth/token/reference";
    let before = sim.call(reference, claims(), None).await;
    sim.control.rotate_signing_key(KeyForm::Spki).unwrap();
    let after = sim.call(reference, claims(), None).await;
    let (old, _) = sim.open(&before).await;
    let (new, _) = sim.open(&after).await;
    assert_ne!(old["kid"], new["kid"]);
    let keys = sim.key_set().await;
    assert_eq!(keys.len(), 2);
    assert!(keys[0]["pem"].as_str().unwrap().contains("BEGIN PUBLIC KEY"));
    sim.control.rotate_signing_key(KeyForm::Pkcs1).unwrap();
    let kids: Vec<Value> = sim.key_set().await.iter().map(|k| k["kid"].clone()).collect();
    assert!(!kids.contains(&old["kid"]) && kids.contains(&new["kid"]));
}

#[tokio::test]
async fn answers_can_be_forged() {
    let sim = Sim::start().await;
    let claims = || json!({ "access_token": sim.tokens().access_token.value, "redirect_uri": CALLBACK });
    let reference = "oauth/token/reference";
    sim.control.set_forged_jku(Some("http://127.0.0.1:1/keys"));
    sim.control.set_answer_claims(reference, Some(json!({})));
    let answer = sim.call(reference, claims(), None).await;
    let (header, payload) = sim.open(&answer).await;
    assert_eq!(header["jku"], "http://127.0.0.1:1/keys");
    assert_eq!(payload, json!({}));
    sim.control.set_forged_jku(None);
    sim.control.set_answer_claims(reference, None);
    let answer = sim.call(reference, claims(), None).await;
    assert!(sim.payload(&answer).await["reference_code"].is_string());
}

#[tokio::test]
async fn access_token_status_can_be_absent_or_have_any_expiry() {
    let sim = Sim::start().await;
    let status = async || {
        let token = json!({ "access_token": sim.tokens().access_token.value });
        let accounts = sim.call(ACCOUNTS, token, None).await;
        accounts[0]["accessTokenStatus"].clone()
    };
    sim.control.set_account_expires_at(ACCOUNT, Some(2_000_000_100));
    let seconds = json!({ "authorized": true, "expiresAt": 2_000_000_100 });
    assert_eq!(status().await, seconds);
    sim.control.set_account_expires_at(ACCOUNT, None);
    assert_eq!(status().await, json!({ "authorized": true }));
    sim.control.set_access_token_status(AccessTokenStatus::Absent);
    assert_eq!(status().await, Value::Null);
}

#[tokio::test]
async fn account_ids_are_unique_across_users() {
    let sim = Sim::start().await;
    let account = Account::new(ACCOUNT, "Riverside Bank", None);
    assert!(!sim.control.add_account("user-2", account.clone()));
    assert_eq!(sim.control.accounts(USER)[0].service_name, "Songbird Music");
    assert!(sim.control.remove_account(ACCOUNT));
    assert!(sim.control.add_account("user-2", account));
}

#[tokio::test]
async fn the_control_api_works_over_http() {
    let sim = Sim::start().await;
    let steps = [
        (Method::PUT, "users/u9", None, 204),
        (Method::PUT, "users/u9/accounts/9_9", Some(json!({ "serviceName": "Riverside Bank" })), 204),
        (Method::PUT, "users/u9/accounts/1_1xxxxxxxxx", Some(json!({ "serviceName": "X" })), 409),
        (Method::POST, "accounts/9_9/break", Some(json!({ "shape": "sdk" })), 204),
        (Method::POST, "accounts/none/break", None, 404),
        (Method::POST, "accounts/9_9/break", Some(json!({ "shape": "x" })), 400),
        (Method::PUT, "accounts/9_9/username", Some(json!({ "username": "kim" })), 204),
        (Method::PUT, "accounts/9_9/expires-at", Some(json!({ "expiresAt": 5 })), 204),
        (Method::PUT, "accounts/9_9/error", Some(json!({ "error": { "code": "RateLimit" } })), 204),
        (Method::POST, "users/u9/tokens", Some(json!({ "contractId": CONTRACT })), 200),
        (Method::POST, "users/u9/tokens", Some(json!({ "contractId": "none" })), 404),
        (Method::POST, "users/u9/expire-access-tokens", None, 200),
        (Method::POST, "users/u9/expire-refresh-tokens", None, 200),
        (Method::POST, "users/u9/kill-refresh-tokens", None, 200),
        (Method::POST, "users/u9/revoke-tokens", None, 200),
        (Method::PATCH, "settings", Some(json!({ "accessTokenStatus": "absent", "readDelayPolls": 0 })), 200),
        (Method::PATCH, "settings", Some(json!({ "unknown": 1 })), 400),
        (Method::PUT, "latency", Some(json!({ "pathPrefix": "oauth", "milliseconds": 1 })), 204),
        (Method::POST, "failures", Some(json!({ "path": ACCOUNTS, "failure": { "status": 503 } })), 204),
        (Method::DELETE, "failures", None, 204),
        (Method::PUT, "forgery", Some(json!({ "badSignatures": true })), 204),
        (Method::POST, "signing-key/rotate", Some(json!({ "form": "spki" })), 204),
        (Method::GET, "requests", None, 200),
        (Method::DELETE, "requests", None, 204),
    ];
    for (method, path, body, status) in steps {
        let response = action(&sim, method, path, body).await;
        assert_eq!(response.status(), status, "{path}");
    }
    let body = serde_json::to_value(contract()).unwrap();
    let put = action(&sim, Method::PUT, "contracts/other", Some(body)).await;
    assert_eq!(put.status(), 204);
    let state: Value = action(&sim, Method::GET, "state", None).await.json().await.unwrap();
    let account = state["accounts"].as_array().unwrap().iter().find(|account| account["id"] == "9_9").unwrap();
    assert_eq!(account["broken"], "sdk");
    assert_eq!(account["username"], "kim");
    assert_eq!(state["settings"]["accessTokenStatus"], "absent");
    assert_eq!(state["contracts"][1]["contractId"], "other");
    for status in [204, 404] {
        assert_eq!(action(&sim, Method::DELETE, "contracts/other", None).await.status(), status);
    }
    let state: Value = action(&sim, Method::GET, "state", None).await.json().await.unwrap();
    assert_eq!(state["contracts"].as_array().unwrap().len(), 1);
    assert_eq!(action(&sim, Method::POST, "accounts/9_9/mend", None).await.status(), 204);
    assert_eq!(action(&sim, Method::DELETE, "accounts/9_9", None).await.status(), 204);
}

#[tokio::test]
async fn a_foreign_host_or_origin_changes_nothing() {
    let sim = Sim::start().await;
    let url = format!("http://{}/_simulator/accounts/{ACCOUNT}/break", sim.simulator.address());
    for (name, value, status) in [
        ("host", "evil.example", 421),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
    ] {
        let response = sim.http.post(&url).header(name, value).send().await.unwrap();
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{name}");
    }
    assert!(!sim.control.is_broken(ACCOUNT));
}

#[tokio::test]
async fn latency_delays_the_answer_of_its_path() {
    let sim = Sim::start().await;
    sim.control.set_latency(Some("jwks/oauth"), Duration::from_secs(30));
    let url = sim.simulator.base_url().join("jwks/oauth").unwrap();
    let request = sim.http.get(url).timeout(Duration::from_millis(50));
    assert!(request.send().await.unwrap_err().is_timeout());
    sim.control.set_latency(Some("jwks/oauth"), Duration::ZERO);
    assert_eq!(sim.key_set().await.len(), 1);
}

#[tokio::test]
async fn latency_delays_a_page_and_its_form() {
    let sim = Sim::start().await;
    let latency = async |milliseconds: u64| {
        let body = json!({ "pathPrefix": "/apps/saas/user-reauth", "milliseconds": milliseconds });
        assert_eq!(action(&sim, Method::PUT, "latency", Some(body)).await.status(), 204);
    };
    let page = |method, name| {
        let url = sim.simulator.onboard_url().join(name).unwrap();
        sim.http.request(method, url).form(&[("code", "unknown")])
    };
    latency(30_000).await;
    for method in [Method::GET, Method::POST] {
        let request = page(method.clone(), "user-reauth").timeout(Duration::from_millis(50));
        assert!(request.send().await.is_err_and(|error| error.is_timeout()), "{method}");
    }
    assert_eq!(page(Method::POST, "reauthorize").send().await.unwrap().status(), 400);
    latency(0).await;
    for method in [Method::GET, Method::POST] {
        assert_eq!(page(method, "user-reauth").send().await.unwrap().status(), 400);
    }
}
