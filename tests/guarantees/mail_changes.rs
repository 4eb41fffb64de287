//! What changes between an event and its mail, and after the mail: a renewal, a choice, a copy of the event, a write beside it.

use digime::ambient::Deadline;
use digime_simulator::{AccessTokenStatus, ErrorShape, Failure};
use email_user::EmailUser;
use http::{Method, StatusCode};
use local::{DEMO_USER, Function, aws::Fault};
use reauth_core::lambda::{Function as _, Invocation};
use serde_json::{Value, json};
use tests::{BANK, Decision, DeliveredEvent, SqsMessage, World};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::mails::{heal, last, pass, put_contact, subjects, world};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Between two sweeps.
const STEP: u64 = 3 * HOUR;
const HOSPITAL: &str = "2_demo-hospital";
const CONTACT: &str = "/users/demo-user/contact";

fn ann() -> Value {
    json!({"email": "ann@example.org", "locale": "en"})
}

/// Sweeps every three hours until an event of this type is published. Returns it.
async fn until_published(world: &World, kind: &str) -> DeliveredEvent {
    for _ in 0..(40 * DAY / STEP) {
        if let Some(event) = world.published().into_iter().rev().find(|event| event.kind == kind) {
            return event;
        }
        pass(world, STEP).await;
    }
    panic!("no {kind}");
}

async fn pass_hours(world: &World, hours: u64) {
    for _ in 0..(hours * HOUR / STEP) {
        pass(world, STEP).await;
    }
}

/// The bank's authorization expires in 15 days, as digi.me says.
async fn expire_bank_soon(world: &World) {
    let control = world.system.simulator.control();
    let expires_at = world.clock_now() + jiff::SignedDuration::from_hours(24 * 15);
    control.set_access_token_status(AccessTokenStatus::Reported);
    control.set_account_expires_at(BANK, Some(expires_at.as_second()));
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
}

/// The line of the mail with this text.
fn line(text: &str, part: &str) -> String {
    text.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part} in {text}")).to_owned()
}

#[tokio::test]
async fn a_grant_that_is_renewed_before_the_mail_about_its_expiry_bothers_nobody() {
    let world = world().await;
    until_published(&world, "user.authorization_expiring").await;
    put_contact(&world, ann()).await;
    pass_hours(&world, 60).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
}

#[tokio::test]
async fn an_account_that_is_read_before_the_mail_about_its_idle_lifetime_bothers_nobody() {
    for is_read in [true, false] {
        let world = World::builder().mails().setting("SERVICE_LIFETIMES", "Meadow Bank=idle 20d").start().await;
        put_contact(&world, ann()).await;
        world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
        heal(&world, BANK).await;
        until_published(&world, "account.authorization_expiring").await;
        if is_read {
            heal(&world, BANK).await;
        }
        pass_hours(&world, 24).await;
        assert_eq!(subjects(&world).len(), usize::from(!is_read), "{:?}", subjects(&world));
    }
}

