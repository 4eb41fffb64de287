//! Mails to users: one of everything that is open, at most one in 48 hours, by day, until they are not wanted.

use std::collections::BTreeSet;

use digime_simulator::{AccessTokenStatus, Account};
use http::{Method, StatusCode};
use local::{DEMO_USER, Function, MailFeedback, SentMail, aws::Fault, names::Queue};
use serde_json::{Value, json};
use tests::{BANK, Decision, World, broken, healthy};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const HOSPITAL: &str = "2_demo-hospital";
const GRANT: &str = "/users/demo-user/grants/demo-contract?replace=true";
const CONTACT: &str = "/users/demo-user/contact";

/// A world with mails, whose demo user has a contact. Its clock begins by day.
pub(crate) async fn world() -> World {
    let world = World::builder().mails().start().await;
    put_contact(&world, json!({"email": "ann@example.org", "name": "Ann", "locale": "en"})).await;
    world
}

pub(crate) async fn put_contact(world: &World, contact: Value) {
    let body = json!({"userAccessToken": world.issue_tokens(DEMO_USER), "contact": contact});
    let reply = world.put(GRANT, &body).await;
    assert_eq!(reply.status, StatusCode::NO_CONTENT, "{}", reply.body);
}

/// The time passes, with a sweep at its end.
pub(crate) async fn pass(world: &World, seconds: u64) {
    world.advance(seconds);
    world.sweep().await;
}

/// The time at which every world begins.
fn start() -> jiff::Timestamp {
    "2026-11-23T09:00:00Z".parse().expect("a time")
}

pub(crate) fn subjects(world: &World) -> Vec<String> {
    world.system.mails.all().into_iter().map(|mail| mail.subject).collect()
}

pub(crate) fn last(world: &World) -> SentMail {
    world.system.mails.all().pop().expect("a mail")
}

/// The path that stops the mails.
fn unsubscribe_path(world: &World, mail: &SentMail) -> String {
    let url = mail.header("List-Unsubscribe").trim_start_matches('<').trim_end_matches('>').to_owned();
    world.path(&url)
}

pub(crate) async fn heal(world: &World, account: &str) {
    let at = world.clock_now().to_string();
    world.hand_in(DEMO_USER, Some(&at), &healthy(account)).await;
}

#[tokio::test]
async fn one_mail_names_all_accounts_that_broke_within_ten_minutes() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 5 * MINUTE).await;
    world.lose_authorization(HOSPITAL).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
    pass(&world, 6 * MINUTE).await;
    assert_eq!(subjects(&world), ["Your connections to Meadow Bank and 1 other service have ended"]);
    let mail = last(&world);
    assert_eq!(mail.to, "ann@example.org");
    assert_eq!(mail.from, "\"Demo Application\" <connections@demo-application.example>");
    assert!(mail.text.starts_with("Hello Ann,\n") && mail.text.contains("St. Clement's Hospital"), "{}", mail.text);
    assert!(mail.html.contains("lang=\"en\"") && mail.html.contains("St. Clement's Hospital"), "{}", mail.html);
    assert_eq!(mail.header("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
    assert!(!mail.html.contains("<img") && !mail.html.contains("<script"), "{}", mail.html);
    // The link is that of a notification, and its page shows both.
    let link = mail.text.lines().find(|line| line.contains("/reconnect/")).expect("a link");
    let page = world.get(&world.path(link)).await;
    assert!(page.body.contains("Meadow Bank") && page.body.contains("Hospital"), "{}", page.body);
    for _ in 0..3 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world).len(), 1, "once");
    let shown = world.get(CONTACT).await.json();
    assert!(shown["lastSentAt"].is_string(), "{shown}");
}

#[tokio::test]
async fn the_button_of_a_mail_has_the_colour_of_the_application_and_is_readable() {
    let world = World::builder().mails().setting("APPLICATION_COLOR", "#ffcc00").start().await;
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let mail = last(&world);
    assert!(mail.html.contains("background:#ffcc00;color:#000000"), "{}", mail.html);
}

