//! What a developer can do to the local system beyond what the service and the simulator offer. `/_local/` makes these
//! operations available over HTTP.

use std::sync::Arc;

use digime_simulator::{AccessTokenStatus, Control, SettingsChange};
use dynoxide::Database;
use http::Method;
use jiff::SignedDuration;
use reauth_core::{
    keyring::{Keyring, WeakSecret, reconnect_path},
    store::{Link, StoredEvent},
};
use reauth_domain::{AccountId, EventId, UserId, event::ReconnectLink};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{
    DEMO_CONTRACT, DEMO_USER,
    application::{Application, ReadError},
    clock::{ClockError, MovableClock},
    demo,
    index::Index,
    mails::{MailFeedback, Mails, MailsError},
    names::{self, Queue},
    queues::{QueueError, Queues},
    topic::Topic,
};

#[derive(Clone)]
pub(crate) struct Operations {
    pub(crate) index: Index,
    pub(crate) database: Database,
    pub(crate) queues: Queues,
    /// The notices for the operator.
    pub(crate) alarms: Topic,
    pub(crate) application: Application,
    /// The mails that were sent to users.
    pub(crate) mails: Mails,
    pub(crate) control: Control,
    /// `None` if the caller of the system has a clock of its own, as tests have.
    pub(crate) clock: Option<MovableClock>,
    pub(crate) links: LinkUrls,
}

/// Derives the URLs of reconnect links, as `notify-reauth` does.
#[derive(Clone)]
pub(crate) struct LinkUrls {
    base_url: String,
    keyring: Arc<Keyring>,
}

