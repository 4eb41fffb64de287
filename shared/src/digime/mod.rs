//! A client for the parts of the digi.me API that reauthorization needs.
//!
//! Source of the protocol: the official Node.js SDK 16.1.5 and the iOS SDK 5.1.0.

mod answer;
mod contract;
mod error;
mod keys;
mod transport;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, Method,
    header::{self, AUTHORIZATION, CONTENT_TYPE},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::{
    contract::Claims,
    keys::KeyCache,
    transport::{Repeat, Transport},
};
pub use self::{
    contract::{Contract, KeyError},
    error::{ApiError, Cause, Error},
};
use crate::{
    ambient::{Ambient, Deadline},
    config::{ConfigError, Environment},
    domain::{AccountId, Locale, TokenPair, verification::ListedAccount},
    http_client::{HttpClient, USER_AGENT},
};

const DEFAULT_BASE_URL: &str = "https://api.digi.me/v1.7/";
const DEFAULT_ONBOARD_URL: &str = "https://api.digi.me/apps/saas/";
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The addresses of digi.me and the time limits of calls.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base URL of the API, with a trailing slash.
    pub base_url: Url,
    /// The base URL of the pages that users visit, with a trailing slash.
    pub onboard_url: Url,
    pub connect_timeout: Duration,
    /// The time limit of one request, including reading the answer.
    pub timeout: Duration,
}

impl Settings {
    /// Reads `DIGIME_BASE_URL`, `DIGIME_ONBOARD_URL`, `DIGIME_CONNECT_TIMEOUT` (2 s) and `DIGIME_TIMEOUT` (5 s).
    pub fn from_environment(environment: &Environment) -> Result<Self, ConfigError> {
        let url = |variable, default: &str| match environment.base_url(variable)? {
            Some(url) => Ok(url),
            None => Url::parse(default).map_err(|error| ConfigError::new(variable, error)),
        };
        let duration = |variable, default| Ok(environment.duration(variable)?.unwrap_or(default));
        Ok(Self {
            base_url: url("DIGIME_BASE_URL", DEFAULT_BASE_URL)?,
            onboard_url: url("DIGIME_ONBOARD_URL", DEFAULT_ONBOARD_URL)?,
            connect_timeout: duration("DIGIME_CONNECT_TIMEOUT", DEFAULT_CONNECT_TIMEOUT)?,
            timeout: duration("DIGIME_TIMEOUT", DEFAULT_TIMEOUT)?,
        })
    }
}

/// A code that opens a page of digi.me once.
#[derive(Debug, Clone)]
pub struct ReferenceCode {
    pub value: SecretString,
    /// When the code expires.
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct Session {
    /// The key with which the session is queried.
    pub key: SecretString,
}

/// A client of digi.me. Cheap to clone; clones share connections and the key set.
#[derive(Debug, Clone)]
pub struct Client {
    transport: Arc<Transport>,
    keys: Arc<KeyCache>,
    settings: Arc<Settings>,
    foreign_key_sets: Arc<AtomicU64>,
}

impl Client {
    /// Builds the client without sending a request.
    #[must_use]
    pub fn new(settings: Settings, ambient: &Ambient) -> Self {
        // A request contains a nonce that is valid once. Only `Transport` retries, and it signs each attempt with a new
        // nonce.
        let http = HttpClient::new(settings.connect_timeout);
        Self {
            transport: Arc::new(Transport { http, ambient: ambient.clone(), timeout: settings.timeout }),
            keys: Arc::default(),
            settings: Arc::new(settings),
            foreign_key_sets: Arc::default(),
        }
    }

    /// The origin of the pages that users visit.
    #[must_use]
    pub fn onboard_origin(&self) -> String {
        self.settings.onboard_url.origin().ascii_serialization()
    }

