//! What the control API does to a user's tokens, and what the API then says about them.

use digime_simulator::TokenPair;
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{CALLBACK, CONTRACT, Sim, USER, error_of};
use crate::consent::challenge;
use crate::control::action;

const ACCOUNTS: &str = "permission-access/accounts";
const ACCESS_INVALID: &str = "The token (access_token) is invalid";
const REFRESH_EXPIRED: &str = "The token (refresh_token) is expired";
const REFRESH_INVALID: &str = "The token (refresh_token) is invalid";

/// The message of the `InvalidToken` error that a call ends with.
async fn invalid_token(sim: &Sim, method: Method, path: &str, claims: Value) -> String {
    let response = sim.request(method, path, claims, &[]).await;
    let message = response.headers()["x-error-message"].to_str().expect("ASCII").to_owned();
    assert_eq!(error_of(response).await, (401, "InvalidToken".to_owned()), "{path}");
    message
}

fn access(pair: &TokenPair) -> Value {
    json!({ "access_token": pair.access_token.value })
}

fn refresh(pair: &TokenPair) -> Value {
    json!({ "grant_type": "refresh_token", "refresh_token": pair.refresh_token.value })
}

/// The claims for the code of the user reauthorization page.
fn user_page(pair: &TokenPair) -> Value {
    json!({
        "access_token": pair.access_token.value,
        "redirect_uri": CALLBACK,
        "code_challenge": challenge(),
        "code_challenge_method": "S256",
    })
}

/// The claims for the code of the first authorization page, for a user that the access token names.
fn first_page(pair: &TokenPair) -> Value {
    let mut claims = user_page(pair);
    claims["response_type"] = json!("code");
    claims["response_mode"] = json!("query");
    claims
}

/// The result of a control call without a body.
async fn post(sim: &Sim, path: &str) -> Value {
    let response = action(sim, Method::POST, path, None).await;
    assert_eq!(response.status(), 200, "{path}");
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn revoked_tokens_are_unknown_to_every_call() {
    let sim = Sim::start().await;
    let (first, second) = (sim.tokens(), sim.tokens());
    let other_user = sim.control.issue_tokens("user-2", CONTRACT);
    sim.control.expire_access_tokens(USER);
    sim.call("oauth/token/reference", user_page(&first), None).await;

    assert_eq!(post(&sim, &format!("users/{USER}/revoke-tokens")).await, json!({ "revoked": 2 }));
    for pair in [&first, &second] {
        for (method, path) in [
            (Method::GET, ACCOUNTS),
            (Method::POST, "permission-access/trigger"),
            (Method::GET, "permission-access/query/session"),
            (Method::DELETE, "permission-access/service/h:accountId"),
            (Method::GET, "permission-access/revoke/h:accountId"),
            (Method::DELETE, "user"),
            (Method::POST, "oauth/token/reference"),
        ] {
            assert_eq!(invalid_token(&sim, method, path, access(pair)).await, ACCESS_INVALID, "{path}");
        }
        for (path, claims) in [("oauth/token/reference", user_page(pair)), ("oauth/authorize", first_page(pair))] {
            assert_eq!(invalid_token(&sim, Method::POST, path, claims).await, ACCESS_INVALID, "{path}");
        }
        assert_eq!(invalid_token(&sim, Method::POST, "oauth/token", refresh(pair)).await, REFRESH_INVALID);
    }
    assert_eq!(sim.control.revoke_tokens(USER), 0);
    assert_eq!(sim.control.revoke_tokens("unknown"), 0);

    sim.call(ACCOUNTS, access(&other_user), None).await;
    sim.call(ACCOUNTS, access(&sim.tokens()), None).await;
}

#[tokio::test]
async fn expired_refresh_tokens_are_refused_and_access_tokens_stay_valid() {
    let sim = Sim::start().await;
    let (first, second) = (sim.tokens(), sim.tokens());
    let other_user = sim.control.issue_tokens("user-2", CONTRACT);

    assert_eq!(post(&sim, &format!("users/{USER}/expire-refresh-tokens")).await, json!({ "expired": 2 }));
    for pair in [&first, &second] {
        assert_eq!(invalid_token(&sim, Method::POST, "oauth/token", refresh(pair)).await, REFRESH_EXPIRED);
        sim.call(ACCOUNTS, access(pair), None).await;
    }
    assert_eq!(sim.control.expire_refresh_tokens("unknown"), 0);

    sim.call("oauth/token", refresh(&other_user), None).await;
    sim.call("oauth/token", refresh(&sim.tokens()), None).await;
}
