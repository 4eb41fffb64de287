//! Reauthorizes an account at a simulated digi.me: `cargo run -p digime --example reauthorize`.
//!
//! The simulator runs in this process. It has a user with one account, and withdraws the account's authorization. The
//! example then does what an application does, and in [`confirm`] what the user does on digi.me's page.

use std::{error::Error, time::Duration};

use digime::{
    AccountId, Client, Contract, Settings, TokenPair,
    ambient::{Ambient, Deadline},
    time::after,
};
use digime_simulator::{Account, Contract as RegisteredContract, ContractKeys, ErrorShape, Simulator};
use reqwest::{Url, header::LOCATION, redirect, retry};
use secrecy::SecretString;

const APPLICATION: &str = "example-application";
const CONTRACT: &str = "example-contract";
const USER: &str = "example-user";
const ACCOUNT: &str = "1_example-bank";
/// digi.me sends the browser here at the end. The address is registered with the contract.
const CALLBACK: &str = "https://application.example/callback";
/// The time limit of one request.
const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let keys = ContractKeys::generate()?;
    let simulator = broken_account(&keys).await?;
    let http = reqwest::Client::builder().redirect(redirect::Policy::none()).retry(retry::never()).build()?;

    let ambient = Ambient::system();
    let settings = Settings { base_url: simulator.base_url(), onboard_url: simulator.onboard_url(), timeout: TIMEOUT };
    let digime = Client::new(http.clone(), settings, &ambient);
    let contract = Contract::new(APPLICATION, CONTRACT.parse()?, &keys.private_key_pem.clone().into())?;
    let pair = serde_json::to_value(simulator.control().issue_tokens(USER, CONTRACT))?;
    let access_token = TokenPair::parse(&pair)?.access.value;
    let account: AccountId = ACCOUNT.parse()?;
    // For each call with its retries.
    let deadline = || Deadline(after(ambient.now(), TIMEOUT * 2));

    print_authorization(&digime, &contract, &access_token, deadline()).await?;

    // A real application uses a value that nobody can guess, and compares it in its callback.
    let state = SecretString::from("example-state");
    let callback = Url::parse_with_params(CALLBACK, [("state", "example-state")])?;
    let code = digime.token_reference(&contract, &access_token, &callback, &state, deadline()).await?;
    let reference = digime.account_reference(&contract, &account, deadline()).await?;
    let page = digime.reauthorize_url(&code, &reference, Some("en"));
    println!("The user visits {page}");

    println!("The browser is sent to {}", confirm(&http, &page).await?);
    print_authorization(&digime, &contract, &access_token, deadline()).await?;
    simulator.shutdown().await;
    Ok(())
}

/// Starts a simulator with a contract, and a user whose account has lost its authorization.
async fn broken_account(keys: &ContractKeys) -> Result<Simulator, Box<dyn Error>> {
    let simulator = Simulator::builder().start().await?;
    let control = simulator.control();
    control.register_contract(RegisteredContract {
        contract_id: CONTRACT.into(),
        application_id: APPLICATION.into(),
        public_key_pem: keys.public_key_pem.clone(),
        redirect_uris: vec![CALLBACK.into()],
    })?;
    control.add_account(USER, Account::new(ACCOUNT, "Example Bank", Some("ann")));
    control.break_account(ACCOUNT, ErrorShape::Documented);
    Ok(simulator)
}

/// Presses the button of the reauthorization page. Returns the URL that digi.me sends the browser to.
async fn confirm(http: &reqwest::Client, page: &Url) -> Result<Url, Box<dyn Error>> {
    let mut fields: Vec<_> = page.query_pairs().into_owned().collect();
    fields.push(("decision".into(), "success".into()));
    let mut form = page.clone();
    form.set_query(None);
    let answer = http.post(form).form(&fields).send().await?.error_for_status()?;
    let location = answer.headers().get(LOCATION).ok_or("the page does not redirect the browser")?;
    Ok(location.to_str()?.parse()?)
}

/// Prints what digi.me says about the account. The callback alone is no proof: anyone can load its URL.
async fn print_authorization(
    digime: &Client,
    contract: &Contract,
    access_token: &SecretString,
    deadline: Deadline,
) -> Result<(), Box<dyn Error>> {
    for account in digime.accounts(contract, access_token, deadline).await? {
        println!("{} is authorized: {}", account.id, account.authorized == Some(true));
    }
    Ok(())
}