#[tokio::test]
async fn a_copy_of_any_event_after_its_mail_leads_to_no_other_mail() {
    for kind in ["user.reauthorization_required", "account.authorization_expiring", "account.reauthorization_required"]
    {
        let world = World::builder().mails().setting("REMINDER_SCHEDULE", "1d").start().await;
        put_contact(&world, ann()).await;
        let mut mails = 1;
        match kind {
            "user.reauthorization_required" => {
                world.kill_tokens();
                world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
                world.run_until_idle().await;
            }
            "account.authorization_expiring" => expire_bank_soon(&world).await,
            _ => {
                world.lose_authorization(BANK).await;
                pass_hours(&world, 30).await;
                assert_eq!(world.last_published().reminder, Some(1));
                pass_hours(&world, 24).await;
                mails = 2;
            }
        }
        let event = until_published(&world, kind).await;
        pass(&world, HOUR).await;
        assert_eq!(subjects(&world).len(), mails, "{kind}");
        let reply = world.post(&format!("/events/{}/redeliver", event.event_id), &json!({})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
        pass_hours(&world, 60).await;
        let copies = world.published().into_iter().filter(|other| other.event_id == event.event_id);
        assert_eq!((copies.count(), subjects(&world).len()), (2, mails), "{kind}");
    }
}

/// Answers one request as SES with too many requests, after `meanwhile`.
async fn throttle_once(listener: TcpListener, meanwhile: impl Future<Output = ()>) {
    let (mut connection, _) = listener.accept().await.expect("a connection");
    read_request(&mut connection).await;
    meanwhile.await;
    let body = r#"{"__type":"TooManyRequestsException","message":"Maximum sending rate exceeded."}"#;
    let answer = format!(
        "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(answer.as_bytes()).await.expect("an answer");
}

async fn read_request(connection: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        connection.read_buf(&mut request).await.expect("a request");
        let text = String::from_utf8_lossy(&request).to_lowercase();
        let Some((headers, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
            return;
        }
    }
}

/// The reauthorization begins before the mail is sent, and digi.me denies it an hour later.
#[tokio::test]
async fn a_mail_waits_for_what_digime_says_of_its_account() {
    for is_denied in [true, false] {
        let world = World::builder().mails().setting("REMINDER_SCHEDULE", "none").start().await;
        put_contact(&world, ann()).await;
        world.lose_authorization(BANK).await;
        let url = world.follow(&world.last_link()).await;
        let callback = world.decide(&url, Decision::Success).await;
        let control = world.system.simulator.control();
        control.fail("/v1.7/permission-access/accounts", Failure::status(500, 1_000));
        world.get(&callback).await;
        for _ in 0..4 {
            pass(&world, 15 * MINUTE).await;
        }
        assert_eq!(world.account(DEMO_USER, BANK).await["status"], "verifying");
        assert_eq!(subjects(&world), Vec::<String>::new());

        control.clear_failures();
        if is_denied {
            control.break_account(BANK, ErrorShape::Sdk);
        }
        for _ in 0..12 {
            pass(&world, 15 * MINUTE).await;
        }
        let told = ["Your connection to Meadow Bank has ended".to_owned()];
        assert_eq!(subjects(&world), &told[..usize::from(is_denied)]);
    }
}

#[tokio::test]
async fn a_mail_is_not_claimed_when_its_answer_may_come_too_late() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    world.advance(11 * MINUTE);
    let environment = world.system.endpoints.environment(Function::EmailUser).into_iter().collect();
    let function = EmailUser::new(&environment, &world.clock.ambient()).expect("the function");
    let due = json!({"type": "mail.due", "userId": DEMO_USER});
    for (seconds, failures) in [(19, 1), (29, 0)] {
        assert_eq!(subjects(&world), Vec::<String>::new());
        let batch = serde_json::from_value(SqsMessage::new(&due, world.clock_now()).alone()).expect("a batch");
        let deadline = Deadline(world.clock_now() + jiff::SignedDuration::from_secs(seconds));
        let reply = function.handle(batch, Invocation { deadline, traceparent: None }).await.expect("a reply");
        assert_eq!(reply.batch_item_failures.len(), failures, "{seconds} s are left");
    }
    assert_eq!(subjects(&world).len(), 1);
}

/// The mail is claimed when SES refuses it, and the contact has changed since the claim.
#[tokio::test]
async fn a_mail_that_ses_does_not_take_is_due_again_whatever_was_written_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let world = World::builder().mails().setting("AWS_ENDPOINT_URL_SESV2", &endpoint).start().await;
    put_contact(&world, ann()).await;
    world.lose_authorization(BANK).await;
    let rename = put_contact(&world, json!({"email": "ann@example.org", "name": "Ann"}));
    tokio::join!(pass(&world, 11 * MINUTE), throttle_once(listener, rename));
    let contact = world.get(CONTACT).await.json();
    assert_eq!((contact.get("lastSentAt"), &contact["name"]), (None, &json!("Ann")), "{contact}");
    let item = world.items().into_iter().find(|item| item["SK"]["S"] == "CONTACT").expect("a contact");
    assert!(item["dueAt"]["S"].is_string(), "{item}");
}

