//! The messages of the two queues: events of the topic, due mails of the sweep, and SES's feedback.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reauth_domain::{EmailStop, EpisodeId, Target, UserId, time::rfc3339};
use serde::Deserialize;

/// The tag of a mail that names its user, in base64url: SES allows letters, digits, `_` and `-` in tags.
pub(crate) const USER_TAG: &str = "user";
const DUE: &str = "mail.due";
/// What SES publishes on the topic when the event destination is created.
const VALIDATION: &str = "Successfully validated SNS topic for Amazon SES event publishing.";

/// A message as it was parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Event(UserEvent),
    /// A mail to this user is due.
    Due(UserId),
    Feedback(Feedback),
    /// An event or feedback that changes nothing.
    Ignored,
}

/// An event that is about something that users are told of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UserEvent {
    pub(crate) user: UserId,
    pub(crate) kind: EventKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// The user is to be asked for something.
    Need {
        /// When the event happened.
        at: Timestamp,
        /// The name of the account's service, if it is known.
        service: Option<String>,
        /// What the event announces, if it announces an episode of an account. A reminder does not.
        announces: Option<(Target, EpisodeId)>,
    },
    /// An episode has ended.
    Healed { target: Target, episode: EpisodeId },
    /// The user no longer uses the account.
    Dismissed { target: Target, episode: EpisodeId },
}

/// What SES says about a mail that it accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Feedback {
    pub(crate) user: UserId,
    pub(crate) reason: EmailStop,
    pub(crate) addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, with = "rfc3339::option")]
    timestamp: Option<Timestamp>,
    user_id: Option<UserId>,
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    user_id: UserId,
    account_id: Option<reauth_domain::AccountId>,
    contract_id: Option<reauth_domain::ContractId>,
    episode_id: Option<EpisodeId>,
    service_name: Option<String>,
    reminder: Option<u32>,
}

/// An event of SES's configuration set, as SNS delivers it raw:
/// <https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html>
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SesEvent {
    event_type: String,
    mail: SentMail,
    bounce: Option<Bounce>,
    complaint: Option<Complaint>,
}

#[derive(Deserialize)]
struct SentMail {
    #[serde(default)]
    tags: std::collections::BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bounce {
    bounce_type: String,
    #[serde(default)]
    bounced_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Complaint {
    complaint_feedback_type: Option<String>,
    #[serde(default)]
    complained_recipients: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: String,
}

impl Message {
    /// `None` if the body is of no known form.
    pub(crate) fn parse(body: &str) -> Option<Self> {
        if body.trim_end() == VALIDATION {
            return Some(Self::Ignored);
        }
        if let Ok(event) = serde_json::from_str::<SesEvent>(body) {
            return Feedback::of(event);
        }
        let Typed { kind, timestamp, user_id, data } = serde_json::from_str(body).ok()?;
        if kind == DUE {
            return user_id.map(Self::Due);
        }
        let data = data?;
        let kind = match kind.as_str() {
            "account.reauthorization_required"
            | "user.reauthorization_required"
            | "account.authorization_expiring"
            | "user.authorization_expiring" => {
                let is_first = data.reminder == Some(0);
                let announces = data.account_id.zip(data.episode_id).filter(|_| is_first);
                let announces = announces.map(|(account, episode)| (Target::Account(account), episode));
                EventKind::Need { at: timestamp?, service: data.service_name, announces }
            }
            "account.reauthorized" | "user.reauthorized" | "account.dismissed" => {
                let Some(episode) = data.episode_id else { return Some(Self::Ignored) };
                let target = match data.account_id {
                    Some(account) => Target::Account(account),
                    None => Target::Grant(data.contract_id?),
                };
                if kind == "account.dismissed" {
                    EventKind::Dismissed { target, episode }
                } else {
                    EventKind::Healed { target, episode }
                }
            }
            _ => return Some(Self::Ignored),
        };
        Some(Self::Event(UserEvent { user: data.user_id, kind }))
    }

    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Self::Event(UserEvent { user, .. }) | Self::Due(user) | Self::Feedback(Feedback { user, .. }) => Some(user),
            Self::Ignored => None,
        }
    }
}

impl Feedback {
    /// Only a bounce that is permanent stops mails, and a complaint that is one: SES also reports mails that a user marked as
    /// wanted.
    fn of(event: SesEvent) -> Option<Message> {
        let (reason, recipients) = match (event.event_type.as_str(), event.bounce, event.complaint) {
            ("Bounce", Some(bounce), _) if bounce.bounce_type == "Permanent" => {
                (EmailStop::Bounced, bounce.bounced_recipients)
            }
            ("Complaint", _, Some(complaint)) if complaint.complaint_feedback_type.as_deref() != Some("not-spam") => {
                (EmailStop::Complained, complaint.complained_recipients)
            }
            _ => return Some(Message::Ignored),
        };
        let user = event.mail.tags.get(USER_TAG)?.first()?;
        let user = String::from_utf8(URL_SAFE_NO_PAD.decode(user).ok()?).ok()?.parse().ok()?;
        let addresses = recipients.into_iter().map(|recipient| bare(&recipient.email_address)).collect();
        Some(Message::Feedback(Self { user, reason, addresses }))
    }
}

