//! The log: all events in one order, for any number of readers.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use digime::read_result::AccountError;
use futures::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use jiff::{SignedDuration, Timestamp};
use reauth_core::store::{
    Commit, DueKind, GrantCondition, LogCursor, LogPage, LogQuery, LoggedEvent, Redelivery, Store, StoredAttempt,
};
use reauth_domain::{
    Account, AccountId, EpisodeId, Event, EventDetail, EventId, GrantChange, NewEvent, Signal, Status, UserId, UserVia,
    time::after,
};
use serde_json::json;
use tests::ManualClock;

use crate::{
    MINUTE, bank, broken, commit, context, lost,
    table::{Table, on_a_table},
    user,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer than readers wait for an event.
const SETTLED: Duration = Duration::from_secs(11);

fn query(after: Option<LogCursor>, limit: usize) -> LogQuery {
    LogQuery { after, limit, ..LogQuery::default() }
}

async fn page(table: &Table, query: &LogQuery) -> LogPage {
    table.store.log(query).await.unwrap()
}

/// Reads pages until there are no more events for now.
async fn read_all(table: &Table, mut query: LogQuery) -> (Vec<LoggedEvent>, LogCursor) {
    let mut events = Vec::new();
    loop {
        let page = page(table, &query).await;
        assert!(page.events.len() <= query.limit);
        assert!(query.after.is_none_or(|after| page.cursor >= after), "a cursor never goes back");
        assert!(!page.has_more || query.after != Some(page.cursor), "a reader that is told to go on gets on");
        events.extend(page.events);
        query.after = Some(page.cursor);
        if !page.has_more {
            return (events, page.cursor);
        }
    }
}

fn id(stored: &LoggedEvent) -> EventId {
    stored.event_id.clone()
}

fn ids(events: &[LoggedEvent]) -> Vec<EventId> {
    events.iter().map(id).collect()
}

/// The event, which this version can parse.
fn event(stored: &LoggedEvent) -> Event {
    Event::from_json(stored.payload.clone()).unwrap()
}

fn owner(stored: &LoggedEvent) -> UserId {
    event(stored).subject.user_id
}

/// The account loses its authorization, as a function whose clock and write are as late as `store`'s writes it.
async fn lose(table: &Table, store: &Store, account: &mut Option<(Account, u64)>, owner: &UserId, now: Timestamp) {
    let (known, version) = account.take().unwrap_or_else(|| (Account::new(owner.clone(), bank()), 0));
    let new_episode = EpisodeId::from(table.ambient.bytes());
    let signal = Signal::AuthorizationLost { error: AccountError::default(), observed_at: now, new_episode };
    store.commit(commit(known, signal, version, now)).await.unwrap();
    let mut stored = store.account(owner, &bank()).await.unwrap().unwrap();
    stored.value.status = Status::Active { verified: None, authorization_expires_at: None };
    *account = Some((stored.value, stored.version));
}

/// Writers that stamp their events up to this long before they are visible.
struct Writers<'a> {
    table: &'a Table,
    late: Vec<(Store, ManualClock)>,
    /// One account of each, in turns.
    accounts: Vec<Option<(Account, u64)>>,
}

impl<'a> Writers<'a> {
    fn new(table: &'a Table, longest: i64, accounts: usize) -> Self {
        let behind = |seconds| {
            let clock = table.clock.behind(SignedDuration::from_secs(seconds));
            (table.store_with_clock(&clock), clock)
        };
        Self { table, late: (0..=longest).map(behind).collect(), accounts: vec![None; accounts] }
    }

    /// Each account gets an event, all at the same time. With another `turn`, each comes from another function.
    async fn write(&mut self, turn: usize) {
        let (table, late) = (self.table, &self.late);
        let writes = self.accounts.iter_mut().enumerate().map(|(number, account)| {
            let (store, clock) = &late[(number + turn) % late.len()];
            let (owner, now) = (user(number), digime::ambient::Clock::now(clock));
            async move { lose(table, store, account, &owner, now).await }
        });
        join_all(writes).await;
    }

