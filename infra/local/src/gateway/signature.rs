//! AWS Signature Version 4, as API Gateway checks it on the application's routes.
//!
//! The signature of a request is computed once more, with the crate that signs the AWS SDK's requests, and compared.

use std::time::SystemTime;

use aws_credential_types::Credentials as SigningCredentials;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use http::{HeaderMap, header, request::Parts};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

use crate::info::Credentials;

/// AWS refuses a signature whose time differs more from its own.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// The authority of the signed URL. The signature covers the header `host` instead of it.
const AUTHORITY: &str = "http://localhost";

/// Checks the signatures of one pair of credentials.
pub(super) struct Verifier(Credentials);

/// The header `authorization`: `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
struct Authorization<'a> {
    /// Access key id, date, region, service and `aws4_request`, separated by slashes.
    credential: &'a str,
    /// Names in lower case, separated by semicolons.
    signed_headers: &'a str,
    signature: &'a str,
}

impl Verifier {
    pub(super) fn new(credentials: &Credentials) -> Self {
        Self(credentials.clone())
    }

    /// Whether the request is signed with the credentials, at about this time.
    pub(super) fn accepts(&self, parts: &Parts, body: &[u8], now: Timestamp) -> bool {
        self.expected(parts, body, now)
            .is_some_and(|(expected, given)| verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok())
    }

    /// The right signature, and that of the request. `None` if no signature could be right.
    fn expected<'a>(&self, parts: &'a Parts, body: &[u8], now: Timestamp) -> Option<(String, &'a str)> {
        let authorization = Authorization::parse(one(&parts.headers, header::AUTHORIZATION.as_str())?)?;
        let date = one(&parts.headers, "x-amz-date")?;
        let signed_at = signed_at(date)?;
        if now.duration_since(signed_at).abs() > TOLERANCE {
            return None;
        }
        let Credentials { access_key_id, region, service, .. } = &self.0;
        let day = date.get(..8)?;
        if authorization.credential != format!("{access_key_id}/{day}/{region}/{service}/aws4_request") {
            return None;
        }
        let headers = signed_headers(&parts.headers, authorization.signed_headers)?;
        let signature = self.sign(parts, &headers, body, signed_at)?;
        Some((signature, authorization.signature))
    }

    fn sign(&self, parts: &Parts, headers: &[(&str, &str)], body: &[u8], at: Timestamp) -> Option<String> {
        let secret = &self.0.secret_access_key;
        let identity = SigningCredentials::new(&self.0.access_key_id, secret, None, None, "local").into();
        let mut settings = SigningSettings::default();
        // The client chose the headers: no header that it signed is left out.
        settings.excluded_headers = None;
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(self.0.region)
            .name(self.0.service)
            .time(SystemTime::from(at))
            .settings(settings)
            .build()
            .ok()?
            .into();
        let url = format!("{AUTHORITY}{}", parts.uri.path_and_query()?);
        let body = SignableBody::Bytes(body);
        let request = SignableRequest::new(parts.method.as_str(), url, headers.iter().copied(), body).ok()?;
        Some(sign(request, &parameters).ok()?.signature().to_owned())
    }
}

