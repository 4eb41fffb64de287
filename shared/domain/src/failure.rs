//! Why a reauthorization ended without success.

use std::{fmt, str::FromStr};

/// An `errorCode` of digi.me's callback, or one of this service. A code that is not known yet is kept as it is.
///
/// Source: digi.me's page on reauthorizing an account, the table of error codes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", from = "String")]
pub enum FailureCode {
    /// digi.me's page refused its parameters.
    InitializeCheckFail,
    /// The code in the URL was not valid or had expired.
    InvalidCode,
    /// The user cancelled.
    UserCancel,
    /// The service (bank, hospital, …) refused the sign-in.
    OnboardError,
    /// Something failed at digi.me.
    ServerError,
    /// The callback reported success, and digi.me says that the account is not authorized.
    NotAuthorized,
    /// The callback reported success, and digi.me no longer lists the account.
    AccountNotFound,
    /// The user authorized another account of the same service.
    WrongAccount,
    /// Another person authorized on the user reauthorization page.
    WrongUser,
    /// A code that this service does not know; 1 to 64 of `[A-Z0-9_]`.
    Other(String),
    /// There is no code, or it has another form.
    Unknown,
}

digime::text_schema!(FailureCode, { "type": "string", "pattern": "^[A-Z0-9_]{1,64}$" });

impl FailureCode {
    /// The code in the API, in events and in the table.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::InitializeCheckFail => "INITIALIZE_CHECK_FAIL",
            Self::InvalidCode => "INVALID_CODE",
            Self::UserCancel => "USER_CANCEL",
            Self::OnboardError => "ONBOARD_ERROR",
            Self::ServerError => "SERVER_ERROR",
            Self::NotAuthorized => "NOT_AUTHORIZED",
            Self::AccountNotFound => "ACCOUNT_NOT_FOUND",
            Self::WrongAccount => "WRONG_ACCOUNT",
            Self::WrongUser => "WRONG_USER",
            Self::Other(code) => code,
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Whether another attempt with a new URL can succeed.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::InvalidCode
            | Self::UserCancel
            | Self::OnboardError
            | Self::ServerError
            | Self::NotAuthorized
            | Self::WrongAccount
            | Self::WrongUser
            | Self::Other(_)
            | Self::Unknown => true,
            // The same parameters fail the same checks. An account that digi.me does not have cannot be reauthorized.
            Self::InitializeCheckFail | Self::AccountNotFound => false,
        }
    }
}

impl FromStr for FailureCode {
    type Err = std::convert::Infallible;

    /// Never fails: anything outside `[A-Z0-9_]{1,64}` is [`FailureCode::Unknown`].
    fn from_str(code: &str) -> Result<Self, Self::Err> {
        let known = [
            Self::InitializeCheckFail,
            Self::InvalidCode,
            Self::UserCancel,
            Self::OnboardError,
            Self::ServerError,
            Self::NotAuthorized,
            Self::AccountNotFound,
            Self::WrongAccount,
            Self::WrongUser,
            Self::Unknown,
        ];
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        Ok(match known.into_iter().find(|known| known.as_str() == code) {
            Some(known) => known,
            None if (1..=64).contains(&code.len()) && code.bytes().all(allowed) => Self::Other(code.to_owned()),
            None => Self::Unknown,
        })
    }
}

impl From<String> for FailureCode {
    fn from(code: String) -> Self {
        match code.parse() {
            Ok(code) => code,
        }
    }
}

impl From<FailureCode> for String {
    fn from(code: FailureCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back_what_they_print() {
        for code in ["INITIALIZE_CHECK_FAIL", "INVALID_CODE", "USER_CANCEL", "ONBOARD_ERROR", "SERVER_ERROR", "NEW_1"] {
            assert_eq!(FailureCode::from(code.to_owned()).as_str(), code);
        }
    }

    #[test]
    fn a_code_of_another_form_is_unknown() {
        for code in ["", "user_cancel", "<script>", "A B", "Ä", &"A".repeat(65)] {
            assert_eq!(FailureCode::from(code.to_owned()), FailureCode::Unknown, "{code}");
        }
    }
}
