//! Deleting users and accounts, withdrawing a permission, and what an application asks about its contract.

use digime_simulator::Account;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::client::{ACCOUNT, CALLBACK, CONTRACT, Sim, USER, error_of};
use crate::consent::{parameters, redirect, submit};

const ACCOUNTS: &str = "permission-access/accounts";
const DELETE_ACCOUNT: &str = "permission-access/service/h:accountId";
const REVOKE: &str = "permission-access/revoke/h:accountId";

fn access(token: &str) -> Value {
    json!({ "access_token": token })
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_deleted_user_is_gone_with_his_accounts_and_his_tokens_of_every_contract() {
    let sim = Sim::start().await;
    let pair = sim.tokens();
    sim.control.issue_tokens(USER, "contract_2");
    sim.control.add_account("user-2", Account::new("2_2", "Riverside Bank", None));
    let answer = sim.call("permission-access/trigger", access(&pair.access_token.value), None).await;
    let session = answer["session"]["key"].as_str().unwrap();

    let unknown = sim.request(Method::DELETE, "user", access("unknown"), &[]).await;
    assert_eq!(error_of(unknown).await, refused(401, "InvalidToken"));
    let deleted = sim.request(Method::DELETE, "user", access(&pair.access_token.value), &[]).await;
    assert_eq!(deleted.status(), 204);

    assert_eq!(sim.control.users(), ["user-2"]);
    assert!(sim.control.accounts(USER).is_empty());
    let invalid = refused(401, "InvalidToken");
    assert_eq!(sim.error(ACCOUNTS, access(&pair.access_token.value)).await, invalid);
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": pair.refresh_token.value });
    assert_eq!(sim.error("oauth/token", refresh).await, invalid);
    // A new user of the same id does not get the old one's read session.
    let new = sim.tokens().access_token.value;
    let query = format!("permission-access/query/{session}");
    assert_eq!(sim.error(&query, access(&new)).await, refused(406, "InvalidRequest"));
}

#[tokio::test]
async fn a_page_that_is_open_when_the_user_is_deleted_redirects_with_invalid_code() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let claims = json!({ "access_token": token, "redirect_uri": CALLBACK });
    let answer = sim.call("oauth/token/reference", claims, None).await;
    let code = sim.payload(&answer).await["reference_code"].as_str().unwrap().to_owned();
    sim.request(Method::DELETE, "user", access(&token), &[]).await;
    let fields = [("code", code.as_str()), ("service", "1"), ("decision", "success")];
    let (_, found) = redirect(&submit(&sim, "onboard", &fields).await);
    assert_eq!(found["errorCode"], "INVALID_CODE");
    assert!(sim.control.users().is_empty());
}

#[tokio::test]
async fn a_deleted_account_leaves_the_list_and_a_foreign_one_stays() {
    let sim = Sim::start().await;
    sim.control.add_account(USER, Account::new("2_2", "Riverside Bank", None));
    sim.control.add_account("user-2", Account::new("3_3", "Riverside Bank", None));
    let token = sim.tokens().access_token.value;
    let delete =
        async |headers: &[(&str, &str)]| sim.request(Method::DELETE, DELETE_ACCOUNT, access(&token), headers).await;

    assert_eq!(delete(&[("accountId", ACCOUNT)]).await.status(), 204);
    let listed = sim.call(ACCOUNTS, access(&token), None).await;
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["id"], "2_2");
    for id in [ACCOUNT, "3_3"] {
        assert_eq!(error_of(delete(&[("accountId", id)]).await).await, refused(406, "InvalidRequest"), "{id}");
    }
    assert_eq!(error_of(delete(&[]).await).await, refused(406, "ValidationErrors"));
    assert_eq!(sim.control.accounts("user-2").len(), 1);
}

#[tokio::test]
async fn a_withdrawn_permission_takes_the_accounts_authorization_away() {
    let sim = Sim::start().await;
    let token = sim.tokens().access_token.value;
    let callback = format!("{CALLBACK}?from=app");
    let headers = [("accountId", ACCOUNT), ("redirectUri", callback.as_str())];
    let response = sim.request(Method::GET, REVOKE, access(&token), &headers).await;
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    let location = Url::parse(answer["location"].as_str().unwrap()).unwrap();
    assert!(location.as_str().starts_with(sim.simulator.onboard_url().as_str()), "{location}");
    let page = sim.http.get(location.clone()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("Songbird Music"));

    let query: Vec<(String, String)> = location.query_pairs().into_owned().collect();
    let submit = async |decision: &str| {
        let mut fields: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fields.push(("decision", decision));
        redirect(&submit(&sim, "revoke", &fields).await).1
    };
    let cancelled = submit("USER_CANCEL").await;
    assert_eq!(cancelled, parameters(&[("from", "app"), ("result", "failed"), ("error_message", "USER_CANCEL")]));
    assert!(!sim.control.is_broken(ACCOUNT));
    assert_eq!(submit("success").await, parameters(&[("from", "app"), ("result", "success")]));
    let listed = sim.call(ACCOUNTS, access(&token), None).await;
    assert_eq!(listed[0]["accessTokenStatus"]["authorized"], false);
}

#[tokio::test]
async fn a_permission_is_withdrawn_for_an_own_account_and_a_registered_address() {
    let sim = Sim::start().await;
    sim.control.add_account("user-2", Account::new("3_3", "Riverside Bank", None));
    let token = sim.tokens().access_token.value;
    for (account, address, expected) in [
        ("3_3", CALLBACK, refused(406, "InvalidRequest")),
        (ACCOUNT, "https://other.example/", refused(404, "InvalidRedirectUri")),
    ] {
        let headers = [("accountId", account), ("redirectUri", address)];
        let response = sim.request(Method::GET, REVOKE, access(&token), &headers).await;
        assert_eq!(error_of(response).await, expected);
    }
}

#[tokio::test]
async fn the_contract_is_the_registered_one() {
    let sim = Sim::start().await;
    let response = sim.request(Method::GET, "permission-access/contract", json!({}), &[]).await;
    assert_eq!(response.status(), 200);
    let contract: Value = response.json().await.unwrap();
    assert_eq!(contract["id"], CONTRACT);
    assert_eq!(contract["application"], json!({ "id": "app", "name": "app", "resources": {}, "status": 1 }));
    assert_eq!(contract["accessType"], "r");
    assert!(contract["expirationDate"].as_i64().unwrap() > sim.now_ms());
    for text in ["certificateContractSchemaVersion", "partnerId", "type"] {
        assert!(contract[text].is_string(), "{text}");
    }
    let registered: Value = serde_json::from_str(contract["certificate"].as_str().unwrap()).unwrap();
    assert_eq!(registered["redirectUris"], json!([CALLBACK]));
    let unknown = json!({ "client_id": "app_other" });
    let unknown = sim.request(Method::GET, "permission-access/contract", unknown, &[]).await;
    assert_eq!(error_of(unknown).await, refused(406, "InvalidClient"));
}

#[tokio::test]
async fn a_service_has_sample_data_sets() {
    let sim = Sim::start().await;
    let sets = async |source: &str| {
        sim.request(Method::GET, &format!("permission-access/sample/datasets/{source}"), json!({}), &[]).await
    };
    let known: Value = sets("1").await.json().await.unwrap();
    let expected = json!({
        "default": { "name": "default", "description": "" },
        "test": { "name": "test", "description": "" },
    });
    assert_eq!(known, expected);
    assert_eq!(sets("99").await.json::<Value>().await.unwrap(), json!({}));
    assert_eq!(error_of(sets("x").await).await, refused(400, "ValidationErrors"));
}
