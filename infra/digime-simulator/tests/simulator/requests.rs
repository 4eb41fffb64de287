//! What a request must be like to be accepted.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{CALLBACK, CONTRACT, Signature, Sim, USER, error_of, jwt};

const ACCOUNTS: &str = "permission-access/accounts";

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn only_ps512_with_a_64_byte_salt_is_accepted() {
    let sim = Sim::start().await;
    let token = json!({ "access_token": sim.tokens().access_token.value });
    let good = json!({ "alg": "PS512", "typ": "JWT" });
    for (header, signature) in [
        (&good, Signature::ShortSalt),
        (&good, Signature::Pkcs1),
        (&good, Signature::Broken),
        (&json!({ "alg": "RS512", "typ": "JWT" }), Signature::Pkcs1),
        (&json!({ "alg": "PS512" }), Signature::Ps512),
        (&json!({ "alg": "none", "typ": "JWT" }), Signature::Ps512),
    ] {
        let bad = jwt(header, &sim.claims(token.clone()), signature);
        let answer = error_of(sim.send(ACCOUNTS, &bad, None).await).await;
        assert_eq!(answer, refused(406, "ValidationErrors"));
    }
    let fine = jwt(&good, &sim.claims(token), Signature::Ps512);
    assert_eq!(sim.send(ACCOUNTS, &fine, None).await.status(), 200);
}

#[tokio::test]
async fn a_request_without_a_readable_jwt_is_refused() {
    let sim = Sim::start().await;
    for bad in ["", "x", "a.b", "a.b.c", "e30.e30.e30"] {
        let answer = error_of(sim.send(ACCOUNTS, bad, None).await).await;
        assert_eq!(answer, refused(406, "ValidationErrors"), "{bad}");
    }
}

#[tokio::test]
async fn a_nonce_is_good_for_one_request() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let jwt = sim.good_jwt(json!({ "access_token": token }));
    assert_eq!(sim.send(ACCOUNTS, &jwt, None).await.status(), 200);
    let again = error_of(sim.send(ACCOUNTS, &jwt, None).await).await;
    assert_eq!(again, refused(406, "InvalidRequest"));
}

#[tokio::test]
async fn the_timestamp_must_be_within_five_minutes() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let with = |timestamp: Value| json!({ "access_token": token, "timestamp": timestamp });
    let now = sim.now_ms();
    for offset in [-301_000, 301_000] {
        let answer = sim.error(ACCOUNTS, with(json!(now + offset))).await;
        assert_eq!(answer, refused(406, "InvalidRequest"), "{offset}");
    }
    for offset in [-299_000, 299_000] {
        sim.call(ACCOUNTS, with(json!(now + offset)), None).await;
    }
    sim.call(ACCOUNTS, with(json!(2_000_000_000_000.25)), None).await;
    let text = sim.error(ACCOUNTS, with(json!("2000000000000"))).await;
    assert_eq!(text, refused(406, "ValidationErrors"));
}

#[tokio::test]
async fn an_unknown_client_is_refused() {
    let sim = Sim::start().await;
    for client_id in ["app_other", "other_contract_1", "contract_1", ""] {
        let answer = sim.error(ACCOUNTS, json!({ "client_id": client_id })).await;
        assert_eq!(answer, refused(406, "InvalidClient"), "{client_id}");
    }
}

#[tokio::test]
async fn the_redirect_uri_must_be_registered() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let with = |uri: &str| json!({ "access_token": token, "redirect_uri": uri });
    let reference = "oauth/token/reference";
    for uri in [
        "https://app.example/callback/",
        "https://app.example/other",
        "https://other.example/callback",
        "https://app.example/callback#x",
        "https://app.example/callback?state=1#x",
    ] {
        let answer = sim.error(reference, with(uri)).await;
        assert_eq!(answer, refused(404, "InvalidRedirectUri"), "{uri}");
    }
    let query = format!("{CALLBACK}?state=1");
    sim.call(reference, with(CALLBACK), None).await;
    sim.call(reference, with(&query), None).await;
    sim.control.allow_redirect_query(false);
    let answer = sim.error(reference, with(&query)).await;
    assert_eq!(answer, refused(404, "InvalidRedirectUri"));
    sim.call(reference, with(CALLBACK), None).await;
}

#[tokio::test]
async fn an_access_token_must_be_known_and_of_this_contract_and_fresh() {
    let sim = Sim::start().await;
    let with = |token: &str| json!({ "access_token": token });
    let invalid = refused(401, "InvalidToken");
    assert_eq!(sim.error(ACCOUNTS, with("unknown")).await, invalid);
    let foreign = sim.control.issue_tokens(USER, "contract_2");
    let foreign = sim.error(ACCOUNTS, with(&foreign.access_token.value)).await;
    assert_eq!(foreign, invalid);
    let pair = sim.tokens();
    sim.pass(Duration::from_secs(24 * 3600 - 1));
    sim.call(ACCOUNTS, with(&pair.access_token.value), None).await;
    sim.pass(Duration::from_secs(1));
    let late = sim.error(ACCOUNTS, with(&pair.access_token.value)).await;
    assert_eq!(late, invalid);
    let missing = sim.error(ACCOUNTS, json!({})).await;
    assert_eq!(missing, refused(406, "ValidationErrors"));
}

