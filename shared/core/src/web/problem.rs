//! Problems (RFC 9457): the error for the caller, and its cause for the log.

use std::time::Duration;

use http::StatusCode;
use reauth_domain::{ContractId, InvalidField, InvalidFields};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{authorized_client::AuthorizedClientError, error::Chain, secrets::SecretError, store::StoreError};

/// The `Retry-After` of a temporary problem for which no time is known.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// The maximum number of invalid fields in a problem.
const MAX_ERRORS: usize = 50;

/// An error as it is returned to the caller.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    /// A stable code for programs.
    pub code: &'static str,
    /// A short sentence, always the same for the same code.
    pub title: &'static str,
    /// What happened in this case.
    pub detail: String,
    /// The invalid fields.
    pub errors: Vec<InvalidField>,
    /// How long to wait before a retry.
    pub retry_after: Option<Duration>,
    cause: Option<String>,
}

impl Problem {
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), errors: Vec::new(), retry_after: None, cause: None }
    }

    fn caused_by(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(RETRY_AFTER));
        self
    }

    /// 400: invalid input.
    #[must_use]
    pub fn invalid(mut errors: Vec<InvalidField>) -> Self {
        let more = errors.len().saturating_sub(MAX_ERRORS);
        errors.truncate(MAX_ERRORS);
        if more > 0 {
            errors.push(InvalidField::new("", format!("{more} more fields are wrong")));
        }
        let line = |error: &InvalidField| match &*error.name() {
            "" => error.message.to_string(),
            name => format!("{name}: {}", error.message),
        };
        let detail = errors.iter().map(line).collect::<Vec<_>>().join("; ");
        let title = "The request is not valid.";
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", title, detail) }
    }

    /// 401: the caller is not an IAM principal.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "Sign the request with AWS Signature Version 4.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "The caller is not an IAM principal.", detail)
    }

    /// 404: the route does not exist.
    #[must_use]
    pub fn unknown_route() -> Self {
        let detail = "The API has no such route.";
        Self::new(StatusCode::NOT_FOUND, "route_not_found", "Not found.", detail)
    }

    /// 404: nothing is stored for the user.
    #[must_use]
    pub fn user_not_found() -> Self {
        let detail = "Nothing is stored for this user.";
        Self::new(StatusCode::NOT_FOUND, "user_not_found", "The user is not known.", detail)
    }

    /// 404: neither this service nor digi.me has the account.
    #[must_use]
    pub fn account_not_found() -> Self {
        let detail = "The user has no such account, here or at digi.me.";
        Self::new(StatusCode::NOT_FOUND, "account_not_found", "The account is not known.", detail)
    }

    /// 404: the reauthorization does not exist.
    #[must_use]
    pub fn reauthorization_not_found() -> Self {
        let detail = "It never existed, its user was erased, or it was deleted after 30 days.";
        Self::new(StatusCode::NOT_FOUND, "reauthorization_not_found", "The reauthorization is not known.", detail)
    }

    /// 409: the user has no grant, under the requested contract or at all. `known` are the contracts of the user's
    /// grants.
    #[must_use]
    pub fn grant_not_found(asked: Option<&ContractId>, known: &[ContractId]) -> Self {
        let detail = match asked {
            Some(asked) if !known.is_empty() => {
                format!("No grant under contract {asked}; the user has grants under {}.", names(known))
            }
            _ => "No grant of the user is stored. Store one with PUT /users/{userId}/grants/{contractId}.".to_owned(),
        };
        Self::new(StatusCode::CONFLICT, "grant_not_found", "The grant is not stored.", detail)
    }

    /// 404: the user has grants, and none under this contract.
    #[must_use]
    pub fn unknown_grant(asked: &ContractId, known: &[ContractId]) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::grant_not_found(Some(asked), known) }
    }

    /// 409: the request must name one of these contracts.
    #[must_use]
    pub fn contract_required(contracts: &[ContractId]) -> Self {
        let detail =
            format!("The user has grants under several contracts. Name one as contractId: {}.", names(contracts));
        Self::new(StatusCode::CONFLICT, "contract_required", "The contract must be named.", detail)
    }

    /// 409: Secrets Manager has no key for the contract.
    #[must_use]
    pub fn contract_not_configured(contract: &ContractId) -> Self {
        let detail = format!(
            "Secrets Manager has no secret for contract {contract}. Its id is CONTRACT_SECRET_PREFIX followed by {contract}."
        );
        Self::new(StatusCode::CONFLICT, "contract_not_configured", "The contract is not configured.", detail)
            .caused_by(SecretError::Unknown)
    }

    /// 500: a fault of this service. The cause is only logged.
    #[must_use]
    pub fn internal(cause: impl ToString) -> Self {
        let detail = "This is a fault of the service. Its operator finds it under the requestId.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong.", detail).caused_by(cause)
    }

    /// 503: a dependency of the service is not available.
    #[must_use]
    pub fn unavailable(cause: impl ToString) -> Self {
        let detail = "The request may not be complete. Repeat it.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service cannot answer just now.", detail)
            .after(None)
            .caused_by(cause)
    }

    /// The body of the response.
    pub(super) fn body<'a>(&'a self, request_id: &'a str) -> ProblemBody<'a> {
        ProblemBody {
            problem_type: format!("urn:digime-reauth:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
        }
    }

    /// Logs a problem that has a cause: a fault of the service as an error, any other as a warning. A caller's mistake is
    /// in the line of the request's outcome only.
    pub fn log(&self) {
        let (code, status) = (self.code, self.status.as_u16());
        match &self.cause {
            Some(cause) if self.status == StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(code, status, %cause, "request: failed because of a fault of the service");
            }
            Some(cause) => {
                tracing::warn!(code, status, %cause, "request: could not be completed")
            }
            None => {}
        }
    }
}

