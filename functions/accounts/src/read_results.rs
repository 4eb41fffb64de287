//! The route that takes a read result over HTTP. It parses the read result first, so that the caller learns about an
//! invalid one, and then puts it on the `ReadResults` queue.

use digime::ReadResult;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    aws::AwsError,
    web::{ApiRequest, Problem, Response, response},
};
use reauth_domain::{
    ContractId, UserId,
    submission::{MAX_ACCOUNTS, Submission, is_too_large, parse_read_result, timestamp},
};
use tracing::instrument;

use crate::{Accounts, replies::AcceptedBody};

/// In bytes. Lambda accepts events of up to 6 MB. For a larger read result, the application sends its status only.
const MAX_BODY: usize = 5_000_000;
/// In bytes. A larger read result is split into several messages. Every SQS queue accepts 256 KiB, from which the names of
/// the envelope and a single long entry are left.
const MAX_MESSAGE: usize = 200 * 1024;

/// The reply names at most this many ignored entries.
const MAX_IGNORED: usize = 20;

impl Accounts {
    /// `POST /users/{userId}/read-results`.
    #[instrument(skip_all)]
    pub(crate) async fn take_read_result(&self, request: &Request) -> Result<Response, Problem> {
        if request.body().len() > MAX_BODY {
            return Err(too_large(
                "Hand in only the status of the read result, or parts of it: it is larger than 5 MB.",
            ));
        }
        let submission = read(request)?;
        let ReadResult { entries, ignored } = &submission.read_result;
        if is_too_large(&submission.read_result) {
            return Err(too_large(format!("Hand in parts of it: it holds more than {MAX_ACCOUNTS} accounts.")));
        }
        // The messages are sent concurrently. If one fails, the caller sends the whole read result again. Messages that
        // were already sent then change nothing a second time.
        let sent = submission.messages(MAX_MESSAGE).into_iter().map(|message| self.enqueue(message));
        futures::future::try_join_all(sent).await?;
        if !ignored.is_empty() {
            let (user_id, ignored) = (&submission.user_id, ignored.len());
            tracing::warn!(%user_id, ignored, "read-results: ignored entries that are not accounts");
        }
        let body = AcceptedBody { accounts: entries.len(), ignored: &ignored[..ignored.len().min(MAX_IGNORED)] };
        Ok(response::json(StatusCode::ACCEPTED, &body))
    }

    async fn enqueue(&self, message: String) -> Result<(), Problem> {
        let request = self.queue.send_message().queue_url(&*self.read_results_queue).message_body(message);
        request.send().await.map(drop).map_err(|error| Problem::unavailable(AwsError::from(&error)))
    }
}

fn read(request: &Request) -> Result<Submission, Problem> {
    let mut input = request.input();
    let user_id: Option<UserId> = input.path("userId");
    let contract_id = input.text_field("contractId", str::parse::<ContractId>);
    let observed_at = input.text_field("observedAt", timestamp);
    let read_result = input.required_field("readResult").and_then(|value| input.check(parse_read_result(&value)));
    let context = request.context();
    let (submitted_at, traceparent) = (Some(context.triggered_at), Some(context.traceparent));
    input.finish(|| {
        let (user_id, read_result) = (user_id?, read_result?);
        Some(Submission { user_id, contract_id, observed_at, submitted_at, traceparent, read_result })
    })
}

fn too_large(detail: impl Into<String>) -> Problem {
    let title = "The read result is too large.";
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "read_result_too_large", title, detail)
}
