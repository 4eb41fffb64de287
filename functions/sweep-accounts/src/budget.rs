//! Bounds how many notices to users are started a minute (`NOTICE_RATE`), by all sweeps together.

use digime::ambient::Ambient;
use jiff::Timestamp;
use reauth_core::store::{NoticeKind, Store, StoreError};
use reauth_domain::{NoticeRate, notice_rate::minute_of};
use tokio::sync::Mutex;

/// The notices that this process may start. Take one before each notice is started.
#[derive(Debug)]
pub struct Budget {
    store: Store,
    ambient: Ambient,
    kind: NoticeKind,
    rate: NoticeRate,
    share: Mutex<Share>,
}

/// What is left of the share that was taken last.
#[derive(Debug)]
struct Share {
    minute: Timestamp,
    left: u32,
    is_last: bool,
}

impl Budget {
    pub fn new(store: Store, kind: NoticeKind, rate: NoticeRate, ambient: &Ambient) -> Self {
        let share = Mutex::new(Share { minute: Timestamp::MIN, left: 0, is_last: false });
        Self { store, ambient: ambient.clone(), kind, rate, share }
    }

    /// Takes one notice of this minute. False if the minute has none left: a later sweep starts it.
    pub async fn take(&self) -> Result<bool, StoreError> {
        let minute = minute_of(self.ambient.now());
        let mut share = self.share.lock().await;
        if share.minute != minute {
            *share = Share { minute, left: 0, is_last: false };
        }
        if share.left == 0 && !share.is_last {
            share.left = self.store.take_notices(self.kind, minute, self.rate).await?;
            share.is_last = share.left == 0;
        }
        let is_taken = share.left > 0;
        share.left = share.left.saturating_sub(1);
        Ok(is_taken)
    }

    /// Returns a notice that was taken and not started, because its item had changed.
    pub async fn give_back(&self) {
        let mut share = self.share.lock().await;
        // Of an earlier minute, it is worth nothing any more.
        if share.minute == minute_of(self.ambient.now()) {
            share.left += 1;
        }
    }
}
