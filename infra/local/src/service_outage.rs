//! Breaks and mends many accounts of one service at once, as when a service is down and is back.

use digime_simulator::{Account, ErrorShape};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::json;

use crate::{
    DEMO_CONTRACT,
    operations::{OperationError, Operations},
};

/// More would take longer than the console waits.
pub(crate) const MOST_ACCOUNTS: usize = 500;
/// Users that are read at the same time.
const CONCURRENCY: usize = 16;

/// A user of the service, with one account.
struct ServiceUser {
    id: String,
    account: String,
}

impl ServiceUser {
    fn new(service: &str, number: usize) -> Self {
        let letters = service.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
        let service: String = letters.take(64).collect::<String>().to_lowercase();
        Self { id: format!("{service}-user-{number}"), account: format!("{number}_{service}") }
    }
}

impl Operations {
    /// Breaks an account of each of so many users, and lets the demo application read them. Users who do not exist are
    /// created, with a grant and a contact.
    pub(crate) async fn break_service(&self, service: &str, accounts: usize) -> Result<(), OperationError> {
        let users = (1..=accounts).map(|number| ServiceUser::new(service, number));
        let read = |user: ServiceUser| async move {
            if self.control.add_account(&user.id, Account::new(&*user.account, service, Some(&user.id))) {
                self.authorize(&user).await?;
            }
            self.control.break_account(&user.account, ErrorShape::Documented);
            Ok(self.application.read_under(&user.id, DEMO_CONTRACT).await?)
        };
        stream::iter(users).map(read).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// Mends the accounts that [`Operations::break_service`] broke, and lets the demo application read them. Returns their
    /// number.
    pub(crate) async fn mend_service(&self, service: &str) -> Result<usize, OperationError> {
        let users = (1..=MOST_ACCOUNTS).map(|number| ServiceUser::new(service, number));
        let broken: Vec<_> = users.filter(|user| self.control.is_broken(&user.account)).collect();
        let count = broken.len();
        let read = |user: ServiceUser| async move {
            self.control.mend_account(&user.account);
            Ok::<_, OperationError>(self.application.read_under(&user.id, DEMO_CONTRACT).await?)
        };
        stream::iter(broken).map(read).buffer_unordered(CONCURRENCY).try_collect::<()>().await?;
        Ok(count)
    }

    /// Stores a grant of the user, with a contact.
    async fn authorize(&self, user: &ServiceUser) -> Result<(), OperationError> {
        let tokens = serde_json::to_value(self.control.issue_tokens(&user.id, DEMO_CONTRACT))?;
        let grant = json!({"userAccessToken": tokens, "contact": {"email": format!("{}@example.com", user.id)}});
        let path = format!("/users/{}/grants/{DEMO_CONTRACT}?replace=true", user.id);
        Ok(self.application.call(Method::PUT, &path, &grant).await.map(drop)?)
    }
}
