//! The consent pages and the redirects of their buttons.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use digime_simulator::{Account, ErrorShape};
use reqwest::Response;
use serde_json::{Value, json};
use url::Url;

use crate::client::{ACCOUNT, CALLBACK, Sim, USER};

pub(crate) const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters";

pub(crate) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()))
}

/// A reference code and an account reference, as for the account reauthorization page.
async fn reauthorization(sim: &Sim, redirect_uri: &str, state: &str) -> (String, String) {
    let claims = json!({
        "access_token": sim.tokens().access_token.value,
        "redirect_uri": redirect_uri,
        "state": state,
    });
    let answer = sim.call("oauth/token/reference", claims, None).await;
    let code = sim.payload(&answer).await["reference_code"].clone();
    let body = json!({ "type": "accountId", "value": ACCOUNT });
    let reference = sim.call("reference", json!({}), Some(body)).await;
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&code), text(&reference["id"]))
}

pub(crate) async fn submit(sim: &Sim, page: &str, fields: &[(&str, &str)]) -> Response {
    let url = sim.simulator.onboard_url().join(page).expect("a URL");
    let request = sim.http.post(url).form(fields);
    request.send().await.expect("an answer")
}

/// The URL of the redirect, and its parameters.
pub(crate) fn redirect(response: &Response) -> (Url, BTreeMap<String, String>) {
    assert_eq!(response.status(), 303);
    let location = response.headers()["location"].to_str().expect("ASCII");
    let location = Url::parse(location).expect("a URL");
    let parameters = location.query_pairs().into_owned().collect();
    (location, parameters)
}

pub(crate) fn parameters(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

#[tokio::test]
async fn the_page_names_service_and_user_and_escapes_them() {
    let sim = Sim::start().await;
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    sim.control.set_username(ACCOUNT, Some("<script>alert(1)</script>".to_owned()));
    let url = sim.simulator.onboard_url().join("reauthorize").unwrap();
    let query = [("code", code.as_str()), ("accountRef", &reference), ("lng", "de")];
    let response = sim.http.get(url).query(&query).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let policy = response.headers()["content-security-policy"].clone();
    assert!(!policy.to_str().unwrap().contains("form-action"));
    let page = response.text().await.unwrap();
    assert!(page.contains("Songbird Music"));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
    for decision in
        ["success", "another", "USER_CANCEL", "INITIALIZE_CHECK_FAIL", "INVALID_CODE", "ONBOARD_ERROR", "SERVER_ERROR"]
    {
        assert!(page.contains(&format!("value=\"{decision}\"")), "{decision}");
    }
}

#[tokio::test]
async fn a_reauthorization_mends_the_account_and_returns_with_success() {
    let sim = Sim::start().await;
    sim.control.break_account(ACCOUNT, ErrorShape::Documented);
    let callback = format!("{CALLBACK}?state=a%2Bb&x=");
    let (code, reference) = reauthorization(&sim, &callback, "claimed").await;
    let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", "success")];
    sim.pass(Duration::from_secs(60));
    let (location, _) = redirect(&submit(&sim, "reauthorize", &fields).await);
    assert_eq!(location.as_str(), format!("{callback}&success=true"));
    assert!(!sim.control.is_broken(ACCOUNT));
    let token = json!({ "access_token": sim.tokens().access_token.value });
    let accounts = sim.call("permission-access/accounts", token, None).await;
    let expected = sim.now_ms() + 90 * 86_400_000;
    assert_eq!(accounts[0]["accessTokenStatus"], json!({ "authorized": true, "expiresAt": expected }));
    let again = redirect(&submit(&sim, "reauthorize", &fields).await).1;
    assert_eq!(again["errorCode"], "INVALID_CODE");
    assert_eq!(again["success"], "false");
}

#[tokio::test]
async fn each_error_code_is_returned_and_the_code_stays_good_for_a_second_try() {
    let sim = Sim::start().await;
    sim.control.break_account(ACCOUNT, ErrorShape::Documented);
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    for error_code in ["USER_CANCEL", "ONBOARD_ERROR", "SERVER_ERROR"] {
        let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", error_code)];
        let (_, found) = redirect(&submit(&sim, "reauthorize", &fields).await);
        let expected = parameters(&[("success", "false"), ("errorCode", error_code)]);
        assert_eq!(found, expected);
        assert!(sim.control.is_broken(ACCOUNT));
    }
    let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", "success")];
    redirect(&submit(&sim, "reauthorize", &fields).await);
    assert!(!sim.control.is_broken(ACCOUNT));
}

#[tokio::test]
async fn state_is_echoed_when_the_setting_asks_for_it() {
    let sim = Sim::start().await;
    sim.control.echo_state(true);
    let (code, reference) = reauthorization(&sim, CALLBACK, "s &=1").await;
    let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", "USER_CANCEL")];
    let (_, found) = redirect(&submit(&sim, "reauthorize", &fields).await);
    assert_eq!(found["state"], "s &=1");
}

#[tokio::test]
async fn another_account_of_the_service_changes_the_username() {
    let sim = Sim::start().await;
    sim.control.break_account(ACCOUNT, ErrorShape::Sdk);
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", "another"), ("username", "alex")];
    let (_, found) = redirect(&submit(&sim, "reauthorize", &fields).await);
    assert_eq!(found["success"], "true");
    assert_eq!(sim.control.accounts(USER)[0].username.as_deref(), Some("alex"));
    assert!(!sim.control.is_broken(ACCOUNT));
}

#[tokio::test]
async fn the_accounts_own_user_replaces_another_one_with_the_next_success() {
    let sim = Sim::start().await;
    let own = sim.simulator.control().accounts(USER)[0].username.clone();
    let authorize = async |decision: &str, username: &str| {
        let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
        let fields =
            [("code", code.as_str()), ("accountRef", &reference), ("decision", decision), ("username", username)];
        assert_eq!(submit(&sim, "reauthorize", &fields).await.status(), 303);
        sim.simulator.control().accounts(USER)[0].username.clone()
    };
    assert_eq!(authorize("another", "wrong").await.as_deref(), Some("wrong"));
    assert_eq!(authorize("another", "wronger").await.as_deref(), Some("wronger"));
    // The page still shows whose account it is.
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    let url = sim.simulator.onboard_url().join("reauthorize").unwrap();
    let page = sim.http.get(url).query(&[("code", &code), ("accountRef", &reference)]).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(own.as_deref().unwrap()) && !page.contains("wronger"), "{page}");
    assert_eq!(authorize("USER_CANCEL", "").await.as_deref(), Some("wronger"));
    assert_eq!(authorize("success", "").await, own);
    // A username that the control API sets is the account's own.
    authorize("another", "wrong").await;
    sim.simulator.control().set_username(ACCOUNT, Some("renamed".to_owned()));
    assert_eq!(authorize("success", "").await.as_deref(), Some("renamed"));
}