    fn advance(&self, by: Duration) {
        self.table.clock.advance(by);
        self.late.iter().for_each(|(_, clock)| clock.advance(by));
    }
}

/// The accounts that have a thousand events each second: one transaction for each user, some of them at the same time.
struct Burst {
    users: Vec<Vec<Option<(Account, u64)>>>,
}

impl Burst {
    const USERS: usize = 40;
    /// The accounts of one user. All of them get an event in one transaction.
    const ACCOUNTS: usize = 25;
    const PER_SECOND: usize = Self::USERS * Self::ACCOUNTS;
    const CONCURRENT: usize = 4;

    fn new() -> Self {
        Self { users: vec![vec![None; Self::ACCOUNTS]; Self::USERS] }
    }

    /// Each account gets an event. Each user's are from a function whose clock is as late as in `late`.
    async fn write(&mut self, table: &Table, late: &[(Store, ManualClock)]) {
        let writes = self.users.iter_mut().enumerate().map(|(number, accounts)| async move {
            let (store, clock) = &late[number % late.len()];
            lose_all(table, store, accounts, &user(number), digime::ambient::Clock::now(clock)).await;
        });
        stream::iter(writes).buffer_unordered(Self::CONCURRENT).collect::<()>().await;
    }
}

/// All accounts of a user lose their authorization, in one transaction.
async fn lose_all(
    table: &Table,
    store: &Store,
    accounts: &mut [Option<(Account, u64)>],
    owner: &UserId,
    now: Timestamp,
) {
    let changes = accounts.iter().enumerate().map(|(number, account)| {
        let id: AccountId = format!("{number}_account").parse().unwrap();
        let (known, version) = account.clone().unwrap_or_else(|| (Account::new(owner.clone(), id), 0));
        let new_episode = EpisodeId::from(table.ambient.bytes());
        let signal = Signal::AuthorizationLost { error: AccountError::default(), observed_at: now, new_episode };
        commit(known, signal, version, now).changes.remove(0)
    });
    let changes = changes.collect();
    store
        .commit(Commit {
            user_id: owner.clone(),
            changes,
            last_reads: None,
            reauthorization: None,
            context: context(now),
        })
        .await
        .unwrap();
    let stored = store.user_accounts(owner).await.unwrap().accounts;
    for (account, stored) in accounts.iter_mut().zip(stored.into_values()) {
        let mut value = stored.value;
        value.status = Status::Active { verified: None, authorization_expires_at: None };
        *account = Some((value, stored.version));
    }
}

/// A thousand events a second, which are up to eight seconds old when they can be seen.
#[tokio::test]
async fn three_readers_that_read_while_events_are_written_get_each_once_and_in_one_order() {
    const SECONDS: usize = 13;
    const EVENTS: usize = SECONDS * Burst::PER_SECOND;
    const READERS: [(usize, usize); 3] = [(0, 500), (1, 137), (2, 400)];
    on_a_table(async |table| {
        let writers = Writers::new(table, 8, 0);
        let mut burst = Burst::new();
        let mut read: [Vec<EventId>; 3] = Default::default();
        let mut cursors: [Option<LogCursor>; 3] = Default::default();
        for second in 0..SECONDS {
            let reading = async {
                for (reader, limit) in READERS {
                    // The third stops for a while.
                    if reader == 2 && second == 11 {
                        continue;
                    }
                    for _ in 0..Burst::PER_SECOND / limit {
                        let page = page(table, &query(cursors[reader], limit)).await;
                        read[reader].extend(ids(&page.events));
                        cursors[reader] = Some(page.cursor);
                    }
                }
            };
            join(burst.write(table, &writers.late), reading).await;
            table.drain_stream().await;
            writers.advance(Duration::from_secs(1));
        }
        assert!(read.iter().all(|read| read.len() > Burst::PER_SECOND), "events are read while others are written");
        writers.advance(SETTLED);
        for (reader, limit) in READERS {
            let (events, _) = read_all(table, query(cursors[reader], limit)).await;
            read[reader].extend(ids(&events));
        }
        let once: BTreeSet<_> = read[0].iter().collect();
        assert_eq!((read[0].len(), once.len()), (EVENTS, EVENTS), "none is missed, and none comes twice");
        assert!(read[0].is_sorted());
        assert!(read[1] == read[0] && read[2] == read[0], "all readers see one order");
    })
    .await;
}

