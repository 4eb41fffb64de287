//! Writes to users by email about their connections, and stops when they ask for it or their address fails.
//!
//! An event sets when a mail to the user is due. The sweep puts a due mail on the queue. One mail then names everything that is
//! open. It is claimed by a conditional write before it is sent, so that it is sent at most once.

mod compose;
mod due;
mod feedback;
mod mailer;
mod message;
mod overview;
mod schedule;
mod send;

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use digime::ambient::Ambient;
use futures::future::join_all;
use jiff::tz::TimeZone;
use lambda_runtime::Error;
use reauth_core::{
    aws::Aws,
    config::{ConfigError, Environment},
    error::Chain,
    lambda::{Function, Invocation, RequestContext, first_receipt, traceparent},
    metrics::{self, MailOutcome},
    services,
    store::{Store, StoreError},
    warm_up::Step,
    web::page::Branding,
};
use reauth_domain::{
    UserId,
    contact::{Contact, TimeZoneName},
    notices::Lifetimes,
};
use reauth_text::Language;
use tracing::instrument;
use url::Url;

use crate::{mailer::Mailer, message::Message};

/// In this time, accounts of the same user that break one after the other come into the same mail.
const DEFAULT_DELAY: Duration = Duration::from_secs(10 * 60);

#[derive(Debug)]
pub struct EmailUser {
    store: Store,
    ambient: Ambient,
    mailer: Mailer,
    settings: Settings,
}

/// What mails say besides what happened.
#[derive(Debug)]
pub(crate) struct Settings {
    public_base_url: Url,
    branding: Branding,
    /// Whether mails contain links. Without them, they name the application, where the user reconnects.
    links: bool,
    delay: Duration,
    default_time_zone: TimeZone,
    /// By which the sweep knows when authorizations expire: a mail names only an expiry that still holds.
    lifetimes: Lifetimes,
}

impl Settings {
    fn new(environment: &Environment) -> Result<Self, ConfigError> {
        let public_base_url = environment.base_url("PUBLIC_BASE_URL")?;
        let time_zone = environment.parsed::<TimeZoneName>("DEFAULT_TIME_ZONE")?;
        Ok(Self {
            public_base_url: public_base_url.ok_or_else(|| ConfigError::new("PUBLIC_BASE_URL", "is missing"))?,
            branding: Branding::without_logo(environment)?,
            links: switch(environment, "EMAIL_LINKS")?,
            delay: environment.duration("EMAIL_DELAY")?.unwrap_or(DEFAULT_DELAY),
            default_time_zone: time_zone.map_or(TimeZone::UTC, |name| name.time_zone()),
            lifetimes: environment.parsed("SERVICE_LIFETIMES")?.unwrap_or_default(),
        })
    }

    fn language_of(&self, contact: &Contact) -> Language {
        Language::negotiate(contact.locale.iter().map(|tag| tag.as_str()), None, self.branding.default_language())
    }

    fn time_zone_of(&self, contact: Option<&Contact>) -> TimeZone {
        let own = contact.and_then(|contact| contact.time_zone.as_ref()).map(TimeZoneName::time_zone);
        own.unwrap_or_else(|| self.default_time_zone.clone())
    }
}

fn switch(environment: &Environment, variable: &'static str) -> Result<bool, ConfigError> {
    match environment.optional(variable) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(ConfigError::new(variable, "must be true or false")),
    }
}

/// Why a message was not processed. It is received again.
#[derive(Debug, thiserror::Error)]
enum EmailError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the mail cannot be composed")]
    Link(#[from] url::ParseError),
    #[error("too little time is left to send a mail")]
    OutOfTime,
}

impl reauth_core::retry::Conflict for EmailError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict(_)))
    }
}

impl Function for EmailUser {
    type Event = SqsEvent;
    type Reply = SqsBatchResponse;

    fn new(environment: &Environment, ambient: &Ambient) -> Result<Self, ConfigError> {
        let aws = Aws::new(environment)?;
        let settings = Settings::new(environment)?;
        Ok(Self {
            store: services::store(&aws, ambient)?,
            ambient: ambient.clone(),
            mailer: Mailer::new(&aws, &settings)?,
            settings,
        })
    }

    /// Without a connection of SES, which most messages do not need.
    fn warm_up(&self) -> Vec<Step<'_>> {
        self.store.warm_up()
    }

    /// Processes all messages concurrently. A message that fails does not affect the others.
    #[instrument(skip_all, fields(records = event.records.len()))]
    async fn handle(&self, event: SqsEvent, invocation: Invocation) -> Result<SqsBatchResponse, Error> {
        let mut reply = SqsBatchResponse::default();
        let ids: Vec<_> = event.records.iter().map(|record| record.message_id.clone().unwrap_or_default()).collect();
        let done = join_all(event.records.into_iter().map(|record| Box::pin(self.process(record, &invocation)))).await;
        ids.into_iter().zip(done).filter(|(_, done)| !done).for_each(|(id, _)| reply.add_failure(id));
        Ok(reply)
    }
}

impl EmailUser {
    /// Returns whether the message is done with. If not, it is received again.
    #[instrument(skip_all, fields(user_id, trace_id = traceparent(&record).map(|trace| tracing::field::display(trace.trace_id()))))]
    async fn process(&self, record: SqsMessage, invocation: &Invocation) -> bool {
        let message_id = record.message_id.as_deref().unwrap_or_default();
        let Some(message) = record.body.as_deref().and_then(Message::parse) else {
            if first_receipt(&record) {
                tracing::error!(message_id, "email-user: a message is of no known form");
            }
            return false;
        };
        if let Some(user) = message.user() {
            tracing::Span::current().record("user_id", tracing::field::display(user));
        }
        let context = invocation.context(self.ambient.now(), traceparent(&record), &self.ambient);
        match self.carry_out(message, context).await {
            // The user was erased: there is nobody to write to.
            Ok(()) | Err(EmailError::Store(StoreError::Erased)) => true,
            Err(error) => {
                metrics::mail(MailOutcome::Failed);
                tracing::warn!(message_id, error = %Chain(&error), "email-user: could not process a message");
                false
            }
        }
    }

    async fn carry_out(&self, message: Message, context: RequestContext) -> Result<(), EmailError> {
        match message {
            Message::Event(event) => self.schedule(&event, context).await,
            Message::Due(user) => self.send_due(&user, context).await,
            Message::Feedback(feedback) => self.take_feedback(feedback, context).await,
            Message::Ignored => Ok(()),
        }
    }

    /// The time itself by day, and the next morning by night, where the user is.
    fn daytime(&self, user: &UserId, contact: Option<&Contact>) -> impl Fn(jiff::Timestamp) -> jiff::Timestamp {
        let (zone, user) = (self.settings.time_zone_of(contact), user.clone());
        move |at| reauth_domain::quiet_hours::daytime(at, &zone, &user)
    }
}
