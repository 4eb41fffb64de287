//! Verification of a claimed reauthorization with digi.me's list of accounts.

use digime::ListedAccount;

use crate::{Account, Attempt, FailureCode, Signal, Via};

/// What digi.me says about an account whose reauthorization is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub verdict: Verdict,
    /// The account's entry in digi.me's list.
    pub listed: Option<ListedAccount>,
}

impl Answer {
    /// The answer when digi.me could not be asked.
    pub const UNKNOWN: Self = Self { verdict: Verdict::Unknown, listed: None };

    /// The answer of digi.me's list of the user's accounts.
    #[must_use]
    pub fn of_list(account: &Account, listed: Vec<ListedAccount>) -> Self {
        let listed = listed.into_iter().find(|listed| listed.id == account.account_id);
        Self { verdict: verdict(account.username.as_deref(), listed.as_ref()), listed }
    }

    /// The signal for the account after a callback of the reauthorization `attempt`.
    #[must_use]
    pub fn after_callback(self, attempt: Attempt) -> Signal {
        self.decided(Via::Callback, Some(attempt.clone())).unwrap_or(Signal::Claimed { attempt })
    }

    /// The signal for the account after a question of the sweep. `None` if digi.me does not say whether the account is
    /// authorized.
    #[must_use]
    pub fn after_sweep(self) -> Option<Signal> {
        self.decided(Via::Sweep, None)
    }

    fn decided(self, via: Via, attempt: Option<Attempt>) -> Option<Signal> {
        match self.verdict {
            Verdict::Authorized => Some(Signal::Confirmed { via, listed: self.listed, attempt }),
            Verdict::Refused(refusal) => Some(Signal::Denied { attempt, refusal }),
            Verdict::Unknown => None,
        }
    }
}

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The account is authorized.
    Authorized,
    /// The reauthorization did not succeed.
    Refused(Refusal),
    /// digi.me does not say whether the account is authorized.
    Unknown,
}

/// Whether the application can accept the login that digi.me's list names: there is one, and it is not known to be
/// unauthorized.
#[must_use]
pub fn is_acceptable(listed: &ListedAccount) -> bool {
    listed.username.is_some() && listed.authorized != Some(false)
}

/// Why a claimed reauthorization did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: FailureCode,
    /// The username that digi.me names, if it is different from the one before.
    pub found: Option<String>,
}

impl From<FailureCode> for Refusal {
    fn from(code: FailureCode) -> Self {
        Self { code, found: None }
    }
}

/// Verifies a claimed reauthorization of the account with the given `username` by the account's entry in digi.me's
/// list.
fn verdict(username: Option<&str>, listed: Option<&ListedAccount>) -> Verdict {
    let Some(listed) = listed else {
        return Verdict::Refused(FailureCode::AccountNotFound.into());
    };
    if let (Some(before), Some(now)) = (username, listed.username.as_deref())
        && before != now
    {
        return Verdict::Refused(Refusal { code: FailureCode::WrongAccount, found: Some(now.to_owned()) });
    }
    match listed.authorized {
        Some(true) => Verdict::Authorized,
        Some(false) => Verdict::Refused(FailureCode::NotAuthorized.into()),
        None => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(username: Option<&str>, authorized: Option<bool>) -> ListedAccount {
        ListedAccount {
            id: "1_a".parse().unwrap(),
            username: username.map(Into::into),
            service_name: None,
            service_logo: None,
            created_at: None,
            authorized,
            authorization_expires_at: None,
        }
    }

    #[test]
    fn the_table_of_the_callback_contract() {
        let refused = |code: FailureCode| Verdict::Refused(code.into());
        let wrong = Refusal { code: FailureCode::WrongAccount, found: Some("bob".into()) };
        assert_eq!(verdict(None, None), refused(FailureCode::AccountNotFound));
        assert_eq!(verdict(None, Some(&listed(None, Some(true)))), Verdict::Authorized);
        assert_eq!(verdict(Some("ann"), Some(&listed(Some("ann"), Some(true)))), Verdict::Authorized);
        assert_eq!(verdict(Some("ann"), Some(&listed(None, Some(true)))), Verdict::Authorized);
        assert_eq!(verdict(Some("ann"), Some(&listed(Some("bob"), Some(true)))), Verdict::Refused(wrong.clone()));
        assert_eq!(verdict(Some("ann"), Some(&listed(Some("bob"), None))), Verdict::Refused(wrong));
        assert_eq!(verdict(Some("ann"), Some(&listed(Some("ann"), Some(false)))), refused(FailureCode::NotAuthorized));
        assert_eq!(verdict(None, Some(&listed(None, None))), Verdict::Unknown);
    }
}
