//! The list of accounts in need.

use std::collections::BTreeSet;

use reauth_domain::{Account, AccountId, Status};

use crate::{MINUTE, broken, lost, table::on_a_table, user};

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
