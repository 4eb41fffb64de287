//! The client: one method for each call.

mod answer;
mod contract;
mod error;
mod keys;
mod pkce;
mod signed;
mod transport;

use std::{sync::Arc, time::Duration};

use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use self::{
    contract::Claims,
    keys::KeyCache,
    signed::Call,
    transport::{Repeat, Transport, counted},
};
pub use self::{
    contract::{Contract, KeyError},
    error::{ApiError, Cause, Error, Refused},
    pkce::CodeVerifier,
};
use crate::{
    AccountId, ListedAccount, TokenPair,
    ambient::{Ambient, Deadline},
};

/// The addresses of digi.me, and the time limit of a call.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base URL of the API, with a trailing slash: `https://api.digi.me/v1.7/`.
    pub base_url: Url,
    /// The base URL of the pages that users visit, with a trailing slash: `https://api.digi.me/apps/saas/`.
    pub onboard_url: Url,
    /// The time limit of one request, including reading the answer.
    pub timeout: Duration,
}

/// A code that opens a page of digi.me once.
#[derive(Debug, Clone)]
pub struct ReferenceCode {
    /// The code, which stands in the page's URL.
    pub value: SecretString,
    /// When the code expires.
    pub expires_at: Timestamp,
}

/// A read session.
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
}

impl Client {
    /// Builds the client without sending a request. `http` must not follow redirects: a redirect could send a bearer
    /// token to another host. It should not retry by itself: a request contains a nonce that is valid once, and this
    /// client signs each attempt with a new nonce.
    #[must_use]
    pub fn new(http: reqwest::Client, settings: Settings, ambient: &Ambient) -> Self {
        Self {
            transport: Arc::new(Transport::new(http, ambient.clone(), settings.timeout)),
            keys: Arc::default(),
            settings: Arc::new(settings),
        }
    }

    /// Fetches the key set, and opens the connections that later calls need: over HTTP/1.1 a second one, because two calls
    /// overlap.
    ///
    /// # Errors
    /// Those of `GET jwks/oauth`.
    pub async fn warm_up(&self, deadline: Deadline) -> Result<(), Error> {
        self.warm_keys(deadline).await?;
        if !self.transport.uses_http2() {
            // Two requests at the same time take two connections.
            tokio::try_join!(self.fetch_keys(deadline), self.fetch_keys(deadline))?;
        }
        Ok(())
    }

    /// The origin of the pages that users visit.
    #[must_use]
    pub fn onboard_origin(&self) -> String {
        self.settings.onboard_url.origin().ascii_serialization()
    }

