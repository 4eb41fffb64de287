//! The outbox and the history.

use reauth_core::store::{DueKind, HistoryCursor, StoredEvent, Versioned};
use reauth_domain::{Account, Status, Target, time::after};
use tests::DeliveredEvent;

use crate::{MINUTE, bank, broken, lost, table::on_a_table, user};

#[tokio::test]
async fn a_due_event_is_given_to_one_of_those_that_ask_and_no_more_when_it_is_delivered() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await;
        assert!(table.due(DueKind::Event).await.is_empty());
        table.clock.advance(10 * MINUTE);
        let due = table.due(DueKind::Event).await;
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].target, Some(Target::Account(account.value.account_id)));
        let next = after(table.now(), MINUTE);
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(table.store.reschedule_event(&due[0], next).await.unwrap());
        }
        assert_eq!(given.len(), 1);

        table.clock.advance(2 * MINUTE);
        assert_eq!(table.due(DueKind::Event).await.len(), 1);
        let event = StoredEvent::from_stream_record(&given[0].stream_record).unwrap();
        table.store.record_publication(&event, table.now()).await.unwrap();
        let event = event.event;
        assert!(table.due(DueKind::Event).await.is_empty());
        let stored = table.store.event(&event).await.unwrap().unwrap();
        assert_eq!(stored.published_at, Some(table.now()));
    })
    .await;
}

#[tokio::test]
async fn a_history_comes_in_pages_the_newest_first() {
    on_a_table(async |table| {
        let mut account = Versioned { value: Account::new(user(1), bank()), version: 0 };
        for _ in 0..7 {
            table.store.commit(lost(table, account.value, account.version)).await.unwrap();
            account = table.store.account(&user(1), &bank()).await.unwrap().unwrap();
            account.value.status = Status::Active { verified: None, authorization_expires_at: None };
        }
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = table.store.history(&user(1), &bank(), before, 3).await.unwrap();
            pages.push(page.events.iter().map(|event| DeliveredEvent::from(event).sequence).collect::<Vec<_>>());
            let Some(older) = page.older else { break };
            before = Some(HistoryCursor::decode(&older.encode()).unwrap());
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert!(pages.iter().rev().flatten().is_sorted());
        assert!(HistoryCursor::decode("other").is_err());
    })
    .await;
}
