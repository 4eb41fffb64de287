//! Delivering events again: to the topic, where all subscribers get them, or to the webhook only.

use std::time::Duration;

use digime::ambient::Deadline;
use futures::future::{join_all, try_join_all};
use http::StatusCode;
use jiff::Timestamp;
use lambda_http::Request;
use reauth_core::{
    store::{LogCursor, LogQuery, LoggedEvent, Redelivery, StoreError},
    web::{ApiRequest, Input, Problem, Response, response},
};
use reauth_domain::{EventId, InvalidField};
use serde_json::Value;
use tracing::instrument;

use crate::{
    Events, Links,
    list::known_types,
    queue::{Fate, Message, in_batches},
    replies::{Channel, RedeliveredBody, RedeliveredEventBody},
};

/// The events that one request looks at. The next request continues.
const SLICE: usize = 500;
/// Events whose items are changed at the same time.
const CONCURRENCY: usize = 25;
/// The remaining time that more events require: that of one call with its retries, and of the reply.
const RESERVE: Duration = Duration::from_secs(8);

/// What became of events, in their order.
#[derive(Debug, Default)]
struct Progress {
    redelivered: usize,
    pending: usize,
    skipped: usize,
    /// All events up to this one are done.
    last: Option<EventId>,
    /// Whether all events are done.
    is_complete: bool,
    /// What stopped the redelivery before the last event.
    error: Option<Problem>,
}

impl Progress {
    fn add(&mut self, stored: &LoggedEvent, done: Redelivery) {
        match done {
            Redelivery::Rescheduled => self.redelivered += 1,
            Redelivery::Pending => self.pending += 1,
            Redelivery::Gone => {}
        }
        self.last = Some(stored.event_id.clone());
    }

    fn skip(&mut self, stored: &LoggedEvent) {
        self.skipped += 1;
        self.last = Some(stored.event_id.clone());
    }

    fn failed(self, error: Problem) -> Self {
        Self { error: Some(error), ..self }
    }

    fn completed(self) -> Self {
        Self { is_complete: true, ..self }
    }
}

impl Events {
    /// `POST /events/{eventId}/redeliver`.
    #[instrument(skip_all)]
    pub(crate) async fn redeliver_one(&self, request: &Request) -> Result<Response, Problem> {
        let mut input = request.input();
        let (id, channel) = (input.path::<EventId>("eventId"), channel(&mut input));
        let (event_id, channel) = input.finish(|| Some((id?, channel)))?;
        self.check_channel(channel)?;
        let stored = self.find(&event_id).await?;
        let progress = self.redeliver(request, vec![stored], channel).await?;
        if let Some(error) = progress.error {
            return Err(error);
        }
        if progress.skipped > 0 {
            return Err(link_not_available());
        }
        if progress.redelivered + progress.pending == 0 {
            return Err(crate::event_not_found());
        }
        let pending = progress.pending > 0;
        tracing::info!(channel = channel.name(), pending, "redeliver: put an event on its way again");
        Ok(response::json(StatusCode::ACCEPTED, &RedeliveredEventBody { event_id, channel, pending }))
    }

    /// `POST /events/redeliver`: one slice of the events of a time.
    #[instrument(skip_all)]
    pub(crate) async fn redeliver_range(&self, request: &Request) -> Result<Response, Problem> {
        let (mut query, channel) = read_range(request)?;
        query.after = query.after.max(Some(self.store.beginning_of_log()));
        self.check_channel(channel)?;
        let page = self.store.log(&query).await?;
        let progress = self.redeliver(request, page.events, channel).await?;
        let next = if progress.is_complete {
            page.has_more.then_some(page.cursor)
        } else {
            progress.last.as_ref().map(LogCursor::behind).or(query.after)
        };
        if let Some(error) = progress.error {
            // The caller learns of it if it goes on: the next request begins with the event that failed.
            if progress.last.is_none() {
                return Err(error);
            }
            error.log();
        }
        let Progress { redelivered, pending, skipped, .. } = progress;
        tracing::info!(
            channel = channel.name(),
            redelivered,
            pending,
            skipped,
            "redeliver: put events on their way again"
        );
        let body = RedeliveredBody { redelivered, pending, skipped, cursor: next.map(LogCursor::encode) };
        Ok(response::json(StatusCode::OK, &body))
    }

    fn check_channel(&self, channel: Channel) -> Result<(), Problem> {
        match channel {
            Channel::Topic => Ok(()),
            Channel::Webhook => self.endpoint().map(drop),
        }
    }

    async fn redeliver(
        &self,
        request: &Request,
        events: Vec<LoggedEvent>,
        channel: Channel,
    ) -> Result<Progress, Problem> {
        match channel {
            Channel::Topic => Ok(self.redeliver_to_topic(&events, request.context().deadline).await),
            Channel::Webhook => self.redeliver_to_webhook(request, events).await,
        }
    }

