//! What became of a post.

use std::{fmt, time::Duration};

use http::HeaderMap;
use jiff::Timestamp;
use reauth_domain::webhook::EndpointSignal;

/// The most of a `Retry-After` that is reported. No schedule counts more than an hour of it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A post that was tried. No text in it contains the URL, the secret or a value of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When the post began.
    pub began: Timestamp,
    pub result: PostResult,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostResult {
    /// The receiver answered 2xx.
    Accepted { status: u16 },
    /// The receiver answered with another status.
    Refused(Refusal),
    /// There is no answer.
    Failed(PostError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// The beginning of the answer: at most 512 bytes of text on one line.
    pub response: String,
    /// How long the receiver asks to wait (`Retry-After`): at most a day, zero if the time is over.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PostError {
    /// No connection within 2 seconds, or no answer within 15 seconds.
    Timeout,
    /// The name has no address, or nobody accepts connections at it.
    ConnectionFailed,
    /// The receiver's certificate is not valid for the URL, or the receiver does not speak TLS.
    TlsFailed,
    /// The URL's name has no address that may be connected to.
    AddressRefused,
    /// The receiver closed the connection before it answered, or its answer is not HTTP.
    Disconnected,
}

impl Outcome {
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.result, PostResult::Accepted { .. })
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match &self.result {
            PostResult::Accepted { status } | PostResult::Refused(Refusal { status, .. }) => Some(*status),
            PostResult::Failed(_) => None,
        }
    }

    /// Why there is no answer: the code of a [`PostError`].
    #[must_use]
    pub fn error(&self) -> Option<&'static str> {
        match &self.result {
            PostResult::Failed(error) => Some(error.code()),
            PostResult::Accepted { .. } | PostResult::Refused(_) => None,
        }
    }

    /// The beginning of a refused answer.
    #[must_use]
    pub fn response(&self) -> Option<&str> {
        self.refusal().map(|refusal| &*refusal.response)
    }

    /// How long the receiver asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }

    /// What the post shows of the endpoint.
    #[must_use]
    pub fn signal(&self) -> EndpointSignal {
        match &self.result {
            PostResult::Accepted { .. } => EndpointSignal::Accepted,
            PostResult::Refused(Refusal { status: 410, .. }) => EndpointSignal::Gone,
            PostResult::Refused(_) | PostResult::Failed(_) => EndpointSignal::Failed,
        }
    }

    fn refusal(&self) -> Option<&Refusal> {
        match &self.result {
            PostResult::Refused(refusal) => Some(refusal),
            PostResult::Accepted { .. } | PostResult::Failed(_) => None,
        }
    }
}

impl PostError {
    pub const ALL: [Self; 5] =
        [Self::Timeout, Self::ConnectionFailed, Self::TlsFailed, Self::AddressRefused, Self::Disconnected];

    /// The stable code, as it is stored and reported.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ConnectionFailed => "connection_failed",
            Self::TlsFailed => "tls_failed",
            Self::AddressRefused => "address_refused",
            Self::Disconnected => "disconnected",
        }
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// The delay of a `Retry-After` header (RFC 9110, section 10.2.3): seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is the most.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
        // A time that is over is no delay.
        Duration::try_from(date.duration_since(now)).unwrap_or_default()
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_read_in_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-26T09:00:00Z".parse().unwrap();
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers, now).map(|delay| delay.as_secs())
        };
        let day = MAX_RETRY_AFTER.as_secs();
        let cases = [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999999999999999", Some(day)),
            // The three forms of RFC 9110, section 5.6.7.
            ("Thu, 26 Nov 2026 09:05:00 GMT", Some(300)),
            ("Thursday, 26-Nov-26 09:05:00 GMT", Some(300)),
            ("Thu Nov 26 09:05:00 2026", Some(300)),
            ("Thu, 26 Nov 2026 08:00:00 GMT", Some(0)),
            ("Fri, 26 Nov 2100 08:00:00 GMT", Some(day)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ];
        for (value, seconds) in cases {
            assert_eq!(read(value), seconds, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
