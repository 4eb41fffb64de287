//! The store's promises, on any DynamoDB: the embedded one, or the one at `DYNAMODB_TEST_ENDPOINT`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod table;

use std::{collections::BTreeSet, time::Duration};

use digime::{TokenPair, read_result::AccountError};
use jiff::Timestamp;
use reauth_core::store::{
    AccountChange, Commit, Condition, Grant, HistoryCursor, Link, LinkUse, Store, StoreError, Versioned,
};
use reauth_domain::{
    Account, AccountId, Change, ContractId, EpisodeId, Event, EventId, FailureCode, LastReads, Outcome,
    ReauthorizationId, Signal, Status, UserId, Via, Watermark,
    event::Subject,
    reauthorization::{Kind, Progress, Reauthorization},
    time::after,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use self::table::{Table, on_a_table};

const MINUTE: Duration = Duration::from_secs(60);

fn user(number: usize) -> UserId {
    format!("user-{number}").parse().unwrap()
}

fn bank() -> AccountId {
    "1_bank".parse().unwrap()
}

fn contract() -> ContractId {
    "contract".parse().unwrap()
}

fn lost(table: &Table, account: Account, read_version: u64) -> Commit {
    let now = table.now();
    let new_episode = EpisodeId::from(table.ambient.bytes());
    let error = AccountError { code: Some("ServiceAuthorizationError".into()), ..AccountError::default() };
    commit(account, Signal::AuthorizationLost { error, observed_at: now, new_episode }, read_version, now)
}

fn commit(account: Account, signal: Signal, read_version: u64, now: Timestamp) -> Commit {
    let Outcome::Changed(change) = account.take(signal, now) else { panic!("nothing changes") };
    let user_id = change.account.user_id.clone();
    let changes = vec![AccountChange { change, read_version, read: None }];
    Commit { user_id, changes, last_reads: None, reauthorization: None, triggered_at: now }
}

/// Writes that the account of a user lost its authorization, and gives it as it stands then.
async fn broken(table: &Table, user: &UserId) -> Versioned<Account> {
    table.store.commit(lost(table, Account::new(user.clone(), bank()), 0)).await.unwrap();
    table.store.account(user, &bank()).await.unwrap().unwrap()
}

fn grant(user: &UserId, token: &str, now: Timestamp) -> Grant {
    let expiry = after(now, MINUTE).as_second();
    let tokens = json!({"accessToken": {"value": token, "expiry": expiry},
        "refreshToken": {"value": "the-refresh-token", "expiry": expiry}});
    Grant {
        user_id: user.clone(),
        contract_id: contract(),
        tokens: TokenPair::parse(&tokens).unwrap(),
        refresh_dead: false,
        leased_until: None,
        accounts_listed_at: None,
    }
}

fn is_conflict(result: &Result<impl Sized, StoreError>, about: &Condition) -> bool {
    matches!(result, Err(StoreError::Conflict(Some(part))) if part == about)
}

#[tokio::test]
async fn an_account_and_its_event_are_written_together() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await;
        let milliseconds = u64::try_from(table.now().as_millisecond()).unwrap();
        assert_eq!((account.version, account.value.sequence), (milliseconds, milliseconds));
        let history = table.store.history(&user(1), &bank(), None, 10).await.unwrap().events;
        assert_eq!(history.len(), 1);
        assert_eq!(history[0]["type"], "account.reauthorization_required");
        assert_eq!(history[0]["data"]["sequence"], milliseconds);
        let notice = account.value.episode().unwrap().notice.clone().unwrap();
        assert_eq!(history[0]["data"]["eventId"], notice.event_id.as_str());
    })
    .await;
}

#[tokio::test]
async fn of_many_writers_that_read_the_same_one_writes_and_the_others_write_nothing() {
    on_a_table(async |table| {
        let commits: Vec<_> = (0..5).map(|_| lost(table, Account::new(user(1), bank()), 0)).collect();
        for (index, commit) in commits.into_iter().enumerate() {
            let result = table.store.commit(commit).await;
            assert!(if index == 0 { result.is_ok() } else { is_conflict(&result, &Condition::Account) }, "{result:?}");
        }
        assert_eq!(table.store.history(&user(1), &bank(), None, 10).await.unwrap().events.len(), 1);

        let account = table.store.account(&user(1), &bank()).await.unwrap().unwrap();
        let healed = |version| {
            let signal = Signal::Confirmed { via: Via::Sweep, listed: None, attempt: None };
            table.store.commit(commit(account.value.clone(), signal, version, table.now()))
        };
        assert!(is_conflict(&healed(7).await, &Condition::Account));
        healed(account.version).await.unwrap();
        assert!(is_conflict(&healed(account.version).await, &Condition::Account));
        assert_eq!(table.store.history(&user(1), &bank(), None, 10).await.unwrap().events.len(), 2);
    })
    .await;
}

