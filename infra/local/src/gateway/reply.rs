//! The response that API Gateway creates from a function's reply.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

/// In bytes. Lambda refuses larger replies.
const SIZE_LIMIT: usize = 6 * 1024 * 1024;

/// Builds the response. Returns `None` if API Gateway would answer 500.
///
/// A reply without `statusCode` becomes the body of a 200 response.
pub(super) fn response(reply: &[u8]) -> Option<Response<Bytes>> {
    if reply.len() > SIZE_LIMIT {
        return None;
    }
    let reply: Value = serde_json::from_slice(reply).ok()?;
    let Some(status) = reply.get("statusCode") else {
        let mut response = Response::new(Bytes::from(reply.to_string()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Some(response);
    };
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let body = match reply.get("body").unwrap_or(&Value::Null) {
        Value::Null => Bytes::new(),
        Value::String(text) if reply["isBase64Encoded"] == true => Bytes::from(STANDARD.decode(text).ok()?),
        Value::String(text) => Bytes::from(text.clone()),
        _ => return None,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let mut add = |name: &str, value: String| {
        let (name, value) = (name.parse::<HeaderName>().ok()?, HeaderValue::from_str(&value).ok()?);
        response.headers_mut().append(name, value);
        Some(())
    };
    for (name, value) in object(&reply, "headers")? {
        add(name, scalar(value)?)?;
    }
    for (name, values) in object(&reply, "multiValueHeaders")? {
        for value in values.as_array()? {
            add(name, scalar(value)?)?;
        }
    }
    for cookie in reply.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        add("set-cookie", cookie.as_str()?.to_owned())?;
    }
    if !response.body().is_empty() {
        let text = HeaderValue::from_static("text/plain;charset=UTF-8");
        response.headers_mut().entry(header::CONTENT_TYPE).or_insert(text);
    }
    Some(response)
}

fn object<'a>(reply: &'a Value, name: &str) -> Option<impl Iterator<Item = (&'a String, &'a Value)>> {
    match reply.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::Object(members)) => Some(Some(members)),
        Some(_) => None,
    }
    .map(|members: Option<&Map<String, Value>>| members.into_iter().flatten())
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