    /// `POST oauth/token/reference`: returns a code for the account reauthorization page.
    ///
    /// # Errors
    /// [`Error::refuses_access_token`] tells whether the token must be refreshed first.
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
        self.reference_code("token_reference", contract, &claims, None, deadline).await
    }

    /// `POST oauth/token/reference` with a code challenge: returns a code for the user reauthorization page. The access
    /// token says who the user is. It may have expired.
    ///
    /// # Errors
    /// With [`Error::refuses_access_token`], digi.me does not recognize the user any more: the application must
    /// authorize the user from scratch.
    pub async fn user_token_reference(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        redirect_uri: &Url,
        state: &SecretString,
        verifier: &CodeVerifier,
        deadline: Deadline,
    ) -> Result<ReferenceCode, Error> {
        let challenge = verifier.challenge();
        let claims = [
            ("access_token", access_token.expose_secret()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("redirect_uri", redirect_uri.as_str()),
            ("state", state.expose_secret()),
        ];
        self.reference_code("user_token_reference", contract, &claims, Some(json!({})), deadline).await
    }

    async fn reference_code(
        &self,
        endpoint: &'static str,
        contract: &Contract,
        claims: &Claims<'_>,
        body: Option<Value>,
        deadline: Deadline,
    ) -> Result<ReferenceCode, Error> {
        let path = "oauth/token/reference";
        let call = Call { endpoint, method: Method::POST, path, claims, body, repeat: Repeat::Freely };
        // An error of the key set is ignored here. The verification of the answer fetches the key set again and reports
        // the error.
        let (answer, _) = tokio::join!(self.call(contract, call, deadline), self.warm_keys(deadline));
        let answer = answer?;
        let read = async {
            let payload = self.verified(&answer, deadline).await?;
            Ok(ReferenceCode {
                value: answer::text(&payload, "reference_code")?.into(),
                expires_at: answer::seconds(&payload, "expires_on")?,
            })
        };
        counted(endpoint, read.await)
    }

    /// `POST reference`: returns the identifier that the reauthorization page uses for the account.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn account_reference(
        &self,
        contract: &Contract,
        account: &AccountId,
        deadline: Deadline,
    ) -> Result<String, Error> {
        let body = Some(json!({"type": "accountId", "value": account}));
        let (endpoint, path) = ("account_reference", "reference");
        let call = Call { endpoint, method: Method::POST, path, claims: &[], body, repeat: Repeat::Freely };
        let answer = self.call(contract, call, deadline).await?;
        let id = answer::json(&answer).and_then(|answer| Ok(answer::text(&answer, "id")?.to_owned()));
        counted(endpoint, id)
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
        self.token_pair("refresh", contract, &claims, deadline).await
    }

    /// `POST oauth/token` with the code that the callback of the user reauthorization page has: returns the new pair. A
    /// code can be exchanged once, so the request is retried only if the first one cannot have been executed. It is not
    /// sent without the key set.
    ///
    /// # Errors
    /// [`Error::Api`] when the code was used or has expired, or the verifier is another one.
    pub async fn exchange_code(
        &self,
        contract: &Contract,
        code: &SecretString,
        verifier: &CodeVerifier,
        deadline: Deadline,
    ) -> Result<TokenPair, Error> {
        let claims = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("code_verifier", verifier.secret().expose_secret()),
        ];
        self.token_pair("exchange", contract, &claims, deadline).await
    }

    async fn token_pair(
        &self,
        endpoint: &'static str,
        contract: &Contract,
        claims: &Claims<'_>,
        deadline: Deadline,
    ) -> Result<TokenPair, Error> {
        let (path, repeat) = ("oauth/token", Repeat::IfNotExecuted);
        let call = Call { endpoint, method: Method::POST, path, claims, body: None, repeat };
        self.warm_keys(deadline).await?;
        let answer = self.call(contract, call, deadline).await?;
        let read = async {
            let payload = self.verified(&answer, deadline).await?;
            TokenPair::parse(&payload).map_err(|_| Error::InvalidAnswer("it holds no complete token pair".into()))
        };
        counted(endpoint, read.await)
    }

    /// `GET permission-access/accounts`: returns the user's accounts. An entry without a valid id is left out.
    ///
    /// # Errors
    /// [`Error::refuses_access_token`] tells whether the token must be refreshed first.
    pub async fn accounts(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        deadline: Deadline,
    ) -> Result<Vec<ListedAccount>, Error> {
        let claims = [("access_token", access_token.expose_secret())];
        let (endpoint, path) = ("accounts", "permission-access/accounts");
        let call = Call { endpoint, method: Method::GET, path, claims: &claims, body: None, repeat: Repeat::Freely };
        let answer = self.call(contract, call, deadline).await?;
        counted(endpoint, answer::json(&answer).and_then(|answer| answer::accounts(&answer)))
    }

    /// `POST permission-access/trigger`: starts a read session of the given accounts, or of all accounts if none is
    /// given.
    ///
    /// # Errors
    /// [`Error::refuses_access_token`] tells whether the token must be refreshed first.
    pub async fn trigger(
        &self,
        contract: &Contract,
        access_token: &SecretString,
        accounts: &[AccountId],
        deadline: Deadline,
    ) -> Result<Session, Error> {
        let claims = [("access_token", access_token.expose_secret())];
        let filter = json!({"sourceFetchFilter": {"account": {"id": accounts}}});
        let body = Some(if accounts.is_empty() { json!({}) } else { filter });
        let (endpoint, path) = ("trigger", "permission-access/trigger");
        let call = Call { endpoint, method: Method::POST, path, claims: &claims, body, repeat: Repeat::Freely };
        let answer = self.call(contract, call, deadline).await?;
        let read = || {
            let answer = answer::json(&answer)?;
            let session = answer.get("session").ok_or_else(|| Error::InvalidAnswer("it has no session".into()))?;
            Ok(Session { key: answer::text(session, "key")?.into() })
        };
        counted(endpoint, read())
    }

    /// `GET permission-access/query/{sessionKey}`: returns the current read result in digi.me's form, for
    /// [`ReadResult::parse`](crate::ReadResult::parse).
    ///
    /// # Errors
    /// [`Error::refuses_access_token`] tells whether the token must be refreshed first.
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
        let endpoint = "query";
        let call =
            Call { endpoint, method: Method::GET, path: &path, claims: &claims, body: None, repeat: Repeat::Freely };
        let answer = self.call(contract, call, deadline).await?;
        counted(endpoint, answer::json(&answer))
    }

    /// The URL of the page on which the user reauthorizes the account:
    /// `{onboard}reauthorize?code=…&accountRef=…[&lng=…]`. `language` is a BCP 47 tag.
    #[must_use]
    pub fn reauthorize_url(&self, code: &ReferenceCode, account_reference: &str, language: Option<&str>) -> Url {
        self.page("reauthorize", code, Some(("accountRef", account_reference)), language)
    }

    /// The URL of the page on which the user authorizes the application again: `{onboard}user-reauth?code=…[&lng=…]`.
    /// `language` is a BCP 47 tag.
    #[must_use]
    pub fn user_reauthorize_url(&self, code: &ReferenceCode, language: Option<&str>) -> Url {
        self.page("user-reauth", code, None, language)
    }

    fn page(&self, name: &str, code: &ReferenceCode, parameter: Option<(&str, &str)>, language: Option<&str>) -> Url {
        let mut url = self.settings.onboard_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(name);
        }
        url.query_pairs_mut()
            .append_pair("code", code.value.expose_secret())
            .extend_pairs(parameter)
            .extend_pairs(language.map(|language| ("lng", language)));
        url
    }

    /// Fetches the key set if no fresh set is cached, so that the verification of a later answer does not wait for it.
    ///
    /// # Errors
    /// Those of `GET jwks/oauth`.
    pub async fn warm_keys(&self, deadline: Deadline) -> Result<(), Error> {
        self.keys.warm(&self.transport.ambient, self.fetch_keys(deadline)).await
    }
}
