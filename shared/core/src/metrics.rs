//! The metrics of the functions, in CloudWatch's embedded metric format: log lines that CloudWatch reads as metrics.
//!
//! `infra/metrics.yaml` lists them. Dimensions never contain a user, an account or an event: each combination of dimension
//! values is a metric that CloudWatch charges for. Where nothing collects metrics, as in the local system, recording one
//! does nothing.

use std::{io::Write, sync::OnceLock};

use jiff::Timestamp;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use reauth_domain::{About, EmailStop, Event, EventDetail, FailureCode, account::Settlement, event::AboutAccount};

/// CloudWatch's limit is 1024 characters.
const MAX_DIMENSION: usize = 128;

/// How a message of the `ReadResults` queue was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadResultOutcome {
    /// It was compared with the user's accounts, and what changed was written.
    Recorded,
    /// Its user was erased after it was sent.
    Erased,
    /// It holds no read result.
    Invalid,
    /// It could not be recorded. It is delivered again.
    Failed,
}

/// Where an event goes after the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Topic,
    Webhook,
}

/// What became of a mail to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailOutcome {
    Sent,
    /// SES takes it later.
    Throttled,
    /// SES takes no mail of this AWS account, or of this sender.
    Unusable,
    /// SES does not take this mail.
    Refused,
    /// Nobody knows whether SES took it.
    Unknown,
    /// A message could not be processed. It is received again.
    Failed,
}

impl MailOutcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Throttled => "throttled",
            Self::Unusable => "unusable",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// Writes the recorded metrics of a process.
#[derive(Clone, Copy)]
pub struct Metrics(&'static Collector);

impl Metrics {
    /// Starts to collect the metrics of this process. `None` if it already does. `function` is the name of its binary.
    #[must_use]
    pub fn collect(namespace: &str, function: &'static str) -> Option<Self> {
        let _ = FUNCTION.set(function);
        let collector = Builder::new().cloudwatch_namespace(namespace.to_owned()).init().ok()?;
        for name in COUNTS {
            describe_counter!(name, Unit::Count, "");
        }
        describe_histogram!("DueItemsLeft", Unit::Count, "");
        describe_histogram!("TimeToHeal", Unit::Seconds, "");
        describe_histogram!("DigimeLatency", Unit::Milliseconds, "");
        Some(Self(collector))
    }

    /// Writes what was recorded since the last time: one line for each combination of dimension values, all at once, so
    /// that no other log line comes between.
    ///
    /// # Errors
    /// Those of the output. What was recorded is lost then.
    pub fn write(self, mut output: impl Write) -> std::io::Result<()> {
        let mut lines = Vec::new();
        self.0.flush(&mut lines)?;
        output.write_all(&lines)
    }
}

/// The metrics that are counted. The others are measured.
const COUNTS: [&str; 22] = [
    "AccountsHealed",
    "AccountsLost",
    "CacheHits",
    "CacheMisses",
    "ColdStarts",
    "ContractsRefused",
    "Deliveries",
    "DigimeCalls",
    "EmailsStopped",
    "ForeignKeySets",
    "Mails",
    "OutagesSuspected",
    "ReadResults",
    "ReauthorizationsCreated",
    "ReauthorizationsFailed",
    "ReauthorizationsReturned",
    "ReauthorizationsVerified",
    "SecretErrors",
    "ServerErrors",
    "SweepRuns",
    "UsersHealed",
    "UsersLost",
];

/// The name of this process's binary.
static FUNCTION: OnceLock<&str> = OnceLock::new();

fn function() -> &'static str {
    FUNCTION.get().copied().unwrap_or("unknown")
}

/// The first invocation of a process.
pub(crate) fn cold_start() {
    counter!("ColdStarts", "Function" => function()).increment(1);
}

/// A request got a reply with a status of 500 or more.
pub(crate) fn server_error() {
    counter!("ServerErrors", "Function" => function()).increment(1);
}

pub fn read_result(outcome: ReadResultOutcome) {
    let outcome = match outcome {
        ReadResultOutcome::Recorded => "recorded",
        ReadResultOutcome::Erased => "erased",
        ReadResultOutcome::Invalid => "invalid",
        ReadResultOutcome::Failed => "failed",
    };
    counter!("ReadResults", "Outcome" => outcome).increment(1);
}