#[tokio::test]
async fn a_refused_token_is_named_in_the_words_of_digi_me() {
    let sim = Sim::start().await;
    let message = async |path: &str, claims: Value| {
        let response = sim.send(path, &sim.good_jwt(claims), None).await;
        let header = response.headers()["x-error-message"].to_str().unwrap().to_owned();
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"]["message"], header.as_str());
        header
    };
    let access = |value: &str| json!({ "access_token": value });
    let refresh = |value: &str| json!({ "grant_type": "refresh_token", "refresh_token": value });
    assert_eq!(message(ACCOUNTS, access("unknown")).await, "The token (access_token) is invalid");
    assert_eq!(message("oauth/token", refresh("unknown")).await, "The token (refresh_token) is invalid");
    let pair = sim.tokens();
    sim.pass(Duration::from_secs(30 * 86_400));
    let expired = access(&pair.access_token.value);
    assert_eq!(message(ACCOUNTS, expired).await, "The token (access_token) is expired");
    let expired = refresh(&pair.refresh_token.value);
    assert_eq!(message("oauth/token", expired).await, "The token (refresh_token) is expired");
}

#[tokio::test]
async fn an_unknown_path_or_method_is_an_error_in_digi_me_s_form() {
    let sim = Sim::start().await;
    for path in ["discovery/services", "oauth", "permission-access/query", "permission-access/query/a/b", "user/x", ""]
    {
        let response = sim.request(Method::GET, path, json!({}), &[]).await;
        assert_eq!(error_of(response).await, refused(404, "NotFound"), "{path}");
    }
    for (method, path) in [
        (Method::GET, "oauth/token"),
        (Method::POST, ACCOUNTS),
        (Method::PATCH, "user"),
        (Method::PUT, "permission-access/contract"),
    ] {
        let response = sim.request(method, path, json!({}), &[]).await;
        assert!(response.headers().contains_key("allow"), "{path}");
        assert_eq!(error_of(response).await, refused(405, "MethodNotAllowed"), "{path}");
    }
    assert_eq!(sim.simulator.requests().len(), 10);
}

#[tokio::test]
async fn a_refresh_rotates_both_tokens() {
    let sim = Sim::start().await;
    let old = sim.tokens();
    let refresh = |value: &str| json!({ "grant_type": "refresh_token", "refresh_token": value });
    let old_refresh = refresh(&old.refresh_token.value);
    let answer = sim.call("oauth/token", old_refresh.clone(), None).await;
    let new = sim.payload(&answer).await;
    assert_eq!(new["sub"], USER);
    assert_eq!(new["consentid"], old.consentid);
    assert_eq!(new["access_token"]["expires_on"], 2_000_000_000 + 86_400);
    let invalid = refused(401, "InvalidToken");
    assert_eq!(sim.error("oauth/token", old_refresh).await, invalid);
    let old_access = json!({ "access_token": old.access_token.value });
    assert_eq!(sim.error(ACCOUNTS, old_access).await, invalid);
    let new_access = json!({ "access_token": new["access_token"]["value"] });
    sim.call(ACCOUNTS, new_access, None).await;
    sim.pass(Duration::from_secs(30 * 86_400));
    let expired = refresh(new["refresh_token"]["value"].as_str().unwrap());
    assert_eq!(sim.error("oauth/token", expired).await, invalid);
}

#[tokio::test]
async fn an_unknown_grant_type_or_a_bad_challenge_is_refused() {
    let sim = Sim::start().await;
    let bad = refused(406, "ValidationErrors");
    let unknown = json!({ "grant_type": "password" });
    assert_eq!(sim.error("oauth/token", unknown).await, bad);
    let plain = json!({
        "access_token": sim.tokens().access_token.value,
        "redirect_uri": CALLBACK,
        "code_challenge": "x".repeat(43),
        "code_challenge_method": "plain",
    });
    assert_eq!(sim.error("oauth/token/reference", plain).await, bad);
}

#[tokio::test]
async fn a_reference_wants_a_known_account() {
    let sim = Sim::start().await;
    let unknown = json!({ "type": "accountId", "value": "9_9" });
    let response = sim.send("reference", &sim.good_jwt(json!({})), Some(unknown)).await;
    let answer = error_of(response).await;
    assert_eq!(answer, refused(406, "InvalidRequest"));
    let nothing = sim.error("reference", json!({})).await;
    assert_eq!(nothing, refused(400, "ValidationErrors"));
}

#[tokio::test]
async fn answers_name_their_key_and_where_to_find_it() {
    let sim = Sim::start().await;
    let answer = sim
        .call(
            "oauth/token/reference",
            json!({ "access_token": sim.tokens().access_token.value, "redirect_uri": CALLBACK }),
            None,
        )
        .await;
    let (header, payload) = sim.open(&answer).await;
    assert_eq!(header["alg"], "PS512");
    let jku = sim.simulator.base_url().join("jwks/oauth").unwrap();
    assert_eq!(header["jku"], jku.as_str());
    assert_eq!(payload["expires_on"], 2_000_000_000 + 15 * 60);
    assert_eq!(answer["session"]["expiry"], sim.now_ms() + 15 * 60 * 1000);
    let key = &sim.key_set().await[0];
    assert_eq!(key["kty"], "RSA");
    assert_eq!(key["e"], "AQAB");
    assert!(key["pem"].as_str().unwrap().contains("RSA PUBLIC KEY"));
    assert_eq!(CONTRACT, "contract_1", "a contract id may hold an underscore");
}