#[tokio::test]
async fn a_mail_is_in_the_language_and_at_the_time_of_the_user() {
    let world = world().await;
    put_contact(&world, json!({"email": "ann@example.org", "locale": "de-AT", "timeZone": "Pacific/Auckland"})).await;
    world.lose_authorization(BANK).await;
    // 22:00 of the next day there: nothing before 8 in the morning.
    pass(&world, 11 * MINUTE).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
    for _ in 0..9 {
        pass(&world, HOUR).await;
        assert_eq!(subjects(&world), Vec::<String>::new(), "{}", world.clock_now());
    }
    for _ in 0..3 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world), ["Ihre Verbindung zu Meadow Bank ist beendet"]);
    assert!(last(&world).text.starts_with("Guten Tag,\n"));
    let local = last(&world).sent_at.to_zoned(jiff::tz::Offset::constant(13).to_time_zone());
    assert!((8..10).contains(&local.hour()), "{local}");
}

#[tokio::test]
async fn without_links_a_mail_has_none() {
    let world = World::builder().mails().setting("EMAIL_LINKS", "false").start().await;
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let mail = last(&world);
    for body in [&mail.text, &mail.html] {
        assert!(!body.contains("http") && !body.contains("href") && body.contains("choose Reconnect"), "{body}");
    }
    let stopped = world.call(Method::POST, &unsubscribe_path(&world, &mail), "List-Unsubscribe=One-Click").await;
    assert_eq!(stopped.status, StatusCode::OK);
}

#[tokio::test]
async fn no_two_mails_are_sent_within_48_hours_but_for_a_healing() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    world.lose_authorization(HOSPITAL).await;
    for _ in 0..47 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world), ["Your connection to Meadow Bank has ended"]);
    heal(&world, BANK).await;
    pass(&world, MINUTE).await;
    assert_eq!(subjects(&world)[1..], ["Meadow Bank is connected again"]);
    assert!(!last(&world).text.contains("Hospital"), "the rest waits");
    for _ in 0..70 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world)[2..], ["Your connection to St. Clement's Hospital has ended"]);
    let mails = world.system.mails.all();
    assert!(mails[2].sent_at.duration_since(mails[1].sent_at).as_secs() >= 48 * 3_600);
}

#[tokio::test]
async fn an_account_that_heals_before_its_mail_bothers_nobody() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 9 * MINUTE).await;
    heal(&world, BANK).await;
    for _ in 0..60 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_healing_is_told_only_to_a_user_who_knows_of_the_episode() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let (_, url) = world.create_reauthorization(DEMO_USER, BANK).await;
    world.reauthorize(&url, Decision::Success).await;
    world.run_until_idle().await;
    pass(&world, MINUTE).await;
    assert_eq!(subjects(&world)[1..], ["Meadow Bank is connected again"]);
    // The next episode is short, and no mail names it.
    world.advance(20 * MINUTE);
    let at = world.clock_now().to_string();
    world.hand_in(DEMO_USER, Some(&at), &broken(BANK)).await;
    world.advance(MINUTE);
    heal(&world, BANK).await;
    for _ in 0..60 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world).len(), 2);
}

#[tokio::test]
async fn one_click_stops_mails_at_once_also_one_that_is_on_its_way() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let path = unsubscribe_path(&world, &last(&world));
    // A scanner that opens the page stops nothing.
    let page = world.get(&path).await;
    assert!(page.status == StatusCode::OK && page.body.contains("Stop the emails"), "{}", page.body);
    assert_eq!(world.get(CONTACT).await.json()["emails"], "active");

    world.advance(3 * DAY);
    world.lose_authorization(HOSPITAL).await;
    world.advance(11 * MINUTE);
    // The sweep has put the mail on the queue.
    world.system.sweep().await.unwrap();
    assert_eq!(world.system.queues.depth(Queue::Emails).unwrap().visible, 1);
    let stopped = world.call(Method::POST, &path, "List-Unsubscribe=One-Click").await;
    assert!(stopped.status == StatusCode::OK && stopped.body.contains("no more of these"), "{}", stopped.body);
    world.run_until_idle().await;
    for _ in 0..60 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world).len(), 1);
    let contact = world.get(CONTACT).await.json();
    assert_eq!((&contact["emails"], &contact["stopped"]["reason"]), (&json!("stopped"), &json!("unsubscribed")));
    let events = world.published_of_user();
    let stops: Vec<_> = events.iter().filter(|event| event.kind == "user.emails_stopped").collect();
    assert_eq!(stops.len(), 1);
    // Again, and the page, say the same.
    for method in [Method::POST, Method::GET] {
        assert!(world.call(method, &path, "").await.body.contains("no more of these"));
    }
    assert_eq!(world.call(Method::HEAD, &path, "").await.body, "");
    // Another address does not change the user's mind; the user does.
    put_contact(&world, json!({"email": "bob@example.org"})).await;
    assert_eq!(world.get(CONTACT).await.json()["emails"], "stopped");
    put_contact(&world, json!({"email": "bob@example.org", "resubscribe": true})).await;
    assert_eq!(world.get(CONTACT).await.json()["emails"], "active");
}

