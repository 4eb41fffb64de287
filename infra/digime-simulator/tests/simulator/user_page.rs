//! The user reauthorization page, and all the ways in which it can end.

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::{CALLBACK, Sim, USER};
use crate::consent::{VERIFIER, challenge, exchange, parameters, redirect, submit};

/// A code for the page.
async fn page_code(sim: &Sim, access_token: &str) -> String {
    let claims = json!({
        "access_token": access_token,
        "redirect_uri": CALLBACK,
        "state": "user-state",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    });
    let answer = sim.call("oauth/token/reference", claims, None).await;
    let payload = sim.payload(&answer).await;
    payload["reference_code"].as_str().expect("a code").to_owned()
}

/// The parameters of the redirect after a decision.
async fn decide(sim: &Sim, page_code: &str, decision: &str, username: &str) -> BTreeMap<String, String> {
    let fields = [("code", page_code), ("decision", decision), ("username", username)];
    redirect(&submit(sim, "user-reauth", &fields).await).1
}

/// The code that the application gets after a decision, which must look like a success.
async fn granted_code(sim: &Sim, decision: &str, username: &str) -> String {
    let page_code = page_code(sim, &sim.tokens().access_token.value).await;
    let found = decide(sim, &page_code, decision, username).await;
    let code = found["code"].clone();
    assert_eq!(found, parameters(&[("success", "true"), ("code", &code), ("state", "user-state")]));
    let again = decide(sim, &page_code, decision, username).await;
    assert_eq!(again["errorCode"], "INVALID_CODE", "the code of the page is used up");
    code
}

fn refused() -> (u16, String) {
    (406, "InvalidRequest".to_owned())
}

#[tokio::test]
async fn a_user_with_dead_tokens_gets_new_ones_on_the_user_page() {
    let sim = Sim::start().await;
    let pair = sim.tokens();
    sim.control.expire_access_tokens(USER);
    sim.control.kill_refresh_tokens(USER);
    let refresh = json!({
        "grant_type": "refresh_token",
        "refresh_token": pair.refresh_token.value,
    });
    let dead = sim.error("oauth/token", refresh).await;
    assert_eq!(dead, (401, "InvalidToken".to_owned()));
    let page_code = page_code(&sim, &pair.access_token.value).await;
    let code = decide(&sim, &page_code, "success", "").await["code"].clone();
    let answer = sim.call("oauth/token", exchange(&code, VERIFIER), None).await;
    assert_eq!(sim.payload(&answer).await["sub"], USER);
    let twice = sim.error("oauth/token", exchange(&code, VERIFIER)).await;
    assert_eq!(twice, refused());
}

#[tokio::test]
async fn a_wrong_code_verifier_spends_the_code() {
    let sim = Sim::start().await;
    let code = granted_code(&sim, "success", "").await;
    for verifier in ["another-verifier", VERIFIER] {
        let answer = sim.error("oauth/token", exchange(&code, verifier)).await;
        assert_eq!(answer, refused());
    }
}

#[tokio::test]
async fn the_page_has_a_button_for_each_decision() {
    let sim = Sim::start().await;
    let code = page_code(&sim, &sim.tokens().access_token.value).await;
    let url = sim.simulator.onboard_url().join("user-reauth").unwrap();
    let response = sim.http.get(url).query(&[("code", code)]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let page = response.text().await.unwrap();
    for decision in [
        "success",
        "another-user",
        "used-code",
        "other-verifier",
        "USER_CANCEL",
        "INITIALIZE_CHECK_FAIL",
        "INVALID_CODE",
        "ONBOARD_ERROR",
        "SERVER_ERROR",
    ] {
        assert!(page.contains(&format!("value=\"{decision}\"")), "{decision}");
    }
    assert!(page.contains("name=\"username\" value=\"someone-else\""));
}

#[tokio::test]
async fn another_digi_me_user_gets_tokens_that_name_that_user() {
    let sim = Sim::start().await;
    sim.control.add_user("kim");
    for user in ["someone-else", "kim"] {
        let code = granted_code(&sim, "another-user", user).await;
        assert_eq!(sim.control.users(), ["kim", "someone-else", USER]);
        let answer = sim.call("oauth/token", exchange(&code, VERIFIER), None).await;
        let payload = sim.payload(&answer).await;
        assert_eq!(payload["sub"], user);
        let access = json!({ "access_token": payload["access_token"]["value"] });
        assert_eq!(sim.call("permission-access/accounts", access, None).await, json!([]));
    }
}

#[tokio::test]
async fn another_user_without_a_name_is_refused_and_the_page_stays_usable() {
    let sim = Sim::start().await;
    let code = page_code(&sim, &sim.tokens().access_token.value).await;
    let fields = [("code", code.as_str()), ("decision", "another-user")];
    assert_eq!(submit(&sim, "user-reauth", &fields).await.status(), 400);
    assert_eq!(sim.control.users(), [USER]);
    assert_eq!(decide(&sim, &code, "success", "").await["success"], "true");
}

#[tokio::test]
async fn a_code_that_has_been_used_is_refused() {
    let sim = Sim::start().await;
    let code = granted_code(&sim, "used-code", "").await;
    assert_eq!(sim.error("oauth/token", exchange(&code, VERIFIER)).await, refused());
}

#[tokio::test]
async fn a_code_for_another_verifier_is_refused() {
    let sim = Sim::start().await;
    let code = granted_code(&sim, "other-verifier", "").await;
    assert_eq!(sim.error("oauth/token", exchange(&code, VERIFIER)).await, refused());
}

#[tokio::test]
async fn no_other_page_has_the_decisions_of_the_user_page() {
    let sim = Sim::start().await;
    let claims = json!({ "access_token": sim.tokens().access_token.value, "redirect_uri": CALLBACK });
    let answer = sim.call("oauth/token/reference", claims, None).await;
    let code = sim.payload(&answer).await["reference_code"].as_str().unwrap().to_owned();
    for decision in ["another-user", "used-code", "other-verifier"] {
        let fields = [("code", code.as_str()), ("service", "1"), ("username", "kim"), ("decision", decision)];
        assert_eq!(submit(&sim, "onboard", &fields).await.status(), 400, "{decision}");
    }
    assert_eq!(sim.control.users(), [USER]);
}
