//! The URL to which the browser returns after a reauthorization. Only origins in `ALLOWED_RETURN_ORIGINS` are accepted.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{AccountId, InvalidValue, ReauthorizationId};

const MAX_LENGTH: usize = 2_048;

/// The origins that a return URL may have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    /// Parses a comma-separated list of origins such as `https://app.example, http://localhost:3000`. `http` is
    /// accepted for loopback hosts only.
    ///
    /// # Errors
    /// When an entry is not an origin.
    pub fn parse(list: &str) -> Result<Self, InvalidValue> {
        let message = InvalidValue("must be a comma-separated list of https origins (http for loopback only)");
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let origin = |entry: &str| {
            let url = Url::parse(entry).map_err(|_| message)?;
            let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && no_userinfo(&url);
            if bare && secure_enough(&url) { Ok(url.origin().ascii_serialization()) } else { Err(message) }
        };
        entries.map(origin).collect::<Result<_, _>>().map(Self)
    }

    fn contain(&self, url: &Url) -> bool {
        self.0.contains(&url.origin().ascii_serialization())
    }
}

impl fmt::Display for AllowedOrigins {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { formatter.write_str("none is set") } else { formatter.write_str(&self.0.join(", ")) }
    }
}

/// A return URL that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; its origin must be one of ALLOWED_RETURN_ORIGINS ({allowed})")]
pub struct InvalidReturnUrl {
    reason: InvalidValue,
    allowed: AllowedOrigins,
}

/// An accepted return URL.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReturnUrl(Url);

impl ReturnUrl {
    /// Parses a return URL as browsers do (WHATWG URL Standard).
    ///
    /// # Errors
    /// When it is not an absolute https URL without userinfo and fragment, or its origin is not in the list.
    pub fn parse(text: &str, allowed: &AllowedOrigins) -> Result<Self, InvalidReturnUrl> {
        let refused = |reason| InvalidReturnUrl { reason: InvalidValue(reason), allowed: allowed.clone() };
        if text.len() > MAX_LENGTH {
            return Err(refused("must not be longer than 2048 characters"));
        }
        let url = Url::parse(text).map_err(|_| refused("must be an absolute URL"))?;
        if !secure_enough(&url) {
            return Err(refused("must be an https URL"));
        }
        if !no_userinfo(&url) {
            return Err(refused("must not hold a user name or password"));
        }
        if url.fragment().is_some() {
            return Err(refused("must not have a fragment"));
        }
        if !allowed.contain(&url) {
            return Err(refused("must not lead to another site"));
        }
        Ok(Self(url))
    }

    /// The origin of the application's pages, such as `https://app.example`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The URL with the outcome of the reauthorization. Our parameters replace existing ones of the same name.
    #[must_use]
    pub fn with_result(
        &self,
        id: &ReauthorizationId,
        account_id: Option<&AccountId>,
        status: &str,
        error_code: Option<&str>,
    ) -> Url {
        const OURS: [&str; 4] = ["reauthorizationId", "accountId", "status", "errorCode"];
        let others: Vec<(String, String)> =
            self.0.query_pairs().into_owned().filter(|(name, _)| !OURS.contains(&name.as_str())).collect();
        let mut url = self.0.clone();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(others)
            .append_pair(OURS[0], id.as_str())
            .extend_pairs(account_id.map(|id| (OURS[1], id.as_str())))
            .append_pair(OURS[2], status)
            .extend_pairs(error_code.map(|code| (OURS[3], code)));
        url
    }
}

impl fmt::Debug for ReturnUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may contain the application's own data.
        write!(formatter, "ReturnUrl({})", self.0.origin().ascii_serialization())
    }
}

fn no_userinfo(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

fn secure_enough(url: &Url) -> bool {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => url.host().is_some(),
        "http" => loopback,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> AllowedOrigins {
        AllowedOrigins::parse("https://app.example, http://localhost:3000,https://other.example:8443").unwrap()
    }

    #[test]
    fn only_listed_origins_are_taken() {
        for good in [
            "https://app.example",
            "https://APP.example/back?x=1",
            "https://app.example:443/back",
            "http://localhost:3000/back",
            "https://other.example:8443/",
        ] {
            assert!(ReturnUrl::parse(good, &allowed()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/back",
            "//app.example/back",
            "http://app.example/",
            "https://app.example:8443/",
            "https://app.example.evil.example/",
            "https://user@app.example/",
            "https://app.example:pw@evil.example/",
            "https://app.example/#fragment",
            "https://app.example/#",
            r"https://evil.example\@app.example/",
            "https://аpp.example/",
            "javascript:alert(1)",
            "http://localhost:3001/",
            "http://127.0.0.1:3000/",
            &format!("https://app.example/{}", "a".repeat(2_048)),
        ] {
            assert!(ReturnUrl::parse(bad, &allowed()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_names_the_setting_and_its_values() {
        let refusal = |allowed: &str| {
            let allowed = AllowedOrigins::parse(allowed).unwrap();
            ReturnUrl::parse("https://evil.example/", &allowed).unwrap_err().to_string()
        };
        let setting = "its origin must be one of ALLOWED_RETURN_ORIGINS";
        let named = refusal("https://a.example,https://b.example");
        assert!(named.ends_with(&format!("{setting} (https://a.example, https://b.example)")), "{named}");
        assert!(refusal("").ends_with(&format!("{setting} (none is set)")));
    }

    #[test]
    fn a_list_of_origins_holds_origins() {
        assert_eq!(AllowedOrigins::parse(""), Ok(AllowedOrigins::default()));
        for bad in ["app.example", "https://app.example/path", "http://app.example", "https://u@app.example", "*"] {
            assert!(AllowedOrigins::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn our_parameters_replace_namesakes() {
        let url = ReturnUrl::parse("https://app.example/back?status=x&keep=a%20b&errorCode=Y", &allowed()).unwrap();
        let url = url.with_result(&ReauthorizationId::from([1; 16]), "1_a".parse().ok().as_ref(), "succeeded", None);
        assert_eq!(
            url.as_str(),
            "https://app.example/back?keep=a+b&reauthorizationId=ra_01010101010101010101010101010101\
             &accountId=1_a&status=succeeded"
        );
    }
}