#[tokio::test]
async fn an_unsubscribe_link_that_is_none_stops_nothing() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let path = unsubscribe_path(&world, &last(&world));
    let changed = format!("{}A", &path[..path.len() - 1]);
    for path in ["/unsubscribe/x".to_owned(), changed, path.replace("/unsubscribe/", "/unsubscribe/A")] {
        for method in [Method::GET, Method::POST] {
            let reply = world.call(method, &path, "List-Unsubscribe=One-Click").await;
            assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}: {}", reply.body);
        }
    }
    assert_eq!(world.get(CONTACT).await.json()["emails"], "active");
}

#[tokio::test]
async fn a_permanent_bounce_or_a_complaint_stops_the_mails_to_its_address() {
    for (feedback, reason) in [(MailFeedback::PermanentBounce, "bounced"), (MailFeedback::Complaint, "complained")] {
        let world = world().await;
        world.lose_authorization(BANK).await;
        pass(&world, 11 * MINUTE).await;
        let mail = last(&world);
        world.system.mails.give_feedback(&mail, MailFeedback::TransientBounce).unwrap();
        world.run_until_idle().await;
        assert_eq!(world.get(CONTACT).await.json()["emails"], "active", "the mailbox was full");
        for _ in 0..2 {
            world.system.mails.give_feedback(&mail, feedback).unwrap();
        }
        world.run_until_idle().await;
        let contact = world.get(CONTACT).await.json();
        assert_eq!((&contact["emails"], &contact["stopped"]["reason"]), (&json!("stopped"), &json!(reason)));
        assert_eq!(world.published_of_user().len(), 1, "told once");
        // Feedback about an earlier address changes nothing. After a complaint, the user wants mails again.
        put_contact(&world, json!({"email": "bob@example.org", "resubscribe": reason == "complained"})).await;
        world.system.mails.give_feedback(&mail, feedback).unwrap();
        world.run_until_idle().await;
        assert_eq!(world.get(CONTACT).await.json()["emails"], "active");
    }
}

#[tokio::test]
async fn ses_s_test_addresses_bounce_and_complain() {
    let world = world().await;
    put_contact(&world, json!({"email": "bounce@simulator.amazonses.com"})).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    assert_eq!(world.get(CONTACT).await.json()["stopped"]["reason"], "bounced");
}

#[tokio::test]
async fn messages_that_come_twice_or_at_once_send_one_mail() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    world.advance(11 * MINUTE);
    let due = json!({"type": "mail.due", "userId": DEMO_USER});
    for _ in 0..12 {
        world.enqueue(Queue::Emails, &due);
    }
    let batch = |count: usize| {
        let record =
            |number| json!({"messageId": format!("m{number}"), "body": due.to_string(), "eventSource": "aws:sqs"});
        json!({"Records": (0..count).map(record).collect::<Vec<_>>()})
    };
    let (first, second) = (batch(5), batch(5));
    let (one, other) =
        tokio::join!(world.invoke(Function::EmailUser, &first), world.invoke(Function::EmailUser, &second));
    assert_eq!((&one["batchItemFailures"], &other["batchItemFailures"]), (&json!([]), &json!([])));
    world.sweep().await;
    assert_eq!(subjects(&world).len(), 1);
}

