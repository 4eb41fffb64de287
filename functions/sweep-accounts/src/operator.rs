//! Tells the operator, on the alarm topic, when the state of the webhook's endpoint changes.

use aws_sdk_sns::{Client, error::BuildError, types::MessageAttributeValue};
use digime::ambient::{Ambient, Deadline};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
    error::Chain,
    store::{StoreError, WebhookStore},
};
use reauth_domain::{OperatorNotice, webhook::WebhookStateName};
use tracing::instrument;

#[derive(Debug)]
pub(crate) struct Operator {
    sns: Client,
    topic: String,
    store: WebhookStore,
    ambient: Ambient,
}

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the notice cannot be written")]
    Notice(#[from] serde_json::Error),
    #[error("could not build a message attribute")]
    Attribute(#[from] BuildError),
    #[error("SNS did not accept the notice")]
    Topic(#[source] AwsError),
}

impl Operator {
    pub(crate) fn new(aws: &Aws<'_>, store: WebhookStore, ambient: &Ambient) -> Result<Self, ConfigError> {
        let sns = Client::new(&aws.service("AWS_ENDPOINT_URL_SNS")?);
        let topic = aws.environment().required("ALARM_TOPIC_ARN")?.to_owned();
        Ok(Self { sns, topic, store, ambient: ambient.clone() })
    }

    /// Publishes the endpoint's state if the operator was not told of it. If this fails, a sweep tells it later.
    #[instrument(skip_all)]
    pub(crate) async fn tell(&self, deadline: Deadline) {
        if let Err(error) = self.try_to_tell(deadline).await {
            tracing::warn!(error = %Chain(&error), "sweep: could not tell the operator of the endpoint's state");
        }
    }

    /// The state is marked as being told first, so that of two sweeps one tells it. If this process ends before the topic has
    /// the notice, another sweep tells it two minutes later; if it ends after that, the operator is told twice.
    async fn try_to_tell(&self, deadline: Deadline) -> Result<(), TellError> {
        let now = self.ambient.now();
        let Some(health) = self.store.change_known_health(deadline, |health| health.with_claimed_notice(now)).await?
        else {
            return Ok(());
        };
        let state = health.state.name();
        self.publish(&OperatorNotice::new(&health, now), state).await?;
        self.store.change_known_health(deadline, |health| Some(health.with_sent_notice(state))).await?;
        tracing::info!(?state, "sweep: told the operator of the endpoint's state");
        Ok(())
    }

    async fn publish(&self, notice: &OperatorNotice, state: WebhookStateName) -> Result<(), TellError> {
        let kind = MessageAttributeValue::builder().data_type("String").string_value(notice.kind());
        let request = self.sns.publish().topic_arn(&self.topic).message_attributes("eventType", kind.build()?);
        let request = request.subject(subject(state)).message(notice.to_json()?.to_string());
        request.send().await.map_err(|error| TellError::Topic(AwsError::from(&error)))?;
        Ok(())
    }
}

/// The subject of an email. SNS allows 100 characters of ASCII.
fn subject(state: WebhookStateName) -> &'static str {
    match state {
        WebhookStateName::Active => "digime-reauth: the webhook's endpoint has recovered",
        WebhookStateName::Failing => "digime-reauth: the webhook's endpoint is failing",
        WebhookStateName::Disabled => "digime-reauth: the webhook's endpoint is disabled",
    }
}
