//! The input of a request. All errors in its path, query and body are reported together.

use std::{fmt::Display, str::FromStr};

use http::Method;
use reauth_domain::{InvalidField, InvalidFields};
use serde_json::{Map, Value};

use super::{ApiRequest, Problem, Query, Request};

/// The prefix of the Signature Version 4 parameters in the query of a presigned request. They are not refused as
/// unknown.
const SIGNATURE_PREFIX: &str = "X-Amz-";

/// The input of an application's request, parsed part by part. Each method returns a part if it is valid, and records
/// the error if not. [`Input::finish`] refuses the request with all errors, and with every parameter and field that no
/// method requested.
#[derive(Debug)]
pub struct Input<'a> {
    request: &'a Request,
    query: Query,
    body: Body,
    wrong: InvalidFields,
}

#[derive(Debug)]
enum Body {
    /// No field was requested yet.
    Unread,
    /// The whole body was requested, with fields that this service does not define.
    Whole,
    /// The fields that were not requested yet.
    Fields(Map<String, Value>),
    /// The body is not a JSON object. The error is recorded.
    Invalid,
}

impl<'a> Input<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        let mut wrong = InvalidFields::default();
        let query = wrong.check(Query::of(request)).unwrap_or_default();
        Self { request, query, body: Body::Unread, wrong }
    }

    /// Records the error of a part that was parsed by other code.
    pub fn check<T>(&mut self, part: Result<T, impl Into<InvalidFields>>) -> Option<T> {
        self.wrong.check(part)
    }

    fn check_field<T>(&mut self, name: &'static str, part: Result<T, impl Display>) -> Option<T> {
        self.check(part.map_err(|error| InvalidField::new(name, error.to_string())))
    }

    /// A path parameter. A valid one is recorded in the request's span under its name in snake case: `userId` as
    /// `user_id`.
    pub fn path<T: FromStr<Err: Display> + Display>(&mut self, name: &'static str) -> Option<T> {
        let value: Option<T> = self.check_field(name, self.request.path_text(name).parse());
        if let Some(value) = &value {
            self.request.record(field_name(name), value);
        }
        value
    }

    /// A query parameter. `parse` gets `None` when the parameter is left out or empty.
    pub fn parameter<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(Option<&str>) -> Result<T, E>,
    ) -> Option<T> {
        let value = match self.query.take(name) {
            Some(Ok(value)) => Some(value).filter(|value| !value.is_empty()),
            Some(Err(conflict)) => return self.check_field(name, Err(conflict)),
            None => None,
        };
        self.check_field(name, parse(value.as_deref()))
    }

    /// A query parameter that is `true` or `false`. The default is false.
    pub fn switch(&mut self, name: &'static str) -> bool {
        let parse = |value: Option<&str>| match value {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err("must be true or false"),
        };
        self.parameter(name, parse).unwrap_or_default()
    }

    /// The whole body as JSON. An empty body is `null`. Its fields are not defined by this service, so that unknown
    /// fields are allowed.
    pub fn json(&mut self) -> Option<Value> {
        self.body = Body::Whole;
        self.parse_body()
    }

    fn parse_body(&mut self) -> Option<Value> {
        let body = self.request.body();
        if body.is_empty() {
            return Some(Value::Null);
        }
        self.check_field("", serde_json::from_slice(body).map_err(|_| "the body must be JSON"))
    }

    /// An optional string field of the body, parsed. `null` counts as left out.
    pub fn text_field<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.take_field(name)? {
            Value::String(text) => self.check_field(name, parse(&text)),
            _ => self.check_field(name, Err("must be a string")),
        }
    }

    /// An optional field of the body, parsed. `null` counts as left out.
    pub fn optional_field<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.take_field(name)?;
        self.check_field(name, parse(&value))
    }

    /// A required field of the body.
    pub fn required_field(&mut self, name: &'static str) -> Option<Value> {
        let value = self.take_field(name);
        if value.is_none() && matches!(self.body, Body::Fields(_)) {
            return self.check_field(name, Err("is missing"));
        }
        value
    }

    fn take_field(&mut self, name: &str) -> Option<Value> {
        self.read_fields();
        match &mut self.body {
            Body::Fields(fields) => fields.remove(name).filter(|value| !value.is_null()),
            Body::Unread | Body::Whole | Body::Invalid => None,
        }
    }

    fn read_fields(&mut self) {
        if let Body::Unread = self.body {
            self.body = match self.parse_body() {
                Some(Value::Object(fields)) => Body::Fields(fields),
                Some(Value::Null) => Body::Fields(Map::new()),
                Some(_) => {
                    self.check_field::<()>("", Err("the body must be a JSON object"));
                    Body::Invalid
                }
                None => Body::Invalid,
            };
        }
    }

    /// The whole input, built from its parts.
    ///
    /// # Errors
    /// 400 with all errors, including unknown query parameters and body fields. The body of a GET or DELETE request has no meaning (RFC 9110,
    /// sections 9.3.1 and 9.3.5).
    pub fn finish<T>(mut self, whole: impl FnOnce() -> Option<T>) -> Result<T, Problem> {
        if !matches!(*self.request.method(), Method::GET | Method::DELETE) {
            self.read_fields();
        }
        let parameters = self.query.names().filter(|name| !name.starts_with(SIGNATURE_PREFIX));
        self.wrong.0.extend(parameters.map(|name| InvalidField::below("", name, "is not a parameter of this route")));
        if let Body::Fields(fields) = &self.body {
            self.wrong
                .0
                .extend(fields.keys().map(|name| InvalidField::below("", name, "is not a field of this route")));
        }
        self.wrong.finish(whole).map_err(Problem::from)
    }
}

/// The names of path parameters in log lines.
fn field_name(parameter: &str) -> &'static str {
    match parameter {
        "userId" => "user_id",
        "accountId" => "account_id",
        "contractId" => "contract_id",
        "reauthorizationId" => "reauthorization_id",
        "eventId" => "event_id",
        _ => "parameter",
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::{Body, RequestExt};
    use reauth_domain::Locale;

    use super::*;

    fn request(query: &str, body: &str) -> Request {
        let parameters: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut map = std::collections::HashMap::<String, Vec<String>>::new();
        parameters.into_iter().for_each(|(name, value)| map.entry(name).or_default().push(value));
        Request::new(Body::from(body)).with_query_string_parameters(map)
    }

    fn wrong(input: Input<'_>) -> Vec<String> {
        let errors = input.finish(|| Some(())).unwrap_err().errors;
        errors.iter().map(|error| error.name().into_owned()).collect()
    }

    #[test]
    fn a_switch_is_true_or_false_and_off_when_left_out() {
        let request = request("on=true&off=false&empty=&odd=1", "");
        let mut input = request.input();
        assert!(input.switch("on"));
        assert!(!input.switch("off") && !input.switch("empty") && !input.switch("none"));
        input.switch("odd");
        assert_eq!(wrong(input), ["odd"]);
    }

    #[test]
    fn a_body_is_an_object_or_left_out() {
        for body in ["", "null", "{}", r#"{"locale":null,"readResult":null}"#] {
            let request = request("", body);
            let mut input = request.input();
            assert_eq!(input.text_field("locale", str::parse::<Locale>), None);
            assert_eq!(input.required_field("readResult"), None);
            assert_eq!(wrong(input), ["readResult"], "{body}");
        }
        for body in ["[]", "7", "x"] {
            let request = request("", body);
            let mut input = request.input();
            assert_eq!(input.required_field("readResult"), None);
            assert_eq!(wrong(input), [""], "{body}");
        }
    }
}
