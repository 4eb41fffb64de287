//! The user reauthorization page, against the simulator: what brings a user back whose refresh token is dead.

use std::{collections::BTreeMap, time::Duration};

use digime::{
    Client, CodeVerifier, Contract, Error, Settings, TokenPair,
    ambient::{Ambient, Deadline},
    time::after,
};
use digime_simulator::{Account, Contract as RegisteredContract, ContractKeys, Simulator};
use reqwest::{Url, header::LOCATION, redirect};
use secrecy::SecretString;

const CALLBACK: &str = "https://application.example/callback?state=s";
const TIMEOUT: Duration = Duration::from_secs(5);

/// A user whose access token has expired and whose refresh token is dead.
struct Setup {
    /// Runs as long as the setup.
    _simulator: Simulator,
    client: Client,
    http: reqwest::Client,
    contract: Contract,
    pair: TokenPair,
    ambient: Ambient,
}

impl Setup {
    async fn start() -> Self {
        let (keys, ambient) = (ContractKeys::generate().expect("a key pair"), Ambient::system());
        let simulator = Simulator::builder().start().await.expect("the simulator starts");
        let control = simulator.control();
        let registered = RegisteredContract {
            contract_id: "contract".into(),
            application_id: "application".into(),
            public_key_pem: keys.public_key_pem.clone(),
            redirect_uris: vec![CALLBACK.into()],
        };
        control.register_contract(registered).expect("a public key");
        control.add_account("ann", Account::new("1_bank", "Example Bank", Some("ann")));
        let pair = serde_json::to_value(control.issue_tokens("ann", "contract")).expect("JSON");
        control.expire_access_tokens("ann");
        control.kill_refresh_tokens("ann");
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().expect("a client");
        let settings =
            Settings { base_url: simulator.base_url(), onboard_url: simulator.onboard_url(), timeout: TIMEOUT };
        Self {
            client: Client::new(http.clone(), settings, &ambient),
            contract: Contract::new(
                "application",
                "contract".parse().expect("a valid value"),
                &keys.private_key_pem.into(),
            )
            .expect("a valid value"),
            pair: TokenPair::parse(&pair).expect("a valid value"),
            _simulator: simulator,
            http,
            ambient,
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline(after(self.ambient.now(), TIMEOUT))
    }

    /// Makes the URL of the user page, confirms on it, and returns the parameters of the redirect to the application.
    async fn confirm(&self, verifier: &CodeVerifier) -> BTreeMap<String, String> {
        let (callback, state) = (CALLBACK.parse().expect("a valid value"), SecretString::from("s"));
        let access_token = &self.pair.access.value;
        let code = self.client.user_token_reference(
            &self.contract,
            access_token,
            &callback,
            &state,
            verifier,
            self.deadline(),
        );
        let page = self.client.user_reauthorize_url(&code.await.expect("a valid value"), Some("en"));
        assert!(page.path().ends_with("/user-reauth"), "{page}");
        let mut fields: Vec<_> = page.query_pairs().into_owned().collect();
        fields.push(("decision".into(), "success".into()));
        let mut form = page.clone();
        form.set_query(None);
        let answer = self.http.post(form).form(&fields).send().await.expect("a valid value");
        let location: Url = answer.headers()[LOCATION].to_str().expect("a valid value").parse().expect("a valid value");
        location.query_pairs().into_owned().collect()
    }

    async fn exchange(&self, code: &str, verifier: &CodeVerifier) -> Result<TokenPair, Error> {
        self.client.exchange_code(&self.contract, &code.to_owned().into(), verifier, self.deadline()).await
    }
}

#[tokio::test]
async fn a_user_who_confirms_gets_a_new_pair_once() {
    let setup = Setup::start().await;
    let verifier = CodeVerifier::new(&setup.ambient);
    let returned = setup.confirm(&verifier).await;
    assert_eq!((returned["success"].as_str(), returned["state"].as_str()), ("true", "s"));
    let pair = setup.exchange(&returned["code"], &verifier).await.unwrap();
    assert_eq!(pair.user.as_deref(), Some("ann"));
    let access_token = &pair.access.value;
    let listed = setup.client.accounts(&setup.contract, access_token, setup.deadline()).await.unwrap();
    assert_eq!(listed.len(), 1);
    let again = setup.exchange(&returned["code"], &verifier).await.unwrap_err();
    assert!(matches!(again, Error::Api(_)), "{again}");
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_its_verifier() {
    let setup = Setup::start().await;
    let verifier = CodeVerifier::new(&setup.ambient);
    let returned = setup.confirm(&verifier).await;
    let other = CodeVerifier::new(&setup.ambient);
    let refused = setup.exchange(&returned["code"], &other).await.unwrap_err();
    assert!(matches!(refused, Error::Api(_)), "{refused}");
}

#[tokio::test]
async fn a_user_whom_digime_does_not_recognize_gets_no_page() {
    let setup = Setup::start().await;
    let (callback, state) = (CALLBACK.parse().unwrap(), SecretString::from("s"));
    let (unknown, verifier) = (SecretString::from("unknown"), CodeVerifier::new(&setup.ambient));
    let code =
        setup.client.user_token_reference(&setup.contract, &unknown, &callback, &state, &verifier, setup.deadline());
    assert!(code.await.unwrap_err().refuses_access_token());
}