/// DynamoDB refuses a write while another transaction holds its item.
#[tokio::test]
async fn a_mail_that_ses_does_not_take_is_due_again_although_another_transaction_holds_the_contact() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    world.system.aws.fail(Fault::error("ses:SendEmail", 429, "TooManyRequestsException", 1));
    world.system.aws.fail(Fault::conflict("dynamodb:PutItem", 7));
    pass(&world, 11 * MINUTE).await;
    pass(&world, HOUR).await;
    assert_eq!(subjects(&world).len(), 1);
}

#[tokio::test]
async fn a_mail_waits_until_the_identity_of_its_sender_is_verified() {
    let body = json!({"__type": "MessageRejected", "message": "Email address is not verified. The following identities failed the check in region EU-WEST-1: connections@demo-application.example"});
    let fault = Fault { body: Some(body.to_string()), ..Fault::error("ses:SendEmail", 400, "MessageRejected", 1) };
    let world = world().await;
    world.lose_authorization(BANK).await;
    world.system.aws.fail(fault);
    pass(&world, 11 * MINUTE).await;
    assert_eq!(world.get(CONTACT).await.json().get("lastSentAt"), None);
    pass(&world, HOUR + MINUTE).await;
    assert_eq!(subjects(&world).len(), 1);
}

#[tokio::test]
async fn an_account_that_its_user_dismissed_is_in_no_mail_when_it_works_again() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let link = world.path(&line(&last(&world).text, "choose=dismiss"));
    assert!(link.ends_with("?choose=dismiss&account=1_demo-bank"), "{link}");
    world.call(Method::POST, &link, "action=dismiss&account=1_demo-bank").await;
    world.run_until_idle().await;
    heal(&world, BANK).await;
    pass_hours(&world, 60).await;
    assert_eq!(subjects(&world).len(), 1, "{:?}", subjects(&world));
}

#[tokio::test]
async fn a_choice_in_a_mail_is_about_the_account_of_the_mail() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    heal(&world, BANK).await;
    world.lose_authorization(HOSPITAL).await;
    for choice in ["choose=dismiss", "choose=postpone"] {
        let link = world.path(&line(&last(&world).text, choice));
        let page = world.get(&link).await;
        assert!(page.status == StatusCode::OK && !page.text().contains("Do you no longer use"), "{}", page.text());
        assert!(!page.text().contains("later?"), "{}", page.text());
    }
}

#[tokio::test]
async fn a_mail_about_digime_says_once_what_to_do() {
    let world = world().await;
    world.kill_tokens();
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    world.run_until_idle().await;
    pass(&world, 11 * MINUTE).await;
    let text = last(&world).text;
    assert!(
        text.contains("digi.me, the service that Demo Application uses to connect, ended on 23 November"),
        "{text}"
    );
    assert_eq!(text.matches("can keep using your data").count(), 1, "{text}");
}

#[tokio::test]
async fn a_mail_whose_link_has_expired_does_not_say_that_it_has_no_links() {
    let world = World::builder().mails().setting("RECONNECT_LINK_TTL", "5m").start().await;
    put_contact(&world, ann()).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let text = last(&world).text;
    assert!(text.contains("choose Reconnect") && text.contains("/unsubscribe/"), "{text}");
    assert!(!text.contains("/reconnect/") && !text.contains("no link"), "{text}");
}

#[tokio::test]
async fn a_mail_that_warns_of_several_connections_names_them_as_connections() {
    let world = world().await;
    expire_bank_soon(&world).await;
    let control = world.system.simulator.control();
    let expires_at = world.clock_now() + jiff::SignedDuration::from_hours(24 * 15 + 1);
    control.set_account_expires_at(HOSPITAL, Some(expires_at.as_second()));
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    pass_hours(&world, 33).await;
    assert_eq!(subjects(&world), ["Your connections to Meadow Bank and 1 other service end soon"]);
}
