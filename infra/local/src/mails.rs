//! The mails that were sent: kept in memory, and in the data directory if there is one. Nobody receives them.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use digime::ambient::Ambient;
use jiff::Timestamp;
use reauth_domain::time::rfc3339;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    ids::uuid,
    names::Queue,
    queues::{QueueError, Queues},
};

/// The number of mails that are remembered.
const REMEMBERED: usize = 1_000;
/// Addresses with which SES lets its customers test: <https://docs.aws.amazon.com/ses/latest/dg/send-an-email-from-console.html>
const BOUNCES: &str = "bounce@simulator.amazonses.com";
const COMPLAINS: &str = "complaint@simulator.amazonses.com";

/// A mail as SES accepted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentMail {
    pub message_id: String,
    #[serde(with = "rfc3339")]
    pub sent_at: Timestamp,
    pub from: String,
    pub to: String,
    pub reply_to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The headers that the sender added, in their order.
    pub headers: Vec<(String, String)>,
    /// The tags, by which feedback finds what the mail was about.
    pub tags: Vec<(String, String)>,
    pub configuration_set: String,
}

impl SentMail {
    /// A header that the sender added. Empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let header = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map_or("", |(_, value)| value.as_str())
    }
}

/// What the receiver's mail server, or the receiver, answers to a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailFeedback {
    /// The address does not exist.
    PermanentBounce,
    /// The mailbox is full.
    TransientBounce,
    Complaint,
}

/// The sent mails. Cheap to clone.
#[derive(Clone)]
pub struct Mails(Arc<Inner>);

struct Inner {
    queues: Queues,
    ambient: Ambient,
    sent: Mutex<Vec<SentMail>>,
    /// A file with one mail in each line.
    file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum MailsError {
    #[error("the file of the mails cannot be read or written")]
    File(#[from] io::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Mails {
    pub(crate) fn open(queues: Queues, ambient: Ambient, file: Option<PathBuf>) -> Result<Self, MailsError> {
        let sent = file.as_deref().map(read).transpose()?.unwrap_or_default();
        Ok(Self(Arc::new(Inner { queues, ambient, sent: Mutex::new(sent), file })))
    }

    /// Takes a mail and returns its id.
    pub(crate) fn send(&self, mail: SentMail) -> Result<String, MailsError> {
        let mail = SentMail { message_id: uuid(&self.0.ambient), sent_at: self.0.ambient.now(), ..mail };
        if let Some(file) = &self.0.file {
            let mut file = OpenOptions::new().create(true).append(true).open(file)?;
            writeln!(file, "{}", serde_json::to_string(&mail).map_err(io::Error::other)?)?;
        }
        let mut sent = self.sent();
        sent.push(mail.clone());
        let surplus = sent.len().saturating_sub(REMEMBERED);
        sent.drain(..surplus);
        drop(sent);
        match mail.to.as_str() {
            BOUNCES => self.give_feedback(&mail, MailFeedback::PermanentBounce)?,
            COMPLAINS => self.give_feedback(&mail, MailFeedback::Complaint)?,
            _ => {}
        }
        Ok(mail.message_id)
    }

    /// The last 1,000 mails, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<SentMail> {
        self.sent().clone()
    }

    /// The mail with this id, if it is one of the last 1,000.
    #[must_use]
    pub fn find(&self, message_id: &str) -> Option<SentMail> {
        self.sent().iter().find(|mail| mail.message_id == message_id).cloned()
    }

    /// Puts SES's event about a mail on the queue of feedback, as SNS delivers it raw.
    pub fn give_feedback(&self, mail: &SentMail, feedback: MailFeedback) -> Result<(), MailsError> {
        let event = event(mail, feedback, self.0.ambient.now());
        self.0.queues.send(Queue::EmailFeedback, &event.to_string())?;
        Ok(())
    }

    fn sent(&self) -> MutexGuard<'_, Vec<SentMail>> {
        self.0.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that cannot be read is left out: the process may have ended while it wrote it.
fn read(file: &Path) -> io::Result<Vec<SentMail>> {
    let lines = match File::open(file) {
        Ok(file) => BufReader::new(file).lines(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
    let mut mails: Vec<SentMail> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let surplus = mails.len().saturating_sub(REMEMBERED);
    mails.drain(..surplus);
    Ok(mails)
}

/// <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-examples.html>
fn event(mail: &SentMail, feedback: MailFeedback, now: Timestamp) -> Value {
    let now = rfc3339::text(now);
    let mut tags = serde_json::Map::new();
    tags.insert("ses:configuration-set".to_owned(), json!([mail.configuration_set]));
    tags.extend(mail.tags.iter().map(|(name, value)| (name.clone(), json!([value]))));
    let sent = json!({
        "timestamp": rfc3339::text(mail.sent_at), "source": mail.from, "messageId": mail.message_id,
        "destination": [mail.to], "headersTruncated": false, "headers": [], "commonHeaders": {"subject": mail.subject},
        "tags": tags,
    });
    let bounce = |kind: &str, subtype: &str, status: &str| {
        json!({"eventType": "Bounce", "mail": sent, "bounce": {
            "feedbackId": mail.message_id, "bounceType": kind, "bounceSubType": subtype, "timestamp": now,
            "bouncedRecipients": [{"emailAddress": mail.to, "action": "failed", "status": status}],
            "reportingMTA": "dsn; a8-70.smtp-out.amazonses.com",
        }})
    };
    match feedback {
        MailFeedback::PermanentBounce => bounce("Permanent", "General", "5.1.1"),
        MailFeedback::TransientBounce => bounce("Transient", "MailboxFull", "4.2.2"),
        MailFeedback::Complaint => json!({"eventType": "Complaint", "mail": sent, "complaint": {
            "feedbackId": mail.message_id, "complaintSubType": null, "timestamp": now, "arrivalDate": now,
            "complainedRecipients": [{"emailAddress": mail.to}], "userAgent": "ISP", "complaintFeedbackType": "abuse",
        }}),
    }
}
