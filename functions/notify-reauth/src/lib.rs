//! Creates the reconnect link of an event and publishes the event on the SNS topic. Counts the accounts that broke and healed,
//! and notices when a service is probably down.

mod deliver;
mod logos;
mod outages;
mod topic;

use std::{collections::BTreeMap, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use digime::ambient::Ambient;
use futures::future::{join, join_all};
use lambda_runtime::Error;
use reauth_core::{
    aws::Aws,
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation, first_receipt, sent_at},
    services,
    store::{Store, StoreError, StoredEvent},
    warm_up::Step,
};
use tracing::instrument;
use url::Url;

use crate::{
    logos::AskedLogos,
    outages::{NewCounts, OutageDetector, is_new},
    topic::Topic,
};

#[derive(Debug)]
pub struct NotifyReauth {
    store: Store,
    ambient: Ambient,
    topic: Topic,
    public_base_url: Url,
    link_ttl: Duration,
    outages: OutageDetector,
    asked_logos: AskedLogos,
}

/// An event, and the ids of all messages of the batch that hold it.
struct Copies {
    event: StoredEvent,
    message_ids: Vec<String>,
    /// Whether one of the messages tells of the event for the first time.
    is_new: bool,
}

impl Function for NotifyReauth {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        let public_base_url = environment.base_url("PUBLIC_BASE_URL")?;
        let sns = aws_sdk_sns::Client::new(&aws.service("AWS_ENDPOINT_URL_SNS")?);
        let store = services::store(&aws, ambient)?;
        Ok(Self {
            outages: OutageDetector::new(&store, environment, ambient)?,
            store,
            asked_logos: AskedLogos::default(),
            ambient: ambient.clone(),
            topic: Topic::new(sns, environment.required("NOTIFICATION_TOPIC_ARN")?),
            public_base_url: public_base_url.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?,
            link_ttl: services::reconnect_link_ttl(environment)?,
        })
    }

    /// The outage counter and the logo are written beside the link and the event.
    fn warm_up(&self) -> Vec<Step<'_>> {
        let mut steps = self.store.warm_up();
        steps.extend(self.store.warm_up_more(2));
        steps.push(Step::new("connect to SNS", self.topic.connect()));
        steps
    }

    /// Delivers all events concurrently. The stream and the sweep can both put the same event on the queue. Copies of
    /// one event in one batch are published once, and succeed or fail together. Meanwhile, the accounts that broke
    /// and healed are counted.
    #[instrument(skip_all, fields(records = event.records.len()))]
    async fn handle(&self, event: SqsEvent, invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let mut events = BTreeMap::new();
        for record in event.records {
            match Received::parse(record) {
                Ok(Received { event, message_id, is_new }) => {
                    let event_id = event.event.subject.event_id.clone();
                    let new = || Copies { event, message_ids: Vec::new(), is_new: false };
                    let copies = events.entry(event_id).or_insert_with(new);
                    copies.message_ids.push(message_id);
                    copies.is_new |= is_new;
                }
                Err(message_id) => reply.add_failure(message_id),
            }
        }
        let mut counts = NewCounts::default();
        events.values().filter(|copies| copies.is_new).for_each(|copies| counts.add(&copies.event.event));
        let notified = join_all(events.into_values().map(|copies| Box::pin(self.notify(copies))));
        let (results, ()) = join(notified, self.outages.count(counts, invocation.deadline)).await;
        results.into_iter().flatten().for_each(|failed| reply.add_failure(failed));
        Ok(reply)
    }
}

impl NotifyReauth {
    /// Returns the ids of the messages that must be retried.
    #[instrument(skip_all, fields(trace_id = copies.event.traceparent.map(|trace| display(trace.trace_id()))))]
    async fn notify(&self, copies: Copies) -> Vec<String> {
        let Err(error) = self.deliver(&copies.event).await else { return Vec::new() };
        let event_id = copies.event.event.subject.event_id.as_str();
        for message_id in &copies.message_ids {
            tracing::warn!(message_id, event_id, error = %Chain(&error), "notify-reauth: could not publish an event");
        }
        copies.message_ids
    }
}

/// A message that holds an event.
struct Received {
    event: StoredEvent,
    message_id: String,
    is_new: bool,
}

impl Received {
    /// The error is the id of a message that holds no event.
    fn parse(record: SqsMessage) -> Result<Self, String> {
        let (is_first_receipt, sent_at) = (first_receipt(&record), sent_at(&record));
        let message_id = record.message_id.unwrap_or_default();
        match parse_event(record.body.as_deref().unwrap_or_default()) {
            Ok(event) => {
                let is_new = is_first_receipt && is_new(&event, sent_at);
                Ok(Self { event, message_id, is_new })
            }
            Err(error) => {
                if is_first_receipt {
                    tracing::error!(message_id, error = %Chain(&error), "notify-reauth: a message holds no event");
                }
                Err(message_id)
            }
        }
    }
}

fn parse_event(body: &str) -> Result<StoredEvent, StoreError> {
    let record = serde_json::from_str(body).map_err(|_| StoreError::Corrupt("the body is not JSON".into()))?;
    StoredEvent::from_stream_record(&record)
}