impl<'a> Authorization<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let fields = text.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
            fields.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        Some(Self {
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

/// The signed headers with their values. `None` if the request lacks one of them, or `host` or the date is not signed.
fn signed_headers<'a>(headers: &'a HeaderMap, names: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
    let names: Vec<&str> = names.split(';').collect();
    if !["host", "x-amz-date"].iter().all(|required| names.contains(required)) {
        return None;
    }
    let mut signed = Vec::new();
    for name in names {
        let values = headers.get_all(name).iter().map(|value| value.to_str().ok());
        let values = values.collect::<Option<Vec<_>>>().filter(|values| !values.is_empty())?;
        signed.extend(values.into_iter().map(|value| (name, value)));
    }
    Some(signed)
}

/// The time in the header `x-amz-date`, such as `20261126T090000Z`.
fn signed_at(date: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The value of a header that the request has once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, Method, Request};

    use super::*;

    const PATH: &str = "/users/a%40b%7Cc:d~e+f/accounts";

    fn credentials() -> Credentials {
        Credentials::new("AKIAEXAMPLE", "secret")
    }

    fn now() -> Timestamp {
        "2026-11-26T09:00:00Z".parse().unwrap()
    }

    /// How a client signs.
    struct Signing {
        credentials: Credentials,
        at: Timestamp,
        session_token: Option<String>,
        /// The signed headers besides `host` and the date.
        headers: Vec<(&'static str, &'static str)>,
    }

    impl Default for Signing {
        fn default() -> Self {
            Self { credentials: credentials(), at: now(), session_token: None, headers: Vec::new() }
        }
    }

    impl Signing {
        /// A signed request, as an SDK's client sends it.
        fn request(&self, method: Method, target: &str, body: &[u8]) -> Parts {
            let url = format!("http://127.0.0.1:9000{target}");
            let Credentials { access_key_id, secret_access_key, region, service } = &self.credentials;
            let token = self.session_token.clone();
            let identity = SigningCredentials::new(access_key_id, secret_access_key, token, None, "test").into();
            let mut settings = SigningSettings::default();
            settings.excluded_headers = None;
            let parameters = SigningParams::builder()
                .identity(&identity)
                .region(region)
                .name(service)
                .time(SystemTime::from(self.at))
                .settings(settings)
                .build()
                .unwrap()
                .into();
            let headers = self.headers.iter().copied();
            let signable = SignableRequest::new(method.as_str(), &url, headers, SignableBody::Bytes(body)).unwrap();
            let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
            let request = Request::builder().method(method).uri(target).header("host", "127.0.0.1:9000");
            let add = |request: http::request::Builder, (name, value)| request.header(name, value);
            let mut request = self.headers.iter().copied().fold(request, add).body(());
            instructions.apply_to_request_http1x(request.as_mut().unwrap());
            request.unwrap().into_parts().0
        }
    }

    fn accepted(parts: &Parts, body: &[u8]) -> bool {
        Verifier::new(&credentials()).accepts(parts, body, now())
    }

    #[test]
    fn a_signed_request_is_accepted_whatever_its_path_query_and_body() {
        let large = vec![b'x'; 3_000_000];
        let queries = ["", "?", "?limit=5", "?b=2&a=1&a=0", "?cursor=a%2Bb%3D%3D&status=", "?q=a%20b&r=%E2%82%AC"];
        for query in queries {
            for body in [&b""[..], b"{}", &large] {
                let parts = Signing::default().request(Method::POST, &format!("{PATH}{query}"), body);
                assert!(accepted(&parts, body), "{query} {}", body.len());
            }
        }
    }

    #[test]
    fn a_session_token_is_ignored() {
        let signing = Signing { session_token: Some("token".to_owned()), ..Signing::default() };
        assert!(accepted(&signing.request(Method::GET, PATH, b""), b""));
    }

    #[test]
    fn a_client_may_sign_any_header_and_such_a_header_cannot_be_changed() {
        let headers = vec![
            ("content-type", "application/json"),
            ("user-agent", "an SDK/1.0  (test)"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-list", "a"),
            ("x-list", "b"),
        ];
        let signing = Signing { headers: headers.clone(), ..Signing::default() };
        let signed = signing.request(Method::POST, PATH, b"");
        assert!(accepted(&signed, b""));
        for (name, _) in headers {
            let mut parts = signed.clone();
            parts.headers.insert(name, HeaderValue::from_static("changed"));
            assert!(!accepted(&parts, b""), "{name}");
        }
    }

    #[test]
    fn what_was_signed_cannot_be_changed() {
        let signed = || Signing::default().request(Method::PUT, &format!("{PATH}?a=1"), b"{}");
        assert!(accepted(&signed(), b"{}"));
        assert!(!accepted(&signed(), b"{} "));
        let changes: [fn(&mut Parts); 7] = [
            |parts| parts.method = Method::DELETE,
            |parts| parts.uri = format!("{PATH}?a=2").parse().unwrap(),
            |parts| parts.uri = "/users/other/accounts?a=1".parse().unwrap(),
            |parts| drop(parts.headers.insert("host", HeaderValue::from_static("localhost:9000"))),
            |parts| drop(parts.headers.insert("x-amz-date", HeaderValue::from_static("20261126T090001Z"))),
            |parts| drop(parts.headers.remove("x-amz-date")),
            |parts| drop(parts.headers.remove("authorization")),
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let mut parts = signed();
            change(&mut parts);
            assert!(!accepted(&parts, b"{}"), "change {number}");
        }
    }

    #[test]
    fn only_the_printed_credentials_for_this_region_and_service_are_accepted() {
        let wrong = [
            Credentials::new("AKIAEXAMPLE", "another secret"),
            Credentials::new("AKIAOTHER", "secret"),
            Credentials { region: "eu-west-2", ..credentials() },
            Credentials { service: "lambda", ..credentials() },
        ];
        for credentials in wrong {
            let signing = Signing { credentials, ..Signing::default() };
            assert!(!accepted(&signing.request(Method::GET, PATH, b""), b""));
        }
    }

    #[test]
    fn a_signature_is_valid_for_five_minutes_before_and_after_its_time() {
        for (seconds, expected) in [(0, true), (300, true), (301, false)] {
            for at in [now() + Duration::from_secs(seconds), now() - Duration::from_secs(seconds)] {
                let parts = Signing { at, ..Signing::default() }.request(Method::GET, PATH, b"");
                assert_eq!(accepted(&parts, b""), expected, "{at}");
            }
        }
    }

    #[test]
    fn a_header_that_is_malformed_is_no_signature() {
        let good = Signing::default().request(Method::GET, PATH, b"");
        let authorization = good.headers["authorization"].to_str().unwrap();
        for wrong in [
            String::new(),
            "Bearer x".to_owned(),
            authorization.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"),
            authorization.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=x-amz-date"),
            authorization.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=host"),
            authorization.replace("SignedHeaders=host;x-amz-date", "SignedHeaders=host;x-amz-date;x-absent"),
            authorization.replace("Signature=", "Signature=0"),
            authorization.replace("aws4_request", "aws4"),
        ] {
            let mut parts = good.clone();
            parts.headers.insert("authorization", wrong.parse().unwrap());
            assert!(!accepted(&parts, b""), "{wrong}");
        }
        assert!(accepted(&good, b""));
    }
}
