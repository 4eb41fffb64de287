//! digi.me's list of a user's accounts.

use jiff::Timestamp;

use crate::AccountId;

/// An account in digi.me's list, with the fields that reauthorization needs.
///
/// Source: `GET permission-access/accounts` in the official SDKs' types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// The identifier, which is also the key in read results.
    pub id: AccountId,
    /// The name of the account at the source.
    pub username: Option<String>,
    /// The source's name.
    pub service_name: Option<String>,
    /// The URL of the source's logo: `providerLogo`, else `providerFavIcon`. Only https, or http on this machine.
    pub service_logo: Option<String>,
    /// `createdDate`: when the user linked the account.
    pub created_at: Option<Timestamp>,
    /// `accessTokenStatus.authorized`, which digi.me does not always send.
    pub authorized: Option<bool>,
    /// `accessTokenStatus.expiresAt`.
    pub authorization_expires_at: Option<Timestamp>,
}