fn read(table: &Table, minutes: u32, needs_user: bool) -> Watermark {
    Watermark { observed_at: after(table.now(), MINUTE * minutes), needs_user }
}

#[tokio::test]
async fn of_two_decisions_about_reads_that_rest_on_the_same_one_is_written() {
    on_a_table(async |table| {
        let nothing = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let with = |mut last_reads: Versioned<LastReads>, account: &str, minutes| {
            last_reads.value.record(account.parse().unwrap(), read(table, minutes, false));
            last_reads
        };
        let first = with(nothing.clone(), "1_bank", 5);
        table.store.put_last_reads(&user(1), first, table.now()).await.unwrap();
        let same = with(nothing, "2_other", 5);
        assert!(is_conflict(&table.store.put_last_reads(&user(1), same, table.now()).await, &Condition::LastReads));

        let read_again = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut change = lost(table, Account::new(user(1), bank()), 0);
        change.changes[0].read = Some(read(table, 6, true));
        change.last_reads = Some(read_again.clone());
        table.store.put_last_reads(&user(1), with(read_again, "2_other", 6), table.now()).await.unwrap();
        assert!(is_conflict(&table.store.commit(change.clone()).await, &Condition::LastReads));
        assert!(table.store.account(&user(1), &bank()).await.unwrap().is_none());

        change.last_reads = Some(table.store.user_accounts(&user(1)).await.unwrap().last_reads);
        table.store.commit(change).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!(known.last_reads.value.last(&bank()), Some(read(table, 6, true)));
        assert_eq!((known.accounts.len(), known.last_reads.value.watermarks.len()), (1, 2));
    })
    .await;
}

#[tokio::test]
async fn changes_of_more_accounts_than_one_transaction_takes_are_all_written() {
    on_a_table(async |table| {
        let last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut all = Commit { last_reads: Some(last_reads), ..lost(table, Account::new(user(1), bank()), 0) };
        for number in 0..60 {
            let account = Account::new(user(1), format!("{number}_many").parse().unwrap());
            all.changes.extend(lost(table, account, 0).changes);
        }
        all.changes.iter_mut().for_each(|change| change.read = Some(read(table, 1, true)));
        table.store.commit(all).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!((known.accounts.len(), known.last_reads.value.watermarks.len()), (61, 61));
    })
    .await;
}

