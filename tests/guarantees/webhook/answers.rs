//! What the receiver answers.

use tests::{Answer, Receiver};

use super::*;

/// Posts one event. Returns its attempt.
async fn attempt(answer: Answer) -> StoredAttempt {
    let sender = Sender::start().await;
    sender.receiver().answer(answer);
    sender.send(1);
    sender.after(0).await;
    let mut attempts = sender.attempts(1).await;
    assert_eq!(attempts.len(), 1);
    attempts.remove(0)
}

#[tokio::test]
async fn no_answer_is_recorded_with_its_cause() {
    let attempt = attempt(Answer::None).await;
    assert_eq!((attempt.status_code, attempt.error.as_deref()), (None, Some("disconnected")));
    assert!(attempt.next_attempt_at.is_some());
}

#[tokio::test]
async fn of_a_huge_answer_the_beginning_is_read_and_512_bytes_are_kept() {
    let attempt = attempt(Answer::Body(500, "it is broken: ".repeat(1_000_000))).await;
    let response = attempt.response.unwrap();
    assert_eq!((attempt.status_code, &response[..12]), (Some(500), "it is broken"));
    assert!(response.len() <= 512, "{}", response.len());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_waited_for() {
    assert_eq!(attempt(Answer::Endless(500)).await.status_code, Some(500));
    let accepted = attempt(Answer::Endless(200)).await;
    assert_eq!((accepted.status_code, accepted.next_attempt_at), (Some(200), None));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_event_is_posted_again() {
    let elsewhere = Receiver::start().await;
    let attempt = attempt(Answer::Redirect(elsewhere.url.clone())).await;
    assert_eq!(attempt.status_code, Some(307));
    assert!(attempt.next_attempt_at.is_some());
    assert!(elsewhere.deliveries().is_empty());
}

#[tokio::test]
async fn only_a_refused_answer_is_kept() {
    let attempt = attempt(Answer::Body(200, "thank you".to_owned())).await;
    assert_eq!((attempt.status_code, attempt.response), (Some(200), None));
}

/// The receiver repeats the URL, with the secret in it, and the event.
#[tokio::test(flavor = "multi_thread")]
async fn a_post_is_one_log_line_with_its_ids_and_without_what_was_posted_or_answered() {
    let sender = Sender::of(World::builder().binaries().trace_logs()).await;
    let answer = format!("cannot handle {} at {}: a very private answer", event(1), sender.receiver().url);
    sender.receiver().answer(Answer::Body(500, answer));
    sender.send(1);
    sender.world.run_until_idle().await;
    sender.answer(410);
    sender.send(2);
    sender.world.run_until_idle().await;
    let log = sender.world.log(Function::PostWebhook);
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refused: Vec<_> =
        lines.iter().filter(|line| line["fields"]["message"] == "post-webhook: could not post an event").collect();
    assert_eq!(refused.len(), 2, "{log}");
    let fields = &refused[0]["fields"];
    for (name, expected) in [
        ("event_id", json!(event_id(1))),
        ("user_id", json!("a-user")),
        ("account_id", json!("an-account")),
        ("attempt", json!(1)),
        ("status", json!(500)),
    ] {
        assert_eq!(fields[name], expected, "{fields}");
    }
    assert!(fields["message_id"].is_string() && fields["next_attempt_at"].is_string(), "{fields}");
    for private in ["that-stands-in-the-url", "a very private answer", "account.removed", "whsec_"] {
        assert!(!log.contains(private), "{private} is in the log");
    }
}
