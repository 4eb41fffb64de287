//! The list of accounts in need.

use std::collections::BTreeSet;

use reauth_core::store::{DueKind, GrantCondition, InNeed};
use reauth_domain::{Account, AccountId, EpisodeId, Status, time::after};

use crate::{MINUTE, broken, context, contract, grant, lost, table::on_a_table, user};

fn accounts(entries: Vec<InNeed>) -> impl Iterator<Item = Account> {
    entries.into_iter().map(|entry| match entry {
        InNeed::Account(account) => account,
        InNeed::Grant(grant) => panic!("{grant:?}"),
    })
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
            let page = table.store.in_need(7, cursor.as_ref()).await.unwrap();
            assert!(page.entries.len() <= 7);
            found.extend(accounts(page.entries).map(|account| account.user_id));
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
        let whole = table.store.in_need(500, None).await.unwrap();
        assert_eq!(accounts(whole.entries).map(|account| account.account_id).collect::<BTreeSet<_>>(), names);
        assert_eq!(whole.next, None);

        let first = table.store.in_need(90, None).await.unwrap();
        assert_eq!(first.entries.len(), 90);
        let second = table.store.in_need(90, first.next.as_ref()).await.unwrap();
        assert_eq!((second.entries.len(), second.next), (10, None));
        let both = accounts(first.entries).chain(accounts(second.entries)).map(|account| account.account_id);
        assert_eq!(both.collect::<BTreeSet<_>>(), names);
    })
    .await;
}

#[tokio::test]
async fn a_grant_is_due_16_days_before_its_refresh_token_expires_and_in_need_while_the_token_is_dead() {
    on_a_table(async |table| {
        let day = MINUTE * 60 * 24;
        let mut grant = grant(&user(1), "a", table.now());
        grant.tokens.refresh.expires_at = after(table.now(), day * 17);
        let write = async |change, version| {
            table.store.put_grant(change, GrantCondition::Version(version), None, context(table.now())).await.unwrap()
        };
        let version = write(grant.clone().unchanged(), 0).await;
        assert!(table.due(DueKind::Grant).await.is_empty());
        table.clock.advance(day);
        assert_eq!(table.due(DueKind::Grant).await.len(), 1);
        let died = grant.refresh_token_died(EpisodeId::from([1; 16]), false, table.now()).unwrap();
        write(died, version).await;
        assert!(table.due(DueKind::Grant).await.is_empty());
        let page = table.store.in_need(10, None).await.unwrap();
        assert!(matches!(&*page.entries, [InNeed::Grant(grant)] if grant.contract_id == contract()), "{page:?}");
    })
    .await;
}
