//! An outage of 10,000 accounts.

use std::collections::BTreeSet;

use local::Function;
use tests::{SqsMessage, inserted, sqs_batch};

use super::*;

const ACCOUNTS: usize = 10_000;
/// The users with a contact.
const CONTACTS: usize = 600;
/// Of these, how many accounts recover.
const RECOVERED: usize = 200;

/// An account that broke, and its event, of a user of a real run.
struct Broken {
    account: Value,
    event: Value,
    event_id: String,
}

impl Broken {
    /// The user with the number 0 breaks.
    async fn real(world: &World) -> Self {
        add_user_with_contact(world, 0).await;
        break_accounts(world, 0..1).await;
        let items: Vec<Value> = world.items().into_iter().filter(|item| item["PK"]["S"] == "USER#user-0").collect();
        let of = |kind: &str| items.iter().find(|item| item["SK"]["S"].as_str().unwrap().starts_with(kind)).unwrap();
        let (mut account, mut event) = (of("ACCOUNT#").clone(), of("EVENT#").clone());
        // As the stream delivered it.
        event.as_object_mut().unwrap().retain(|name, _| !name.ends_with("ublishedAt"));
        let due_at = world.clock_now() + jiff::SignedDuration::from_mins(5);
        event["dueAt"] = json!({"S": format!("{due_at:.3}")});
        event["dueShard"] = json!({"S": "due-event#00"});
        // Reminders have tests of their own.
        account.as_object_mut().unwrap().retain(|name, _| !name.starts_with("due"));
        let event_id = event["eventId"]["S"].as_str().unwrap().to_owned();
        Self { account, event, event_id }
    }

    /// The same of another user.
    fn of(&self, number: usize) -> [Value; 2] {
        let event_id = format!("{}{number:08x}", &self.event_id[..self.event_id.len() - 8]);
        [&self.account, &self.event].map(|item| {
            let text = item.to_string().replace(&self.event_id, &event_id);
            let text = text.replace("user-0", &user(number)).replace("0_bank", &account(number));
            serde_json::from_str(&text).unwrap()
        })
    }
}

/// Accounts of 10,000 users break in the same minute, and their events are delivered.
async fn break_all(world: &World) {
    let real = Broken::real(world).await;
    for number in 1..CONTACTS {
        put_contact(world, number).await;
    }
    let copies: Vec<_> = (1..ACCOUNTS).map(|number| real.of(number)).collect();
    import(world, copies.iter().flatten().cloned().collect());
    for batch in copies.chunks(10) {
        let message =
            |(id, [_, event]): (usize, &[Value; 2])| SqsMessage::new(inserted(event), world.clock_now()).id(id);
        let batch = sqs_batch(batch.iter().enumerate().map(message));
        assert_eq!(world.invoke(Function::NotifyReauth, &batch).await["batchItemFailures"], json!([]));
        world.run_until_idle().await;
    }
}

#[tokio::test]
async fn of_ten_thousand_accounts_that_break_at_once_those_that_recover_bother_nobody_and_the_rest_goes_out_smoothed() {
    let world = builder().setting("OUTAGE_MIN_ACCOUNTS", "50").mails().start().await;
    break_all(&world).await;
    assert_eq!(counted(&world), ACCOUNTS as u64);
    let sweep = async |minutes: u64| {
        let before = recipients(&world).len();
        world.advance(minutes * MINUTE);
        world.sweep().await;
        recipients(&world).len() - before
    };
    for _ in 0..10 {
        assert_eq!(sweep(11).await, 0, "mails wait");
    }
    heal_accounts(&world, 0..RECOVERED).await;
    sweep(7).await;
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected"]);
    let mut of_minute = Vec::new();
    for _ in 0..66 {
        of_minute.push(sweep(1).await);
    }
    let busiest = of_minute.iter().max().unwrap();
    assert!(*busiest <= 3 * (CONTACTS - RECOVERED) / 60, "{of_minute:?}");
    let recipients = recipients(&world);
    assert_eq!(recipients.len(), CONTACTS - RECOVERED, "each user once");
    let expected: BTreeSet<_> = (RECOVERED..CONTACTS).map(address).collect();
    assert_eq!(recipients.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected", "service.outage_ended"]);
    assert_eq!(notices(&world)[1]["data"]["accounts"], ACCOUNTS);
}
