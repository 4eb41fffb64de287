//! Tells the operator, on the alarm topic, when the state of the webhook's endpoint changes, and when a service is probably
//! down.
//!
//! A sweep claims a state before it tells it, so that of two sweeps one does. If this process ends before the topic has the
//! notice, another sweep tells it two minutes later; if it ends after that, the operator is told twice.

use aws_sdk_sns::{Client, error::BuildError, types::MessageAttributeValue};
use digime::ambient::{Ambient, Deadline};
use reauth_core::{
    aws::{Aws, AwsError},
    config::ConfigError,
    error::Chain,
    store::{Store, StoreError},
};
use reauth_domain::{OperatorNotice, Outage, ServiceKey, outage::Counts};
use tracing::instrument;

#[derive(Debug)]
pub(crate) struct Operator {
    sns: Client,
    /// `None`: nobody is told.
    topic: Option<String>,
    store: Store,
    ambient: Ambient,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
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
    pub(crate) fn new(aws: &Aws<'_>, store: Store, ambient: &Ambient) -> Result<Self, ConfigError> {
        let sns = Client::new(&aws.service("AWS_ENDPOINT_URL_SNS")?);
        let topic = aws.environment().optional("ALARM_TOPIC_ARN").map(str::to_owned);
        Ok(Self { sns, topic, store, ambient: ambient.clone() })
    }

    /// Publishes the endpoint's state if the operator was not told of it. If this fails, a sweep tells it later.
    #[instrument(skip_all)]
    pub(crate) async fn tell_of_webhook(&self, deadline: Deadline) {
        if let Err(error) = self.try_to_tell_of_webhook(deadline).await {
            tracing::warn!(error = %Chain(&error), "sweep: could not tell the operator of the endpoint's state");
        }
    }

    async fn try_to_tell_of_webhook(&self, deadline: Deadline) -> Result<(), TellError> {
        let (now, store) = (self.ambient.now(), self.store.webhook());
        let claimed = store.change_known_health(deadline, |health| health.with_claimed_notice(now)).await?;
        let Some(health) = claimed else { return Ok(()) };
        let state = health.state.name();
        let record_sent = store.change_known_health(deadline, |health| Some(health.with_sent_notice(state)));
        if self.publish(&OperatorNotice::of_webhook(&health, now), record_sent).await? {
            tracing::info!(?state, "sweep: told the operator of the endpoint's state");
        }
        Ok(())
    }

    /// Publishes the state of a service's outage if the operator was not told of it. `accounts` are broken by now.
    pub(crate) async fn tell_of_outage(
        &self,
        service: &ServiceKey,
        counts: Counts,
        deadline: Deadline,
    ) -> Result<(), TellError> {
        let (now, store) = (self.ambient.now(), &self.store);
        let claimed = store.change_outage(service, deadline, |outage| outage?.with_claimed_notice(counts, now)).await?;
        let Some(outage) = claimed else { return Ok(()) };
        let Outage { state, accounts, healed, .. } = &outage;
        let record_sent = store.change_outage(service, deadline, |outage| Some(outage?.with_sent_notice(*state)));
        if self.publish(&OperatorNotice::of_outage(&outage, now), record_sent).await? {
            tracing::info!(?state, %service, accounts, healed, "sweep: told the operator of the outage of a service");
        }
        Ok(())
    }

    /// Publishes a notice of a claimed state, and then records that the operator was told. Without a topic it is recorded too:
    /// otherwise each sweep would claim the state again. Returns whether the operator was told.
    async fn publish<T>(
        &self,
        notice: &OperatorNotice,
        record_sent: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<bool, TellError> {
        match &self.topic {
            Some(topic) => self.publish_on(topic, notice).await?,
            None => tracing::warn!(notice = notice.kind(), "sweep: there is no topic on which to tell the operator"),
        }
        record_sent.await?;
        Ok(self.topic.is_some())
    }

    async fn publish_on(&self, topic: &str, notice: &OperatorNotice) -> Result<(), TellError> {
        let kind = MessageAttributeValue::builder().data_type("String").string_value(notice.kind());
        let request = self.sns.publish().topic_arn(topic).message_attributes("eventType", kind.build()?);
        let request = request.subject(notice.subject()).message(notice.to_json()?.to_string());
        request.send().await.map_err(|error| TellError::Topic(AwsError::from(&error)))?;
        Ok(())
    }
}