pub fn delivery(channel: Channel, delivered: bool) {
    let channel = match channel {
        Channel::Topic => "topic",
        Channel::Webhook => "webhook",
    };
    let outcome = if delivered { "delivered" } else { "failed" };
    counter!("Deliveries", "Channel" => channel, "Outcome" => outcome).increment(1);
}

pub fn mail(outcome: MailOutcome) {
    counter!("Mails", "Outcome" => outcome.as_str()).increment(1);
}

/// The mails to a user were stopped.
pub fn emails_stopped(reason: EmailStop) {
    let reason = match reason {
        EmailStop::Unsubscribed => "unsubscribed",
        EmailStop::Bounced => "bounced",
        EmailStop::Complained => "complained",
    };
    counter!("EmailsStopped", "Reason" => reason).increment(1);
}

pub fn reauthorization_created() {
    counter!("ReauthorizationsCreated").increment(1);
}

/// The user came back from digi.me with the outcome of a reauthorization that had none.
pub fn reauthorization_returned() {
    counter!("ReauthorizationsReturned").increment(1);
}

/// digi.me refuses a contract or its signature, also after the contract's key was fetched again.
pub(crate) fn contract_refused() {
    counter!("ContractsRefused").increment(1);
}

/// A secret cannot be read, or does not have the expected content.
pub(crate) fn secret_error() {
    counter!("SecretErrors").increment(1);
}

/// Many accounts of a service broke: it is probably down.
pub fn outage_suspected() {
    counter!("OutagesSuspected").increment(1);
}

/// A run of the sweep ended well. It left this many due items for the next run.
pub fn sweep_run(left: u64) {
    counter!("SweepRuns").increment(1);
    // Not a counter, which would not write 0.
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    histogram!("DueItemsLeft").record(left as f64);
}

/// A change of an account that was written: its events, when the episode began that it ends, and the reauthorizations that
/// it settles.
pub(crate) fn account_change<'a>(
    events: &[Event],
    ended_episode_since: Option<Timestamp>,
    settlements: impl Iterator<Item = &'a Settlement>,
) {
    events.iter().for_each(event);
    if let Some(since) = ended_episode_since
        && let Some(healed) = events.iter().find(|event| matches!(event.detail, EventDetail::Reauthorized { .. }))
    {
        histogram!("TimeToHeal").record(healed.timestamp.duration_since(since).as_secs_f64().max(0.0));
    }
    settlements.for_each(settled);
}

/// An episode of a grant began.
pub(crate) fn user_lost() {
    counter!("UsersLost").increment(1);
}

/// An event that was written.
pub(crate) fn event(event: &Event) {
    match &event.detail {
        EventDetail::ReauthorizationRequired { reminder: 0, .. } => {
            counter!("AccountsLost").increment(1);
            counter!("AccountsLost", "Service" => service(event)).increment(1);
        }
        EventDetail::Reauthorized { .. } if event.subject.episode_id.is_some() => {
            counter!("AccountsHealed").increment(1);
            counter!("AccountsHealed", "Service" => service(event)).increment(1);
        }
        EventDetail::UserReauthorized { .. } => counter!("UsersHealed").increment(1),
        _ => {}
    }
}

/// New progress of a reauthorization that was written.
pub(crate) fn settled(settlement: &Settlement) {
    match settlement {
        Settlement::Claimed | Settlement::Succeeded { verified: false } => {}
        Settlement::Succeeded { verified: true } => counter!("ReauthorizationsVerified").increment(1),
        Settlement::Failed(code) => {
            counter!("ReauthorizationsFailed").increment(1);
            // A browser can send any code.
            let code = if matches!(code, FailureCode::Other(_)) { "OTHER" } else { code.as_str() };
            counter!("ReauthorizationsFailed", "ErrorCode" => code.to_owned()).increment(1);
        }
    }
}

/// The event's service as a dimension, for which CloudWatch allows printable ASCII only.
fn service(event: &Event) -> String {
    let name = match &event.subject.about {
        About::Account(AboutAccount { service_name: Some(name), .. }) => name.trim(),
        About::Account(_) | About::Grant(_) => "",
    };
    let printable = |letter: char| if letter.is_ascii_graphic() || letter == ' ' { letter } else { '?' };
    if name.is_empty() { "unknown".to_owned() } else { name.chars().take(MAX_DIMENSION).map(printable).collect() }
}