/// The application has it delivered again. Queues and the topic can do the same.
#[tokio::test]
async fn an_event_that_comes_again_after_its_mail_leads_to_no_other_mail() {
    let world = World::builder().mails().setting("REMINDER_SCHEDULE", "none").start().await;
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    world.lose_authorization(BANK).await;
    pass(&world, 11 * MINUTE).await;
    let event = world.published().remove(0).event_id;
    let reply = world.post(&format!("/events/{event}/redeliver"), &json!({})).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.body);
    for _ in 0..72 {
        pass(&world, HOUR).await;
    }
    assert_eq!((world.published().len(), subjects(&world).len()), (2, 1));
}

#[tokio::test]
async fn events_in_another_order_send_no_mail_about_what_is_over() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    let required = world.published_json().pop().unwrap();
    heal(&world, BANK).await;
    // The first event comes once more, after the healing.
    world.enqueue(Queue::Emails, &required);
    world.run_until_idle().await;
    for _ in 0..60 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_mail_that_ses_does_not_take_now_is_sent_later() {
    for (fault, pause) in [
        (Fault::error("ses:SendEmail", 429, "TooManyRequestsException", 1), 11 * MINUTE),
        (Fault::error("ses:SendEmail", 400, "SendingPausedException", 1), HOUR + MINUTE),
        (Fault::error("ses:SendEmail", 403, "AccessDeniedException", 1), HOUR + MINUTE),
    ] {
        let world = world().await;
        world.lose_authorization(BANK).await;
        world.system.aws.fail(fault.clone());
        pass(&world, 11 * MINUTE).await;
        assert_eq!(subjects(&world), Vec::<String>::new());
        assert_eq!(world.get(CONTACT).await.json().get("lastSentAt"), None, "{fault:?}");
        pass(&world, pause).await;
        assert_eq!(subjects(&world).len(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_mail_that_ses_refuses_or_may_have_taken_is_not_repeated() {
    for (fault, sent, counts) in [
        (Fault::error("ses:SendEmail", 400, "MessageRejected", 1), 0, false),
        (Fault::error("ses:SendEmail", 500, "InternalFailure", 1), 0, true),
        (Fault::lose_reply("ses:SendEmail", 1), 1, true),
    ] {
        let world = world().await;
        world.lose_authorization(BANK).await;
        world.system.aws.fail(fault.clone());
        pass(&world, 11 * MINUTE).await;
        for _ in 0..5 {
            pass(&world, HOUR).await;
        }
        assert_eq!(subjects(&world).len(), sent, "{fault:?}");
        assert_eq!(world.get(CONTACT).await.json().get("lastSentAt").is_some(), counts, "{fault:?}");
    }
}

#[tokio::test]
async fn while_a_service_is_probably_down_its_accounts_are_in_no_mail() {
    let world = World::builder().mails().setting("OUTAGE_MIN_ACCOUNTS", "5").start().await;
    put_contact(&world, json!({"email": "ann@example.org"})).await;
    for number in 0..5 {
        let (user, account) = (format!("user-{number}"), format!("{number}_bank"));
        world.system.simulator.control().add_account(&user, Account::new(account.clone(), "Meadow Bank", None));
        world.store_grant(&user).await;
        world.hand_in(&user, None, &broken(&account)).await;
    }
    world.lose_authorization(BANK).await;
    world.lose_authorization(HOSPITAL).await;
    pass(&world, 11 * MINUTE).await;
    assert_eq!(subjects(&world), ["Your connection to St. Clement's Hospital has ended"]);
    // The outage is over after two hours, and this user was written to: the rest comes after 48 hours.
    for _ in 0..46 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world).len(), 1);
    for _ in 0..6 {
        pass(&world, HOUR).await;
    }
    let subjects = subjects(&world);
    assert!(
        subjects.len() == 2 && subjects[1].starts_with("Your connections to Meadow Bank and 1 other"),
        "{subjects:?}"
    );
}

#[tokio::test]
async fn a_mail_warns_before_an_authorization_expires() {
    let world = world().await;
    let control = world.system.simulator.control();
    let expires_at = world.clock_now() + jiff::SignedDuration::from_hours(24 * 15);
    control.set_access_token_status(AccessTokenStatus::Reported);
    control.set_account_expires_at(BANK, Some(expires_at.as_second()));
    world.get(&format!("/users/{DEMO_USER}/accounts?refresh=true")).await;
    for _ in 0..30 {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world), ["Your connection to Meadow Bank ends soon"]);
    let mail = last(&world);
    assert!(mail.text.contains("ends on 8 December 2026") && mail.text.contains("/reconnect/"), "{}", mail.text);
    assert!(!mail.text.contains("choose=dismiss"), "{}", mail.text);
}

#[tokio::test]
async fn reminders_come_with_their_own_mails_until_the_user_says_not_now() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    for _ in 0..(8 * 24) {
        pass(&world, HOUR).await;
    }
    // After the first mail, the reminders of one day (48 hours after it), three days (48 hours after that) and seven days.
    let days: Vec<_> =
        world.system.mails.all().iter().map(|mail| mail.sent_at.duration_since(start()).as_hours() / 24).collect();
    assert_eq!(days, [0, 2, 4, 7]);
    let link = last(&world).text.lines().find(|line| line.contains("choose=postpone")).expect("a link").to_owned();
    let page = world.get(&world.path(&link)).await;
    assert!(page.status == StatusCode::OK && page.body.contains("Meadow Bank"), "{}", page.body);
    for _ in 0..(4 * 24) {
        pass(&world, HOUR).await;
    }
    assert_eq!(subjects(&world).len(), 4, "then none");
}