#[tokio::test]
async fn an_old_code_or_one_of_another_page_redirects_with_an_error_and_an_unknown_code_does_not() {
    let sim = Sim::start().await;
    sim.control.add_account("user-2", Account::new("3_3", "Songbird Music", None));
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    let foreign = json!({ "type": "accountId", "value": "3_3" });
    let foreign = sim.call("reference", json!({}), Some(foreign)).await;
    let foreign = foreign["id"].as_str().unwrap();
    let fields = |reference| [("code", code.as_str()), ("accountRef", reference), ("decision", "success")];
    for (page, reference) in [("user-reauth", reference.as_str()), ("reauthorize", "unknown"), ("reauthorize", foreign)]
    {
        let (_, found) = redirect(&submit(&sim, page, &fields(reference)).await);
        assert_eq!(found["errorCode"], "INITIALIZE_CHECK_FAIL");
    }
    sim.pass(Duration::from_secs(15 * 60));
    let (_, found) = redirect(&submit(&sim, "reauthorize", &fields(&reference)).await);
    assert_eq!(found["errorCode"], "INVALID_CODE");
    let unknown = [("code", "unknown"), ("decision", "success")];
    assert_eq!(submit(&sim, "reauthorize", &unknown).await.status(), 400);
    let url = sim.simulator.onboard_url().join("reauthorize").unwrap();
    let query = [("code", code.as_str())];
    let page = sim.http.get(url).query(&query).send().await.unwrap();
    assert_eq!(page.status(), 400);
    assert!(page.text().await.unwrap().contains("INVALID_CODE"));
}

pub(crate) fn exchange(code: &str, verifier: &str) -> Value {
    json!({ "grant_type": "authorization_code", "code": code, "code_verifier": verifier })
}

#[tokio::test]
async fn a_first_authorization_makes_a_user_with_an_account() {
    let sim = Sim::start().await;
    let claims = json!({
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "response_mode": "query",
        "state": "first",
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    });
    let answer = sim.call("oauth/authorize", claims, None).await;
    let payload = sim.payload(&answer).await;
    let code = payload["preauthorization_code"].as_str().unwrap();
    let fields = [("code", code), ("service", "2"), ("decision", "success")];
    let (_, found) = redirect(&submit(&sim, "authorize", &fields).await);
    assert_eq!(found["state"], "first");
    let answer = sim.call("oauth/token", exchange(&found["code"], VERIFIER), None).await;
    let payload = sim.payload(&answer).await;
    let token = json!({ "access_token": payload["access_token"]["value"] });
    let accounts = sim.call("permission-access/accounts", token, None).await;
    assert_eq!(accounts[0]["serviceTypeName"], "Step Counter");
    assert_eq!(accounts[0]["reference"], found["accountReference"].as_str());
    let user = payload["sub"].as_str().unwrap().to_owned();
    assert!(sim.control.users().contains(&user));
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let sim = Sim::start().await;
    sim.control.break_account(ACCOUNT, ErrorShape::Sdk);
    let (code, reference) = reauthorization(&sim, CALLBACK, "s").await;
    let url = sim.simulator.onboard_url().join("reauthorize").unwrap();
    let request = sim.http.post(url).header("origin", "https://evil.example");
    let fields = [("code", code.as_str()), ("accountRef", &reference), ("decision", "success")];
    let response = request.form(&fields).send().await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(sim.control.is_broken(ACCOUNT));
    assert_eq!(response.headers().get("access-control-allow-origin"), None);
}
