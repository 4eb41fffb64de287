//! Protects the local ports from websites: any page in a browser can send requests to a port of this machine.
//!
//! Every port refuses a request whose `Host` is not this machine (against DNS rebinding), and a state change that a
//! page of another origin requests. Another origin may navigate the browser to this system, but may not send requests
//! from scripts.

use axum::Json;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The request names another host, no host, or several hosts.
    Host,
    /// A page of another origin sends the request.
    Origin,
}

/// Middleware for every local port. Passes the request on, or answers with a problem.
pub async fn guard(request: Request, next: Next) -> Response {
    match check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    let host = host(uri, headers).ok_or(Refusal::Host)?;
    if !is_this_machine(host) {
        return Err(Refusal::Host);
    }
    let fetch_site = text(headers, &SEC_FETCH_SITE);
    if *method == Method::GET || *method == Method::HEAD {
        // Some GET routes call digi.me and refresh tokens. Another origin may navigate here, as digi.me's pages do, but
        // may not fetch.
        let foreign = matches!(fetch_site, Some("cross-site" | "same-site"));
        let navigates = text(headers, &SEC_FETCH_MODE) == Some("navigate");
        return if foreign && !navigates { Err(Refusal::Origin) } else { Ok(()) };
    }
    if fetch_site == Some("cross-site") {
        return Err(Refusal::Origin);
    }
    match text(headers, &header::ORIGIN) {
        None if headers.contains_key(header::ORIGIN) => Err(Refusal::Origin),
        None => Ok(()),
        // From a page with the referrer policy `no-referrer`, such as the reconnect page, browsers send `Origin: null`,
        // also for requests to the same origin.
        Some("null") if fetch_site == Some("same-origin") => Ok(()),
        Some(origin) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        Some(_) => Err(Refusal::Origin),
    }
}

/// The host of the request. `None` if the request names no host or several.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

fn is_this_machine(host: &str) -> bool {
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
        && !port.is_empty()
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, title, code, detail) = match self {
            Self::Host => (
                StatusCode::MISDIRECTED_REQUEST,
                "Misdirected Request",
                "foreign_host",
                "This local system answers to 127.0.0.1 and localhost only.",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "Forbidden",
                "foreign_origin",
                "Pages of other origins may not send requests to this local system.",
            ),
        };
        let problem = json!({
            "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "code": code,
        });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn checked(method: Method, headers: &[(&str, &str)]) -> Result<(), Refusal> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        check(&method, &Uri::from_static("/x"), &headers)
    }

    #[test]
    fn only_the_names_of_this_machine_are_answered() {
        for host in ["127.0.0.1:9000", "localhost:9000", "localhost:1", "LOCALHOST", "127.0.0.1"] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(checked(method, &[("host", host)]), Ok(()), "{host}");
            }
        }
        for host in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:9000",
            "localhost.:80",
            "127.0.0.1:x",
            "evil@127.0.0.1",
            "",
            "127.0.0.1:",
            "[::1]:9000",
            "localhost:80@x",
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(checked(method, &[("host", host)]), Err(Refusal::Host), "{host}");
            }
        }
        assert_eq!(checked(Method::GET, &[]), Err(Refusal::Host));
        let mut twice = HeaderMap::new();
        twice.append(header::HOST, "localhost".parse().unwrap());
        twice.append(header::HOST, "example.com".parse().unwrap());
        assert_eq!(check(&Method::GET, &Uri::from_static("/"), &twice), Err(Refusal::Host));
    }

    #[test]
    fn a_change_of_state_must_come_from_our_own_pages_or_from_no_page() {
        let host = ("host", "127.0.0.1:9000");
        let ours = ("origin", "http://127.0.0.1:9000");
        let allowed: &[&[(&str, &str)]] = &[
            &[host],
            &[host, ours],
            &[host, ours, ("sec-fetch-site", "same-origin")],
            &[("host", "localhost:9001"), ("origin", "http://localhost:9001"), ("sec-fetch-site", "same-origin")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("origin", "null"), ("sec-fetch-site", "same-origin")],
        ];
        for headers in allowed {
            assert_eq!(checked(Method::POST, headers), Ok(()), "{headers:?}");
        }
        let refused: &[&[(&str, &str)]] = &[
            &[host, ("origin", "https://example.com")],
            &[host, ("origin", "http://127.0.0.1:9001"), ("sec-fetch-site", "same-site")],
            &[host, ("origin", "https://127.0.0.1:9000")],
            &[host, ("origin", "null")],
            &[host, ("origin", "null"), ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ours, ("sec-fetch-site", "cross-site")],
        ];
        for headers in refused {
            for method in [Method::POST, Method::PUT, Method::DELETE] {
                assert_eq!(checked(method, headers), Err(Refusal::Origin), "{headers:?}");
            }
        }
    }

    #[test]
    fn an_origin_that_is_not_utf_8_may_not_change_anything() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:9000".parse().unwrap());
        headers.insert(header::ORIGIN, HeaderValue::from_bytes(b"http://127.0.0.1:9000\xff").unwrap());
        assert_eq!(check(&Method::POST, &Uri::from_static("/x"), &headers), Err(Refusal::Origin));
    }

    #[test]
    fn a_read_that_names_another_origin_is_answered_unless_the_browser_says_that_a_script_sends_it() {
        let foreign = [("host", "127.0.0.1:9001"), ("origin", "https://example.com")];
        assert_eq!(checked(Method::GET, &foreign), Ok(()));
        assert_eq!(checked(Method::POST, &foreign), Err(Refusal::Origin));
    }

    #[test]
    fn the_browser_that_comes_back_from_digime_is_let_in_and_a_script_is_not() {
        for site in ["cross-site", "same-site"] {
            let [host, site] = [("host", "127.0.0.1:9000"), ("sec-fetch-site", site)];
            assert_eq!(checked(Method::GET, &[host, site, ("sec-fetch-mode", "navigate")]), Ok(()));
            for mode in ["no-cors", "cors"] {
                assert_eq!(checked(Method::GET, &[host, site, ("sec-fetch-mode", mode)]), Err(Refusal::Origin));
            }
        }
    }
}
