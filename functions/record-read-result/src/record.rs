//! Records a read result: one query for the user's accounts and last reads, one decision, one write. When no account
//! changes its status, the write is one conditional put. Otherwise it is one transaction with the accounts and their
//! events.

use digime::{
    ListedAccount,
    read_result::{AccountError, Entry},
};
use reauth_core::{
    error::Chain,
    lambda::RequestContext,
    retry::retry_on_conflict,
    store::{AccountChange, Commit, StoreError, UserAccounts, Versioned},
};
use reauth_domain::{Account, AccountId, EpisodeId, Outcome, Signal, UserId, Watermark};
use tokio::sync::OnceCell;
use tracing::instrument;

use crate::{RecordReadResult, message::ReadMessage};

/// An entry of a read result that is newer than the account's watermark.
struct News<'a> {
    account: Versioned<Account>,
    read: Watermark,
    /// The error that needs the user. `None` if the read completed.
    error: Option<&'a AccountError>,
}

impl News<'_> {
    fn needs_list(&self) -> bool {
        self.account.value.needs_list(self.error.is_some())
    }
}

impl RecordReadResult {
    #[instrument(skip_all, fields(message_id = %message.id, user_id = %message.submission.user_id))]
    pub(crate) async fn record(&self, message: &ReadMessage, context: RequestContext) -> Result<(), StoreError> {
        let (user, listed) = (&message.submission.user_id, &OnceCell::new());
        retry_on_conflict(&self.ambient, context.deadline, || async move {
            let mut accounts = self.authorized.store.user_accounts(user).await?;
            if accounts.last_reads.value.is_void(context.triggered_at) {
                return Err(StoreError::Erased);
            }
            if listed.get().is_none() && news(message, &accounts).iter().any(News::needs_list) {
                let listed = listed.get_or_init(|| self.list(message, context)).await;
                if !listed.is_empty() {
                    accounts = self.authorized.store.user_accounts(user).await?;
                }
            }
            let listed = listed.get().map(Vec::as_slice).unwrap_or_default();
            self.write(message, accounts, listed, context).await
        })
        .await
    }

    /// Decides what the result changes, and writes it.
    async fn write(
        &self,
        message: &ReadMessage,
        accounts: UserAccounts,
        listed: &[ListedAccount],
        context: RequestContext,
    ) -> Result<(), StoreError> {
        let (mut unchanged, mut changes) = (Vec::new(), Vec::new());
        for news in news(message, &accounts) {
            let (id, read) = (news.account.value.account_id.clone(), news.read);
            match self.decide(message, news, listed) {
                Some(change) => changes.push(change),
                None => unchanged.push((id, read)),
            }
        }
        if unchanged.is_empty() && changes.is_empty() {
            return Ok(());
        }
        let mut last_reads = accounts.last_reads;
        unchanged.into_iter().for_each(|(id, read)| last_reads.value.record(id, read));
        let (store, user_id) = (&self.authorized.store, message.submission.user_id.clone());
        if changes.is_empty() {
            return store.put_last_reads(&user_id, last_reads, context.triggered_at).await;
        }
        let last_reads = Some(last_reads);
        store.commit(Commit { user_id, changes, last_reads, reauthorization: None, context }).await
    }

    /// Returns the change of the account's status. Returns `None` if only the account's watermark changes.
    fn decide(&self, message: &ReadMessage, news: News<'_>, listed: &[ListedAccount]) -> Option<AccountChange> {
        let News { account: Versioned { value: mut account, version: read_version }, read, error } = news;
        let observed_at = read.observed_at;
        let signal = match error {
            None => {
                let listed = listed.iter().find(|listed| listed.id == account.account_id).cloned();
                Signal::ReadCompleted { observed_at, listed }
            }
            Some(error) => Signal::AuthorizationLost {
                error: error.clone(),
                observed_at,
                new_episode: EpisodeId::from(self.ambient.bytes()),
            },
        };
        if let Some(contract_id) = &message.submission.contract_id {
            account.contract_id = Some(contract_id.clone());
        }
        match account.take(signal, self.ambient.now()) {
            Outcome::Changed(change) => Some(AccountChange { change, read_version, read: Some(read) }),
            Outcome::Unchanged(_) => None,
        }
    }

    /// Lists the user's accounts at digi.me, and stores what the list says. Returns an empty list if the contract is
    /// not clear or digi.me does not answer in time.
    async fn list(&self, message: &ReadMessage, context: RequestContext) -> Vec<ListedAccount> {
        let (user, contract) = (&message.submission.user_id, message.submission.contract_id.as_ref());
        let listed = async {
            let mut grants = self.authorized.store.grants(user).await?;
            grants.retain(|grant| contract.is_none_or(|contract| grant.value.contract_id == *contract));
            match grants.pop().filter(|_| grants.is_empty()) {
                Some(grant) => self.authorized.list_accounts_quickly(grant, context).await,
                None => Ok(Vec::new()),
            }
        };
        listed.await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), user_id = %user, "record-read-result: could not list the user's accounts at digi.me");
            Vec::new()
        })
    }
}

/// The entries that are newer than their account's watermark, each with its account.
fn news<'a>(message: &'a ReadMessage, accounts: &UserAccounts) -> Vec<News<'a>> {
    let user: &UserId = &message.submission.user_id;
    let news = |(id, entry): (&AccountId, &'a Entry)| {
        let error = match entry {
            Entry::Completed => None,
            Entry::NeedsUser(error) => Some(error),
            Entry::Undecided => return None,
        };
        let read = Watermark { observed_at: message.observed_at, needs_user: error.is_some() };
        let account = accounts.account(user, id);
        let reauthorized_at = account.value.last_reauthorization();
        let is_news = accounts.last_reads.value.is_news(id, read, message.is_certain, reauthorized_at);
        is_news.then_some(News { account, read, error })
    };
    message.submission.read_result.entries.iter().filter_map(news).collect()
}
