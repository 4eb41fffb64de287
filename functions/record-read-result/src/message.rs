//! A message of the `ReadResults` queue: a read result, bare or in an envelope of EventBridge or SNS.

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use reauth_core::lambda::{first_receipt, sent_at, traceparent};
use reauth_domain::{InvalidField, InvalidFields, TraceParent, submission::Submission, time::whole_milliseconds};
use serde_json::Value;

/// A valid message.
#[derive(Debug)]
pub(crate) struct ReadMessage {
    pub(crate) id: String,
    /// The earliest of the message's `SentTimestamp`, the envelope's time, `submittedAt` and `observedAt`. A redrive
    /// gives a message a new `SentTimestamp`; the other times do not change.
    pub(crate) handed_in_at: Timestamp,
    /// When the read session was started.
    pub(crate) observed_at: Timestamp,
    /// Whether `observed_at` is a time that the sender gave. If not, `observed_at` equals `handed_in_at`.
    pub(crate) is_certain: bool,
    /// The trace in the body, else that of the message.
    pub(crate) traceparent: Option<TraceParent>,
    pub(crate) submission: Submission,
}

/// A submission and the time in its envelope.
struct Opened {
    submission: Submission,
    envelope_time: Option<Timestamp>,
}

/// Why a message is invalid. It contains no part of the message.
#[derive(Debug)]
pub(crate) struct BadMessage {
    problem: InvalidFields,
    first_receipt: bool,
}

impl BadMessage {
    /// Logs the message at its first receipt only. Retries of the same message are not logged.
    pub(crate) fn log(&self, id: &str) {
        let mut wrong = self.problem.0.clone();
        // Many entries of one map can be invalid for the same reason: name each reason once.
        wrong.dedup_by(|one, other| (&one.field, &one.message) == (&other.field, &other.message));
        let field = wrong.iter().map(|field| &*field.field).collect::<Vec<_>>().join(", ");
        let problem = wrong.iter().map(|field| &*field.message).collect::<Vec<_>>().join(", ");
        if self.first_receipt {
            tracing::error!(message_id = id, field, problem, "record-read-result: a message holds no read result");
        }
    }
}

impl ReadMessage {
    pub(crate) fn read(record: SqsMessage, now: Timestamp) -> Result<Self, BadMessage> {
        let sent_at = sent_at(&record).unwrap_or(now);
        let (first_receipt, of_message) = (first_receipt(&record), traceparent(&record));
        let opened = open(record.body.as_deref().unwrap_or_default());
        let Opened { submission, envelope_time } = opened.map_err(|problem| BadMessage { problem, first_receipt })?;
        let observed_at = submission.observed_at.map(|observed_at| observed_at.min(sent_at));
        let others = [envelope_time, submission.submitted_at, observed_at].into_iter().flatten();
        let handed_in_at = others.fold(sent_at, Ord::min);
        Ok(Self {
            id: record.message_id.unwrap_or_default(),
            handed_in_at,
            observed_at: observed_at.unwrap_or(handed_in_at),
            is_certain: observed_at.is_some(),
            traceparent: submission.traceparent.or(of_message),
            submission,
        })
    }
}

/// Parses the body of a message, and unwraps at most one envelope.
fn open(body: &str) -> Result<Opened, InvalidFields> {
    let body = json(body, "")?;
    let time = |name: &str| {
        let time = body.get(name).and_then(Value::as_str).and_then(|time| time.parse().ok());
        time.map(whole_milliseconds)
    };
    if let (Some(_), Some(detail)) = (body.get("detail-type"), body.get("detail")) {
        let (mut submission, envelope_time) = (Submission::parse(detail)?, time("time"));
        submission.observed_at = submission.observed_at.or(envelope_time);
        return Ok(Opened { submission, envelope_time });
    }
    match (body.get("Type").and_then(Value::as_str), body.get("Message").and_then(Value::as_str)) {
        (Some("Notification"), Some(message)) => {
            let mut submission = Submission::parse(&json(message, "Message")?)?;
            let attribute = body["MessageAttributes"]["traceparent"]["Value"].as_str();
            submission.traceparent = submission.traceparent.or_else(|| attribute?.parse().ok());
            Ok(Opened { submission, envelope_time: time("Timestamp") })
        }
        _ => Ok(Opened { submission: Submission::parse(&body)?, envelope_time: None }),
    }
}

fn json(text: &str, field: &'static str) -> Result<Value, InvalidField> {
    serde_json::from_str(text).map_err(|_| InvalidField::new(field, "is not JSON"))
}

#[cfg(test)]
mod tests {
    use digime::read_result::Entry;
    use serde_json::json;

