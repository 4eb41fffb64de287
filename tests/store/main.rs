//! The store on any DynamoDB: the embedded one, or the one at `DYNAMODB_TEST_ENDPOINT`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod contacts;
mod erasure;
mod events;
mod grants;
mod last_reads;
mod links;
mod listing;
mod log;
mod notice_budget;
mod outages;
mod reauthorizations;
mod stored_items;
mod table;

use std::time::Duration;

use digime::{TokenPair, ambient::Deadline, read_result::AccountError};
use jiff::Timestamp;
use reauth_core::{
    lambda::RequestContext,
    store::{AccountChange, Commit, Condition, Link, NewReauthorizationSecrets, StoreError, Versioned},
};
use reauth_domain::{
    Account, AccountId, ContractId, EpisodeId, Event, EventId, Grant, Outcome, ReauthorizationId, Signal, Target,
    TraceParent, UserId, Watermark,
    account::Notice,
    event::Subject,
    reauthorization::{Flow, Progress, Reauthorization},
    time::after,
};
use secrecy::SecretString;
use serde_json::json;

use self::table::Table;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn user(number: usize) -> UserId {
    format!("user-{number}").parse().unwrap()
}

pub(crate) fn bank() -> AccountId {
    "1_bank".parse().unwrap()
}

pub(crate) fn contract() -> ContractId {
    "contract".parse().unwrap()
}

pub(crate) fn lost(table: &Table, account: Account, read_version: u64) -> Commit {
    let now = table.now();
    let new_episode = EpisodeId::from(table.ambient.bytes());
    let error = AccountError { code: Some("ServiceAuthorizationError".into()), ..AccountError::default() };
    commit(account, Signal::AuthorizationLost { error, observed_at: now, new_episode }, read_version, now)
}

pub(crate) fn commit(account: Account, signal: Signal, read_version: u64, now: Timestamp) -> Commit {
    let Outcome::Changed(change) = account.take(signal, now) else { panic!("nothing changes") };
    let user_id = change.account.user_id.clone();
    let changes = vec![AccountChange { change, read_version, read: None }];
    Commit { user_id, changes, last_reads: None, reauthorization: None, context: context(now) }
}

/// The context of an operation that was triggered then.
pub(crate) fn context(triggered_at: Timestamp) -> RequestContext {
    let (deadline, traceparent) = (Deadline(Timestamp::MAX), TraceParent::new([1; 16], [2; 8]));
    RequestContext { triggered_at, deadline, traceparent }
}

/// Stores that the account of a user lost its authorization. Returns the stored account.
pub(crate) async fn broken(table: &Table, user: &UserId) -> Versioned<Account> {
    table.store.commit(lost(table, Account::new(user.clone(), bank()), 0)).await.unwrap();
    table.store.account(user, &bank()).await.unwrap().unwrap()
}

pub(crate) fn grant(user: &UserId, token: &str, now: Timestamp) -> Grant {
    let expiry = after(now, MINUTE).as_second();
    let tokens = json!({"accessToken": {"value": token, "expiry": expiry},
        "refreshToken": {"value": "the-refresh-token", "expiry": expiry}});
    Grant {
        user_id: user.clone(),
        contract_id: contract(),
        tokens: TokenPair::parse(&tokens).unwrap(),
        episode: None,
        warned: None,
        sequence: 0,
        leased_until: None,
        accounts_listed_at: None,
    }
}

pub(crate) fn is_conflict(result: &Result<impl Sized, StoreError>, about: &Condition) -> bool {
    matches!(result, Err(StoreError::Conflict(Some(part))) if part == about)
}

pub(crate) fn read(table: &Table, minutes: u32, needs_user: bool) -> Watermark {
    Watermark { observed_at: after(table.now(), MINUTE * minutes), needs_user }
}

/// The subject of the account's last event.
pub(crate) async fn last_event(table: &Table, account: &Account) -> Subject {
    let history = table.store.history(&account.user_id, &account.account_id, None, 10).await.unwrap();
    Event::from_json(history.events.last().unwrap().clone()).unwrap().subject
}

pub(crate) fn link(account: &Account, now: Timestamp) -> Link {
    Link {
        user_id: account.user_id.clone(),
        target: Target::Account(account.account_id.clone()),
        notice: Some(Notice { event_id: EventId::from([3; 16]), link_key_id: "key".to_owned() }),
        traceparent: None,
        created_at: now,
        expires_at: after(now, MINUTE),
    }
}

pub(crate) fn reauthorization(now: Timestamp) -> Reauthorization {
    Reauthorization {
        id: ReauthorizationId::from([7; 16]),
        user_id: user(1),
        contract_id: contract(),
        flow: Flow::Account { account_id: bank() },
        progress: Progress::Pending,
        told: Vec::new(),
        return_url: None,
        locale: None,
        link: None,
        traceparent: None,
        created_at: now,
        clicked_at: None,
        returned_at: None,
        expires_at: after(now, MINUTE),
    }
}

/// The secrets of a reauthorization that the application creates.
pub(crate) fn secrets(state: &SecretString) -> NewReauthorizationSecrets<'_> {
    NewReauthorizationSecrets { state, browser: None, verifier: None }
}
