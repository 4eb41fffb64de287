//! Contacts: created with a grant only, written only as they were read, and claimed only with what a mail names.

use reauth_core::store::{Condition, ContactChange, GrantCondition, StoreError};
use reauth_domain::{
    EmailStop, Signal, Target, Via,
    contact::{ContactInput, ContactState},
};
use serde_json::json;

use crate::{
    MINUTE, bank, broken, commit, context, contract, grant, is_conflict,
    table::{Table, on_a_table},
    user,
};

/// Stores a grant with a contact.
async fn store_contact(table: &Table) -> ContactState {
    let input = ContactInput::parse(Some(&json!({"email": "ann@example.org"}))).unwrap();
    let state = ContactState::after_input(None, &input, &contract()).unwrap();
    let change = ContactChange { state: state.clone(), read_version: 0 };
    let grant = grant(&user(1), "a", table.now()).unchanged();
    let context = context(table.now());
    table.store.put_grant_and_contact(grant, GrantCondition::Version(0), Some(&change), context).await.unwrap();
    state
}

#[tokio::test]
async fn no_mail_is_claimed_about_an_account_that_works_again() {
    on_a_table(async |table| {
        let state = store_contact(table).await;
        let account = broken(table, &user(1)).await;
        let version = table.store.contact(&user(1)).await.unwrap().unwrap().version;
        let claimed = state.claimed(table.now(), std::collections::BTreeMap::new(), None);
        let claim = ContactChange { state: claimed, read_version: version };
        let named = [(Target::Account(bank()), account.version)];

        let signal = Signal::Confirmed { via: Via::Sweep, listed: None, attempt: None };
        table.store.commit(commit(account.value.clone(), signal, account.version, table.now())).await.unwrap();
        assert!(is_conflict(&table.store.claim_mail(&user(1), &claim, &named).await, &Condition::Account));
        assert_eq!(table.store.contact(&user(1)).await.unwrap().unwrap().value.last_sent_at, None);

        let healed = table.store.account(&user(1), &bank()).await.unwrap().unwrap();
        let named = [(Target::Account(bank()), healed.version)];
        let after_claim = table.store.claim_mail(&user(1), &claim, &named).await.unwrap();
        assert_eq!(table.store.contact(&user(1)).await.unwrap().unwrap().version, after_claim);
        assert!(is_conflict(&table.store.claim_mail(&user(1), &claim, &named).await, &Condition::Contact), "once");
    })
    .await;
}

#[tokio::test]
async fn whatever_stops_mails_comes_before_a_claim_that_does_not_know_it() {
    on_a_table(async |table| {
        let state = store_contact(table).await;
        let version = table.store.contact(&user(1)).await.unwrap().unwrap().version;
        let context = context(table.now());
        assert!(table.store.stop_emails(&user(1), EmailStop::Unsubscribed, None, context).await.unwrap());
        assert!(!table.store.stop_emails(&user(1), EmailStop::Unsubscribed, None, context).await.unwrap(), "once");
        let claim = ContactChange { state, read_version: version };
        assert!(is_conflict(&table.store.claim_mail(&user(1), &claim, &[]).await, &Condition::Contact));
    })
    .await;
}

#[tokio::test]
async fn mails_stop_although_the_tokens_of_the_grant_cannot_be_decrypted() {
    on_a_table(async |table| {
        store_contact(table).await;
        table.make_unreadable(&user(1), &format!("GRANT#{}", contract()), "tokens").await;
        let context = context(table.now());
        assert!(table.store.stop_emails(&user(1), EmailStop::Unsubscribed, None, context).await.unwrap());
        let stopped = table.store.contact(&user(1)).await.unwrap().unwrap().value.stopped;
        assert_eq!(stopped.map(|stopped| stopped.reason), Some(EmailStop::Unsubscribed));
        assert!(table.everything().await.contains("user.emails_stopped"));
    })
    .await;
}

#[tokio::test]
async fn a_stop_of_mails_leaves_the_lease_to_the_refresh_in_progress() {
    on_a_table(async |table| {
        let store = &table.store;
        store_contact(table).await;
        let read = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        let lease = store.lease(&read).await.unwrap();
        let context = context(table.now());
        assert!(store.stop_emails(&user(1), EmailStop::Unsubscribed, None, context).await.unwrap());
        let stopped = store.grant(&user(1), &contract()).await.unwrap().unwrap();
        assert!(stopped.value.sequence > read.value.sequence);
        assert!(is_conflict(&store.lease(&stopped).await, &Condition::Grant), "a second refresh begins");
        let refreshed = grant(&user(1), "b", table.now()).unchanged();
        store.put_grant(refreshed, GrantCondition::Lease(&lease), None, context).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_contact_does_not_come_back_after_its_user_was_erased() {
    on_a_table(async |table| {
        let state = store_contact(table).await;
        let known = table.store.contact(&user(1)).await.unwrap().unwrap();
        let grant_before = table.store.grant(&user(1), &contract()).await.unwrap().unwrap();
        let before = context(table.now());
        table.clock.advance(MINUTE);
        table.store.erase(&user(1)).await.unwrap();
        let change = |read_version| ContactChange { state: state.clone(), read_version };
        let put = table.store.put_contact(&user(1), &change(known.version)).await;
        assert!(is_conflict(&put, &Condition::Contact));
        let with_old_grant = GrantCondition::Version(grant_before.version);
        let again = grant_before.value.clone().unchanged();
        let put = table.store.put_grant_and_contact(again, with_old_grant, Some(&change(0)), before).await;
        assert!(is_conflict(&put, &Condition::Grant));
        let new_contact = change(0);
        let as_new = table.store.put_grant_and_contact(
            grant_before.value.unchanged(),
            GrantCondition::Version(0),
            Some(&new_contact),
            before,
        );
        assert!(matches!(as_new.await, Err(StoreError::Erased)));
        assert!(table.store.contact(&user(1)).await.unwrap().is_none());
    })
    .await;
}