    use super::*;

    fn parse(body: &str) -> Result<Submission, InvalidFields> {
        open(body).map(|opened| opened.submission)
    }

    fn inner() -> Value {
        json!({"userId": "u", "readResult": {"1_a": {"state": "completed"}}})
    }

    #[test]
    fn all_envelopes_hold_the_same() {
        let bare = parse(&inner().to_string()).unwrap();
        let sns = json!({"Type": "Notification", "Message": inner().to_string(), "Timestamp": "2026-11-23T09:00:00Z"});
        assert_eq!(parse(&sns.to_string()).unwrap(), bare);
        let event = json!({"detail-type": "digi.me Read Result", "source": "digime.reads",
            "time": "2026-11-23T09:00:00Z", "detail": inner()});
        let event = parse(&event.to_string()).unwrap();
        assert_eq!(event.read_result, bare.read_result);
        assert_eq!(event.observed_at, Some("2026-11-23T09:00:00Z".parse().unwrap()));
    }

    #[test]
    fn the_envelopes_time_is_only_a_default() {
        let mut detail = inner();
        detail["observedAt"] = json!("2026-11-23T08:00:00Z");
        let event = json!({"detail-type": "x", "time": "2026-11-23T09:00:00Z", "detail": detail});
        assert_eq!(parse(&event.to_string()).unwrap().observed_at, Some("2026-11-23T08:00:00Z".parse().unwrap()));
    }

    fn fields(body: &str) -> String {
        let wrong = parse(body).unwrap_err().0;
        wrong.iter().map(InvalidField::name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_result_was_handed_in_at_the_earliest_time_that_anything_tells() {
        let handed_in_at = |body: Value| {
            let attributes = [("SentTimestamp".to_owned(), "1795424400000".to_owned())]; // 2026-11-23T09:00:00Z
            let mut record = SqsMessage::default();
            record.body = Some(body.to_string());
            record.attributes.extend(attributes);
            ReadMessage::read(record, Timestamp::MAX).unwrap().handed_in_at.to_string()
        };
        let with = |name: &str, time: &str| {
            let mut body = inner();
            body[name] = json!(time);
            body
        };
        assert_eq!(handed_in_at(inner()), "2026-11-23T09:00:00Z");
        assert_eq!(handed_in_at(with("submittedAt", "2026-11-23T08:58:00Z")), "2026-11-23T08:58:00Z");
        assert_eq!(handed_in_at(with("observedAt", "2026-11-23T08:57:00Z")), "2026-11-23T08:57:00Z");
        assert_eq!(handed_in_at(with("observedAt", "2026-11-23T10:00:00Z")), "2026-11-23T09:00:00Z");
        let bus = json!({"detail-type": "x", "time": "2026-11-23T08:56:00Z", "detail": inner()});
        assert_eq!(handed_in_at(bus), "2026-11-23T08:56:00Z");
        let topic =
            json!({"Type": "Notification", "Timestamp": "2026-11-23T08:55:00Z", "Message": inner().to_string()});
        assert_eq!(handed_in_at(topic), "2026-11-23T08:55:00Z");
    }

    #[test]
    fn one_layer_only() {
        let event = json!({"detail-type": "x", "detail": inner()});
        let twice = json!({"Type": "Notification", "Message": event.to_string()});
        assert_eq!(fields(&twice.to_string()), "userId readResult");
    }

    #[test]
    fn what_is_no_message_names_the_field() {
        for (body, field) in [
            ("", ""),
            ("[]", ""),
            ("not json", ""),
            ("{}", "userId readResult"),
            (r#"{"readResult": {}}"#, "userId"),
            (r#"{"Type": "Notification", "Message": "x"}"#, "Message"),
            (r#"{"detail-type": "x", "detail": {"userId": "u"}}"#, "readResult"),
        ] {
            assert_eq!(fields(body), field, "{body}");
        }
    }

    /// A submission that is split into queue messages parses to the same entries again.
    #[test]
    fn fuzz_read_results() {
        bolero::check!().for_each(|bytes: &[u8]| {
            let Ok(submission) = parse(&String::from_utf8_lossy(bytes)) else { return };
            let parts: Vec<_> = submission.messages(600).iter().map(|part| parse(part).unwrap()).collect();
            for (id, entry) in &submission.read_result.entries {
                let again = parts.iter().find_map(|part| part.read_result.entries.get(id));
                let expected = Some(entry).filter(|entry| **entry != Entry::Undecided);
                assert_eq!(again, expected, "{id}");
            }
            assert!(parts.iter().all(|part| part.user_id == submission.user_id));
        });
    }
}
