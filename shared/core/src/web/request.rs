//! What the functions need from a request, beside the extensions of `lambda_http`.

use std::{collections::BTreeMap, fmt};

use http::header::COOKIE;
use lambda_http::{
    Request, RequestExt,
    aws_lambda_events::apigw::{ApiGatewayRequestAuthorizer, ApiGatewayV2httpRequestContext},
    request::RequestContext as GatewayContext,
};
use reauth_domain::{InvalidField, InvalidFields};
use tracing::Span;
use url::Url;

use super::{Input, Problem};
use crate::lambda::RequestContext;

/// The maximum length of a query in bytes, percent-encoded. A longer query is refused.
pub(super) const MAX_QUERY: usize = 48 * 1024;

/// A request to the HTTP API. Its content is not checked yet.
pub trait ApiRequest {
    /// The route, such as `GET /users/{userId}/accounts`.
    fn route(&self) -> &str;

    /// API Gateway's identifier of the request.
    fn request_id(&self) -> &str;

    /// When the request arrived, the deadline of the answer, and the trace.
    fn context(&self) -> RequestContext;

    /// Refuses a request that was not signed by an IAM principal, even if the gateway let it through.
    fn require_principal(&self) -> Result<(), Problem>;

    /// Records an id in the span of the request: `user_id`, `account_id`, `contract_id`, `reauthorization_id`, `event_id` or
    /// `trace_id`.
    fn record(&self, field: &str, id: &dyn fmt::Display);

    /// The request's input, for parsing it part by part.
    fn input(&self) -> Input<'_>;

    /// A path parameter. Empty if the route has none with this name.
    fn path_text(&self, name: &str) -> &str;

    /// The query parameters. Unknown parameters are allowed.
    ///
    /// # Errors
    /// When the query is too long, or contains a parameter twice with different values.
    fn query(&self) -> Result<Query, InvalidFields>;

    /// The values of a cookie. There is one, unless the browser's cookies were tampered with.
    fn cookies(&self, name: &str) -> impl Iterator<Item = &str>;

    /// The host of the API, as API Gateway sets it.
    fn domain_name(&self) -> Option<&str>;

    /// The base URL of the callback and of reconnect links: `configured`, else the host of this request.
    ///
    /// # Errors
    /// 500 when neither is known.
    fn public_base_url(&self, configured: Option<&Url>) -> Result<Url, Problem>;
}

impl ApiRequest for Request {
    fn route(&self) -> &str {
        gateway_context(self).and_then(|context| context.route_key.as_deref()).unwrap_or_default()
    }

    fn request_id(&self) -> &str {
        let of_gateway = gateway_context(self).and_then(|context| context.request_id.as_deref());
        let of_lambda = || self.lambda_context_ref().map(|context| context.request_id.as_str());
        of_gateway.or_else(of_lambda).unwrap_or_default()
    }

    #[expect(clippy::expect_used, reason = "`web::answer` inserts it before it calls the function")]
    fn context(&self) -> RequestContext {
        self.extensions().get().copied().expect("a request has a context")
    }

    fn require_principal(&self) -> Result<(), Problem> {
        let authorizer = gateway_context(self).and_then(|context| context.authorizer.as_ref());
        if authorizer.is_some_and(has_principal) { Ok(()) } else { Err(Problem::unauthorized()) }
    }

    fn record(&self, field: &str, id: &dyn fmt::Display) {
        if let Some(span) = self.extensions().get::<Span>() {
            span.record(field, tracing::field::display(id));
        }
    }

    fn input(&self) -> Input<'_> {
        Input::new(self)
    }

    fn path_text(&self, name: &str) -> &str {
        self.path_parameters_ref().and_then(|path| path.first(name)).unwrap_or_default()
    }

    fn query(&self) -> Result<Query, InvalidFields> {
        Query::of(self)?.without_conflicts()
    }

    fn cookies(&self, name: &str) -> impl Iterator<Item = &str> {
        let headers = self.headers().get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = headers.flat_map(|cookies| cookies.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    fn domain_name(&self) -> Option<&str> {
        let context = gateway_context(self)?;
        context.domain_name.as_deref().filter(|host| !host.is_empty())
    }

    fn public_base_url(&self, configured: Option<&Url>) -> Result<Url, Problem> {
        if let Some(url) = configured {
            return Ok(url.clone());
        }
        let url = self.domain_name().and_then(|host| Url::parse(&format!("https://{host}/")).ok());
        url.ok_or_else(|| Problem::internal("neither PUBLIC_BASE_URL nor the request's domainName is set"))
    }
}

fn gateway_context(request: &Request) -> Option<&ApiGatewayV2httpRequestContext> {
    match request.request_context_ref()? {
        GatewayContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

fn has_principal(authorizer: &ApiGatewayRequestAuthorizer) -> bool {
    let arn = authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_deref());
    arn.is_some_and(|arn| !arn.is_empty())
}

/// The parameters of a query. A parameter that occurs more than once with the same value counts once. With different
/// values, it is refused.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, Result<String, RepeatedParameter>>);

/// A query parameter that occurs more than once with different values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is given twice with different values")]
pub(super) struct RepeatedParameter;

impl Query {
    /// Reads the query of a request. RepeatedParameters are kept, for [`Query::take`].
    pub(super) fn of(request: &Request) -> Result<Self, InvalidField> {
        if request.uri().query().is_some_and(|query| query.len() > MAX_QUERY) {
            return Err(InvalidField::new("", "the query is too long"));
        }
        let parameters = request.query_string_parameters_ref();
        let mut values = BTreeMap::new();
        for (name, value) in parameters.into_iter().flat_map(|parameters| parameters.iter()) {
            let known = values.entry(name.to_owned()).or_insert_with(|| Ok(value.to_owned()));
            if known.as_ref().is_ok_and(|known| known != value) {
                *known = Err(RepeatedParameter);
            }
        }
        Ok(Self(values))
    }

    fn without_conflicts(self) -> Result<Self, InvalidFields> {
        let conflicts = self.0.iter().filter_map(|(name, value)| Some((name, value.as_ref().err()?)));
        let wrong = conflicts.map(|(name, conflict)| InvalidField::below("", name, conflict.to_string())).collect();
        InvalidFields(wrong).finish(|| Some(self))
    }

    /// The value of a parameter. An empty value counts as left out.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref().ok().filter(|value| !value.is_empty())
    }

    /// Removes a parameter and returns its value.
    pub(super) fn take(&mut self, name: &str) -> Option<Result<String, RepeatedParameter>> {
        self.0.remove(name)
    }

    /// The names of the parameters that were not removed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::aws_lambda_events::query_map::QueryMap;

    use super::*;

    fn query(text: &str) -> Result<Query, InvalidFields> {
        Request::default().with_query_string_parameters(text.parse::<QueryMap>().unwrap()).query()
    }

    #[test]
    fn equal_duplicates_count_once_and_unequal_ones_are_refused() {
        let read = query("a=1&a=1&b=%20&c=&d").unwrap();
        assert_eq!((read.get("a"), read.get("b"), read.get("c"), read.get("d")), (Some("1"), Some(" "), None, None));
        let wrong = |text| query(text).unwrap_err().0[0].name().into_owned();
        assert_eq!(
            (wrong("a=1&a=2"), wrong("a=1&%61=2"), wrong("a=1&a=2&a=1&b=1")),
            ("a".into(), "a".into(), "a".into())
        );
    }
}