/// The address alone: SES can repeat a recipient with a name, as `Ann <ann@example.org>`.
fn bare(recipient: &str) -> String {
    let inner = recipient.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(address, _)| address);
    inner.unwrap_or(recipient).trim().to_owned()
}

/// The value of the tag that names the user.
pub(crate) fn user_tag(user: &UserId) -> String {
    URL_SAFE_NO_PAD.encode(user.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TIME: &str = "2026-11-23T10:00:00.000Z";

    fn event(kind: &str, data: Value) -> Option<Message> {
        let mut whole = json!({"userId": "u", "eventId": "e"});
        whole.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        Message::parse(&json!({"type": kind, "timestamp": TIME, "data": whole}).to_string())
    }

    fn user() -> UserId {
        "u".parse().unwrap()
    }

    #[test]
    fn events_are_needs_healings_or_ignored() {
        let kind = EventKind::Need { at: TIME.parse().unwrap(), service: None, announces: None };
        let need = Some(Message::Event(UserEvent { user: user(), kind }));
        for kind in ["account.reauthorization_required", "user.authorization_expiring"] {
            assert_eq!(event(kind, json!({})), need);
        }
        let episode = EpisodeId::from([1; 16]);
        let announced = |reminder| {
            let data = json!({"accountId": "1_a", "episodeId": episode, "reminder": reminder});
            match event("account.reauthorization_required", data) {
                Some(Message::Event(UserEvent { kind: EventKind::Need { announces, .. }, .. })) => announces,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(announced(0), Some((Target::Account("1_a".parse().unwrap()), episode.clone())));
        assert_eq!(announced(1), None, "a reminder is told although a mail named its episode");
        let healed = |target| {
            Some(Message::Event(UserEvent {
                user: user(),
                kind: EventKind::Healed { target, episode: episode.clone() },
            }))
        };
        let data = json!({"accountId": "1_a", "contractId": "c", "episodeId": episode});
        assert_eq!(event("account.reauthorized", data), healed(Target::Account("1_a".parse().unwrap())));
        let data = json!({"contractId": "c", "episodeId": episode});
        assert_eq!(event("user.reauthorized", data), healed(Target::Grant("c".parse().unwrap())));
        let data = json!({"accountId": "1_a", "contractId": "c", "episodeId": episode, "since": TIME});
        let target = Target::Account("1_a".parse().unwrap());
        let kind = EventKind::Dismissed { target, episode: episode.clone() };
        assert_eq!(event("account.dismissed", data), Some(Message::Event(UserEvent { user: user(), kind })));
        assert_eq!(
            event("account.reauthorized", json!({"accountId": "1_a"})),
            Some(Message::Ignored),
            "an early renewal"
        );
        assert_eq!(event("account.some_later_type", json!({})), Some(Message::Ignored));
        assert_eq!(event("account.removed", json!({"userId": "a b"})), None);
        assert_eq!(Message::parse(r#"{"type": "mail.due", "userId": "u"}"#), Some(Message::Due(user())));
        for wrong in
            ["", "7", "{}", r#"{"type": "mail.due"}"#, r#"{"type": "account.removed"}"#, r#"{"Type": "Notification"}"#]
        {
            assert_eq!(Message::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_permanent_bounces_and_complaints_are_feedback() {
        let mail = json!({"tags": {"user": [user_tag(&user())], "ses:configuration-set": ["s"]}, "messageId": "m"});
        let parse = |event: Value| {
            let mut whole = json!({"mail": mail});
            whole.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
            Message::parse(&whole.to_string())
        };
        let feedback = |reason| {
            Some(Message::Feedback(Feedback { user: user(), reason, addresses: vec!["ann@example.org".into()] }))
        };
        let bounce = |kind| {
            json!({"eventType": "Bounce", "bounce": {"bounceType": kind, "bounceSubType": "General",
            "bouncedRecipients": [{"emailAddress": "ann@example.org", "action": "failed"}]}})
        };
        assert_eq!(parse(bounce("Permanent")), feedback(EmailStop::Bounced));
        assert_eq!(parse(bounce("Transient")), Some(Message::Ignored));
        assert_eq!(parse(bounce("Undetermined")), Some(Message::Ignored));
        let complaint = |kind| {
            json!({"eventType": "Complaint", "complaint": {"complaintFeedbackType": kind,
            "complainedRecipients": [{"emailAddress": "Ann <ann@example.org>"}]}})
        };
        assert_eq!(parse(complaint(json!("abuse"))), feedback(EmailStop::Complained));
        assert_eq!(parse(complaint(Value::Null)), feedback(EmailStop::Complained));
        assert_eq!(parse(complaint(json!("not-spam"))), Some(Message::Ignored));
        assert_eq!(parse(json!({"eventType": "Delivery", "delivery": {}})), Some(Message::Ignored));
        // Plain text, when the event destination is created.
        let validation = "Successfully validated SNS topic for Amazon SES event publishing.";
        assert_eq!(Message::parse(validation), Some(Message::Ignored));
    }

    /// Any text on the queues is parsed or refused.
    #[test]
    fn any_text_is_parsed_or_refused() {
        for body in
            ["{\"eventType\":7,\"mail\":{}}", "{\"eventType\":\"Bounce\",\"mail\":{\"tags\":7}}", "[{}]", "\u{0}"]
        {
            assert_eq!(Message::parse(body), None, "{body}");
        }
    }
}
