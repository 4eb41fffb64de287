//! Notices to users of a service that is probably down wait, and go out smoothed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// The time passes minute by minute, with a sweep at the end of each. Returns how many mails were sent in each minute.
async fn pass(world: &World, minutes: u64) -> Vec<usize> {
    let mut sent = Vec::new();
    for _ in 0..minutes {
        let before = world.system.mails.all().len();
        world.advance(MINUTE);
        world.sweep().await;
        sent.push(world.system.mails.all().len() - before);
    }
    sent
}

#[tokio::test]
async fn mails_wait_while_the_service_is_probably_down_and_who_recovers_gets_none() {
    let world = builder().mails().start().await;
    for number in 0..12 {
        add_user_with_contact(&world, number).await;
    }
    break_accounts(&world, 0..12).await;
    let sent = pass(&world, 110).await;
    assert_eq!((sent.iter().sum::<usize>(), world.published().len()), (0, 12), "events do not wait");
    heal_accounts(&world, 0..4).await;
    let sent = pass(&world, 71).await;
    assert!(sent.iter().all(|mails| *mails <= 4), "smoothed: {sent:?}");
    let recipients = recipients(&world);
    assert_eq!(recipients.len(), 8, "each user once: {recipients:?}");
    assert_eq!(recipients.into_iter().collect::<BTreeSet<_>>(), (4..12).map(address).collect());
    assert_eq!(kinds_of_notices(&world), ["service.outage_suspected", "service.outage_ended"]);
}

/// The breakage stands: its users must mend it.
#[tokio::test]
async fn mails_go_out_when_the_time_is_over_though_no_account_has_recovered() {
    let world = builder().mails().start().await;
    for number in 0..12 {
        add_user_with_contact(&world, number).await;
    }
    break_accounts(&world, 0..12).await;
    let sent = pass(&world, 119).await;
    assert_eq!(sent.iter().sum::<usize>(), 0);
    pass(&world, 64).await;
    assert_eq!(recipients(&world).into_iter().collect::<BTreeSet<_>>(), (0..12).map(address).collect());
    let ended = &notices(&world)[1];
    assert_eq!((&ended["type"], &ended["data"]["healed"]), (&json!("service.outage_ended"), &json!(0)));
}

#[tokio::test]
async fn a_mail_names_the_other_accounts_while_one_service_is_probably_down() {
    let world = builder().mails().start().await;
    for number in 0..5 {
        add_user_with_contact(&world, number).await;
    }
    let other = Account::new("other_0", "Saint Clement's", None);
    world.system.simulator.control().add_account(&user(0), other);
    break_accounts(&world, 0..5).await;
    world.hand_in(&user(0), None, &broken("other_0")).await;
    pass(&world, 12).await;
    let mails = world.system.mails.all();
    assert_eq!(recipients(&world), [address(0)]);
    assert!(mails[0].text.contains("Saint Clement's") && !mails[0].text.contains(SERVICE), "{}", mails[0].text);
    // Never two within 48 hours.
    pass(&world, 3 * 60).await;
    world.advance(48 * HOUR);
    pass(&world, 70).await;
    let second = world.system.mails.all().into_iter().filter(|mail| mail.to == address(0)).nth(1);
    assert!(second.is_some_and(|mail| mail.text.contains(SERVICE)));
}

/// The account's first reminder is due a day after it broke, when its service is down again.
#[tokio::test]
async fn a_reminder_waits_while_the_service_is_probably_down() {
    let world = builder().start().await;
    add_users(&world, SERVICE, 0..11).await;
    break_accounts(&world, 0..1).await;
    world.sweep().await;
    world.advance(24 * HOUR - 30 * MINUTE);
    // Ten times as many as in the busiest five minutes of the day before.
    break_accounts(&world, 1..11).await;
    let reminded = || world.published().iter().any(|event| event.user_id == user(0) && event.reminder == Some(1));
    for _ in 0..119 {
        world.sweep().await;
        assert!(!reminded());
        world.advance(MINUTE);
    }
    for _ in 0..64 {
        world.sweep().await;
        world.advance(MINUTE);
    }
    assert!(reminded());
}

#[tokio::test]
async fn sweeps_at_the_same_time_start_no_more_mails_than_the_rate_allows() {
    let world = builder().mails().setting("NOTICE_RATE", "5").setting("OUTAGE_MIN_ACCOUNTS", "1000").start().await;
    for number in 0..40 {
        add_user_with_contact(&world, number).await;
    }
    break_accounts(&world, 0..40).await;
    world.advance(11 * MINUTE);
    let mut of_minute: BTreeMap<usize, usize> = BTreeMap::new();
    for minute in 0..8 {
        let before = recipients(&world).len();
        for sweep in futures::future::join_all((0..3).map(|_| world.system.sweep())).await {
            sweep.unwrap();
        }
        world.run_until_idle().await;
        of_minute.insert(minute, recipients(&world).len() - before);
        world.advance(MINUTE);
    }
    assert_eq!(of_minute.into_values().collect::<Vec<_>>(), [5; 8]);
    let recipients: BTreeSet<_> = recipients(&world).into_iter().collect();
    assert_eq!(recipients.len(), 40, "each user once");
}