/// What `docs/guarantees.md` excepts.
#[tokio::test]
async fn an_event_that_can_be_seen_after_more_than_ten_seconds_is_found_from_an_older_cursor_only() {
    on_a_table(async |table| {
        let older = page(table, &query(None, 10)).await.cursor;
        table.clock.advance(MINUTE);
        let cursor = page(table, &query(None, 10)).await.cursor;
        let clock = table.clock.behind(SignedDuration::from_secs(12));
        let late = table.store_with_clock(&clock);
        lose(table, &late, &mut None, &user(1), digime::ambient::Clock::now(&clock)).await;
        table.clock.advance(SETTLED);
        assert_eq!(read_all(table, query(Some(cursor), 10)).await.0.len(), 0);
        assert_eq!(read_all(table, query(Some(older), 10)).await.0.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_events_of_an_account_come_in_the_order_of_their_sequence_also_from_clocks_that_differ() {
    on_a_table(async |table| {
        let mut writers = Writers::new(table, 8, 5);
        for tick in 0..20 {
            writers.write(tick).await;
        }
        writers.advance(SETTLED);
        let (events, _) = read_all(table, query(None, 7)).await;
        let mut last: HashMap<UserId, u64> = HashMap::new();
        for stored in &events {
            let subject = &event(stored).subject;
            let before = last.insert(subject.user_id.clone(), subject.sequence);
            assert!(before < Some(subject.sequence), "{before:?} {subject:?}");
        }
        assert_eq!(events.len(), 100);
    })
    .await;
}

#[tokio::test]
async fn the_youngest_events_wait_and_a_reader_that_comes_too_early_gets_a_cursor_all_the_same() {
    on_a_table(async |table| {
        let early = page(table, &query(None, 10)).await;
        broken(table, &user(1)).await;
        table.clock.advance(Duration::from_secs(5));
        let waiting = page(table, &query(Some(early.cursor), 10)).await;
        assert!(waiting.events.is_empty() && !waiting.has_more);
        table.clock.advance(SETTLED);
        for cursor in [early.cursor, waiting.cursor] {
            let found = page(table, &query(Some(cursor), 10)).await;
            assert_eq!((found.events.len(), found.has_more), (1, false));
        }
    })
    .await;
}

#[tokio::test]
async fn the_log_goes_back_thirty_days_and_a_cursor_that_is_older_is_known_as_such() {
    on_a_table(async |table| {
        broken(table, &user(1)).await;
        table.clock.advance(SETTLED);
        let first = page(table, &query(None, 10)).await;
        table.clock.advance(30 * DAY - MINUTE);
        broken(table, &user(2)).await;
        table.clock.advance(SETTLED);
        let (events, _) = read_all(table, query(None, 10)).await;
        assert_eq!(events.len(), 2);
        table.clock.advance(MINUTE);
        let (events, _) = read_all(table, query(None, 10)).await;
        assert_eq!(events.iter().map(owner).collect::<Vec<_>>(), [user(2)]);
        assert!(!table.store.has_expired(first.cursor), "a reader that began with the oldest event can go on");
        assert!(table.store.event_of_log(&id(&first.events[0])).await.unwrap().is_none());
        table.clock.advance(60 * MINUTE);
        assert!(table.store.has_expired(first.cursor));
    })
    .await;
}

#[tokio::test]
async fn the_events_of_one_user_or_of_some_types_come_in_the_same_order_and_cursors_serve_all() {
    on_a_table(async |table| {
        let mut writers = Writers::new(table, 8, 4);
        for tick in 0..12 {
            writers.write(tick).await;
            writers.advance(Duration::from_millis(500));
        }
        writers.advance(SETTLED);
        let (all, end) = read_all(table, query(None, 5)).await;
        for limit in [1, 5, 500] {
            let of_user = LogQuery { user: Some(user(2)), ..query(None, limit) };
            let (events, cursor) = read_all(table, of_user).await;
            let expected: Vec<_> = all.iter().filter(|stored| owner(stored) == user(2)).map(id).collect();
            assert_eq!((ids(&events), cursor), (expected, end));
        }
        let types = |kind| LogQuery { types: BTreeSet::from([kind]), ..query(None, 3) };
        assert_eq!(ids(&read_all(table, types("account.reauthorization_required")).await.0), ids(&all));
        let (none, cursor) = read_all(table, types("account.removed")).await;
        assert_eq!((none.len(), cursor), (0, end));
        let of_user = LogQuery { user: Some(user(2)), ..types("account.removed") };
        assert_eq!(read_all(table, of_user).await.0.len(), 0);
        let nobody = LogQuery { user: Some(user(99)), ..query(None, 3) };
        assert_eq!(read_all(table, nobody).await.1, end);
    })
    .await;
}

#[tokio::test]
async fn events_of_an_erased_user_are_not_in_the_log_and_their_attempts_are_deleted() {
    on_a_table(async |table| {
        for number in 1..=3 {
            broken(table, &user(number)).await;
        }
        table.clock.advance(SETTLED);
        let first = page(table, &query(None, 1)).await;
        let (before, _) = read_all(table, query(None, 10)).await;
        let of_erased = before.iter().find(|stored| owner(stored) == user(2)).unwrap();
        let webhook = table.store.webhook();
        let attempt = StoredAttempt {
            attempted_at: table.now(),
            status_code: Some(503),
            error: None,
            response: Some("later".to_owned()),
            next_attempt_at: None,
        };
        for (number, stored) in (1..).zip(&before) {
            webhook.record_attempt(&id(stored), "message", number, &attempt).await.unwrap();
        }
        table.store.erase(&user(2)).await.unwrap();
        let (after, _) = read_all(table, query(None, 10)).await;
        assert_eq!(after.len(), 2);
        assert!(after.iter().all(|stored| owner(stored) != user(2)));
        assert!(read_all(table, query(Some(first.cursor), 10)).await.0.len() <= 2);
        assert!(table.store.event_of_log(&id(of_erased)).await.unwrap().is_none());
        assert_eq!(table.store.redeliver(of_erased).await.unwrap(), Redelivery::Gone);
        assert!(webhook.attempts(&id(of_erased)).await.unwrap().is_empty());
        assert_eq!(webhook.attempts(&id(&after[0])).await.unwrap().len(), 1, "those of others are kept");
        assert!(!table.everything().await.contains(user(2).as_str()));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_large_events_fits_in_a_reply_and_the_rest_follows() {
    on_a_table(async |table| {
        for number in 0..40 {
            let error = AccountError { message: Some("\"".repeat(80_000)), ..AccountError::default() };
            let new_episode = EpisodeId::from(table.ambient.bytes());
            let signal = Signal::AuthorizationLost { error, observed_at: table.now(), new_episode };
            let account = Account::new(user(number), bank());
            table.store.commit(commit(account, signal, 0, table.now())).await.unwrap();
        }
        table.clock.advance(SETTLED);
        let page = page(table, &query(None, 500)).await;
        let texts = page.events.iter().map(|stored| stored.payload.to_string());
        let reply = serde_json::to_string(&texts.collect::<Vec<_>>().concat()).unwrap();
        assert!(page.has_more && reply.len() < 5_000_000, "{}", reply.len());
        for user_of in [None, Some(user(1))] {
            let all = LogQuery { user: user_of.clone(), ..query(None, 500) };
            assert_eq!(read_all(table, all).await.0.len(), if user_of.is_some() { 1 } else { 40 });
        }
    })
    .await;
}

#[tokio::test]
async fn any_position_is_a_cursor_and_reads_events_only() {
    on_a_table(async |table| {
        broken(table, &user(1)).await;
        table.clock.advance(SETTLED);
        let encoded = |text: &str| {
            use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
            LogCursor::decode(&URL_SAFE_NO_PAD.encode(text))
        };
        for digits in ["0".repeat(32), "f".repeat(32), format!("{:032x}", u128::MAX - 1)] {
            let cursor = encoded(&format!("log\n{digits}")).unwrap();
            for user_of in [None, Some(user(1))] {
                let found = page(table, &LogQuery { user: user_of, ..query(Some(cursor), 10) }).await;
                assert!(found.events.len() <= 1);
            }
        }
        for wrong in ["log\nUSER#u", "log\n", "LINK#x", "log\n00000000000000000000000000000000\n"] {
            assert!(encoded(wrong).is_err(), "{wrong}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_of_an_earlier_version_is_not_in_the_log() {
    on_a_table(async |table| {
        let first = broken(table, &user(1)).await.value;
        broken(table, &user(2)).await;
        table.remove_from_log(&first).await;
        table.clock.advance(SETTLED);
        assert_eq!(read_all(table, query(None, 10)).await.0.len(), 1);
        let of_user = LogQuery { user: Some(user(1)), ..query(None, 10) };
        assert_eq!(read_all(table, of_user).await.0.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_redelivered_event_is_due_at_once_and_the_receipt_of_an_earlier_publication_does_not_end_that() {
    on_a_table(async |table| {
        broken(table, &user(1)).await;
        table.clock.advance(SETTLED);
        let read = async || page(table, &query(None, 1)).await.events.remove(0);
        let unpublished = read().await;
        assert_eq!(table.store.redeliver(&unpublished).await.unwrap(), Redelivery::Pending);
        table.store.record_publication(&unpublished.parse().unwrap(), table.now()).await.unwrap();
        assert!(table.due(DueKind::Event).await.is_empty());

        assert_eq!(table.store.redeliver(&unpublished).await.unwrap(), Redelivery::Rescheduled);
        assert_eq!(table.store.redeliver(&unpublished).await.unwrap(), Redelivery::Pending);
        // A second copy of the first publication was under way all the time.
        table.store.record_publication(&unpublished.parse().unwrap(), table.now()).await.unwrap();
        let due = table.due(DueKind::Event).await;
        assert_eq!(due.len(), 1, "the redelivery is not lost");
        table.store.reschedule_event(&due[0], table.now()).await.unwrap().unwrap();
        let again = read().await;
        assert_eq!((again.published_at, again.redeliveries), (None, 1));
        table.store.record_publication(&again.parse().unwrap(), table.now()).await.unwrap();
        assert!(table.due(DueKind::Event).await.is_empty());
        assert_eq!(table.store.redeliver(&again).await.unwrap(), Redelivery::Rescheduled);
    })
    .await;
}

#[tokio::test]
async fn an_event_whose_decision_was_long_before_its_write_has_the_time_of_the_write_in_its_id() {
    on_a_table(async |table| {
        let decided = table.now();
        let account = Account::new(user(1), bank());
        let new_episode = EpisodeId::from(table.ambient.bytes());
        let signal = Signal::AuthorizationLost { error: AccountError::default(), observed_at: decided, new_episode };
        let late = commit(account, signal, 0, decided);
        table.clock.advance(MINUTE);
        // A reader is past the time of the decision.
        let cursor = page(table, &query(None, 10)).await.cursor;
        table.store.commit(Commit { context: context(decided), ..late }).await.unwrap();
        table.clock.advance(SETTLED);
        assert_eq!(page(table, &query(Some(cursor), 10)).await.events.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_event_has_the_time_of_its_write_in_its_id_although_secrets_manager_was_slow() {
    on_a_table(async |table| {
        table.slow_secrets(MINUTE);
        broken(table, &user(1)).await;
        let of_account = table.now();
        assert!(of_account >= after("2026-11-23T09:00:00Z".parse().unwrap(), MINUTE), "the secret was fetched");
        table.clock.advance(20 * MINUTE);
        let events = vec![NewEvent { detail: EventDetail::UserReauthorized { via: UserVia::Grant }, episode_id: None }];
        let grant = crate::grant(&user(2), "token", table.now());
        let (change, now) = (GrantChange { grant, events }, table.now());
        table.store.put_grant(change, GrantCondition::Version(0), None, context(now)).await.unwrap();
        let of_grant = table.now();
        assert!(of_grant > now, "the secret was fetched again");
        table.clock.advance(SETTLED);
        let (events, _) = read_all(table, query(None, 10)).await;
        assert_eq!(events.iter().map(|stored| event(stored).timestamp).collect::<Vec<_>>(), [of_account, of_grant]);
        assert!(events[0].event_id.is_from(of_account) && events[1].event_id.is_from(of_grant));
    })
    .await;
}

#[tokio::test]
async fn an_event_of_a_later_version_is_in_the_log_and_can_be_redelivered() {
    on_a_table(async |table| {
        for number in 1..=3 {
            broken(table, &user(number)).await;
        }
        table.clock.advance(SETTLED);
        let (before, _) = read_all(table, query(None, 10)).await;
        table.replace_payload(&owner(&before[1]), &json!({"type": "account.paused", "data": {"later": true}})).await;
        for user_of in [None, Some(owner(&before[1]))] {
            let (events, _) = read_all(table, LogQuery { user: user_of, ..query(None, 10) }).await;
            let later = events.iter().find(|stored| stored.event_id == before[1].event_id).unwrap();
            assert_eq!((later.kind(), &later.payload["data"]["later"]), ("account.paused", &json!(true)));
        }
        let later = table.store.event_of_log(&before[1].event_id).await.unwrap().unwrap();
        assert_eq!(table.store.redeliver(&later).await.unwrap(), Redelivery::Pending);
        assert_eq!(read_all(table, query(None, 10)).await.0.len(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_log_of_a_user_merges_accounts_and_grants_and_nothing_else() {
    on_a_table(async |table| {
        let accounts: [AccountId; 4] = ["1", "1_a", "1_a-b", "1_a.b"].map(|id| id.parse().unwrap());
        for round in 0..3 {
            for id in &accounts {
                let known = table.store.account(&user(1), id).await.unwrap();
                let (mut account, version) =
                    known.map_or_else(|| (Account::new(user(1), id.clone()), 0), |known| (known.value, known.version));
                account.status = Status::Active { verified: None, authorization_expires_at: None };
                table.store.commit(lost(table, account, version)).await.unwrap();
                table.clock.advance(Duration::from_millis(700));
            }
            let events =
                vec![NewEvent { detail: EventDetail::UserReauthorized { via: UserVia::Grant }, episode_id: None }];
            let known = table.store.grant(&user(1), &crate::contract()).await.unwrap();
            let (grant, version) = known.map_or_else(
                || (crate::grant(&user(1), "token", table.now()), 0),
                |known| (known.value, known.version),
            );
            let change = GrantChange { grant, events };
            table.store.put_grant(change, GrantCondition::Version(version), None, context(table.now())).await.unwrap();
            broken(table, &user(2 + round)).await;
        }
        table.clock.advance(SETTLED);
        let (all, end) = read_all(table, query(None, 500)).await;
        assert_eq!(all.len(), 18);
        let expected: Vec<_> = all.iter().filter(|stored| owner(stored) == user(1)).map(id).collect();
        for limit in [1, 2, 500] {
            let of_user = LogQuery { user: Some(user(1)), ..query(None, limit) };
            let (events, cursor) = read_all(table, of_user).await;
            assert_eq!((ids(&events), cursor), (expected.clone(), end), "{limit}");
        }
        let of_grants = LogQuery { types: BTreeSet::from(["user.reauthorized"]), ..query(None, 2) };
        let (events, cursor) = read_all(table, of_grants).await;
        assert_eq!((events.len(), cursor), (3, end));
        assert!(events.iter().all(|stored| stored.kind() == "user.reauthorized"));
    })
    .await;
}
