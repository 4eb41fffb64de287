//! The language in which a user is written to.

use reauth_domain::{Locale, UserId};

use super::{Store, StoreError};

impl Store {
    /// The locale of the user's contact. No contact is stored yet.
    #[expect(clippy::unused_async, reason = "it will read the contact")]
    pub async fn locale_of(&self, _user: &UserId) -> Result<Option<Locale>, StoreError> {
        Ok(None)
    }
}
