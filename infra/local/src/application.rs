//! What an application does with this service, as far as the console's buttons need it: it reads a user's data at
//! digi.me with the grant that the service keeps fresh, and hands the read result in.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, StatusCode};
use reauth_core::{
    ambient::{Ambient, Deadline, after, rfc3339},
    digime::{self, Client, Contract},
    domain::TokenPair,
};
use serde_json::{Value, json};

use crate::{DEMO_CONTRACT, gateway::Gateway};

/// How long a read may take.
const TIMEOUT: Duration = Duration::from_secs(20);
const POLLS: u32 = 60;
const POLL_PAUSE: Duration = Duration::from_millis(150);

/// Why a read did not work.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The service did not give what the application asked for.
    #[error("the service answered {status} {code}")]
    Service {
        /// The status.
        status: StatusCode,
        /// The problem's code.
        code: String,
    },
    /// The service gave no token pair.
    #[error("the service gave no token pair")]
    NoTokens,
    /// digi.me.
    #[error(transparent)]
    Digime(#[from] digime::Error),
    /// The read did not end.
    #[error("the read did not end in time")]
    Unfinished,
}

/// The demo application.
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

    /// Reads all of a user's accounts, and hands the result in.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self, user: &str) -> Result<(), ReadError> {
        let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
        let observed_at = self.ambient.now();
        let read_result = match self.read_at_digime(&self.tokens(&user.to_string()).await?).await {
            // The service finds that out as soon as it calls digi.me, and refreshes the pair.
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
    ///
    /// # Errors
    /// [`ReadError::Service`] when it answers with a problem.
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
