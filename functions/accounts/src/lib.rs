//! The application's routes for grants, accounts and read results. Also erases a user.

mod accounts;
mod grants;
mod read_results;

use std::{sync::Arc, time::Duration};

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use http::StatusCode;
use lambda_runtime::Error;
use reauth_core::{
    ambient::Ambient,
    authorized_client::{AuthorizedClient, retry_on_conflict},
    aws::Aws,
    config::{ConfigError, Environment},
    domain::UserId,
    lambda::{Function, Invocation},
    services,
    web::{self, Problem, Request, Response},
};
use url::Url;

#[derive(Debug)]
pub struct Accounts {
    authorized: AuthorizedClient,
    ambient: Ambient,
    public_base_url: Option<Url>,
    link_ttl: Duration,
    queue: aws_sdk_sqs::Client,
    read_results_queue: Arc<str>,
}

impl Function for Accounts {
    type Event = ApiGatewayV2httpRequest;
    type Reply = ApiGatewayV2httpResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        Ok(Self {
            authorized: AuthorizedClient::new(&aws, ambient)?,
            ambient: ambient.clone(),
            public_base_url: environment.base_url("PUBLIC_BASE_URL")?,
            link_ttl: services::reconnect_link_ttl(environment)?,
            queue: aws_sdk_sqs::Client::new(&aws.service("AWS_ENDPOINT_URL_SQS")?),
            read_results_queue: environment.required("READ_RESULTS_QUEUE_URL")?.into(),
        })
    }

    async fn handle(&self, event: Self::Event, invocation: Invocation) -> Result<Self::Reply, Error> {
        Ok(web::serve(event, &invocation, &self.ambient, |request| self.route(request)).await)
    }
}

impl Accounts {
    async fn route(&self, request: Request) -> Result<Response, Problem> {
        request.require_principal()?;
        match request.route.as_str() {
            "PUT /users/{userId}/grants/{contractId}" => self.put_grant(&request).await,
            "GET /users/{userId}/grants/{contractId}" => self.show_grant(&request).await,
            "GET /users/{userId}/accounts" => self.list_of_user(&request).await,
            "GET /users/{userId}/accounts/{accountId}" => self.show_account(&request).await,
            "POST /users/{userId}/accounts/{accountId}/accept-identity" => self.accept_identity(&request).await,
            "POST /users/{userId}/read-results" => self.take_read_result(&request).await,
            "GET /accounts" => self.list_in_need(&request).await,
            "DELETE /users/{userId}" => self.forget(&request).await,
            _ => Err(Problem::unknown_route()),
        }
    }

    /// `DELETE /users/{userId}`: erases everything that this service stores about the user, and leaves a tombstone. It
    /// changes nothing at digi.me.
    async fn forget(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let user: Option<UserId> = input.path("userId");
        let user = &input.finish(|| user)?;
        retry_on_conflict(&self.ambient, request.context, || async move { self.authorized.store.forget(user).await })
            .await?;
        Ok(Response::empty(StatusCode::NO_CONTENT))
    }
}
