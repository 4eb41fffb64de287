//! AWS Signature Version 4, as API Gateway checks it on the application's routes.
//!
//! The signature of a request is computed once more, with the crate that signs the AWS SDK's requests, and compared.

use std::time::SystemTime;

use aws_credential_types::Credentials as SigningCredentials;
use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
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
const DATE: &str = "x-amz-date";
const BODY_HASH: &str = "x-amz-content-sha256";
const SESSION_TOKEN: &str = "x-amz-security-token";

/// Checks the signatures of one pair of credentials.
pub(super) struct Verifier(Credentials);

/// Why a signature is refused. No message contains the secret or the right signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no signature: the header authorization is missing")]
    Missing,
    #[error("the header authorization is malformed")]
    Malformed,
    #[error("the header x-amz-date is missing or malformed")]
    Date,
    #[error("unknown access key id")]
    AccessKeyId,
    /// The part of the credential that differs.
    #[error("wrong {0} in the credential")]
    Scope(&'static str),
    #[error("the header {0} is not signed")]
    Unsigned(String),
    #[error("the signed header {0} is missing")]
    Absent(String),
    #[error("the clock of the signature is off by {0} seconds")]
    Clock(i64),
    #[error("a session token, which these credentials do not have")]
    SessionToken,
    #[error("x-amz-content-sha256 is not the hash of the body")]
    BodyHash,
    #[error("the signature differs: another secret, or the request was changed")]
    Differs,
}

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

    /// Checks that the request is signed with the credentials, at about this time.
    pub(super) fn check(&self, parts: &Parts, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let headers = &parts.headers;
        if !headers.contains_key(header::AUTHORIZATION) {
            return Err(Refusal::Missing);
        }
        let authorization = one(headers, header::AUTHORIZATION.as_str()).and_then(Authorization::parse);
        let authorization = authorization.ok_or(Refusal::Malformed)?;
        let date = one(headers, DATE).ok_or(Refusal::Date)?;
        let signed_at = signed_at(date).ok_or(Refusal::Date)?;
        if headers.contains_key(SESSION_TOKEN) {
            return Err(Refusal::SessionToken);
        }
        self.check_credential(authorization.credential, date)?;
        let off = signed_at.duration_since(now);
        if off.abs() > TOLERANCE {
            return Err(Refusal::Clock(off.as_secs()));
        }
        let signed = signed_headers(headers, authorization.signed_headers)?;
        check_body_hash(headers, body)?;
        let right = self.sign(parts, &signed, body, signed_at).ok_or(Refusal::Malformed)?;
        verify_slices_are_equal(right.as_bytes(), authorization.signature.as_bytes()).map_err(|_| Refusal::Differs)
    }

    /// Checks the access key id and the scope of the signature.
    fn check_credential(&self, credential: &str, date: &str) -> Result<(), Refusal> {
        let Credentials { access_key_id, region, service, .. } = &self.0;
        let parts: Vec<_> = credential.split('/').collect();
        let [id, day, in_region, of_service, "aws4_request"] = parts.as_slice() else { return Err(Refusal::Malformed) };
        if id != access_key_id {
            Err(Refusal::AccessKeyId)
        } else if !date.starts_with(day) || day.len() != 8 {
            Err(Refusal::Scope("date"))
        } else if in_region != region {
            Err(Refusal::Scope("region"))
        } else if of_service != service {
            Err(Refusal::Scope("service"))
        } else {
            Ok(())
        }
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

/// The signed headers with their values. `host` must be signed, and each header of AWS, such as the date.
fn signed_headers<'a>(headers: &'a HeaderMap, names: &'a str) -> Result<Vec<(&'a str, &'a str)>, Refusal> {
    let names: Vec<&str> = names.split(';').collect();
    let of_aws = headers.keys().map(header::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    if let Some(name) = std::iter::once("host").chain(of_aws).find(|name| !names.contains(name)) {
        return Err(Refusal::Unsigned(name.to_owned()));
    }
    let mut signed = Vec::new();
    for name in names {
        let values = headers.get_all(name).iter().map(|value| value.to_str().ok());
        let values = values.collect::<Option<Vec<_>>>().filter(|values| !values.is_empty());
        let values = values.ok_or_else(|| Refusal::Absent(name.to_owned()))?;
        signed.extend(values.into_iter().map(|value| (name, value)));
    }
    Ok(signed)
}

/// A client may send the hash of the body. `UNSIGNED-PAYLOAD` is accepted by S3 only.
fn check_body_hash(headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    if !headers.contains_key(BODY_HASH) {
        return Ok(());
    }
    let right: String = digest(&SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if one(headers, BODY_HASH) == Some(right.as_str()) { Ok(()) } else { Err(Refusal::BodyHash) }
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

    fn checked(parts: &Parts, body: &[u8]) -> Result<(), Refusal> {
        Verifier::new(&credentials()).check(parts, body, now())
    }

    fn accepted(parts: &Parts, body: &[u8]) -> bool {
        checked(parts, body).is_ok()
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
    fn a_session_token_is_refused() {
        let signing = Signing { session_token: Some("token".to_owned()), ..Signing::default() };
        assert_eq!(checked(&signing.request(Method::GET, PATH, b""), b""), Err(Refusal::SessionToken));
    }

    #[test]
    fn an_unsigned_header_of_aws_is_refused() {
        let mut parts = Signing::default().request(Method::GET, PATH, b"");
        parts.headers.insert("x-other", HeaderValue::from_static("1"));
        assert!(accepted(&parts, b""));
        parts.headers.insert("x-amz-meta", HeaderValue::from_static("1"));
        assert_eq!(checked(&parts, b""), Err(Refusal::Unsigned("x-amz-meta".to_owned())));
    }

    #[test]
    fn a_hash_that_is_not_that_of_the_body_is_refused() {
        let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let wrong = Err(Refusal::BodyHash);
        for (hash, expected) in [(hash, Ok(())), ("UNSIGNED-PAYLOAD", wrong.clone()), (&hash[1..], wrong)] {
            let signing = Signing { headers: vec![("x-amz-content-sha256", hash)], ..Signing::default() };
            assert_eq!(checked(&signing.request(Method::POST, PATH, b"{}"), b"{}"), expected, "{hash}");
        }
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
            (Credentials::new("AKIAEXAMPLE", "another secret"), Refusal::Differs),
            (Credentials::new("AKIAOTHER", "secret"), Refusal::AccessKeyId),
            (Credentials { region: "eu-west-2", ..credentials() }, Refusal::Scope("region")),
            (Credentials { service: "lambda", ..credentials() }, Refusal::Scope("service")),
        ];
        for (credentials, refusal) in wrong {
            let signing = Signing { credentials, ..Signing::default() };
            assert_eq!(checked(&signing.request(Method::GET, PATH, b""), b""), Err(refusal));
        }
    }

    #[test]
    fn a_signature_is_valid_for_five_minutes_before_and_after_its_time() {
        for seconds in [0, 300, -300, 301, -301] {
            let at = now() + SignedDuration::from_secs(seconds);
            let parts = Signing { at, ..Signing::default() }.request(Method::GET, PATH, b"");
            let expected = if seconds.abs() <= 300 { Ok(()) } else { Err(Refusal::Clock(seconds)) };
            assert_eq!(checked(&parts, b""), expected);
        }
    }

    #[test]
    fn a_header_that_is_malformed_is_no_signature() {
        let good = Signing::default().request(Method::GET, PATH, b"");
        let authorization = good.headers["authorization"].to_str().unwrap();
        let signed = |names: &str| authorization.replace("SignedHeaders=host;x-amz-date", names);
        for (wrong, refusal) in [
            (String::new(), Refusal::Malformed),
            ("Bearer x".to_owned(), Refusal::Malformed),
            (authorization.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"), Refusal::Malformed),
            (signed("SignedHeaders=x-amz-date"), Refusal::Unsigned("host".to_owned())),
            (signed("SignedHeaders=host"), Refusal::Unsigned("x-amz-date".to_owned())),
            (signed("SignedHeaders=host;x-amz-date;x-absent"), Refusal::Absent("x-absent".to_owned())),
            (authorization.replace("Signature=", "Signature=0"), Refusal::Differs),
            (authorization.replace("aws4_request", "aws4"), Refusal::Malformed),
            (authorization.replace("/20261126/", "/20261125/"), Refusal::Scope("date")),
        ] {
            let mut parts = good.clone();
            parts.headers.insert("authorization", wrong.parse().unwrap());
            assert_eq!(checked(&parts, b""), Err(refusal), "{wrong}");
        }
        assert!(accepted(&good, b""));
        for (name, refusal) in [("authorization", Refusal::Missing), ("x-amz-date", Refusal::Date)] {
            let mut parts = good.clone();
            parts.headers.remove(name);
            assert_eq!(checked(&parts, b""), Err(refusal));
        }
    }
}
