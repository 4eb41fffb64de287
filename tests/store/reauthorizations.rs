//! Reauthorizations and the questions about them.

use digime::CodeVerifier;
use reauth_core::store::{Commit, Condition, NewReauthorizationSecrets, Versioned};
use reauth_domain::{
    Account, FailureCode, Signal,
    reauthorization::{Exchange, Flow, Progress, Reauthorization},
    time::after,
};
use secrecy::ExposeSecret;

use crate::{MINUTE, bank, broken, commit, is_conflict, reauthorization, secrets, table::on_a_table, user};

#[tokio::test]
async fn a_reauthorization_moves_on_only_as_it_was_read() {
    on_a_table(async |table| {
        let (new, now) = (reauthorization(table.now()), table.now());
        let account = broken(table, &user(1)).await;
        table.store.create_reauthorization(&new, secrets(&"the-secret".into()), now).await.unwrap();
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
        let of_account = table.store.reauthorizations_of_account(&user(1), &bank(), 20).await.unwrap();
        let read = table.store.reauthorization(&new.id).await.unwrap().unwrap().reauthorization;
        assert_eq!(of_account, std::slice::from_ref(&read));
        assert!(matches!(read.progress, Progress::Failed { error_code: FailureCode::UserCancel, .. }));
        assert_eq!(read.told, [FailureCode::UserCancel]);
    })
    .await;
}

#[tokio::test]
async fn digime_is_asked_about_a_reauthorization_five_times_in_ten_minutes() {
    on_a_table(async |table| {
        let new = reauthorization(table.now());
        table.store.create_reauthorization(&new, secrets(&"secret".into()), table.now()).await.unwrap();
        let read = async || table.store.reauthorization(&new.id).await.unwrap().unwrap();
        let at_once = read().await;
        assert!(table.store.record_verification(&at_once).await.unwrap().is_ok());
        assert_eq!(read().await.reauthorization.returned_at, Some(table.now()));
        let too_late = table.store.record_verification(&at_once).await;
        assert!(is_conflict(&too_late, &Condition::Reauthorization), "{too_late:?}");
        for _ in 1..5 {
            assert!(table.store.record_verification(&read().await).await.unwrap().is_ok());
        }
        assert_eq!(table.store.record_verification(&read().await).await.unwrap(), Err(MINUTE * 10));
        let first = table.now();
        table.clock.advance(MINUTE * 10);
        assert!(table.store.record_verification(&read().await).await.unwrap().is_ok());
        assert_eq!(read().await.reauthorization.returned_at, Some(first), "the first return is kept");
    })
    .await;
}

#[tokio::test]
async fn an_exchange_is_begun_once_and_takes_the_verifier_with_it() {
    on_a_table(async |table| {
        let flow = Flow::User { exchange: Exchange::Open, account_id: None };
        let new = Reauthorization { flow, ..reauthorization(table.now()) };
        let (state, verifier) = ("secret".into(), CodeVerifier::stored("the-code-verifier".into()));
        let secrets = NewReauthorizationSecrets { verifier: Some(&verifier), ..secrets(&state) };
        table.store.create_reauthorization(&new, secrets, table.now()).await.unwrap();
        assert!(!table.everything().await.contains("the-code-verifier"));
        let read = table.store.reauthorization(&new.id).await.unwrap().unwrap();
        let until = after(table.now(), MINUTE);
        let (opened, version) = table.store.begin_exchange(&read, until).await.unwrap();
        assert_eq!((opened.secret().expose_secret(), version), ("the-code-verifier", read.version + 1));
        let second = table.store.begin_exchange(&read, until).await;
        assert!(is_conflict(&second, &Condition::Reauthorization), "{second:?}");
        let read = table.store.reauthorization(&new.id).await.unwrap().unwrap();
        let flow = Flow::User { exchange: Exchange::Started { until }, account_id: None };
        assert_eq!(read.reauthorization.flow, flow);
        assert!(table.store.begin_exchange(&read, until).await.is_err(), "the verifier is gone");
    })
    .await;
}
