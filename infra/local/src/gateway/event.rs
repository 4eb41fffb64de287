//! The event that API Gateway creates from a request, in payload format 2.0.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use digime::ambient::Ambient;
use http::{HeaderMap, header, request::Parts};
use jiff::tz::TimeZone;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::Route;
use crate::{ids::random_hex, names};

const API_ID: &str = "local";
const SOURCE_IP: &str = "127.0.0.1";

pub(super) struct Incoming<'a> {
    pub(super) route: &'static Route,
    pub(super) path_parameters: Vec<(&'static str, String)>,
    pub(super) parts: &'a Parts,
    pub(super) body: &'a Bytes,
    pub(super) request_id: &'a str,
    pub(super) ambient: &'a Ambient,
    pub(super) iam_principal: bool,
}

/// Builds the event. Like API Gateway, it leaves out fields without a value.
pub(super) fn event(incoming: &Incoming<'_>) -> Value {
    let uri = &incoming.parts.uri;
    let raw_path = percent_decode_str(uri.path()).decode_utf8_lossy();
    let mut event = json!({
        "version": "2.0",
        "routeKey": incoming.route.key(),
        "rawPath": raw_path,
        "rawQueryString": uri.query().unwrap_or_default(),
        "headers": headers(incoming),
        "requestContext": context(incoming, &raw_path),
        "isBase64Encoded": false,
    });
    let cookies = cookies(&incoming.parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let query = query_parameters(uri.query().unwrap_or_default());
    if !query.is_empty() {
        event["queryStringParameters"] = Value::Object(query);
    }
    if !incoming.path_parameters.is_empty() {
        event["pathParameters"] =
            incoming.path_parameters.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    }
    match body(&incoming.parts.headers, incoming.body) {
        EventBody::None => {}
        EventBody::Text(text) => event["body"] = json!(text),
        EventBody::Base64(text) => {
            event["body"] = json!(text);
            event["isBase64Encoded"] = json!(true);
        }
    }
    event
}

fn context(incoming: &Incoming<'_>, raw_path: &str) -> Value {
    let headers = &incoming.parts.headers;
    let text = |name: header::HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
    };
    let host = text(header::HOST);
    let domain_prefix = host.split(['.', ':']).next().unwrap_or_default();
    let now = incoming.ambient.now();
    let time = now.to_zoned(TimeZone::UTC).strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    let mut context = json!({
        "accountId": names::ACCOUNT,
        "apiId": API_ID,
        "domainName": host,
        "domainPrefix": domain_prefix,
        "http": {
            "method": incoming.parts.method.as_str(),
            "path": raw_path,
            "protocol": "HTTP/1.1",
            "sourceIp": SOURCE_IP,
            "userAgent": text(header::USER_AGENT),
        },
        "requestId": incoming.request_id,
        "routeKey": incoming.route.key(),
        "stage": "$default",
        "time": time,
        "timeEpoch": now.as_millisecond(),
    });
    if incoming.iam_principal {
        context["authorizer"] = json!({"iam": {
            "accessKey": "LOCALACCESSKEY",
            "accountId": names::ACCOUNT,
            "callerId": "LOCALUSERID",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{}:user/local-application", names::ACCOUNT),
            "userId": "LOCALUSERID",
        }});
    }
    context
}

/// The headers: names in lower case, several values of one header joined by commas, without `cookie`, which has its own
/// field.
fn headers(incoming: &Incoming<'_>) -> Map<String, Value> {
    let headers = &incoming.parts.headers;
    let mut joined = Map::new();
    for name in headers.keys().filter(|name| **name != header::COOKIE) {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        joined.insert(name.as_str().to_owned(), json!(values.join(",")));
    }
    joined.insert("x-amzn-trace-id".to_owned(), json!(trace_id(incoming.ambient)));
    joined.insert("x-forwarded-for".to_owned(), json!(SOURCE_IP));
    joined.insert("x-forwarded-proto".to_owned(), json!("http"));
    joined
}

fn trace_id(ambient: &Ambient) -> String {
    format!("Root=1-{}-{}", random_hex::<4>(ambient), random_hex::<12>(ambient))
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .map(|cookie| cookie.trim().to_owned())
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

/// The decoded query parameters, several values of one parameter joined by commas.
fn query_parameters(query: &str) -> Map<String, Value> {
    let mut parameters: Map<String, Value> = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let joined = match parameters.get(name.as_ref()).and_then(Value::as_str) {
            Some(earlier) => format!("{earlier},{value}"),
            None => value.into_owned(),
        };
        parameters.insert(name.into_owned(), json!(joined));
    }
    parameters
}

enum EventBody {
    None,
    Text(String),
    Base64(String),
}

/// HTTP APIs pass bodies of a few text types unchanged, and all other bodies, including forms, in Base64.
fn body(headers: &HeaderMap, body: &Bytes) -> EventBody {
    if body.is_empty() {
        return EventBody::None;
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text = media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str());
    match std::str::from_utf8(body) {
        Ok(text) if is_text => EventBody::Text(text.to_owned()),
        _ => EventBody::Base64(STANDARD.encode(body)),
    }
}
