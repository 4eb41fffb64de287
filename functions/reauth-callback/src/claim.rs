//! Parses the query of the callback. The query is untrusted: anyone who has the URL can send it.

use reauth_core::{keyring::is_secret, web::Query};
use reauth_domain::{FailureCode, ReauthorizationId, reauthorization::UnverifiedClaim};
use secrecy::SecretString;

/// In characters. A longer code is refused.
const MAX_CODE_LENGTH: usize = 4 * 1_024;

/// A callback with a valid form. Neither its secret nor its claim has been checked.
#[derive(Debug)]
pub(crate) struct UnverifiedCallback {
    pub(crate) id: ReauthorizationId,
    pub(crate) secret: String,
    pub(crate) claim: UnverifiedClaim,
    /// The code of the user reauthorization page, to be exchanged for a new token pair.
    pub(crate) code: Option<SecretString>,
}

impl UnverifiedCallback {
    /// Reads the parameters. Returns `None` if `state` is missing or does not have the form of this service's states,
    /// or if `success` is neither `true` nor `false`: digi.me always sends one of the two.
    pub(crate) fn read(query: &Query) -> Option<Self> {
        let (id, secret) = query.get("state")?.split_once('.')?;
        let code = query.get("code").filter(|code| (1..=MAX_CODE_LENGTH).contains(&code.len()));
        let claim = match query.get("success") {
            Some("true") if code.is_some() => UnverifiedClaim::SuccessWithCode,
            Some("true") => UnverifiedClaim::Success,
            Some("false") => {
                UnverifiedClaim::Failure(FailureCode::from(query.get("errorCode").unwrap_or_default().to_owned()))
            }
            _ => return None,
        };
        let id = id.parse().ok()?;
        is_secret(secret).then(|| Self { id, secret: secret.to_owned(), claim, code: code.map(Into::into) })
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::{Request, RequestExt, aws_lambda_events::query_map::QueryMap};
    use reauth_core::web::ApiRequest;

    use super::*;

    /// For every query, a parsed id, secret and error code have the form that this service uses.
    #[test]
    fn fuzz_callback_queries() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(parameters) = String::from_utf8_lossy(bytes).parse::<QueryMap>();
            let request = Request::default().with_query_string_parameters(parameters);
            let Ok(query) = request.query() else { return };
            let Some(callback) = UnverifiedCallback::read(&query) else { return };
            assert_eq!(callback.id.as_str().len(), 35);
            assert!(is_secret(&callback.secret));
            assert!(callback.claim != UnverifiedClaim::SuccessWithCode || callback.code.is_some());
            if let UnverifiedClaim::Failure(code) = callback.claim {
                let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
                assert!((1..=64).contains(&code.as_str().len()) && code.as_str().bytes().all(plain));
            }
        });
    }
}
