//! The application's routes for grants, accounts and read results. Also erases a user.

mod accounts;
mod contact;
mod grant_input;
mod grants;
mod in_need;
mod read_results;
pub mod replies;

use std::sync::Arc;

use digime::ambient::Ambient;
use http::StatusCode;
use lambda_http::Request;
use reauth_core::{
    authorized_client::AuthorizedClient,
    aws::Aws,
    config::{ConfigError, Environment},
    http_client,
    retry::retry_on_conflict,
    warm_up::Step,
    web::{ApiRequest, HttpFunction, Problem, Response, response},
};
use reauth_domain::UserId;
use tracing::instrument;
use url::Url;

#[derive(Debug)]
pub struct Accounts {
    authorized: AuthorizedClient,
    ambient: Ambient,
    public_base_url: Option<Url>,
    queue: aws_sdk_sqs::Client,
    read_results_queue: Arc<str>,
}

impl HttpFunction for Accounts {
    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        Ok(Self {
            authorized: AuthorizedClient::new(&aws, ambient)?,
            ambient: ambient.clone(),
            public_base_url: environment.base_url("PUBLIC_BASE_URL")?,
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            read_results_queue: environment.required("READ_RESULTS_QUEUE_URL")?.into(),
        })
    }

    fn warm_up(&self) -> Vec<Step<'_>> {
        let message = self.queue.send_message().queue_url(&*self.read_results_queue).message_body("nothing");
        let mut steps = self.authorized.warm_up();
        steps.push(Step::new("connect to SQS", http_client::connect_for(message.send())));
        steps
    }

    async fn handle(&self, request: Request) -> Result<Response, Problem> {
        request.require_principal()?;
        match request.route() {
            "PUT /users/{userId}/grants/{contractId}" => Box::pin(self.put_grant(&request)).await,
            "GET /users/{userId}/grants/{contractId}" => Box::pin(self.show_grant(&request)).await,
            "GET /users/{userId}/contact" => Box::pin(self.show_contact(&request)).await,
            "GET /users/{userId}/accounts" => Box::pin(self.list_of_user(&request)).await,
            "GET /users/{userId}/accounts/{accountId}" => Box::pin(self.show_account(&request)).await,
            "POST /users/{userId}/accounts/{accountId}/accept-identity" => {
                Box::pin(self.accept_identity(&request)).await
            }
            "POST /users/{userId}/read-results" => Box::pin(self.take_read_result(&request)).await,
            "GET /accounts" => Box::pin(self.list_in_need(&request)).await,
            "DELETE /users/{userId}" => Box::pin(self.erase(&request)).await,
            _ => Err(Problem::unknown_route()),
        }
    }
}

impl Accounts {
    /// `DELETE /users/{userId}`: erases everything that this service stores about the user, and leaves a tombstone. It
    /// changes nothing at digi.me.
    #[instrument(skip_all)]
    async fn erase(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let user: Option<UserId> = input.path("userId");
        let user = &input.finish(|| user)?;
        retry_on_conflict(&self.ambient, request.context().deadline, || async move {
            self.authorized.store.erase(user).await
        })
        .await?;
        Ok(response::empty(StatusCode::NO_CONTENT))
    }
}
