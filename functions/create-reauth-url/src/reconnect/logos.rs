//! The logos of the services on a page.

use std::collections::HashMap;

use reauth_core::{logos::LogoCache, web::page::Image};
use reauth_domain::{Account, AccountId};

use super::overview::ShownAccount;

/// How many accounts of a page have a logo. Each logo is part of the page, with up to 44 KB; Lambda refuses a reply of more than 6 MB.
const MOST: usize = 20;

/// The logos of the first accounts of a page.
#[derive(Debug, Default)]
pub(super) struct Logos(HashMap<AccountId, Image>);

impl Logos {
    pub(super) async fn read(cache: &LogoCache, accounts: &[ShownAccount]) -> Self {
        let with_logo =
            accounts.iter().filter_map(|one| Some((&one.account.account_id, one.account.service_logo.as_deref()?)));
        let first: Vec<_> = with_logo.take(MOST).collect();
        let images = cache.images(first.iter().map(|(_, url)| *url)).await;
        let of = |(id, url): (&AccountId, &str)| Some((id.clone(), images.get(url)?.clone()));
        Self(first.into_iter().filter_map(of).collect())
    }

    pub(super) fn of(&self, account: &Account) -> Option<&Image> {
        self.0.get(&account.account_id)
    }
}
