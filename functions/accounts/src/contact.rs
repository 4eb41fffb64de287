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
        let state = ContactState::after_input(known.as_ref().map(|known| &known.value), input, contract);
        let read_version = known.map_or(0, |known| known.version);
        Ok(state.map(|state| ContactChange { state, read_version }))
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
    let detail = "The user has no contact. Store one with PUT /users/{userId}/grants/{contractId}: \
                  {\"userAccessToken\": …, \"contact\": …}.";
    Problem::new(StatusCode::NOT_FOUND, "contact_not_found", "The user has no contact.", detail)
}
