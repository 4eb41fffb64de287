//! The response that API Gateway creates from a function's reply.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Deserialize;

use crate::invoke::REPLY_LIMIT;

/// A reply in payload format 2.0. API Gateway accepts more forms, which the functions do not use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Builds the response. Returns `None` if API Gateway would answer 500.
pub(super) fn response(reply: &[u8]) -> Option<Response<Bytes>> {
    if reply.len() > REPLY_LIMIT {
        return None;
    }
    let reply: Reply = serde_json::from_slice(reply).ok()?;
    let body = match reply.body {
        Some(text) if reply.is_base64_encoded => Bytes::from(STANDARD.decode(text).ok()?),
        text => Bytes::from(text.unwrap_or_default()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status_code).ok()?;
    let cookies = reply.cookies.into_iter().map(|cookie| ("set-cookie".to_owned(), cookie));
    for (name, value) in reply.headers.into_iter().chain(cookies) {
        let (name, value) = (name.parse::<HeaderName>().ok()?, HeaderValue::from_str(&value).ok()?);
        response.headers_mut().append(name, value);
    }
    if !response.body().is_empty() {
        let text = HeaderValue::from_static("text/plain;charset=UTF-8");
        response.headers_mut().entry(header::CONTENT_TYPE).or_insert(text);
    }
    Some(response)
}
