//! Runs the functions in this process: the same code as on AWS, with the endpoints of the stand-ins.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use reauth_core::{
    ambient::{Ambient, Deadline, after},
    config::{ConfigError, Environment},
    lambda::{self, Invocation},
};

use crate::{
    endpoints::Endpoints,
    invoke::{Function, Functions, Invoke, InvokeError},
};

/// The time limit of one invocation. API Gateway has the same limit.
const TIMEOUT: Duration = Duration::from_secs(29);

pub fn in_process(endpoints: &Endpoints, ambient: &Ambient) -> Result<Functions, ConfigError> {
    let environment = |function| endpoints.environment(function).into_iter().collect::<Environment>();
    Ok(Functions {
        create_reauth_url: build::<create_reauth_url::CreateReauthUrl>(
            &environment(Function::CreateReauthUrl),
            ambient,
        )?,
        reauth_callback: build::<reauth_callback::ReauthCallback>(&environment(Function::ReauthCallback), ambient)?,
        record_read_result: build::<record_read_result::RecordReadResult>(
            &environment(Function::RecordReadResult),
            ambient,
        )?,
        notify_reauth: build::<notify_reauth::NotifyReauth>(&environment(Function::NotifyReauth), ambient)?,
        post_webhook: build::<post_webhook::PostWebhook>(&environment(Function::PostWebhook), ambient)?,
        accounts: build::<accounts::Accounts>(&environment(Function::Accounts), ambient)?,
        sweep_accounts: build::<sweep_accounts::SweepAccounts>(&environment(Function::SweepAccounts), ambient)?,
    })
}

fn build<F: lambda::Function>(environment: &Environment, ambient: &Ambient) -> Result<Arc<dyn Invoke>, ConfigError> {
    Ok(Arc::new(InProcess { function: F::new(environment, ambient)?, ambient: ambient.clone() }))
}

struct InProcess<F> {
    function: F,
    ambient: Ambient,
}

impl<F: lambda::Function> Invoke for InProcess<F> {
    fn invoke(&self, event: Bytes) -> BoxFuture<'_, Result<Bytes, InvokeError>> {
        Box::pin(async move {
            let event = serde_json::from_slice(&event).map_err(|error| failed("Deserialization", &error))?;
            let invocation = Invocation {
                request_id: format!("{:032x}", u128::from_be_bytes(self.ambient.bytes())),
                deadline: Deadline(after(self.ambient.now(), TIMEOUT)),
            };
            // A panic ends one invocation only, as in the Lambda runtime.
            let handled = AssertUnwindSafe(self.function.handle(event, invocation)).catch_unwind();
            let reply = tokio::time::timeout(TIMEOUT, handled).await.map_err(|_| InvokeError::TimedOut)?;
            let reply = reply.map_err(|_| failed("Panic", &"the function panicked"))?;
            let reply = reply.map_err(|error| failed("Error", &error))?;
            serde_json::to_vec(&reply).map(Bytes::from).map_err(|error| failed("Serialization", &error))
        })
    }
}

fn failed(error_type: &str, message: &dyn ToString) -> InvokeError {
    InvokeError::Failed { error_type: error_type.to_owned(), error_message: message.to_string() }
}