#[tokio::test]
async fn what_was_handed_in_before_the_erasure_is_void_also_when_the_user_has_come_back() {
    on_a_table(async |table| {
        let before = table.now();
        table.clock.advance(MINUTE);
        table.store.forget(&user(1)).await.unwrap();
        table.clock.advance(MINUTE);
        let mut last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        last_reads.value.record(bank(), read(table, 0, false));
        let late = table.store.put_last_reads(&user(1), last_reads.clone(), before).await;
        assert!(matches!(late, Err(StoreError::Forgotten)), "{late:?}");
        table.store.put_last_reads(&user(1), last_reads, table.now()).await.unwrap();
        let back = table.store.user_accounts(&user(1)).await.unwrap().last_reads.value;
        assert!(back.is_void(before) && !back.is_void(table.now()));
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_user_is_gone_and_stays_gone_for_whatever_was_triggered_before() {
    on_a_table(async |table| {
        let before = table.now();
        let account = broken(table, &user(1)).await;
        table.store.put_grant(&grant(&user(1), "a", before), 0, before).await.unwrap();
        let (token, event) = (SecretString::from("link"), last_event(table, &account.value).await);
        table.store.put_link(&token, &link(&account.value, before), &event).await.unwrap();
        table.store.create_reauthorization(&reauthorization(before), &token, None, before).await.unwrap();

        table.clock.advance(MINUTE);
        table.store.forget(&user(1)).await.unwrap();
        assert!(!table.store.user_exists(&user(1)).await.unwrap());
        assert!(table.store.link("link").await.unwrap().is_none());
        assert!(table.store.reauthorization(&reauthorization(before).id).await.unwrap().is_none());

        let late = Commit { triggered_at: before, ..lost(table, Account::new(user(1), bank()), 0) };
        assert!(matches!(table.store.commit(late).await, Err(StoreError::Forgotten)));
        let late = table.store.put_grant(&grant(&user(1), "a", before), 0, before).await;
        assert!(matches!(late, Err(StoreError::Forgotten)));
        let late = table.store.put_link(&token, &link(&account.value, before), &event).await;
        assert!(matches!(late, Err(StoreError::Forgotten)));
        assert!(!table.store.user_exists(&user(1)).await.unwrap());

        // A grant stored at that very moment counts as later; anything else only afterwards.
        table.store.put_grant(&grant(&user(1), "a", table.now()), 0, table.now()).await.unwrap();
        table.clock.advance(MINUTE);
        broken(table, &user(1)).await;
    })
    .await;
}

#[tokio::test]
async fn one_lease_is_given_until_it_ends() {
    on_a_table(async |table| {
        let store = &table.store;
        store.put_grant(&grant(&user(1), "a", table.now()), 0, table.now()).await.unwrap();
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        let first = store.lease(&read).await.unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));

        // Who reads the grant anew finds it leased; once the lease has ended, the next one gets it.
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(is_conflict(&store.lease(&read).await, &Condition::Grant));
        table.clock.advance(MINUTE);
        let second = store.lease(&read).await.unwrap();

        let renewed = grant(&user(1), "b", table.now());
        assert!(is_conflict(&store.put_refreshed(&renewed, &first).await, &Condition::Grant));
        store.put_refreshed(&renewed, &second).await.unwrap();
        assert!(is_conflict(&store.put_refreshed(&renewed, &second).await, &Condition::Grant));
        let stored = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(stored.value.tokens.same_tokens(&renewed.tokens));
        assert_eq!(stored.value.leased_until, None);
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_replaced_only_as_it_was_read_and_its_tokens_are_sealed() {
    on_a_table(async |table| {
        let store = &table.store;
        store.put_grant(&grant(&user(1), "plain-text-token", table.now()), 0, table.now()).await.unwrap();
        let again = grant(&user(1), "other", table.now());
        assert!(is_conflict(&store.put_grant(&again, 0, table.now()).await, &Condition::Grant));
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert_eq!(read.value.tokens.access.value.expose_secret(), "plain-text-token");
        assert!(!table.everything().await.contains("plain-text-token"));
        store.put_grant(&again, read.version, table.now()).await.unwrap();
        assert_eq!(store.grants(&user(1)).await.unwrap().len(), 1);
    })
    .await;
}

/// What the account's last event is about.
async fn last_event(table: &Table, account: &Account) -> Subject {
    let history = table.store.history(&account.user_id, &account.account_id, None, 10).await.unwrap();
    Event::from_json(history.events.last().unwrap().clone()).unwrap().subject
}

fn link(account: &Account, now: Timestamp) -> Link {
    Link {
        user_id: account.user_id.clone(),
        account_id: account.account_id.clone(),
        episode_id: account.episode().unwrap().episode_id.clone(),
        expires_at: after(now, MINUTE),
    }
}

#[tokio::test]
async fn a_link_is_stored_by_its_hash_and_stays_as_it_was_first_written() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("the-token-of-the-link"), last_event(table, &account).await);
        let expires_at = after(table.now(), MINUTE);
        for _ in 0..2 {
            table.store.put_link(&token, &link(&account, table.now()), &event).await.unwrap();
            table.clock.advance(MINUTE);
        }
        let found = table.store.link("the-token-of-the-link").await.unwrap().unwrap().link;
        assert_eq!((found.user_id, found.expires_at), (user(1), expires_at));
        assert!(table.store.link("another").await.unwrap().is_none());
        assert!(!table.everything().await.contains("the-token-of-the-link"));
    })
    .await;
}

#[tokio::test]
async fn a_link_of_an_event_that_is_not_in_the_table_is_not_written() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("link"), last_event(table, &account).await);
        for gone in [
            Subject { sequence: 2, ..event.clone() },
            Subject { event_id: EventId::from([9; 16]), ..event.clone() },
            Subject { user_id: user(2), ..event.clone() },
        ] {
            let refused = table.store.put_link(&token, &link(&account, table.now()), &gone).await;
            assert!(matches!(refused, Err(StoreError::Forgotten)), "{refused:?}");
        }
        assert!(table.store.link("link").await.unwrap().is_none());
    })
    .await;
}

