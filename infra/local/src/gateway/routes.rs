//! The routes of the API and their functions.

use http::Method;
use percent_encoding::percent_decode_str;

use crate::invoke::Function;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub method: &'static str,
    /// The path with parameters in braces.
    pub path: &'static str,
    pub function: Function,
    /// Whether callers must be IAM principals: true for the application's routes, false for the routes of the user's
    /// browser.
    pub iam: bool,
}

impl Route {
    /// The route key of API Gateway, such as `GET /accounts`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

const fn application(method: &'static str, path: &'static str, function: Function) -> Route {
    Route { method, path, function, iam: true }
}

const fn browser(method: &'static str, path: &'static str, function: Function) -> Route {
    Route { method, path, function, iam: false }
}

pub const ROUTES: &[Route] = &[
    application("PUT", "/users/{userId}/grants/{contractId}", Function::Accounts),
    application("GET", "/users/{userId}/grants/{contractId}", Function::Accounts),
    application("GET", "/users/{userId}/contact", Function::Accounts),
    application("GET", "/users/{userId}/accounts", Function::Accounts),
    application("GET", "/users/{userId}/accounts/{accountId}", Function::Accounts),
    application("POST", "/users/{userId}/accounts/{accountId}/accept-identity", Function::Accounts),
    application("POST", "/users/{userId}/read-results", Function::Accounts),
    application("GET", "/accounts", Function::Accounts),
    application("DELETE", "/users/{userId}", Function::Accounts),
    application("GET", "/events", Function::Events),
    application("POST", "/events/redeliver", Function::Events),
    application("POST", "/events/{eventId}/redeliver", Function::Events),
    application("GET", "/events/{eventId}/deliveries", Function::Events),
    application("GET", "/webhook", Function::Events),
    application("POST", "/webhook/enable", Function::Events),
    application("POST", "/webhook/test", Function::Events),
    application("POST", "/users/{userId}/accounts/{accountId}/reauthorizations", Function::CreateReauthUrl),
    application("POST", "/users/{userId}/reauthorizations", Function::CreateReauthUrl),
    application("GET", "/reauthorizations/{reauthorizationId}", Function::CreateReauthUrl),
    browser("GET", "/reconnect/{token}", Function::CreateReauthUrl),
    browser("HEAD", "/reconnect/{token}", Function::CreateReauthUrl),
    browser("POST", "/reconnect/{token}", Function::CreateReauthUrl),
    browser("GET", "/reconnect", Function::CreateReauthUrl),
    browser("GET", "/reconnect/{rest+}", Function::CreateReauthUrl),
    browser("HEAD", "/reconnect/{rest+}", Function::CreateReauthUrl),
    browser("POST", "/reconnect/{rest+}", Function::CreateReauthUrl),
    browser("GET", "/unsubscribe/{token}", Function::CreateReauthUrl),
    browser("HEAD", "/unsubscribe/{token}", Function::CreateReauthUrl),
    browser("POST", "/unsubscribe/{token}", Function::CreateReauthUrl),
    browser("GET", "/callback", Function::ReauthCallback),
];

/// Finds the route of a request, and its decoded path parameters.
pub(super) fn find(method: &Method, path: &str) -> Option<(&'static Route, Vec<(&'static str, String)>)> {
    ROUTES
        .iter()
        .filter(|route| route.method == method.as_str())
        .find_map(|route| Some((route, parameters(route.path, path)?)))
}

fn parameters(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut parameters = Vec::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        // A greedy parameter takes the rest of the path, also an empty one.
        if let Some(name) = expected.strip_prefix('{').and_then(|name| name.strip_suffix("+}")) {
            let rest = std::iter::once(segment).chain(segments).collect::<Vec<_>>().join("/");
            parameters.push((name, decoded(&rest)));
            return Some(parameters);
        }
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(_) if segment.is_empty() => return None,
            Some(name) => parameters.push((name, decoded(segment))),
            None if segment == expected => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}
