//! The demo data that a new system contains: a contract, a user, three accounts of different services, and the user's
//! grant.

use digime_simulator::{Account, Control};
use http::Method;
use serde_json::Value;

use crate::{
    DEMO_APPLICATION, DEMO_CONTRACT, DEMO_USER, application::Application, contracts::NewContract,
    secrets_file::DemoSecrets,
};

pub(crate) fn contract(demo: &DemoSecrets) -> NewContract {
    NewContract {
        application_id: DEMO_APPLICATION.to_owned(),
        contract_id: DEMO_CONTRACT.to_owned(),
        private_key: demo.private_key_pem.clone(),
        redirect_uris: Vec::new(),
    }
}

/// Creates the demo user with three accounts in the simulator, unless the user exists. Stores the user's grant in the
/// service, unless the service has data of the user.
pub(crate) async fn add_user(control: &Control, application: &Application) -> Result<(), String> {
    ensure_accounts(control);
    // A user with data in the service has a grant, or lost it on purpose, as through a button of the console.
    match application.call(Method::GET, &format!("/users/{DEMO_USER}/accounts"), &Value::Null).await {
        Ok(_) => Ok(()),
        Err(_) => store_grant(control, application, DEMO_USER, DEMO_USER, DEMO_CONTRACT).await,
    }
}

fn ensure_accounts(control: &Control) {
    if !control.users().iter().any(|user| user == DEMO_USER) {
        add_accounts(control);
    }
}

/// Adds the demo user's accounts to the simulator, authorized.
pub(crate) fn add_accounts(control: &Control) {
    control.add_user(DEMO_USER);
    for (id, service, username) in [
        ("1_demo-bank", "Meadow Bank", "alex.morgan"),
        ("2_demo-hospital", "St. Clement's Hospital", "MRN 4471903"),
        ("3_demo-instagram", "Instagram", "alex.takes.photos"),
    ] {
        control.add_account(DEMO_USER, Account::new(id, service, Some(username)));
    }
}

/// Gives the demo user's accounts the logos that the simulator serves. Creates the user first, so that the first list of the
/// accounts names them.
pub(crate) fn add_logos(control: &Control, url: impl Fn(&str) -> String) {
    ensure_accounts(control);
    for (id, name) in
        [("1_demo-bank", "meadow-bank"), ("2_demo-hospital", "st-clements"), ("3_demo-instagram", "instagram")]
    {
        control.set_account_logo(id, Some(url(name)));
    }
}

/// Stores a new grant in the service, as an application does after a user has authorized it again. `person` is the
/// simulator's user who authorizes.
pub(crate) async fn store_grant(
    control: &Control,
    application: &Application,
    user: &str,
    person: &str,
    contract: &str,
) -> Result<(), String> {
    let tokens = serde_json::to_value(control.issue_tokens(person, contract)).map_err(|error| error.to_string())?;
    let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
    let path = format!("/users/{user}/grants/{contract}?replace=true");
    application.call(Method::PUT, &path, &tokens).await.map(drop).map_err(|error| error.to_string())
}