/// Why an operation was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperationError {
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// The status of the answer, or why there was none.
    #[error("the endpoint did not accept the test event: {0}")]
    NotDelivered(String),
    #[error("the clock of this system cannot be moved")]
    FixedClock,
    #[error(transparent)]
    Clock(#[from] ClockError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Mails(#[from] MailsError),
    #[error(transparent)]
    Application(#[from] ReadError),
    #[error("{0}")]
    Demo(String),
    #[error("could not change the table: {0}")]
    Table(#[from] dynoxide::DynoxideError),
    #[error("could not write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl LinkUrls {
    /// `base_url` is the `PUBLIC_BASE_URL` of the functions.
    pub(crate) fn new(base_url: &str, service_secret: &str) -> Result<Self, WeakSecret> {
        let keyring = Keyring::new(&SecretString::from(service_secret), None)?;
        Ok(Self { base_url: base_url.trim_end_matches('/').to_owned(), keyring: Arc::new(keyring) })
    }

    /// The base URL of the links of this start.
    pub(crate) fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of the link that an event contains. `None` if it was derived with another service secret.
    pub(crate) fn url(&self, event: &EventId, link_key_id: &str) -> Option<String> {
        let token = self.keyring.existing_link_token(event, link_key_id)?;
        Some(format!("{}/{}", self.base_url, reconnect_path(&token).expose_secret()))
    }
}

impl Operations {
    /// An event as it is delivered now: with its link, if it has one.
    pub(crate) fn payload(&self, stored: &StoredEvent, link: Option<&Link>) -> Result<Value, serde_json::Error> {
        let url = self.links.url(&stored.event.subject.event_id, &stored.link_key_id);
        let link = url.zip(link).map(|(url, link)| ReconnectLink { url, expires_at: link.expires_at });
        stored.event.to_json(link.as_ref())
    }

    /// Lets the demo application ask for the redelivery of an event. The next sweep puts it on its way to the topic.
    pub(crate) async fn redeliver(&self, event: &EventId) -> Result<(), OperationError> {
        let path = format!("/events/{event}/redeliver");
        Ok(self.application.call(Method::POST, &path, &json!({})).await.map(drop)?)
    }

    /// Lets the demo application enable the webhook's endpoint.
    pub(crate) async fn enable_webhook(&self) -> Result<(), OperationError> {
        Ok(self.application.call(Method::POST, "/webhook/enable", &Value::Null).await.map(drop)?)
    }

    /// Lets the demo application post a test event to the webhook's endpoint.
    pub(crate) async fn test_webhook(&self) -> Result<(), OperationError> {
        let tested = self.application.call(Method::POST, "/webhook/test", &Value::Null).await?;
        if tested["delivered"] == true {
            return Ok(());
        }
        let outcome = tested["error"].as_str().map_or_else(|| tested["statusCode"].to_string(), str::to_owned);
        Err(OperationError::NotDelivered(outcome))
    }

    /// Lets SES say what the receiver of a mail answered.
    pub(crate) fn answer_mail(&self, message_id: &str, feedback: MailFeedback) -> Result<(), OperationError> {
        let mail = self.mails.find(message_id).ok_or(OperationError::Unknown("mail"))?;
        Ok(self.mails.give_feedback(&mail, feedback)?)
    }

    /// The contact of a user, as the API shows it. Null if there is none.
    pub(crate) async fn contact(&self, user: &str) -> Value {
        let user = percent_encoding::utf8_percent_encode(user, percent_encoding::NON_ALPHANUMERIC);
        self.application.call(Method::GET, &format!("/users/{user}/contact"), &Value::Null).await.unwrap_or_default()
    }

    /// Moves one dead letter, or all of them, back to their queue. Returns their number.
    pub(crate) fn redrive(&self, queue: &str, message_id: Option<&str>) -> Result<usize, OperationError> {
        let queue = Queue::by_name(queue).ok_or(OperationError::Unknown("queue"))?;
        let moved = self.queues.redrive_messages(queue, message_id)?;
        if moved == 0 && message_id.is_some() {
            return Err(OperationError::Unknown("dead letter"));
        }
        Ok(moved)
    }

    /// Forgets how often the links of a user were used, so that their buttons work again at once. Returns the number of
    /// the links.
    pub(crate) fn reset_link_limit(&self, user: &UserId) -> Result<usize, OperationError> {
        let hashes = self.index.read(|tables| tables.link_hashes(user));
        for hash in &hashes {
            let request = json!({
                "TableName": names::TABLE,
                "Key": {"PK": {"S": format!("LINK#{hash}")}, "SK": {"S": "LINK"}},
                "UpdateExpression": "REMOVE uses, ongoing",
                "ConditionExpression": "attribute_exists(PK)",
            });
            self.database.update_item(serde_json::from_value(request)?)?;
        }
        Ok(hashes.len())
    }

    /// Moves the clock forward. Returns how far it is ahead of the machine's.
    pub(crate) fn advance_clock(&self, by: SignedDuration) -> Result<SignedDuration, OperationError> {
        Ok(self.clock.as_ref().ok_or(OperationError::FixedClock)?.advance(by)?)
    }

    /// Lets the demo application read a user's accounts, and hand in the read result.
    pub(crate) async fn read(&self, user: &str) -> Result<(), OperationError> {
        Ok(self.application.read(user).await?)
    }

    /// Stores a new grant of the simulator's user in the service, under each contract under which the user has one, as
    /// after a new authorization. A user without a grant gets one under the demo contract.
    pub(crate) async fn store_grant(&self, user: &str) -> Result<(), OperationError> {
        let id: Option<UserId> = user.parse().ok();
        let contracts = self.index.read(|tables| {
            let grants = id.as_ref().and_then(|id| tables.user(id)).map(|user| user.grants.keys());
            grants.into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>()
        });
        let contracts = if contracts.is_empty() { vec![DEMO_CONTRACT.to_owned()] } else { contracts };
        let person = self.application.simulated_user(user).await.unwrap_or_else(|| user.to_owned());
        for contract in contracts {
            let stored = demo::store_grant(&self.control, &self.application, user, &person, &contract).await;
            stored.map_err(OperationError::Demo)?;
        }
        Ok(())
    }

    /// Lets the demo application accept the login that digi.me names for an account.
    pub(crate) async fn accept_identity(&self, user: &UserId, account: &AccountId) -> Result<(), OperationError> {
        let user = percent_encoding::utf8_percent_encode(user.as_str(), percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/users/{user}/accounts/{account}/accept-identity");
        Ok(self.application.call(Method::POST, &path, &Value::Null).await.map(drop)?)
    }

    /// Puts the demo user back to the beginning, in the service and at digi.me, and ends the simulator's failures and
    /// latencies. Other users, and messages on the queues, stay.
    pub(crate) async fn reset_demo(&self) -> Result<(), OperationError> {
        match self.application.call(Method::DELETE, &format!("/users/{DEMO_USER}"), &Value::Null).await {
            Ok(_) | Err(ReadError::Service { status: http::StatusCode::NOT_FOUND, .. }) => {}
            Err(error) => return Err(error.into()),
        }
        for account in self.control.accounts(DEMO_USER) {
            self.control.remove_account(&account.id);
        }
        self.control.revoke_tokens(DEMO_USER);
        self.control.clear_latencies();
        self.control.clear_failures();
        self.control.change_settings(SettingsChange {
            access_token_status: Some(AccessTokenStatus::Reported),
            ..SettingsChange::default()
        });
        demo::add_accounts(&self.control);
        self.store_grant(DEMO_USER).await
    }
}
