//! The contact that came with a grant.

use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    store::{ContactChange, StoreError},
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{
    ContractId, UserId,
    contact::{ContactInput, ContactState},
};
use tracing::instrument;

use crate::{Accounts, replies::ContactBody};

impl Accounts {
    /// What is to be written of the contact beside a grant. Reads nothing if the request does not mention a contact.
    pub(crate) async fn contact_change(
        &self,
        user: &UserId,
        contract: &ContractId,
        input: &ContactInput,
    ) -> Result<Option<ContactChange>, StoreError> {
        if *input == ContactInput::Unchanged {
            return Ok(None);
        }
        let known = self.authorized.store.contact(user).await?;
        let before = known.as_ref().map(|known| &known.value);
        let Some(mut state) = ContactState::after_input(before, input, contract) else { return Ok(None) };
        if state.has_new_recipient(before) && self.has_open_connections(user).await? {
            state = state.asking(self.ambient.now());
        }
        Ok(Some(ContactChange { state, read_version: known.map_or(0, |known| known.version) }))
    }

    /// Whether a mail may have something to ask the user for. What it says is read when it is sent. A connection that breaks after
    /// this read has an event, which sets when a mail is due if it comes after the contact was written; as a rule it does.
    async fn has_open_connections(&self, user: &UserId) -> Result<bool, StoreError> {
        let store = &self.authorized.store;
        let (accounts, grants) = tokio::try_join!(store.user_accounts(user), store.grant_states(user))?;
        let mut accounts = accounts.accounts.values().map(|read| &read.value);
        Ok(accounts.any(|account| account.episode().is_some() || account.warned.is_some())
            || grants.iter().any(|grant| grant.episode.is_some() || grant.warned.is_some()))
    }

    /// `GET /users/{userId}/contact`.
    #[instrument(skip_all)]
    pub(crate) async fn show_contact(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let user = input.path::<UserId>("userId");
        let user = input.finish(|| user)?;
        let store = &self.authorized.store;
        match store.contact(&user).await?.and_then(|read| ContactBody::new(read.value)) {
            Some(body) => Ok(response::json(StatusCode::OK, &body)),
            None if store.user_exists(&user).await? => Err(contact_not_found()),
            None => Err(Problem::user_not_found()),
        }
    }
}

fn contact_not_found() -> Problem {
    let detail = "The user has no contact, or it cannot be decrypted any more. Store one with PUT /users/{userId}/grants/{contractId}: \
                  {\"userAccessToken\": …, \"contact\": …}.";
    Problem::new(StatusCode::NOT_FOUND, "contact_not_found", "The user has no contact.", detail)
}