async fn record_use(table: &Table) -> LinkUse {
    let read = table.store.link("link").await.unwrap().unwrap();
    table.store.record_use("link", read).await.unwrap()
}

#[tokio::test]
async fn a_use_that_is_taken_back_does_not_count_whatever_was_recorded_since() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await.value;
        let (token, event) = (SecretString::from("link"), last_event(table, &account).await);
        table.store.put_link(&token, &link(&account, table.now()), &event).await.unwrap();
        let mut recorded = Vec::new();
        for _ in 0..5 {
            let LinkUse::Recorded(one) = record_use(table).await else { panic!("there is room") };
            recorded.push(one);
        }
        assert_eq!(record_use(table).await, LinkUse::TooMany(10 * MINUTE));
        for one in recorded {
            table.store.take_back_use("link", one).await.unwrap();
        }
        for _ in 0..5 {
            assert!(matches!(record_use(table).await, LinkUse::Recorded(_)));
        }
        assert_eq!(record_use(table).await, LinkUse::TooMany(10 * MINUTE));
    })
    .await;
}

fn reauthorization(now: Timestamp) -> Reauthorization {
    Reauthorization {
        id: ReauthorizationId::from([7; 16]),
        user_id: user(1),
        account_id: bank(),
        contract_id: contract(),
        kind: Kind::Account,
        progress: Progress::Pending,
        told: Vec::new(),
        identity_known: true,
        return_url: None,
        created_at: now,
        expires_at: after(now, MINUTE),
    }
}

#[tokio::test]
async fn a_reauthorization_moves_on_only_as_it_was_read() {
    on_a_table(async |table| {
        let (new, now) = (reauthorization(table.now()), table.now());
        let account = broken(table, &user(1)).await;
        table.store.create_reauthorization(&new, &SecretString::from("the-secret"), None, now).await.unwrap();
        let read = table.store.reauthorization(&new.id).await.unwrap().unwrap();
        assert!(read.has_secret("the-secret") && !read.has_secret("another"));
        assert!(!table.everything().await.contains("the-secret"));
        let failed = |account: Versioned<Account>, version| {
            let signal = Signal::Failed { attempt: new.attempt(), code: FailureCode::UserCancel };
            let reauthorization = Some((new.id.clone(), version));
            Commit { reauthorization, ..commit(account.value, signal, account.version, now) }
        };
        table.store.commit(failed(account, read.version)).await.unwrap();
        let account = table.store.account(&user(1), &bank()).await.unwrap().unwrap();
        let again = table.store.commit(failed(account, read.version)).await;
        assert!(is_conflict(&again, &Condition::Reauthorization), "{again:?}");
        let read = table.store.reauthorization(&new.id).await.unwrap().unwrap().reauthorization;
        assert!(matches!(read.progress, Progress::Failed { error_code: FailureCode::UserCancel, .. }));
        assert_eq!(read.told, [FailureCode::UserCancel]);
    })
    .await;
}

