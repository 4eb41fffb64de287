//! Taking in a read result over HTTP: it is understood here, so that a bad one is refused, and put on the queue.

use http::StatusCode;
use reauth_core::{
    aws::describe_error,
    domain::{
        ContractId, UserId,
        read_result::{self, InvalidField, ReadResult, Submission},
    },
    web::{Fields, Problem, Request, Response},
};
use serde_json::{Value, json};

use crate::Accounts;

/// Lambda takes 6 MB; a larger read result is handed in without its files.
const MAX_BODY: usize = 5_000_000;
/// A queue takes 256 KiB everywhere; larger results are split.
const MAX_MESSAGE: usize = 200 * 1024;

impl Accounts {
    /// `POST /users/{userId}/read-results`.
    pub(crate) async fn take_read_result(&self, request: &Request) -> Result<Response, Problem> {
        let user_id: UserId = request.path("userId")?;
        if request.body_length() > MAX_BODY {
            let detail = "Hand in only the status of the read result, or parts of it.";
            let title = "The read result is larger than 5 MB.";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "read_result_too_large", title, detail));
        }
        let submission = read(user_id, request.json()?)?;
        let accounts = submission.read_result.entries.len();
        // Side by side; when one fails, the caller hands all in again, and the others change nothing twice.
        let sent = submission.messages(MAX_MESSAGE).into_iter().map(|message| self.enqueue(message));
        futures::future::try_join_all(sent).await?;
        Ok(Response::json(StatusCode::ACCEPTED, &json!({"accounts": accounts})))
    }

    async fn enqueue(&self, message: String) -> Result<(), Problem> {
        let request = self.queue.send_message().queue_url(&*self.read_results_queue).message_body(message);
        request.send().await.map(drop).map_err(|error| Problem::unavailable(describe_error(&error)))
    }
}

fn read(user_id: UserId, body: Value) -> Result<Submission, Problem> {
    let object = body.as_object().ok_or_else(|| Problem::invalid_field("", "the body must be a JSON object"))?;
    let observed_at = read_result::observed_at(object)?;
    let read_result = object.get("readResult").ok_or_else(|| InvalidField::new("readResult", "is missing"))?;
    let read_result = ReadResult::parse(read_result)?;
    let mut fields = Fields::of(json!({"contractId": object.get("contractId")}))?;
    let contract_id: Option<ContractId> = fields.optional("contractId");
    fields.finish()?;
    Ok(Submission { user_id, contract_id, observed_at, read_result })
}
