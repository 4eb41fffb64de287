//! Requests for pages, and the answers.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::{
    extract::{FromRequestParts, OriginalUri},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use maud::Markup;

use super::notices::Notice;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";
/// The header of the requests with which the script refreshes a page.
const REFRESH: &str = "x-console-refresh";

/// A request for a page.
pub(super) struct Visit {
    /// Path and query.
    pub(super) address: String,
    /// What became of the action before. A refresh leaves it to the page that the browser goes to.
    pub(super) notice: Option<Notice>,
    if_none_match: Option<HeaderValue>,
    parameters: Vec<(String, String)>,
}

impl Visit {
    /// A parameter of the query, if it is not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let values = self.parameters.iter().filter(|(known, _)| known == name);
        values.map(|(_, value)| value.trim()).find(|value| !value.is_empty())
    }

    /// All parameters of the query.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &(String, String)> {
        self.parameters.iter()
    }

    /// The number of a page of a list, from 1.
    pub(super) fn page_number(&self, name: &str) -> usize {
        self.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// This address with another value of one parameter.
    pub(super) fn with_parameter(&self, name: &str, value: &str) -> String {
        let path = self.address.split('?').next().unwrap_or("/");
        let others = self.parameters.iter().filter(|(known, _)| known != name);
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(others).append_pair(name, value);
        format!("{path}?{}", query.finish())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let query = uri.query().unwrap_or_default().as_bytes();
        let is_refresh = parts.headers.contains_key(REFRESH);
        Ok(Self {
            address: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            notice: Notice::of(&parts.headers).filter(|_| !is_refresh),
            if_none_match: parts.headers.get(header::IF_NONE_MATCH).cloned(),
            parameters: url::form_urlencoded::parse(query).into_owned().collect(),
        })
    }
}

/// The answer with a page, or without it if the browser has it.
pub(super) fn page(status: StatusCode, page: &Markup, visit: &Visit) -> Response {
    let tag = HeaderValue::from_str(&format!("\"{:016x}\"", fingerprint(&page.0)));
    let mut headers = HeaderMap::new();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    if let Ok(tag) = tag {
        if visit.if_none_match.as_ref() == Some(&tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(header::ETAG, tag);
    }
    if visit.notice.is_some() {
        add(&mut headers, header::SET_COOKIE, &Notice::ended());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    (status, headers, page.0.clone()).into_response()
}

/// Back to a page of the console, with what became of the action.
pub(super) fn redirect(back: &str, notice: &Notice) -> Response {
    let own = back == "/" || back.starts_with("/?") || back.starts_with("/console/") || back.starts_with("/returned");
    // A path with a line break is no header.
    let is_path = HeaderValue::from_str(back).is_ok();
    let mut response = Redirect::to(if own && is_path { back } else { "/" }).into_response();
    add(response.headers_mut(), header::SET_COOKIE, &notice.to_cookie());
    response
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.append(name, value);
    }
}

/// Whether two renderings of a page show the same. Ages, which are the content of the elements `time`, and the time of the
/// page itself do not count: the script keeps them current.
fn fingerprint(html: &str) -> u64 {
    const TIME: &str = "<time ";
    let mut hasher = DefaultHasher::new();
    for (index, part) in html.split(TIME).enumerate() {
        if index == 0 {
            let (before, after) = part.split_once(" data-now=\"").unwrap_or((part, ""));
            (before, after.split_once('"').map(|(_now, rest)| rest)).hash(&mut hasher);
        } else {
            let attributes = part.split_once('>').map(|(attributes, _)| attributes);
            (attributes, part.split_once("</time>").map(|(_age, rest)| rest)).hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ages_and_the_time_of_the_page_do_not_count() {
        let page = |now: &str, at: &str, age: &str, rest: &str| {
            fingerprint(&format!(
                r#"<html lang="en" data-now="{now}"><p>a <time datetime="{at}">{age}</time> {rest}</p>"#
            ))
        };
        let first = page("1", "t", "1 s ago", "x");
        assert_eq!(first, page("2", "t", "2 min ago", "x"));
        assert_ne!(first, page("1", "u", "1 s ago", "x"));
        assert_ne!(first, page("1", "t", "1 s ago", "y"));
    }

    #[test]
    fn an_action_leads_back_to_pages_of_the_console_only() {
        let to = |back: &str| redirect(back, &Notice::success("done")).headers()[header::LOCATION].clone();
        assert_eq!(to("/console/users/u?page=2"), "/console/users/u?page=2");
        for other in ["//evil.example", "https://evil.example", "/users/u", "/\\evil", ""] {
            assert_eq!(to(other), "/", "{other}");
        }
    }
}