    /// `POST oauth/token/reference`: returns a code for the account reauthorization page.
    pub async fn token_reference(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        redirect_uri: &Url,
        state: &SecretString,
        deadline: Deadline,
    ) -> Result<ReferenceCode, Error> {
        let claims = [
            ("access_token", access_token.expose_secret()),
            ("redirect_uri", redirect_uri.as_str()),
            ("state", state.expose_secret()),
        ];
        let call = self.call(contract, Method::POST, "oauth/token/reference", &claims, None, Repeat::Freely, deadline);
        // An error of the key set is ignored here. The verification of the answer fetches the key set again and reports
        // the error.
        let (answer, _) = tokio::join!(call, self.warm_keys(deadline));
        let payload = self.verified(&answer?, deadline).await?;
        Ok(ReferenceCode {
            value: answer::text(&payload, "reference_code")?.into(),
            expires_at: answer::seconds(&payload, "expires_on")?,
        })
    }

    /// `POST reference`: returns the identifier that the reauthorization page uses for the account.
    pub async fn account_reference(
        &self,
        contract: &Contract,
        account: &AccountId,
        deadline: Deadline,
    ) -> Result<String, Error> {
        let body = json!({"type": "accountId", "value": account});
        let answer = self.call(contract, Method::POST, "reference", &[], Some(body), Repeat::Freely, deadline).await?;
        Ok(answer::text(&answer::json(&answer)?, "id")?.to_owned())
    }

    /// `POST oauth/token` with a refresh token: returns the next pair. The request is retried only if the first one
    /// cannot have been executed. It is not sent without the key set: an answer that cannot be verified would be lost,
    /// and the new pair with it.
    ///
    /// # Errors
    /// With [`Error::refuses_refresh_token`], only the user can authorize a new pair.
    pub async fn refresh(
        &self,
        contract: &Contract,
        refresh_token: &SecretString,
        deadline: Deadline,
    ) -> Result<TokenPair, Error> {
        let claims = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        let call = self.call(contract, Method::POST, "oauth/token", &claims, None, Repeat::IfNotExecuted, deadline);
        self.warm_keys(deadline).await?;
        let payload = self.verified(&call.await?, deadline).await?;
        TokenPair::parse(&payload).map_err(|_| Error::InvalidAnswer("it holds no complete token pair"))
    }

    /// `GET permission-access/accounts`: returns the user's accounts. An entry without a valid id is left out.
    pub async fn accounts(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        deadline: Deadline,
    ) -> Result<Vec<ListedAccount>, Error> {
        let claims = [("access_token", access_token.expose_secret())];
        let path = "permission-access/accounts";
        let answer = self.call(contract, Method::GET, path, &claims, None, Repeat::Freely, deadline).await?;
        answer::accounts(&answer::json(&answer)?)
    }

    /// `POST permission-access/trigger`: starts a read session of the given accounts, or of all accounts if none is
    /// given.
    pub async fn trigger(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        accounts: &[AccountId],
        deadline: Deadline,
    ) -> Result<Session, Error> {
        let claims = [("access_token", access_token.expose_secret())];
        let filter = json!({"sourceFetchFilter": {"account": {"id": accounts}}});
        let body = if accounts.is_empty() { json!({}) } else { filter };
        let path = "permission-access/trigger";
        let answer = self.call(contract, Method::POST, path, &claims, Some(body), Repeat::Freely, deadline).await?;
        let answer = answer::json(&answer)?;
        let session = answer.get("session").ok_or(Error::InvalidAnswer("it holds no session"))?;
        Ok(Session { key: answer::text(session, "key")?.into() })
    }

    /// `GET permission-access/query/{sessionKey}`: returns the current read result in digi.me's form.
    pub async fn query(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        session: &Session,
        deadline: Deadline,
    ) -> Result<Value, Error> {
        let claims = [("access_token", access_token.expose_secret())];
        let key =
            percent_encoding::utf8_percent_encode(session.key.expose_secret(), percent_encoding::NON_ALPHANUMERIC);
        let path = format!("permission-access/query/{key}");
        let answer = self.call(contract, Method::GET, &path, &claims, None, Repeat::Freely, deadline).await?;
        answer::json(&answer)
    }

