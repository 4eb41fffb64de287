//! Runs the functions in this process: the same code as on AWS, with the endpoints of the stand-ins.

use std::{marker::PhantomData, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use digime::ambient::Ambient;
use futures::{FutureExt, future::BoxFuture};
use lambda_runtime::{Context, LambdaEvent};
use reauth_core::{
    config::{ConfigError, Environment},
    lambda::{self, EventService},
    web::{self, HttpFunction},
};
use reauth_domain::time::after;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use crate::{
    endpoints::Endpoints,
    invoke::{Function, Functions, INVOCATION_TIMEOUT, Invoke, InvokeError},
};

pub fn in_process(endpoints: &Endpoints, ambient: &Ambient) -> Result<Functions, ConfigError> {
    Ok(Functions {
        create_reauth_url: http::<create_reauth_url::CreateReauthUrl>(Function::CreateReauthUrl, endpoints, ambient)?,
        email_user: event::<email_user::EmailUser>(Function::EmailUser, endpoints, ambient)?,
        reauth_callback: http::<reauth_callback::ReauthCallback>(Function::ReauthCallback, endpoints, ambient)?,
        record_read_result: event::<record_read_result::RecordReadResult>(
            Function::RecordReadResult,
            endpoints,
            ambient,
        )?,
        notify_reauth: event::<notify_reauth::NotifyReauth>(Function::NotifyReauth, endpoints, ambient)?,
        post_webhook: event::<post_webhook::PostWebhook>(Function::PostWebhook, endpoints, ambient)?,
        accounts: http::<accounts::Accounts>(Function::Accounts, endpoints, ambient)?,
        events: http::<events::Events>(Function::Events, endpoints, ambient)?,
        sweep_accounts: event::<sweep_accounts::SweepAccounts>(Function::SweepAccounts, endpoints, ambient)?,
    })
}

/// A function behind the HTTP API.
fn http<F: HttpFunction>(
    function: Function,
    endpoints: &Endpoints,
    ambient: &Ambient,
) -> Result<Arc<dyn Invoke>, ConfigError> {
    let built = Arc::new(F::new(&environment(function, endpoints), ambient)?);
    Ok(InProcess::shared(web::service(built, ambient.clone()), ambient))
}

/// A function that is invoked with other events.
fn event<F: lambda::Function>(
    function: Function,
    endpoints: &Endpoints,
    ambient: &Ambient,
) -> Result<Arc<dyn Invoke>, ConfigError> {
    let built = Arc::new(F::new(&environment(function, endpoints), ambient)?);
    Ok(InProcess::shared(lambda::service(built), ambient))
}

fn environment(function: Function, endpoints: &Endpoints) -> Environment {
    endpoints.environment(function).into_iter().collect()
}

struct InProcess<E, S> {
    service: S,
    ambient: Ambient,
    event: PhantomData<fn(E)>,
}

impl<E, S> InProcess<E, S>
where
    E: DeserializeOwned + Send + 'static,
    S: EventService<E> + Sync,
{
    fn shared(service: S, ambient: &Ambient) -> Arc<dyn Invoke> {
        Arc::new(Self { service, ambient: ambient.clone(), event: PhantomData })
    }

    fn context(&self) -> Context {
        let mut context = Context::default();
        context.request_id = format!("{:032x}", u128::from_be_bytes(self.ambient.bytes()));
        let deadline = after(self.ambient.now(), INVOCATION_TIMEOUT).as_millisecond();
        context.deadline = deadline.try_into().unwrap_or_default();
        context
    }
}

impl<E, S> Invoke for InProcess<E, S>
where
    E: DeserializeOwned + Send + 'static,
    S: EventService<E> + Sync,
{
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
        Box::pin(async move {
            let event = serde_json::from_slice(&event).map_err(|error| failed("Deserialization", &error))?;
            let handled = self.service.clone().oneshot(LambdaEvent::new(event, self.context()));
            // A panic ends one invocation only. Release builds end the process, as on Lambda.
            let handled = AssertUnwindSafe(handled).catch_unwind();
            let reply = tokio::time::timeout(INVOCATION_TIMEOUT, handled).await.map_err(|_| InvokeError::TimedOut)?;
            let reply = reply.map_err(|_| failed("Panic", &"the function panicked"))?;
            let reply = reply.map_err(|error| failed("Error", &error))?;
            serde_json::to_vec(&reply).map(Bytes::from).map_err(|error| failed("Serialization", &error))
        })
    }
}

fn failed(error_type: &str, message: &dyn ToString) -> InvokeError {
    InvokeError::Failed { error_type: error_type.to_owned(), error_message: message.to_string() }
}
