//! New users, and further services of known ones.

use std::collections::BTreeMap;

use digime_simulator::{Account, ErrorShape};
use serde_json::{Value, json};

use crate::client::{ACCOUNT, CALLBACK, CONTRACT, Sim, USER};
use crate::consent::{VERIFIER, challenge, exchange, parameters, redirect, submit};

const INVALID_REQUEST: u16 = 406;

/// The answer of `oauth/authorize` for a user that digi.me does not know yet.
async fn authorization(sim: &Sim) -> (String, String) {
    let claims = json!({
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "response_mode": "query",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    });
    let answer = sim.call("oauth/authorize", claims, None).await;
    let code = sim.payload(&answer).await["preauthorization_code"].clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&code), text(&answer["session"]["key"]))
}

/// A code for the page of a further service, and the session that came with it.
async fn reference(sim: &Sim, access_token: &str) -> (String, String) {
    let claims = json!({ "access_token": access_token, "redirect_uri": CALLBACK, "state": "more" });
    let answer = sim.call("oauth/token/reference", claims, None).await;
    let code = sim.payload(&answer).await["reference_code"].clone();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&code), text(&answer["session"]["key"]))
}

async fn decide(sim: &Sim, page: &str, code: &str, service: &str, decision: &str) -> BTreeMap<String, String> {
    let fields = [("code", code), ("service", service), ("decision", decision)];
    redirect(&submit(sim, page, &fields).await).1
}

/// The accounts of the user that the token stands for, by the names of their services.
async fn services(sim: &Sim, access_token: &str) -> Vec<String> {
    let accounts = sim.call("permission-access/accounts", json!({ "access_token": access_token }), None).await;
    let names = accounts.as_array().expect("a list").iter().map(|account| account["serviceTypeName"].as_str());
    names.map(|name| name.expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn the_session_of_a_first_authorization_is_good_for_the_first_read() {
    let sim = Sim::start().await;
    let (code, session) = authorization(&sim).await;
    let query = format!("permission-access/query/{session}");
    let other_user = json!({ "access_token": sim.tokens().access_token.value });
    assert_eq!(sim.error(&query, other_user.clone()).await.0, INVALID_REQUEST);

    let found = decide(&sim, "authorize", &code, "1", "success").await;
    let answer = sim.call("oauth/token", exchange(&found["code"], VERIFIER), None).await;
    let pair = sim.payload(&answer).await;
    let access = json!({ "access_token": pair["access_token"]["value"] });
    let accounts = sim.call("permission-access/accounts", access.clone(), None).await;
    let id = accounts[0]["id"].as_str().unwrap();

    let running = sim.call(&query, access.clone(), None).await;
    assert_eq!(running["status"], json!({ "state": "running", "details": { id: { "state": "running" } } }));
    let result = sim.call(&query, access.clone(), None).await;
    assert_eq!(result["status"], json!({ "state": "completed", "details": { id: { "state": "completed" } } }));
    sim.control.break_account(id, ErrorShape::Documented);
    let result = sim.call(&query, access, None).await;
    assert_eq!(result["status"]["details"][id]["error"]["statusCode"], 511);
    assert_eq!(sim.error(&query, other_user).await.0, INVALID_REQUEST);
}

#[tokio::test]
async fn the_session_of_a_cancelled_authorization_reads_nothing() {
    let sim = Sim::start().await;
    let (code, session) = authorization(&sim).await;
    let found = decide(&sim, "authorize", &code, "1", "USER_CANCEL").await;
    assert_eq!(found, parameters(&[("success", "false"), ("errorCode", "USER_CANCEL")]));
    let access = json!({ "access_token": sim.tokens().access_token.value });
    assert_eq!(sim.error(&format!("permission-access/query/{session}"), access).await.0, INVALID_REQUEST);
}

#[tokio::test]
async fn a_further_service_is_in_the_users_list_and_in_the_read_of_its_session() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let (code, session) = reference(&sim, &token).await;
    let url = sim.simulator.onboard_url().join("onboard").unwrap();
    let query = [("code", code.as_str()), ("service", "2"), ("lng", "de"), ("sourceType", "pull")];
    let page = sim.http.get(url).query(&query).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers().contains_key("content-security-policy"));
    let page = page.text().await.unwrap();
    assert!(page.contains("<option value=\"2\" selected>Step Counter"), "{page}");
    for decision in ["success", "USER_CANCEL", "INITIALIZE_CHECK_FAIL", "INVALID_CODE", "ONBOARD_ERROR", "SERVER_ERROR"]
    {
        assert!(page.contains(&format!("value=\"{decision}\"")), "{decision}");
    }

    let found = decide(&sim, "onboard", &code, "2", "success").await;
    assert_eq!(found, parameters(&[("success", "true"), ("state", "more")]));
    assert_eq!(services(&sim, &token).await, ["Songbird Music", "Step Counter"]);
    let path = format!("permission-access/query/{session}");
    sim.call(&path, json!({ "access_token": token }), None).await;
    let result = sim.call(&path, json!({ "access_token": token }), None).await;
    assert_eq!(result["status"]["details"].as_object().unwrap().len(), 2);

    let again = decide(&sim, "onboard", &code, "2", "success").await;
    assert_eq!(again["errorCode"], "INVALID_CODE");
    assert_eq!(services(&sim, &token).await.len(), 2);
}

#[tokio::test]
async fn a_further_service_that_fails_is_not_added_and_can_be_tried_again() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let (code, _) = reference(&sim, &token).await;
    for error_code in ["USER_CANCEL", "ONBOARD_ERROR", "SERVER_ERROR"] {
        let found = decide(&sim, "onboard", &code, "2", error_code).await;
        assert_eq!(found, parameters(&[("success", "false"), ("state", "more"), ("errorCode", error_code)]));
    }
    let none = [("code", code.as_str()), ("decision", "success")];
    assert_eq!(submit(&sim, "onboard", &none).await.status(), 400);
    assert_eq!(services(&sim, &token).await, ["Songbird Music"]);
    decide(&sim, "onboard", &code, "4", "success").await;
    assert_eq!(services(&sim, &token).await, ["Songbird Music", "County Health Record"]);
}

#[tokio::test]
async fn a_code_of_another_page_adds_no_service() {
    let sim = Sim::start().await;
    let (code, _) = authorization(&sim).await;
    let found = decide(&sim, "onboard", &code, "2", "success").await;
    assert_eq!(found["errorCode"], "INITIALIZE_CHECK_FAIL");
    sim.control.add_account("user-2", Account::new("2_2", "Riverside Bank", None));
    let token = sim.control.issue_tokens("user-2", CONTRACT).access_token.value;
    let (code, _) = reference(&sim, &token).await;
    decide(&sim, "onboard", &code, "2", "success").await;
    let ids: Vec<_> = sim.control.accounts(USER).into_iter().map(|account| account.id).collect();
    assert_eq!(ids, [ACCOUNT]);
}
