//! A request to the HTTP API, as API Gateway sends it to the function.

use std::collections::{BTreeMap, HashMap};

use aws_lambda_events::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use url::{Url, form_urlencoded};

use super::{Input, Problem};
use crate::{
    domain::{InvalidField, InvalidFields},
    lambda::{Invocation, RequestContext},
};

/// The maximum length of a query in bytes. A longer query is refused.
const MAX_QUERY: usize = 64 * 1024;

/// A request. Its content is not checked yet.
#[derive(Debug)]
pub struct Request {
    /// The route, such as `GET /users/{userId}/accounts`.
    pub route: String,
    /// API Gateway's identifier of the request.
    pub request_id: String,
    /// When the request arrived, and the deadline of the answer.
    pub context: RequestContext,
    path: HashMap<String, String>,
    query: String,
    body: Vec<u8>,
    cookies: Vec<String>,
    has_principal: bool,
    domain_name: Option<String>,
}

impl Request {
    pub(super) fn new(event: ApiGatewayV2httpRequest, invocation: &Invocation, now: Timestamp) -> Self {
        let context = event.request_context;
        let body = event.body.unwrap_or_default();
        // A body that is not valid base64 is treated as empty.
        let body = if event.is_base64_encoded { STANDARD.decode(&body).unwrap_or_default() } else { body.into_bytes() };
        Self {
            route: context.route_key.or(event.route_key).unwrap_or_default(),
            request_id: context.request_id.unwrap_or_else(|| invocation.request_id.clone()),
            context: RequestContext { at: now, deadline: invocation.deadline },
            path: event.path_parameters,
            query: event.raw_query_string.unwrap_or_default(),
            body,
            cookies: event.cookies.unwrap_or_default(),
            has_principal: context.authorizer.as_ref().is_some_and(has_principal),
            domain_name: context.domain_name,
        }
    }

    /// Refuses a request that was not signed by an IAM principal, even if the gateway let it through.
    pub fn require_principal(&self) -> Result<(), Problem> {
        if self.has_principal { Ok(()) } else { Err(Problem::unauthorized()) }
    }

    /// The request's input, for parsing it part by part.
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        Input::new(self)
    }

    #[must_use]
    pub fn path_text(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The query parameters. Unknown parameters are allowed.
    ///
    /// # Errors
    /// When the query is too long, or contains a parameter twice with different values.
    pub fn query(&self) -> Result<Query, InvalidFields> {
        Query::parse(&self.query)
    }

    pub(super) fn raw_query(&self) -> &str {
        &self.query
    }

    /// The values of a cookie. There is one, unless the browser's cookies were tampered with.
    pub fn cookies(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.cookies.iter().flat_map(|cookies| cookies.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    #[must_use]
    pub fn body_length(&self) -> usize {
        self.body.len()
    }

    /// The base URL of the callback and of reconnect links: `configured`, else the host of this request.
    ///
    /// # Errors
    /// 500 when neither is known.
    pub fn public_base_url(&self, configured: Option<&Url>) -> Result<Url, Problem> {
        if let Some(url) = configured {
            return Ok(url.clone());
        }
        let host = self.domain_name.as_deref().filter(|name| !name.is_empty());
        let url = host.and_then(|host| Url::parse(&format!("https://{host}/")).ok());
        url.ok_or_else(|| Problem::internal("neither PUBLIC_BASE_URL nor the request's domainName is there"))
    }
}

fn has_principal(authorizer: &ApiGatewayRequestAuthorizer) -> bool {
    let arn = authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_deref());
    arn.is_some_and(|arn| !arn.is_empty())
}

/// The parameters of a raw query. A parameter that occurs more than once with the same value counts once. With
/// different values, it is refused.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, Result<String, Conflict>>);

/// A query parameter that occurs more than once with different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is given twice with different values")]
pub(super) struct Conflict;

impl Query {
    /// Parses a raw query string.
    ///
    /// # Errors
    /// When the query is too long, or contains a parameter twice with different values.
    pub fn parse(raw: &str) -> Result<Self, InvalidFields> {
        let query = Self::read(raw)?;
        let conflicts = query.0.iter().filter_map(|(name, value)| Some((name, value.as_ref().err()?)));
        let wrong = conflicts.map(|(name, conflict)| InvalidField::below("", name, conflict.to_string())).collect();
        InvalidFields(wrong).finish(|| Some(query))
    }

    /// Parses a raw query string and keeps conflicts, for [`Query::take`].
    pub(super) fn read(raw: &str) -> Result<Self, InvalidField> {
        if raw.len() > MAX_QUERY {
            return Err(InvalidField::new("", "the query is too long"));
        }
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()).into_owned() {
            let known = parameters.entry(name).or_insert_with(|| Ok(value.clone()));
            if known.as_ref().is_ok_and(|known| *known != value) {
                *known = Err(Conflict);
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter. An empty value counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().ok().filter(|value| !value.is_empty())
    }

    /// Removes a parameter and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Result<String, Conflict>> {
        self.0.remove(name)
    }

    /// The names of the parameters that were not removed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_duplicates_count_once_and_unequal_ones_are_refused() {
        let query = Query::parse("a=1&a=1&b=%20&c=&d").unwrap();
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("c"), query.get("d")),
            (Some("1"), Some(" "), None, None)
        );
        assert!(Query::parse("a=1&a=2").is_err());
        assert!(Query::parse("a=1&%61=2").is_err());
        assert_eq!(Query::parse("a=1&a=2&a=1&b=1").unwrap_err().0[0].name(), "a");
        assert!(Query::parse(&"a".repeat(MAX_QUERY + 1)).is_err());
    }
}