#[tokio::test]
async fn digime_is_asked_about_a_reauthorization_five_times_in_ten_minutes() {
    on_a_table(async |table| {
        let new = reauthorization(table.now());
        table.store.create_reauthorization(&new, &"secret".into(), None, table.now()).await.unwrap();
        let read = async || table.store.reauthorization(&new.id).await.unwrap().unwrap();
        let at_once = read().await;
        assert!(table.store.record_verification(&at_once).await.unwrap());
        let too_late = table.store.record_verification(&at_once).await;
        assert!(is_conflict(&too_late, &Condition::Reauthorization), "{too_late:?}");
        for _ in 1..5 {
            assert!(table.store.record_verification(&read().await).await.unwrap());
        }
        assert!(!table.store.record_verification(&read().await).await.unwrap());
        table.clock.advance(MINUTE * 10);
        assert!(table.store.record_verification(&read().await).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_due_event_is_given_to_one_of_those_that_ask_and_no_more_when_it_is_delivered() {
    on_a_table(async |table| {
        let account = broken(table, &user(1)).await;
        assert!(table.store.due_events(table.now(), 10).await.unwrap().is_empty());
        table.clock.advance(10 * MINUTE);
        let due = table.store.due_events(table.now(), 10).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].account_id, account.value.account_id);
        let next = after(table.now(), MINUTE);
        let mut given = Vec::new();
        for _ in 0..3 {
            given.extend(table.store.reschedule_event(&due[0], next).await.unwrap());
        }
        assert_eq!(given.len(), 1);

        table.clock.advance(2 * MINUTE);
        assert_eq!(table.store.due_events(table.now(), 10).await.unwrap().len(), 1);
        let event = reauth_core::store::StoredEvent::from_stream_record(&given[0].stream_record).unwrap().event;
        table.store.record_publication(&event, table.now()).await.unwrap();
        assert!(table.store.due_events(table.now(), 10).await.unwrap().is_empty());
        let stored = table.store.event(&event).await.unwrap().unwrap();
        assert_eq!(stored.published_at, Some(table.now()));
    })
    .await;
}

#[tokio::test]
async fn the_accounts_in_need_come_oldest_first_each_once_page_by_page() {
    on_a_table(async |table| {
        for number in 0..40 {
            broken(table, &user(number)).await;
            table.clock.advance(MINUTE);
        }
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = table.store.accounts_in_need(7, cursor.as_ref()).await.unwrap();
            assert!(page.accounts.len() <= 7);
            found.extend(page.accounts.into_iter().map(|account| account.user_id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, (0..40).map(user).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_list_larger_than_one_answer_of_the_database_is_whole() {
    on_a_table(async |table| {
        let names: BTreeSet<AccountId> = (0..100).map(|number| format!("{number}_account").parse().unwrap()).collect();
        for name in &names {
            let mut commit = lost(table, Account::new(user(1), name.clone()), 0);
            let Status::ReauthRequired(episode) = &mut commit.changes[0].change.account.status else {
                panic!("it is not broken")
            };
            episode.error.message = Some("m".repeat(15_000));
            table.store.commit(commit).await.unwrap();
        }
        let whole = table.store.accounts_in_need(500, None).await.unwrap();
        assert_eq!(whole.accounts.into_iter().map(|account| account.account_id).collect::<BTreeSet<_>>(), names);
        assert_eq!(whole.next, None);

        let first = table.store.accounts_in_need(90, None).await.unwrap();
        assert_eq!(first.accounts.len(), 90);
        let second = table.store.accounts_in_need(90, first.next.as_ref()).await.unwrap();
        assert_eq!((second.accounts.len(), second.next), (10, None));
        let both = first.accounts.into_iter().chain(second.accounts).map(|account| account.account_id);
        assert_eq!(both.collect::<BTreeSet<_>>(), names);
    })
    .await;
}

#[tokio::test]
async fn accounts_larger_than_one_answer_of_the_database_are_read_whole() {
    on_a_table(async |table| {
        let last_reads = table.store.user_accounts(&user(1)).await.unwrap().last_reads;
        let mut all = Commit { last_reads: Some(last_reads), ..lost(table, Account::new(user(1), bank()), 0) };
        for number in 0..150 {
            let mut account = Account::new(user(1), format!("{number}_account").parse().unwrap());
            account.service_name = Some("n".repeat(15_000));
            let change = Change { account, removes: false, events: Vec::new(), settled: Vec::new() };
            all.changes.push(AccountChange { change, read_version: 0, read: None });
        }
        let expected: BTreeSet<_> = all.changes.iter().map(|one| one.change.account.account_id.clone()).collect();
        table.store.commit(all).await.unwrap();
        let known = table.store.user_accounts(&user(1)).await.unwrap();
        assert_eq!(known.accounts.into_keys().collect::<BTreeSet<_>>(), expected);
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
            pages.push(page.events.iter().map(|event| event["data"]["sequence"].as_u64().unwrap()).collect::<Vec<_>>());
            let Some(older) = page.older else { break };
            before = Some(HistoryCursor::decode(&older.encode()).unwrap());
        }
        assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        assert!(pages.iter().rev().flatten().is_sorted());
        assert!(HistoryCursor::decode("other").is_err());
    })
    .await;
}

/// The type is what the functions use; a table without its definition's indexes would fail above.
#[tokio::test]
async fn a_table_that_is_not_there_is_told_as_unavailable() {
    on_a_table(async |table| {
        let elsewhere: Store = table.store_of("no-such-table");
        assert!(matches!(elsewhere.account(&user(1), &bank()).await, Err(StoreError::Unavailable(_))));
    })
    .await;
}
