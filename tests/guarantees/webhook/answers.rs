//! What the receiver answers.

use digime::ambient::Ambient;
use tests::{Answer, Receiver};

use super::*;

/// Posts one event. Returns its attempt, and how long that took.
async fn attempt(answer: Answer) -> (StoredAttempt, Duration) {
    let sender = Sender::start().await;
    sender.receiver().answer(answer);
    sender.send(1);
    let began = Ambient::system().now();
    sender.after(0).await;
    let attempts = sender.attempts(1).await;
    assert_eq!(attempts.len(), 1);
    (attempts[0].clone(), Ambient::system().now().duration_since(began).unsigned_abs())
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_fifteen_seconds_and_no_answer_counts() {
    let (attempt, took) = attempt(Answer::NotYet).await;
    assert_eq!((attempt.status_code, attempt.error.as_deref()), (None, Some("timeout")));
    assert!((15..20).contains(&took.as_secs()), "{took:?}");
}

#[tokio::test]
async fn of_a_huge_answer_the_beginning_is_read_and_512_bytes_are_kept() {
    let (attempt, _) = attempt(Answer::Body(500, "it is broken: ".repeat(1_000_000))).await;
    let response = attempt.response.unwrap();
    assert_eq!((attempt.status_code, &response[..12]), (Some(500), "it is broken"));
    assert!(response.len() <= 512, "{}", response.len());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_waited_for() {
    let (refused, took) = attempt(Answer::Endless(500)).await;
    assert_eq!(refused.status_code, Some(500));
    assert!(took.as_secs() < 5, "{took:?}");
    let (accepted, took) = attempt(Answer::Endless(200)).await;
    assert_eq!((accepted.status_code, accepted.next_attempt_at), (Some(200), None));
    assert!(took.as_secs() < 5, "{took:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_event_is_posted_again() {
    let elsewhere = Receiver::start().await;
    let (attempt, _) = attempt(Answer::Redirect(elsewhere.url.clone())).await;
    assert_eq!(attempt.status_code, Some(307));
    assert!(attempt.next_attempt_at.is_some());
    assert!(elsewhere.deliveries().is_empty());
}

#[tokio::test]
async fn only_a_refused_answer_is_kept() {
    let (attempt, _) = attempt(Answer::Body(200, "thank you".to_owned())).await;
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
