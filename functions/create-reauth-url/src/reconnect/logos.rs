//! The logos of the services on a page.

use std::collections::HashMap;

use reauth_core::web::page::Image;
use reauth_domain::Account;

/// The stored logos, by the URL that digi.me names.
#[derive(Debug, Default)]
pub(super) struct Logos(pub(super) HashMap<String, Image>);

impl Logos {
    pub(super) fn of(&self, account: &Account) -> Option<&Image> {
        self.0.get(account.service_logo.as_deref()?)
    }
}