#[tokio::test]
async fn no_mail_goes_to_a_user_who_was_erased() {
    let world = world().await;
    world.lose_authorization(BANK).await;
    world.advance(11 * MINUTE);
    world.system.sweep().await.unwrap();
    world.erase(DEMO_USER).await;
    world.run_until_idle().await;
    pass(&world, HOUR).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
    assert!(world.items().iter().all(|item| item["SK"]["S"] != "CONTACT"));
}

/// Kills `email-user` before and after each of its requests. Whatever is done again, at most one mail is sent, and none is lost but
/// the one that was claimed.
#[tokio::test]
async fn a_function_that_dies_sends_a_mail_at_most_once() {
    let mut point = 0;
    let mut sent = BTreeSet::new();
    loop {
        let world = World::builder().mails().crashes().expect_leftovers().start().await;
        put_contact(&world, json!({"email": "ann@example.org"})).await;
        world.lose_authorization(BANK).await;
        world.advance(11 * MINUTE);
        world.crashes.arm(point);
        world.system.sweep().await.ok();
        world.run_until_idle().await;
        let was_killed = world.crashes.trace().is_some();
        world.crashes.disarm();
        for _ in 0..4 {
            world.advance(16 * MINUTE);
            world.sweep().await;
        }
        let mails = world.system.mails.all().len();
        assert!(mails <= 1, "point {point}: {mails} mails");
        let claimed = world.get(CONTACT).await.json().get("lastSentAt").is_some();
        assert!(claimed, "point {point}: the mail is lost");
        if !was_killed {
            assert_eq!(mails, 1);
            break;
        }
        sent.insert(mails);
        point += 1;
    }
    assert!(point > 5, "{point}");
    assert!(sent.contains(&1));
}

/// `.ci/mails.py` runs this test, and reads what arrived.
#[tokio::test]
#[ignore = "needs SES_TEST_ENDPOINT, an implementation of SES v2: see .ci/mails.py"]
async fn mails_arrive_at_another_ses() {
    let endpoint = std::env::var("SES_TEST_ENDPOINT").expect("the address of an SES");
    for locale in ["en", "de"] {
        let world = World::builder()
            .mails()
            .setting("AWS_ENDPOINT_URL_SESV2", &endpoint)
            .setting("APPLICATION_NAME", "Bücherei & Söhne")
            .start()
            .await;
        put_contact(&world, json!({"email": "ann@example.org", "name": "Jörg <b>", "locale": locale})).await;
        world.lose_authorization(BANK).await;
        pass(&world, 11 * MINUTE).await;
        assert!(world.get(CONTACT).await.json()["lastSentAt"].is_string(), "SES took the mail");
    }
}
