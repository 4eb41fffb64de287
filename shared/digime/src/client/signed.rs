//! Signed requests and verified answers.

use bytes::Bytes;
use http::{
    HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::{
    ApiError, Client, Contract, Error, Refused, answer,
    contract::Claims,
    keys::{self, KeySet},
    transport::{Repeat, counted},
};
use crate::ambient::Deadline;

/// One request, before it is signed.
pub(super) struct Call<'a> {
    /// The name of the endpoint in the metrics.
    pub(super) endpoint: &'static str,
    pub(super) method: Method,
    /// The path below the base URL.
    pub(super) path: &'a str,
    /// The claims that the call adds to the common claims.
    pub(super) claims: &'a Claims<'a>,
    pub(super) body: Option<Value>,
    pub(super) repeat: Repeat,
}

impl Client {
    pub(super) async fn call(&self, contract: &Contract, call: Call<'_>, deadline: Deadline) -> Result<Bytes, Error> {
        let url = self.url(call.path)?;
        let body = call.body.map(|body| Bytes::from(body.to_string()));
        let build = || {
            let token = contract.request_token(call.claims, &self.transport.ambient)?;
            let bearer = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
            let mut bearer = bearer.map_err(|_| Error::Signing)?;
            bearer.set_sensitive(true);
            let mut request = reqwest::Request::new(call.method.clone(), url.clone());
            request.headers_mut().insert(AUTHORIZATION, bearer);
            if let Some(body) = &body {
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                *request.body_mut() = Some(body.clone().into());
            }
            Ok(request)
        };
        // Boxed, because the future of an HTTP exchange is large.
        Box::pin(self.transport.send(call.endpoint, call.repeat, deadline, build)).await
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        let url = self.settings.base_url.join(path);
        url.map_err(|_| Error::InvalidAnswer("a path does not form a URL".into()))
    }

    /// Verifies the signature of an answer's `token` and returns its payload.
    pub(super) async fn verified(&self, answer: &Bytes, deadline: Deadline) -> Result<Value, Error> {
        let answer = answer::json(answer)?;
        let token = answer::text(&answer, "token")?;
        let hint = keys::key_hint(token)?;
        let ambient = &self.transport.ambient;
        let key = self.keys.key(&hint.kid, ambient, self.fetch_keys(deadline)).await?;
        let payload = keys::verify(token, &key, ambient.now())?;
        let foreign = |jku: &String| self.url("jwks/oauth").is_ok_and(|url| url.as_str() != jku.as_str());
        if hint.jku.as_ref().is_some_and(foreign) {
            metrics::counter!("ForeignKeySets").increment(1);
            tracing::warn!(
                "verify answer: the signature is valid, and the answer names another key set than the configured one"
            );
        }
        Ok(payload)
    }

    /// `GET jwks/oauth`. The request has no bearer token.
    pub(super) async fn fetch_keys(&self, deadline: Deadline) -> Result<KeySet, Error> {
        let url = self.url("jwks/oauth")?;
        let build = || Ok(reqwest::Request::new(Method::GET, url.clone()));
        let answer = Box::pin(self.transport.send("key_set", Repeat::Freely, deadline, build)).await;
        // The error code is dropped: an error of this request says nothing about a token or a client.
        let answer = answer.map_err(|error| match error {
            Error::Api(error) => Error::Api(ApiError { refused: Refused::Other, ..error }),
            error => error,
        });
        let answer = answer?;
        counted("key_set", answer::json(&answer).and_then(|answer| keys::read_keys(&answer)))
    }
}
