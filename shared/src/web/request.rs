//! A request to the HTTP API, as API Gateway hands it over.

use std::collections::HashMap;

use aws_lambda_events::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequest};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::Problem;
use crate::{
    domain::InvalidValue,
    lambda::{Invocation, Trigger},
};

/// The longest query that is looked at, in bytes.
const MAX_QUERY: usize = 64 * 1024;

/// A request. Nothing in it was checked but that an IAM principal sent it, where it says so.
#[derive(Debug)]
pub struct Request {
    /// The route, such as `GET /users/{userId}/accounts`.
    pub route: String,
    /// API Gateway's identifier of the request.
    pub request_id: String,
    /// When it came, and by when it must be answered.
    pub trigger: Trigger,
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
        // What is not base64, though it says so, is no JSON either.
        let body = if event.is_base64_encoded { STANDARD.decode(&body).unwrap_or_default() } else { body.into_bytes() };
        Self {
            route: context.route_key.or(event.route_key).unwrap_or_default(),
            request_id: context.request_id.unwrap_or_else(|| invocation.request_id.clone()),
            trigger: Trigger { at: now, deadline: invocation.deadline },
            path: event.path_parameters,
            query: event.raw_query_string.unwrap_or_default(),
            body,
            cookies: event.cookies.unwrap_or_default(),
            has_principal: context.authorizer.as_ref().is_some_and(has_principal),
            domain_name: context.domain_name,
        }
    }

    /// Refuses a request that no IAM principal signed, whatever the gateway let through.
    ///
    /// # Errors
    /// 401.
    pub fn require_principal(&self) -> Result<(), Problem> {
        if self.has_principal { Ok(()) } else { Err(Problem::unauthorized()) }
    }

    /// A path parameter, parsed.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn path<T: std::str::FromStr<Err = InvalidValue>>(&self, name: &str) -> Result<T, Problem> {
        let value = self.path.get(name).map(String::as_str).unwrap_or_default();
        value.parse().map_err(|InvalidValue(message)| Problem::invalid_field(name, message))
    }

    /// The text of a path parameter.
    #[must_use]
    pub fn path_text(&self, name: &str) -> &str {
        self.path.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The query's parameters.
    ///
    /// # Errors
    /// 400 when it is too long, or a parameter is given twice with different values.
    pub fn query(&self) -> Result<Query, Problem> {
        Query::parse(&self.query)
    }

    /// The values of a cookie: one, unless somebody meddles.
    pub fn cookies(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.cookies.iter().flat_map(|cookies| cookies.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The body as JSON; an empty one is `null`.
    ///
    /// # Errors
    /// 400 when it is not JSON.
    pub fn json(&self) -> Result<Value, Problem> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|_| Problem::invalid_field("", "the body must be JSON"))
    }

    /// The length of the body in bytes.
    #[must_use]
    pub fn body_length(&self) -> usize {
        self.body.len()
    }

    /// Where the callback and the links are: what is configured, else the host that the request came to.
    ///
    /// # Errors
    /// 500 when neither says it.
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

/// The parameters of a raw query. Equal duplicates of a parameter count once, unequal ones are refused.
#[derive(Debug)]
pub struct Query(HashMap<String, String>);

impl Query {
    /// Reads a raw query string.
    ///
    /// # Errors
    /// 400, when it is too long, or gives a parameter twice with different values.
    pub fn parse(raw: &str) -> Result<Self, Problem> {
        if raw.len() > MAX_QUERY {
            return Err(Problem::invalid_field("", "the query is too long"));
        }
        let mut parameters: HashMap<String, String> = HashMap::new();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()).into_owned() {
            match parameters.get(&name) {
                Some(known) if *known != value => {
                    // A name from the query is not repeated: it is anybody's text.
                    return Err(Problem::invalid_field("", "a query parameter is given twice with different values"));
                }
                _ => parameters.insert(name, value),
            };
        }
        Ok(Self(parameters))
    }

    /// A parameter; an empty one counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A switch: `true` or `false`, off when left out.
    ///
    /// # Errors
    /// 400, naming it.
    pub fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::invalid_field(name, "must be true or false")),
        }
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
        assert!(Query::parse(&"a".repeat(MAX_QUERY + 1)).is_err());
    }

    #[test]
    fn a_switch_is_true_or_false() {
        let query = Query::parse("on=true&off=false&odd=1").unwrap();
        assert!(query.switch("on").unwrap() && !query.switch("off").unwrap() && !query.switch("none").unwrap());
        assert!(query.switch("odd").is_err());
    }
}
