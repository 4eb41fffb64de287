//! The demo application behind the console's buttons. It gets a fresh grant from the service, reads the user's data at
//! digi.me with it, and sends the read result to the service.

use std::time::Duration;

use bytes::Bytes;
use digime::{
    self, Client, Contract, ContractId, TokenPair,
    ambient::{Ambient, Deadline},
};
use digime_simulator::Control;
use http::{Method, StatusCode};
use reauth_core::store::Store;
use reauth_domain::{
    UserId,
    time::{after, rfc3339},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{contracts::Contracts, gateway::Gateway};

/// The time limit of one read at digi.me.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLLS: u32 = 60;
const POLL_PAUSE: Duration = Duration::from_millis(150);

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{}", service_answer(*.status, .code))]
    Service {
        status: StatusCode,
        /// The `code` of the problem.
        code: String,
    },
    #[error("the service gave no token pair")]
    NoTokens,
    #[error("the user has no grant")]
    NoGrant,
    #[error("the local system has no key for contract {0}")]
    NoKey(String),
    #[error(transparent)]
    Digime(#[from] digime::Error),
    #[error("the read did not end in time")]
    Unfinished,
}

/// What an answer of the service means to the reader of the console.
fn service_answer(status: StatusCode, code: &str) -> String {
    match code {
        "user_reauthorization_required" => "the refresh token is dead, so that nothing can be read until the user \
            authorizes again. The application was told, with a link"
            .to_owned(),
        "user_authorization_required" => "digi.me does not recognize the user any more: the application authorizes \
            the user from scratch"
            .to_owned(),
        _ => format!("the service answered {status} {code}"),
    }
}

#[derive(Clone)]
pub struct Application {
    gateway: Gateway,
    client: Client,
    contracts: Contracts,
    control: Control,
    store: Store,
    ambient: Ambient,
}

impl Application {
    /// `store` is the service's table, from which [`Application::simulated_user`] reads grants without refreshing them.
    pub(crate) fn new(
        gateway: Gateway,
        client: Client,
        contracts: Contracts,
        control: Control,
        store: Store,
        ambient: Ambient,
    ) -> Self {
        Self { gateway, client, contracts, control, store, ambient }
    }

    /// Reads all of the user's accounts at digi.me under each of the user's grants, and sends the read results to the
    /// service. A read that fails does not keep the others from being made; the first error is returned.
    pub async fn read(&self, user: &str) -> Result<(), ReadError> {
        let path = format!("/users/{}/accounts", encoded(user));
        let list = self.call(Method::GET, &path, &Value::Null).await?;
        let grants = list["grants"].as_array().into_iter().flatten();
        let contracts: Vec<&str> = grants.filter_map(|grant| grant["contractId"].as_str()).collect();
        let mut result = if contracts.is_empty() { Err(ReadError::NoGrant) } else { Ok(()) };
        for contract in contracts {
            let read = self.read_under(user, contract).await;
            result = result.and(read);
        }
        result
    }

    /// Reads all of the user's accounts at digi.me under one contract, and sends the read result to the service.
    pub async fn read_under(&self, user: &str, contract_id: &str) -> Result<(), ReadError> {
        let contract = self.contracts.client(contract_id).ok_or_else(|| ReadError::NoKey(contract_id.to_owned()))?;
        let user = encoded(user);
        let observed_at = self.ambient.now();
        let read_result = match self.read_at_digime(&contract, &self.tokens(&user, contract.id()).await?).await {
            // digi.me refuses the access token. Listing the accounts makes the service call digi.me, notice the refusal
            // and refresh the pair. Then read again with the new pair.
            Err(ReadError::Digime(error)) if error.refuses_access_token() => {
                self.call(Method::GET, &format!("/users/{user}/accounts?refresh=true"), &Value::Null).await?;
                self.read_at_digime(&contract, &self.tokens(&user, contract.id()).await?).await?
            }
            result => result?,
        };
        let body =
            json!({"observedAt": rfc3339::text(observed_at), "contractId": contract_id, "readResult": read_result});
        self.call(Method::POST, &format!("/users/{user}/read-results"), &body).await.map(drop)
    }

    /// The simulator's user to whom the user's stored grants belong. Grants are read as they are stored, and not
    /// refreshed. `None` if there is no grant, or the simulator does not know its access token.
    pub async fn simulated_user(&self, user: &str) -> Option<String> {
        let user: UserId = user.parse().ok()?;
        let grants = self.store.grants(&user).await;
        let grants = grants.inspect_err(|error| {
            tracing::warn!(user_id = %user, %error, "console: could not read the grants of a user");
        });
        grants.ok()?.iter().find_map(|grant| {
            let token = grant.value.tokens.access.value.expose_secret();
            self.control.user_of_token(token)
        })
    }

    /// `user` is percent-encoded.
    async fn tokens(&self, user: &str, contract: &ContractId) -> Result<TokenPair, ReadError> {
        let grant = self.call(Method::GET, &format!("/users/{user}/grants/{contract}"), &Value::Null).await?;
        TokenPair::parse(&grant).map_err(|_| ReadError::NoTokens)
    }

    async fn read_at_digime(&self, contract: &Contract, tokens: &TokenPair) -> Result<Value, ReadError> {
        let deadline = Deadline(after(self.ambient.now(), TIMEOUT));
        let token = &tokens.access.value;
        let session = self.client.trigger(contract, token, &[], deadline).await?;
        for _ in 0..POLLS {
            let result = self.client.query(contract, token, &session, deadline).await?;
            if !matches!(result["status"]["state"].as_str(), Some("running" | "pending")) {
                return Ok(result);
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        Err(ReadError::Unfinished)
    }

    /// Calls the API as an IAM principal.
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, ReadError> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        let not_a_path = |_| ReadError::Service { status: StatusCode::BAD_REQUEST, code: "invalid_path".into() };
        *request.uri_mut() = path.parse().map_err(not_a_path)?;
        let response = self.gateway.call(request).await;
        let status = response.status();
        let value: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        if status.is_success() {
            return Ok(value);
        }
        Err(ReadError::Service { status, code: value["code"].as_str().unwrap_or("unknown").to_owned() })
    }
}

/// A user's id as a segment of a path.
fn encoded(user: &str) -> String {
    percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC).to_string()
}
