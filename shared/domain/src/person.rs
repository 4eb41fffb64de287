//! Whether the person who authorized on digi.me's user reauthorization page is the one to whom the grant belonged.

use digime::{ListedAccount, TokenPair};

use crate::Account;

/// The one who authorized, compared with the one to whom the grant belonged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    Same,
    Another,
    /// Nothing is known that could tell.
    Unknown,
}

impl Person {
    /// Compares digi.me's identifier of the user in the old pair and in the new one.
    #[must_use]
    pub fn by_id(old: &TokenPair, new: &TokenPair) -> Self {
        match (&old.user, &new.user) {
            (Some(old), Some(new)) if old == new => Self::Same,
            (Some(_), Some(_)) => Self::Another,
            _ => Self::Unknown,
        }
    }

    /// Compares the accounts that digi.me's list contained before with the list for the new pair. The same person has at
    /// least one of them, and each with the same username. The username of an account with an identity mismatch is not
    /// compared.
    #[must_use]
    pub fn by_accounts<'a>(known: impl Iterator<Item = &'a Account>, listed: &[ListedAccount]) -> Self {
        let (mut any_known, mut any_found) = (false, false);
        for account in known.filter(|account| account.listed) {
            any_known = true;
            let Some(found) = listed.iter().find(|listed| listed.id == account.account_id) else { continue };
            any_found = true;
            if let (None, Some(before), Some(now)) = (&account.identity_mismatch, &account.username, &found.username)
                && before != now
            {
                return Self::Another;
            }
        }
        match (any_known, any_found) {
            (false, _) => Self::Unknown,
            (true, true) => Self::Same,
            (true, false) => Self::Another,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::account::IdentityMismatch;

    fn pair(user: Option<&str>) -> TokenPair {
        let token = json!({"value": "t", "expiry": 1});
        let pair = json!({"accessToken": token, "refreshToken": token, "user": {"id": user}});
        TokenPair::parse(&pair).unwrap()
    }

    #[test]
    fn two_known_ids_decide() {
        assert_eq!(Person::by_id(&pair(Some("a")), &pair(Some("a"))), Person::Same);
        assert_eq!(Person::by_id(&pair(Some("a")), &pair(Some("b"))), Person::Another);
        assert_eq!(Person::by_id(&pair(None), &pair(Some("b"))), Person::Unknown);
        assert_eq!(Person::by_id(&pair(Some("a")), &pair(None)), Person::Unknown);
    }

    fn account(id: &str, username: Option<&str>) -> Account {
        let mut account = Account::new("u".parse().unwrap(), id.parse().unwrap());
        (account.listed, account.username) = (true, username.map(Into::into));
        account
    }

    fn listed(id: &str, username: Option<&str>) -> ListedAccount {
        ListedAccount {
            id: id.parse().unwrap(),
            username: username.map(Into::into),
            service_name: None,
            service_logo: None,
            created_at: None,
            authorized: None,
            authorization_expires_at: None,
        }
    }

    #[test]
    fn the_accounts_decide_when_there_are_any() {
        let by = |known: &[Account], list: &[ListedAccount]| Person::by_accounts(known.iter(), list);
        let (ann, none) = (account("1_a", Some("ann")), account("2_b", None));
        assert_eq!(by(&[], &[listed("1_a", Some("ann"))]), Person::Unknown);
        assert_eq!(by(&[ann.clone(), none.clone()], &[listed("1_a", Some("ann"))]), Person::Same);
        assert_eq!(by(&[ann.clone(), none.clone()], &[listed("2_b", Some("bob"))]), Person::Same);
        assert_eq!(
            by(&[ann.clone(), none.clone()], &[listed("1_a", Some("bob")), listed("2_b", None)]),
            Person::Another
        );
        assert_eq!(by(std::slice::from_ref(&ann), &[listed("3_c", Some("ann"))]), Person::Another);
        let never_listed = Account { listed: false, ..ann.clone() };
        assert_eq!(by(&[never_listed], &[]), Person::Unknown);
        let mismatch = Some(IdentityMismatch { found: "bob".into() });
        assert_eq!(by(&[Account { identity_mismatch: mismatch, ..ann }], &[listed("1_a", Some("bob"))]), Person::Same);
    }
}