/// The code of the problem that a response tells of, as an extension of the response. It is logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProblemCode(pub(crate) &'static str);

/// The body of a problem: `application/problem+json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Problem")]
pub struct ProblemBody<'a> {
    #[serde(rename = "type")]
    #[schemars(extend("format" = "uri"))]
    problem_type: String,
    title: &'a str,
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    detail: &'a str,
    #[schemars(regex(pattern = "^[a-z_]+$"))]
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [InvalidField],
}

fn names(contracts: &[ContractId]) -> String {
    contracts.iter().map(ContractId::as_str).collect::<Vec<_>>().join(", ")
}

impl From<InvalidFields> for Problem {
    fn from(fields: InvalidFields) -> Self {
        Self::invalid(fields.0)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Erased => {
                let detail = "The user was erased while the request was carried out.";
                Self::new(StatusCode::CONFLICT, "user_forgotten", "The user was erased.", detail)
            }
            StoreError::Conflict(_) | StoreError::Unavailable(_) => Self::unavailable(Chain(&error)),
            StoreError::Corrupt(_) => Self::internal(Chain(&error)),
        }
    }
}

impl From<AuthorizedClientError> for Problem {
    fn from(error: AuthorizedClientError) -> Self {
        match error {
            AuthorizedClientError::Store(error) => error.into(),
            AuthorizedClientError::Digime(error) => error.into(),
            AuthorizedClientError::Busy => Self::unavailable(Chain(&error)),
            AuthorizedClientError::UserReauthorizationRequired => {
                let detail = "digi.me accepts neither the access token nor the refresh token. If the application's SDK \
                              has a newer pair, store it with PUT /users/{userId}/grants/{contractId}; otherwise create \
                              a user reauthorization with POST /users/{userId}/reauthorizations.";
                let title = "The refresh token is dead.";
                Self::new(StatusCode::CONFLICT, "user_reauthorization_required", title, detail)
            }
            AuthorizedClientError::UserAuthorizationRequired => {
                let detail = "digi.me does not recognize the user by the last access token any more. Authorize the user \
                              from scratch, and store the new pair with PUT /users/{userId}/grants/{contractId}.";
                let title = "The user must be authorized from scratch.";
                Self::new(StatusCode::CONFLICT, "user_authorization_required", title, detail)
            }
            AuthorizedClientError::Contract { contract_id, source } => match source {
                SecretError::Unavailable(_) => Self::unavailable(Chain(&source)),
                SecretError::Unknown => Self::contract_not_configured(&contract_id),
                SecretError::Unusable(_) => {
                    let detail = format!(
                        "The secret of contract {contract_id} must be {{\"applicationId\",\"contractId\",\"privateKey\"}} \
                             with an RSA key in PEM."
                    );
                    let title = "The contract's key cannot be used.";
                    Self::new(StatusCode::INTERNAL_SERVER_ERROR, "contract_key_invalid", title, detail)
                        .caused_by(Chain(&source))
                }
            },
        }
    }
}

impl From<digime::Error> for Problem {
    fn from(error: digime::Error) -> Self {
        if error.is_retryable() {
            let detail = "digi.me did not answer, or is busy. Try again.";
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "digime_unavailable",
                "digi.me cannot be reached just now.",
                detail,
            )
            .after(error.retry_after())
            .caused_by(Chain(&error));
        }
        let (code, title, detail) = match &error {
            digime::Error::Api(api) => ("digime_refused", "digi.me refused the request.", {
                let given = |name: &str, value: &str| {
                    if value.is_empty() { String::new() } else { format!(", {name} {value}") }
                };
                format!(
                    "digi.me answered {}{}{}.",
                    api.status.as_u16(),
                    given("code", &api.code),
                    given("reference", &api.reference)
                )
            }),
            _ => ("digime_invalid_answer", "digi.me's answer is not valid.", "The answer was not used.".to_owned()),
        };
        Self::new(StatusCode::BAD_GATEWAY, code, title, detail).caused_by(Chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_not_told() {
        let problem = Problem::internal("the secret cause");
        assert!(!serde_json::to_string(&problem.body("r")).unwrap().contains("secret cause"));
    }

    #[test]
    fn bad_input_names_its_field() {
        let errors = vec![InvalidField::new("userId", "must be short"), InvalidField::below("", "x", "is not known")];
        insta::assert_json_snapshot!(Problem::invalid(errors).body("r-1"));
    }

    #[test]
    fn the_list_of_wrong_fields_has_an_end() {
        let problem = Problem::invalid(vec![InvalidField::new("a", "is wrong"); MAX_ERRORS + 7]);
        assert_eq!(problem.errors.len(), MAX_ERRORS + 1);
        assert_eq!(problem.errors[MAX_ERRORS].message, "7 more fields are wrong");
    }
}