    /// The URL of the page on which the user reauthorizes the account:
    /// `{onboard}reauthorize?code=…&accountRef=…[&lng=…]`.
    #[must_use]
    pub fn reauthorize_url(&self, code: &ReferenceCode, account_reference: &str, locale: Option<&Locale>) -> Url {
        let mut url = self.settings.onboard_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("reauthorize");
        }
        url.query_pairs_mut()
            .append_pair("code", code.value.expose_secret())
            .append_pair("accountRef", account_reference)
            .extend_pairs(locale.map(|locale| ("lng", locale.as_str())));
        url
    }

    #[expect(clippy::too_many_arguments, reason = "one request, spelled out; all callers are above")]
    async fn call(
        &self,
        contract: &Contract,
        method: Method,
        path: &str,
        claims: &Claims<'_>,
        body: Option<Value>,
        repeat: Repeat,
        deadline: Deadline,
    ) -> Result<Bytes, Error> {
        let url = self.url(path)?;
        let body = body.map(|body| Bytes::from(body.to_string()));
        let build = || {
            let token = contract.request_token(claims, &self.transport.ambient)?;
            let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            let mut bearer = bearer.map_err(|_| Error::Signing)?;
            bearer.set_sensitive(true);
            let mut request = request(&method, &url, body.clone().unwrap_or_default())?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
            if body.is_some() {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            Ok(request)
        };
        self.transport.send(repeat, deadline, build).await
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        self.settings.base_url.join(path).map_err(|_| Error::InvalidAnswer("it gave a session key that fits no URL"))
    }

    /// Verifies the signature of an answer's `token` and returns its payload.
    async fn verified(&self, answer: &Bytes, deadline: Deadline) -> Result<Value, Error> {
        let answer = answer::json(answer)?;
        let token = answer::text(&answer, "token")?;
        let hint = keys::key_hint(token)?;
        let ambient = &self.transport.ambient;
        let key = self.keys.key(&hint.kid, ambient, self.fetch_keys(deadline)).await?;
        let payload = keys::verify(token, &key, ambient.now())?;
        let foreign = |jku: &String| self.url("jwks/oauth").is_ok_and(|url| url.as_str() != jku.as_str());
        if hint.jku.as_ref().is_some_and(foreign) {
            self.foreign_key_sets.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                // A metric filter in template.yaml counts this field.
                foreign_key_set = true,
                "verify answer: the signature is valid, and the answer names another key set than the configured one"
            );
        }
        Ok(payload)
    }

    /// How many answers had a valid signature and named another key set than the configured one.
    #[must_use]
    pub fn foreign_key_sets(&self) -> u64 {
        self.foreign_key_sets.load(Ordering::Relaxed)
    }

    pub async fn warm_keys(&self, deadline: Deadline) -> Result<(), Error> {
        self.keys.warm(&self.transport.ambient, self.fetch_keys(deadline)).await
    }

    /// `GET jwks/oauth`. The request has no bearer token.
    async fn fetch_keys(&self, deadline: Deadline) -> Result<Value, Error> {
        let url = self.url("jwks/oauth")?;
        let build = || request(&Method::GET, &url, Bytes::new());
        let answer = self.transport.send(Repeat::Freely, deadline, build).await;
        // The error code is dropped: an error of this request says nothing about a token or a client.
        let answer = answer.map_err(|error| match error {
            Error::Api(error) => Error::Api(ApiError { code: String::new(), ..error }),
            error => error,
        });
        answer::json(&answer?)
    }
}

fn request(method: &Method, url: &Url, body: Bytes) -> Result<http::Request<Bytes>, Error> {
    let request = http::Request::builder().method(method).uri(url.as_str()).header(header::USER_AGENT, USER_AGENT);
    request.body(body).map_err(|_| Error::InvalidAnswer("it gave a session key that fits no URL"))
}
