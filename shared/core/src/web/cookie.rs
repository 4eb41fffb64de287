//! The cookie that binds a reauthorization to the browser in which it was started.

use std::time::Duration;

use http::HeaderValue;
use lambda_http::Request;
use secrecy::{ExposeSecret, SecretString};

use super::ApiRequest;
use crate::keyring::is_secret;

/// The name and the attributes of the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserCookie {
    name: &'static str,
    attributes: &'static str,
}

/// With the `__Host-` prefix, browsers accept the cookie only from this host and only over TLS.
const OVER_TLS: BrowserCookie =
    BrowserCookie { name: "__Host-reauth", attributes: "Path=/; Secure; HttpOnly; SameSite=Lax" };
/// For the local system. Some browsers (Safari) refuse a `Secure` cookie over http, also from a loopback address.
const ON_LOOPBACK: BrowserCookie = BrowserCookie { name: "reauth", attributes: "Path=/; HttpOnly; SameSite=Lax" };

impl BrowserCookie {
    /// The cookie for the browser that sent the request. API Gateway sets the host and the scheme, so that no client can
    /// ask for the weaker form.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let scheme = request.headers().get("x-forwarded-proto").map(HeaderValue::as_bytes);
        if scheme == Some(b"http") && request.domain_name().is_some_and(is_loopback) { ON_LOOPBACK } else { OVER_TLS }
    }

    /// The secrets in the cookie. There is one, unless the browser's cookies were tampered with.
    pub fn secrets(self, request: &Request) -> impl Iterator<Item = &str> {
        request.cookies(self.name).filter(|value| is_secret(value))
    }

    /// The value of the `Set-Cookie` header.
    #[must_use]
    pub fn set(self, secret: &SecretString, lifetime: Duration) -> String {
        let Self { name, attributes } = self;
        format!("{name}={}; {attributes}; Max-Age={}", secret.expose_secret(), lifetime.as_secs())
    }
}

/// Whether a host, with or without a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["127.0.0.1", "127.0.0.1:9000", "localhost", "LOCALHOST:1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "api.example.com", "localhost.example.com", "127.0.0.1.example.com:443", "127.0.0.2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