    async fn redeliver_to_topic(&self, events: &[LoggedEvent], deadline: Deadline) -> Progress {
        let mut progress = Progress::default();
        for events in events.chunks(CONCURRENCY) {
            if self.ambient.remaining(deadline) < RESERVE {
                return progress;
            }
            let done = events.iter().map(|stored| Box::pin(self.store.redeliver(stored)));
            for (stored, done) in events.iter().zip(join_all(done).await) {
                match done {
                    Ok(done) => progress.add(stored, done),
                    Err(error) => return progress.failed(error.into()),
                }
            }
        }
        progress.completed()
    }

    /// Whether a message of each event waits for its next post: there is never more than one.
    async fn are_waiting(&self, events: &[LoggedEvent]) -> Result<Vec<bool>, StoreError> {
        let ids: Vec<EventId> = events.iter().map(|stored| stored.event_id.clone()).collect();
        let mut waiting = Vec::new();
        for ids in ids.chunks(CONCURRENCY) {
            let asked = ids.iter().map(|id| Box::pin(self.is_waiting(id)));
            waiting.extend(try_join_all(asked).await?);
        }
        Ok(waiting)
    }

    async fn is_waiting(&self, event: &EventId) -> Result<bool, StoreError> {
        let messages = self.store.webhook().attempts_by_message(event).await?;
        let next = messages.iter().filter_map(|message| message.last()?.next_attempt_at).max();
        Ok(next.is_some_and(|next| next > self.ambient.now()))
    }

    /// An event that was not published yet comes to the webhook by the topic.
    async fn redeliver_to_webhook(&self, request: &Request, events: Vec<LoggedEvent>) -> Result<Progress, Problem> {
        let (endpoint, deadline) = (self.endpoint()?, request.context().deadline);
        let mut progress = Progress::default();
        let waiting = self.are_waiting(&events).await?;
        let events = self.with_links(request, events, Links::All).await?;
        let messages = events.into_iter().zip(waiting);
        let messages: Vec<Message> = messages.map(|(event, is_waiting)| Message::new(event, is_waiting)).collect();
        for batch in in_batches(&messages) {
            if self.ambient.remaining(deadline) < RESERVE {
                return Ok(progress);
            }
            let sent: Vec<&Message> = batch.iter().filter(|message| message.fate == Fate::Sent).collect();
            let failed = endpoint.queue.send(&sent).await.err();
            for message in batch {
                if failed.as_ref().is_some_and(|failed| failed.event_id == *message.event_id()) {
                    break;
                }
                match message.fate {
                    Fate::Sent => progress.add(&message.stored, Redelivery::Rescheduled),
                    Fate::Pending => progress.add(&message.stored, Redelivery::Pending),
                    Fate::Skipped => progress.skip(&message.stored),
                }
            }
            if let Some(failed) = failed {
                return Ok(progress.failed(Problem::unavailable(failed)));
            }
        }
        Ok(progress.completed())
    }
}

fn link_not_available() -> Problem {
    let detail = "The service secret was rotated twice since the event, so that its reconnect link cannot be derived any \
                  more. Deliver it to the topic: it gets a new link there.";
    Problem::new(StatusCode::CONFLICT, "link_not_available", "The event's reconnect link is not available.", detail)
}

fn read_range(request: &Request) -> Result<(LogQuery, Channel), Problem> {
    let mut input = request.input();
    let (from, to) = (time(&mut input, "from"), time(&mut input, "to"));
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        input.check::<()>(Err(InvalidField::new("to", "must be after from")));
    }
    let types = input.optional_field("types", |value| match value {
        Value::Array(types) if types.iter().all(Value::is_string) => {
            known_types(types.iter().filter_map(Value::as_str))
        }
        _ => Err("must be an array of strings".to_owned()),
    });
    let channel = channel(&mut input);
    let cursor = input.text_field("cursor", LogCursor::decode);
    input.finish(|| {
        let after = LogCursor::before(from?).max(cursor.unwrap_or(LogCursor::before(from?)));
        let types = types.unwrap_or_default();
        Some((LogQuery { after: Some(after), until: to, types, user: None, limit: SLICE }, channel))
    })
}

fn time(input: &mut Input<'_>, name: &'static str) -> Option<Timestamp> {
    let value = input.required_field(name)?;
    let time = value.as_str().and_then(|text| text.parse().ok());
    input.check(time.ok_or_else(|| InvalidField::new(name, "must be an RFC 3339 time with an offset")))
}

/// The field `channel`. Its default is the topic.
fn channel(input: &mut Input<'_>) -> Channel {
    let given = input.optional_field("channel", |value| match value.as_str() {
        Some("topic") => Ok(Channel::Topic),
        Some("webhook") => Ok(Channel::Webhook),
        _ => Err("must be topic or webhook"),
    });
    // A wrong channel is recorded, so that the default is not used.
    given.unwrap_or(Channel::Topic)
}
