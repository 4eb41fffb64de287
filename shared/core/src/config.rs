//! Configuration from the environment of a function, read once at start.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use reauth_domain::time::parse_duration;
use url::Url;

/// A source of environment variables.
pub trait Variables: Send + Sync {
    fn get(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// The environment variables of a function.
pub struct Environment(Box<dyn Variables>);

/// A variable that is missing or malformed. The message does not contain the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {problem}")]
pub struct ConfigError {
    pub variable: &'static str,
    pub problem: String,
}

impl ConfigError {
    pub fn new(variable: &'static str, problem: impl ToString) -> Self {
        Self { variable, problem: problem.to_string() }
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Some values are credentials.
        formatter.write_str("Environment([redacted])")
    }
}

impl<V: Variables + 'static> From<V> for Environment {
    fn from(variables: V) -> Self {
        Self(Box::new(variables))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        variables.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

impl Environment {
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// An optional variable. An empty value counts as not set.
    #[must_use]
    pub fn optional(&self, variable: &'static str) -> Option<&str> {
        self.0.get(variable).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A required variable. An empty value counts as missing.
    pub fn required(&self, variable: &'static str) -> Result<&str, ConfigError> {
        self.optional(variable).ok_or_else(|| ConfigError::new(variable, "is missing"))
    }

    /// An optional variable that is `true` or `false`; `false` by default.
    pub fn switch(&self, variable: &'static str) -> Result<bool, ConfigError> {
        match self.optional(variable) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ConfigError::new(variable, "must be true or false")),
        }
    }

    /// An optional variable, parsed.
    pub fn parsed<T: FromStr<Err: ToString>>(&self, variable: &'static str) -> Result<Option<T>, ConfigError> {
        let value = self.optional(variable);
        value
            .map(|value| value.parse().map_err(|error: T::Err| ConfigError::new(variable, error.to_string())))
            .transpose()
    }

    /// A base URL, with or without a trailing slash: http or https, no userinfo, query or fragment.
    pub fn base_url(&self, variable: &'static str) -> Result<Option<Url>, ConfigError> {
        let Some(text) = self.optional(variable) else {
            return Ok(None);
        };
        let text = if text.ends_with('/') { text.to_owned() } else { format!("{text}/") };
        let malformed = || ConfigError::new(variable, "must be an http or https base URL");
        let url = Url::parse(&text).map_err(|_| malformed())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain { Ok(Some(url)) } else { Err(malformed()) }
    }

    /// A duration such as `90s`, `15m`, `1h` or `14d`.
    ///
    /// # Errors
    /// When it is malformed or zero.
    pub fn duration(&self, variable: &'static str) -> Result<Option<Duration>, ConfigError> {
        let Some(text) = self.optional(variable) else {
            return Ok(None);
        };
        parse_duration(text)
            .map(Some)
            .ok_or_else(|| ConfigError::new(variable, "must be a duration such as 90s, 15m, 1h or 14d"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(value: &str) -> Environment {
        [("V".to_owned(), value.to_owned())].into_iter().collect()
    }

    #[test]
    fn an_empty_variable_is_missing() {
        let error = environment(" ").required("V").unwrap_err();
        assert_eq!(error.to_string(), "V is missing");
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(environment("14d").duration("V"), Ok(Some(Duration::from_secs(14 * 86_400))));
        assert_eq!(environment("").duration("V"), Ok(None));
        for bad in ["14", "d", "0s", "-1d", "1.5h", "14 d", "99999999999999999999d", "ä"] {
            assert!(environment(bad).duration("V").is_err(), "{bad}");
        }
    }

    #[test]
    fn base_urls_end_in_a_slash() {
        for text in ["https://api.digi.me/v1.7", "https://api.digi.me/v1.7/"] {
            assert_eq!(environment(text).base_url("V").unwrap().unwrap().as_str(), "https://api.digi.me/v1.7/");
        }
        for bad in ["api.digi.me", "ftp://x/", "https://u:p@x/", "https://x/?q", "https://x/#f"] {
            assert!(environment(bad).base_url("V").is_err(), "{bad}");
        }
    }
}
