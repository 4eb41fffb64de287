//! Protects the server from websites. Only programs and pages of this machine may use it.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Refuses a foreign `Host`, and a state change that a page of another origin requests.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    match check(request.headers(), reads) {
        Ok(()) => next.run(request).await,
        Err(reason) => (StatusCode::FORBIDDEN, reason).into_response(),
    }
}

fn check(headers: &HeaderMap, reads: bool) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let host = text(header::HOST).ok_or("A Host header is missing.\n")?;
    if !is_local(host) {
        return Err("Only 127.0.0.1 and localhost are served here.\n");
    }
    if reads {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(|value| value.to_str().unwrap_or(""));
    if site == Some("cross-site") {
        return Err("Another site may not change anything here.\n");
    }
    match text(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if origin.strip_prefix("http://") == Some(host) => Ok(()),
        // Browsers send this for a page of this server that has a strict referrer policy.
        Some("null") if site == Some("same-origin") => Ok(()),
        Some(_) => Err("Another origin may not change anything here.\n"),
    }
}

/// `127.0.0.1` or `localhost`, with or without a port.
fn is_local(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, port),
        None => (host, "0"),
    };
    let local = name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost");
    local && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_local_hosts_are_served() {
        for host in ["127.0.0.1", "127.0.0.1:9001", "localhost:1", "LOCALHOST"] {
            let host: &'static str = host;
            assert!(check(&headers(&[("host", host)]), false).is_ok(), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com:9001", "localhost.:80", "127.0.0.1:x", "evil@127.0.0.1", ""]
        {
            let host: &'static str = host;
            assert!(check(&headers(&[("host", host)]), true).is_err(), "{host}");
        }
        assert!(check(&HeaderMap::new(), true).is_err());
    }

    #[test]
    fn a_foreign_origin_may_read_and_not_write() {
        let foreign = headers(&[("host", "127.0.0.1:9001"), ("origin", "https://example.com")]);
        assert!(check(&foreign, true).is_ok());
        assert!(check(&foreign, false).is_err());
        let port = headers(&[("host", "127.0.0.1:9001"), ("origin", "http://127.0.0.1:9000")]);
        assert!(check(&port, false).is_err());
        let null = headers(&[("host", "127.0.0.1:9001"), ("origin", "null")]);
        assert!(check(&null, false).is_err());
        let cross = headers(&[("host", "127.0.0.1:9001"), ("sec-fetch-site", "cross-site")]);
        assert!(check(&cross, false).is_err());
    }

    #[test]
    fn the_own_origin_may_write() {
        let own = headers(&[
            ("host", "localhost:9001"),
            ("origin", "http://localhost:9001"),
            ("sec-fetch-site", "same-origin"),
        ]);
        assert!(check(&own, false).is_ok());
        let strict = headers(&[("host", "localhost:9001"), ("origin", "null"), ("sec-fetch-site", "same-origin")]);
        assert!(check(&strict, false).is_ok());
    }
}
