//! What is there at first start: a contract, a user, three accounts of different services, and the user's grant.

use bytes::Bytes;
use digime_simulator::{Account, Contract, Levers};
use http::Method;
use serde_json::json;

use crate::{
    DEMO_APPLICATION, DEMO_CONTRACT, DEMO_USER, aws::Secrets, endpoints::Endpoints, gateway::Gateway, names,
    secrets_file::DemoSecrets,
};

/// Puts the secrets where the functions look for them.
pub(crate) fn store_secrets(secrets: &Secrets, demo: &DemoSecrets) {
    let contract = json!({
        "applicationId": DEMO_APPLICATION,
        "contractId": DEMO_CONTRACT,
        "privateKey": demo.private_key_pem,
    });
    secrets.put(&format!("{}{DEMO_CONTRACT}", names::CONTRACT_SECRET_PREFIX), &contract.to_string());
    secrets.put(names::SERVICE_SECRET, &demo.service_secret);
}

/// Registers the contract; at each start, since the callback's address may be another one.
pub(crate) fn register_contract(levers: &Levers, demo: &DemoSecrets, endpoints: &Endpoints) -> Result<(), String> {
    let contract = Contract {
        contract_id: DEMO_CONTRACT.to_owned(),
        application_id: DEMO_APPLICATION.to_owned(),
        public_key_pem: demo.public_key_pem.clone(),
        redirect_uris: vec![format!("{}/callback", endpoints.public_base_url)],
    };
    levers.register_contract(contract).map_err(|error| error.to_string())
}

/// Makes the demo user, unless he is there already, and hands his grant to the service.
pub(crate) async fn add_user(levers: &Levers, gateway: &Gateway) -> Result<(), String> {
    if levers.users().iter().any(|user| user == DEMO_USER) {
        return Ok(());
    }
    levers.add_user(DEMO_USER);
    for (id, service, username) in [
        ("1_demo-bank", "Meadow Bank", "alex.morgan"),
        ("2_demo-hospital", "St. Clement's Hospital", "MRN 4471903"),
        ("3_demo-instagram", "Instagram", "alex.takes.photos"),
    ] {
        levers.add_account(DEMO_USER, Account::new(id, service, Some(username)));
    }
    let tokens =
        serde_json::to_vec(&levers.issue_tokens(DEMO_USER, DEMO_CONTRACT)).map_err(|error| error.to_string())?;
    let mut request = http::Request::new(Bytes::from(tokens));
    *request.method_mut() = Method::PUT;
    let path = format!("/users/{DEMO_USER}/grants/{DEMO_CONTRACT}");
    *request.uri_mut() = path.parse().map_err(|_| "the grant's path".to_owned())?;
    let response = gateway.call(request).await;
    if response.status().is_success() {
        return Ok(());
    }
    Err(format!("the demo user's grant was answered with {}", response.status()))
}
