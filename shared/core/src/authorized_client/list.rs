//! Listing a user's accounts at digi.me, and storing what the list says.

use std::time::Duration;

use digime::ListedAccount;
use jiff::Timestamp;
use reauth_domain::{Account, Change, ContractId, Grant, Outcome, Signal, UserId};

use super::{AuthorizedClient, AuthorizedClientError};
use crate::{
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{AccountChange, Commit, StoreError, UserAccounts, Versioned},
};

/// The time limit of a list that a caller can do without.
const OPTIONAL_LIST_TIME: Duration = Duration::from_secs(2);

impl AuthorizedClient {
    /// Lists the user's accounts at digi.me and stores the data of the list. An account that the list no longer
    /// contains is removed, with an event. No other status changes.
    pub async fn list_accounts(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Vec<ListedAccount>, AuthorizedClientError> {
        let owner = grant.value.clone();
        let listed = self
            .with_token(grant, context, |contract, tokens| async move {
                self.client.accounts(&contract, &tokens.access.value, context.deadline).await
            })
            .await?;
        self.merge_list(&owner.user_id, &owner.contract_id, &listed, context).await?;
        self.store.mark_accounts_listed(&owner).await?;
        Ok(listed)
    }

    async fn merge_list(
        &self,
        user: &UserId,
        contract: &ContractId,
        listed: &[ListedAccount],
        context: RequestContext,
    ) -> Result<(), StoreError> {
        retry_on_conflict(&self.ambient, context.deadline, || async {
            let known = self.store.user_accounts(user).await?;
            let described = listed.iter().filter_map(|listed| describe(&known, user, contract, listed));
            let changes: Vec<_> = described.chain(removals(&known, contract, listed, self.ambient.now())).collect();
            if changes.is_empty() {
                return Ok(());
            }
            let (user_id, last_reads) = (user.clone(), Some(known.last_reads));
            let commit = Commit { user_id, changes, last_reads, reauthorization: None, context };
            self.store.commit(commit).await
        })
        .await
    }

    /// Lists the user's accounts as [`AuthorizedClient::list_accounts`] does, within two seconds. For callers that can do
    /// without the list.
    ///
    /// # Errors
    /// Those of [`AuthorizedClient::list_accounts`]. The caller logs them and goes on.
    pub async fn list_accounts_quickly(
        &self,
        grant: Versioned<Grant>,
        context: RequestContext,
    ) -> Result<Vec<ListedAccount>, AuthorizedClientError> {
        let deadline = context.deadline.within(self.ambient.now(), OPTIONAL_LIST_TIME);
        self.list_accounts(grant, RequestContext { deadline, ..context }).await
    }
}

/// The change of one account by its entry in digi.me's list, if the entry contains something new.
fn describe(
    known: &UserAccounts,
    user: &UserId,
    contract: &ContractId,
    listed: &ListedAccount,
) -> Option<AccountChange> {
    let Versioned { value: before, version: read_version } = known.account(user, &listed.id);
    let mut account = before.clone().described(listed);
    account.contract_id = Some(contract.clone());
    let change = Change::without_events(account);
    (read_version == 0 || change.account != before).then_some(AccountChange { change, read_version, read: None })
}

/// The accounts under a contract that digi.me's list contained before and no longer contains.
fn removals(
    known: &UserAccounts,
    contract: &ContractId,
    listed: &[ListedAccount],
    now: Timestamp,
) -> impl Iterator<Item = AccountChange> {
    let is_gone = |account: &Account| {
        account.listed
            && account.contract_id.as_ref() == Some(contract)
            && listed.iter().all(|listed| listed.id != account.account_id)
    };
    let gone = known.accounts.values().filter(move |account| is_gone(&account.value));
    gone.filter_map(move |account| match account.value.clone().take(Signal::Unlisted, now) {
        Outcome::Changed(change) => Some(AccountChange { change, read_version: account.version, read: None }),
        Outcome::Unchanged(_) => None,
    })
}
