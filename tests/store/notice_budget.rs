//! The notices that sweeps may start in one minute.

use futures::future::join_all;
use reauth_core::store::NoticeKind;
use reauth_domain::{NoticeRate, notice_rate::minute_of};

use crate::{
    MINUTE,
    table::{Table, on_a_table},
};

/// Takes shares until none is left.
async fn take_all(table: &Table, kind: NoticeKind, rate: NoticeRate) -> u32 {
    let minute = minute_of(table.now());
    let mut sum = 0;
    loop {
        match table.store.take_notices(kind, minute, rate).await.unwrap() {
            0 => return sum,
            share => sum += share,
        }
    }
}

#[tokio::test]
async fn sweeps_at_the_same_time_share_the_notices_of_a_minute() {
    on_a_table(async |table| {
        for rate in ["1", "7", "21", "1001"] {
            let rate: NoticeRate = rate.parse().unwrap();
            let all = join_all((0..4).map(|_| take_all(table, NoticeKind::Event, rate))).await;
            assert_eq!(all.iter().sum::<u32>(), rate.per_minute(), "{all:?}");
            assert_eq!(
                take_all(table, NoticeKind::Mail, rate).await,
                rate.per_minute(),
                "mails have a rate of their own"
            );
            table.clock.advance(MINUTE);
        }
    })
    .await;
}

#[tokio::test]
async fn a_lower_rate_within_a_minute_gives_nothing_more() {
    on_a_table(async |table| {
        let rate = |text: &str| text.parse::<NoticeRate>().unwrap();
        let minute = minute_of(table.now());
        assert_eq!(table.store.take_notices(NoticeKind::Mail, minute, rate("1000")).await.unwrap(), 50);
        assert_eq!(take_all(table, NoticeKind::Mail, rate("40")).await, 0);
        assert_eq!(take_all(table, NoticeKind::Mail, rate("60")).await, 10);
    })
    .await;
}
