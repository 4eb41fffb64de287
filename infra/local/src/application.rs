//! The demo application behind the console's buttons. It gets a fresh grant from the service, reads the user's data at
//! digi.me with it, and sends the read result to the service.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use digime::{
    self, Client, Contract, TokenPair,
    ambient::{Ambient, Deadline},
};
use http::{Method, StatusCode};
use reauth_domain::time::{after, rfc3339};
use serde_json::{Value, json};

use crate::{DEMO_CONTRACT, gateway::Gateway};

/// The time limit of one read at digi.me.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLLS: u32 = 60;
const POLL_PAUSE: Duration = Duration::from_millis(150);

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the service answered {status} {code}")]
    Service {
        status: StatusCode,
        /// The `code` of the problem.
        code: String,
    },
    #[error("the service gave no token pair")]
    NoTokens,
    #[error(transparent)]
    Digime(#[from] digime::Error),
    #[error("the read did not end in time")]
    Unfinished,
}

#[derive(Clone)]
pub struct Application {
    gateway: Gateway,
    client: Client,
    contract: Arc<Contract>,
    ambient: Ambient,
}

impl Application {
    pub(crate) fn new(gateway: Gateway, client: Client, contract: Arc<Contract>, ambient: Ambient) -> Self {
        Self { gateway, client, contract, ambient }
    }

    /// Reads all of the user's accounts at digi.me, and sends the read result to the service.
    pub async fn read(&self, user: &str) -> Result<(), ReadError> {
        let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
        let observed_at = self.ambient.now();
        let read_result = match self.read_at_digime(&self.tokens(&user.to_string()).await?).await {
            // digi.me refuses the access token. Listing the accounts makes the service call digi.me, notice the refusal
            // and refresh the pair. Then read again with the new pair.
            Err(ReadError::Digime(error)) if error.refuses_access_token() => {
                self.call(Method::GET, &format!("/users/{user}/accounts?refresh=true"), &Value::Null).await?;
                self.read_at_digime(&self.tokens(&user.to_string()).await?).await?
            }
            result => result?,
        };
        let body =
            json!({"observedAt": rfc3339::text(observed_at), "contractId": DEMO_CONTRACT, "readResult": read_result});
        self.call(Method::POST, &format!("/users/{user}/read-results"), &body).await.map(drop)
    }

    async fn tokens(&self, user: &str) -> Result<TokenPair, ReadError> {
        let grant = self.call(Method::GET, &format!("/users/{user}/grants/{DEMO_CONTRACT}"), &Value::Null).await?;
        TokenPair::parse(&grant).map_err(|_| ReadError::NoTokens)
    }

    async fn read_at_digime(&self, tokens: &TokenPair) -> Result<Value, ReadError> {
        let deadline = Deadline(after(self.ambient.now(), TIMEOUT));
        let token = &tokens.access.value;
        let session = self.client.trigger(&self.contract, token, &[], deadline).await?;
        for _ in 0..POLLS {
            let result = self.client.query(&self.contract, token, &session, deadline).await?;
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
